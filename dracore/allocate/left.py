"""What a further claim could still have."""

from __future__ import annotations

from collections.abc import Iterable

from dracore.allocate.allocator import Allocator
from dracore.allocate.counters import CounterLedger
from dracore.allocate.held import Held
from dracore.allocate.nodes import Node
from dracore.allocate.pools import Offer, PoolState, missing_gate, skips
from dracore.allocate.published import DeviceId, billionths
from dracore.model.device import JSON


def left(allocator: Allocator, nodes: Iterable[Node], held: Held) -> list[JSON]:
    """The devices that a further claim could have, at least in part: entries of ``left`` of `simulate`."""
    found: dict[DeviceId, str | None] = {}
    ledger = CounterLedger(held, groups=allocator.features.compatibility_groups)
    for node in nodes:
        for pool in allocator.pools(node):
            if pool.state is not PoolState.USABLE:
                continue
            for offer in pool.offers:
                if offer.device.id not in found and _is_left(allocator, offer, node, held, ledger):
                    reach = offer.device.reach if offer.slice.per_device else offer.slice.reach
                    found[offer.device.id] = reach.node_name
    return [{"node": node, **device._asdict()} for device, node in found.items()]


def _is_left(allocator: Allocator, offer: Offer, node: Node, held: Held, ledger: CounterLedger) -> bool:
    device = offer.device
    if device.id in held.whole:
        return False
    if offer.slice.per_device and not device.reach.covers(node):
        return False
    if missing_gate(offer, allocator.features) or not skips(offer, node, allocator.features):
        return False
    shared = held.shared.get(device.id)
    if shared is not None:
        has = device.capacity.items()
        return all(billionths(amount.value) > shared.get(name, 0) for name, amount in has)
    if not device.draws:
        return True
    before = ledger.take(offer.pool, device)
    if before is None:
        return False
    ledger.give_back(offer.pool, device, before)
    return True
