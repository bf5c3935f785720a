"""How far devices come on their way to one request: looked at node by node, and added up over all nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from dracore.allocate.asks import Ask
from dracore.allocate.judge import Judge
from dracore.allocate.nodes import Node
from dracore.allocate.pools import Offer, Pool, PoolState
from dracore.allocate.published import PublishedDevice
from dracore.allocate.reasons import INDEX, ORDER, Reason, Stage

REASONS_LIMIT = 2_000
"""How many devices that others hold are told of for one request; all are counted."""
_OWN = frozenset({Stage.FEATURES, Stage.CLASS, Stage.REQUEST, Stage.NODE, Stage.CAPACITY})
"""Stages that decide which devices ``All`` stands for."""
_PASSED = len(ORDER)


@dataclass(slots=True)
class Look:
    """What one request meets on one node, as long as nothing more is taken of its pools."""

    state: tuple[int, ...]
    """How often something of each pool had been taken."""
    private: bool
    """No other node sees any of these devices."""
    came: dict[PublishedDevice, int] = field(default_factory=dict)
    """Each device to the stage that stops it."""
    reasons: dict[PublishedDevice, Reason] = field(default_factory=dict)
    places: dict[PublishedDevice, tuple[Offer, Node]] = field(default_factory=dict)
    held: int = 0
    """Devices that others keep away."""
    whole: int = 0
    """Of these the ones that are held as a whole."""
    untold: bool = False
    """Not of all of them it is said who holds them."""
    missing: bool = False
    """A device that ``All`` stands for cannot be had."""
    stopped: Counter[int] = field(default_factory=Counter)
    names: frozenset[str] = frozenset()
    twice: frozenset[str] = frozenset()
    """Names that several devices of the node have."""

    def serves(self, told: int) -> bool:
        """Whether it is right also after so many devices that others hold."""
        if self.untold:
            return not self.whole and told >= REASONS_LIMIT
        return not self.whole or told + self.held <= REASONS_LIMIT


def look(
    judge: Judge, ask: Ask, node: Node, pools: Sequence[Pool], state: tuple[int, ...], told: int
) -> Look:
    """Looks at all devices of a node.

    :param told: of how many devices that others hold it has been told before.
    """
    offers = [offer for pool in pools if pool.state is PoolState.USABLE for offer in pool.offers]
    found = Look(state, all(offer.slice.reach.node_name for offer in offers))
    occupied, came, reasons = judge.occupied, found.came, found.reasons
    for offer in offers:
        device = offer.device
        early, late = judge.standing(ask, offer)
        reason = judge.on_node(offer, node) if early is None else early
        found.places[device] = offer, node
        if reason is None:
            whole = occupied.is_whole(ask, device.id)
            if whole and told + found.held >= REASONS_LIMIT:
                came[device] = INDEX[Stage.IN_USE]
                found.untold = True
                found.missing |= ask.all_devices
                continue
            reason = occupied.first(ask, offer)
            found.whole += whole
            found.held += reason is not None
            reason = reason or late
        if reason is None:
            came[device] = _PASSED
            continue
        if ask.all_devices and reason.stage not in _OWN:
            found.missing = True
        came[device] = INDEX[reason.stage]
        reasons[device] = reason
    found.stopped = Counter(came.values())
    names = [device.id.device for device in came]
    found.names = frozenset(names)
    if len(found.names) < len(names):
        found.twice = frozenset(name for name, number in Counter(names).items() if number > 1)
    return found


class Tally:
    """What one request meets on all nodes; a device that several reach counts where it comes farthest."""

    def __init__(self) -> None:
        self.reasons: dict[PublishedDevice, Reason] = {}
        """What keeps each device away."""
        self.places: dict[PublishedDevice, tuple[Offer, Node]] = {}
        """Where each device came so far."""
        self.ambiguous: set[str] = set()
        self.passed: dict[str, int] = {}
        """Node to how many devices a request could have there."""
        self.told = 0
        self._missing: set[str] = set()
        self._came: dict[PublishedDevice, int] = {}
        self._stopped: Counter[int] = Counter()
        self._names: set[str] = set()

    def add(self, node: Node, seen: Look) -> None:
        """What it meets on one more node."""
        passed = seen.stopped[_PASSED]
        if passed:
            self.passed[node.name] = passed
        if seen.missing:
            self._missing.add(node.name)
        self.told += seen.held
        if not seen.private:
            for device, stage in seen.came.items():
                self._see(device, stage, seen)
            return
        self.ambiguous |= seen.twice
        self.ambiguous |= seen.names & self._names
        self._names |= seen.names
        for stage, number in seen.stopped.items():
            self._stopped[stage] += number
        self.places.update(seen.places)
        self.reasons.update(seen.reasons)

    def _see(self, device: PublishedDevice, stage: int, seen: Look) -> None:
        before = self._came.get(device)
        if before is None:
            name = device.id.device
            (self.ambiguous if name in self._names else self._names).add(name)
        elif stage <= before:
            return
        self._came[device] = stage
        self.places[device] = seen.places[device]
        reason = seen.reasons.get(device)
        if reason is not None:
            self.reasons[device] = reason
        else:
            self.reasons.pop(device, None)

    def left(self) -> dict[Stage, int]:
        """How many devices passed each stage."""
        stopped = self._stopped + Counter(self._came.values())
        left, found = stopped.total(), {}
        for index, stage in enumerate(ORDER):
            left -= stopped[index]
            found[stage] = left
        return found

    def enough(self, ask: Ask, node: str) -> bool:
        """Whether the request could be met on a node, were it alone."""
        passed = self.passed.get(node, 0)
        return passed > 0 and node not in self._missing if ask.all_devices else passed >= ask.count

    def open_to(self, ask: Ask) -> set[str]:
        """The nodes where it could be."""
        return {node for node in self.passed if self.enough(ask, node)}
