"""Which pools a node sees, and in which order the scheduler looks through them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from dracore.allocate.features import Features
from dracore.allocate.nodes import Node
from dracore.allocate.published import PoolId, PublishedDevice, PublishedSlice


class PoolState(Enum):
    """Whether a pool can be allocated from."""

    USABLE = "usable"
    INCOMPLETE = "incomplete"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """A device that a node may use, with the slice and pool that it comes from."""

    device: PublishedDevice
    slice: PublishedSlice
    pool: Pool


@dataclass(slots=True, eq=False)
class Pool:
    """A pool as one node sees it; made by :class:`PoolIndex`, not changed afterwards."""

    id: PoolId
    state: PoolState = PoolState.USABLE
    reason: str = ""
    offers: tuple[Offer, ...] = ()
    elsewhere: tuple[PublishedDevice, ...] = ()
    """Devices for other nodes: they count where counters are shared."""
    counters: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def has_conditions(self) -> bool:
        """Pools with binding conditions come last, whether or not the feature is on."""
        return any(offer.device.has_conditions for offer in self.offers)


NODE_OPERATIONS = "DRAOptionalNodeOperations"
"""The gate, and the feature that a node declares where it can skip operations (KEP-5945)."""


def missing_gate(offer: Offer, features: Features) -> str:
    """The gate that is off and without which nobody gets this device; empty where there is none."""
    if offer.device.conditions and not features.binding_conditions:
        return "DRADeviceBindingConditions"
    if offer.device.draws and not features.partitionable_devices:
        return "DRAPartitionableDevices"
    if offer.slice.skip_node_operations and features.skips_count and not features.optional_node_operations:
        return NODE_OPERATIONS
    return ""


def skips(offer: Offer, node: Node, features: Features) -> bool:
    """Whether a node can skip what the slice wants skipped; one that wants nothing is no question."""
    asked = offer.slice.skip_node_operations and features.skips_count
    return not asked or NODE_OPERATIONS in node.declared_features


class PoolIndex:
    """All slices of a cluster, sorted so that a node's pools are found quickly."""

    def __init__(self, slices: Sequence[PublishedSlice], features: Features) -> None:
        self._features = features
        self._of_node: dict[str, list[PublishedSlice]] = {}
        self._shared: list[PublishedSlice] = []
        self._of_pool: dict[PoolId, list[PublishedSlice]] = {}
        self._all_count: bool | None = None
        """No slice is ignored and no pool has several generations."""
        for item in slices:
            self._of_pool.setdefault(item.pool, []).append(item)
            if item.reach.node_name and not self._everywhere(item):
                self._of_node.setdefault(item.reach.node_name, []).append(item)
            else:
                self._shared.append(item)

    def pools(self, node: Node) -> tuple[Pool, ...]:
        """The pools that `node` sees, in the scheduler's order.

        A pool is usable where all slices of its newest generation are there. The newest counts among the
        slices for this node; a newer one elsewhere is seen only where this node's are too few.
        """
        current: dict[PoolId, list[PublishedSlice]] = {}
        for item in (*self._of_node.get(node.name, ()), *self._shared):
            if self._ignored(item) or not self._relevant(item, node):
                continue
            known = current.get(item.pool)
            if known is None or item.generation > known[0].generation:
                current[item.pool] = [item]
            elif item.generation == known[0].generation:
                known.append(item)
        pools = [pool for found in current.values() if (pool := self._pool(found)) is not None]
        return tuple(sorted(pools, key=lambda pool: (pool.has_conditions, _bytes(pool.id))))

    def outdated(self, node: Node) -> tuple[tuple[PoolId, str], ...]:
        """The pools of which slices are for this node and do not count, and why."""
        if self._all_count is None:
            self._all_count = not any(
                self._ignored(item) or item.generation != found[0].generation
                for found in self._of_pool.values()
                for item in found
            )
        if self._all_count:
            return ()
        found: dict[PoolId, str] = {}
        counting = {pool.id for pool in self.pools(node)}
        for item in (*self._of_node.get(node.name, ()), *self._shared):
            if item.pool in counting or not self._relevant(item, node):
                continue
            if self._ignored(item):
                found[item.pool] = f"slice {item.name} needs the gate {self._gate(item)}"
            else:
                newest = max(other.generation for other in self._of_pool[item.pool])
                where = {
                    other.reach.node_name or "other nodes"
                    for other in self._of_pool[item.pool]
                    if other.generation == newest
                }
                names = ", ".join(sorted(where)[:3])
                text = f"it is outdated: generation {newest} is on {names}, here is {item.generation}"
                found.setdefault(item.pool, text)
        return tuple(found.items())

    def _gate(self, item: PublishedSlice) -> str:
        """The gate without which a slice is ignored."""
        groups = item.uses_groups and not self._features.compatibility_groups
        return "DRADeviceCompatibilityGroups" if groups else "DRAPartitionableDevices"

    def _ignored(self, item: PublishedSlice) -> bool:
        if not self._features.partitionable_devices and (item.per_device_set or item.counter_sets):
            return True
        return not self._features.compatibility_groups and item.uses_groups

    def _everywhere(self, item: PublishedSlice) -> bool:
        """Whether a slice counts on all nodes: the plainest allocator thinks so of all counters."""
        features = self._features
        return features.plain_allocator and features.partitionable_devices and bool(item.counter_sets)

    def _relevant(self, item: PublishedSlice, node: Node) -> bool:
        if self._everywhere(item):
            return True
        if item.reach.known:
            return item.reach.covers(node)
        return item.per_device and any(device.reach.covers(node) for device in item.devices)

    def _pool(self, mine: list[PublishedSlice]) -> Pool | None:
        first = mine[0]
        everywhere = mine
        if len(mine) != first.slice_count:
            others = self._of_pool[first.pool]
            if any(item.generation > first.generation for item in others):
                return None  # being replaced by one that this node has no part in
            everywhere = [
                item
                for item in others
                if item.generation == first.generation
                and (self._features.compatibility_groups or not item.uses_groups)
            ]
            if len(everywhere) != first.slice_count:
                return Pool(first.pool, PoolState.INCOMPLETE, self._incomplete(first, len(everywhere)))
        return self._build(first.pool, sorted(mine, key=lambda item: item.name.encode()), everywhere)

    def _incomplete(self, first: PublishedSlice, there: int) -> str:
        """Why the slices of a pool's newest generation are not as many as announced."""
        of = f"of generation {first.generation}"
        if there > first.slice_count:
            return f"{there} slices {of} are there, more than its resourceSliceCount of {first.slice_count}"
        text = f"{there} of {first.slice_count} slices {of} are there"
        ignored = [
            item
            for item in self._of_pool[first.pool]
            if item.generation == first.generation and self._ignored(item)
        ]
        if not ignored:
            return text
        return f"{text}; slice {ignored[0].name} needs the gate {self._gate(ignored[0])}"

    def _build(self, pool_id: PoolId, mine: list[PublishedSlice], everywhere: list[PublishedSlice]) -> Pool:
        partitions = self._features.partitionable_devices
        names = {item.name for item in mine}
        others = [item for item in everywhere if item.name not in names]
        totals = [item for item in (*mine, *others) if partitions and item.counter_sets]
        mine = [item for item in mine if not (partitions and item.counter_sets)]
        elsewhere = [
            device for item in others if not (partitions and item.counter_sets) for device in item.devices
        ]
        pool = Pool(pool_id)
        reason = _repeated(device.id.device for item in mine for device in item.devices)
        if reason:
            reason = f"duplicate device name {reason}"
        if partitions and not reason:
            sets = [counters for item in totals for counters in item.counter_sets]
            if repeated := _repeated(counters.name for counters in sets):
                reason = f"duplicate counter set name {repeated}"
            else:
                pool.counters = {counters.name: counters.counters for counters in sets}
                reason = _missing_counter(
                    pool.counters, [*(device for item in mine for device in item.devices), *elsewhere]
                )
            pool.elsewhere = tuple(elsewhere)
        if reason:
            return Pool(pool_id, PoolState.INVALID, reason)
        pool.offers = tuple(Offer(device, item, pool) for item in mine for device in item.devices)
        return pool


def _bytes(pool: PoolId) -> tuple[bytes, bytes]:
    return pool.driver.encode(), pool.pool.encode()


def _repeated(names: Iterable[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


def _missing_counter(sets: Mapping[str, Mapping[str, int]], devices: Iterable[PublishedDevice]) -> str:
    for device in devices:
        for draw in device.draws:
            counters = sets.get(draw.counter_set)
            if counters is None:
                return f"counter set {draw.counter_set} not found"
            for name in draw.counters:
                if name not in counters:
                    return f"counter {name} not found in counter set {draw.counter_set}"
    return ""
