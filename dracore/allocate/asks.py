"""Requests made ready for a search: checked, with their classes and how many devices they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dracore.allocate.features import Features
from dracore.allocate.matching import Matching
from dracore.allocate.nodes import Node
from dracore.allocate.pools import Offer, Pool, PoolState
from dracore.allocate.published import PublishedDevice
from dracore.allocate.shares import NotRepresentable, Size, fits, taken
from dracore.allocate.wanted import DeviceClass, Request, RequestGroup, WantedClaim
from dracore.model.names import RESULTS_PER_CLAIM
from dracore.model.quantity import Quantity


class Fatal(Exception):
    """The scheduler would end its attempt with an error, not try other devices."""


@dataclass(slots=True, eq=False)
class Ask:
    """A request, or an alternative of one, of a claim in a search."""

    claim: int
    group: int
    name: str
    """The full name, with the alternative: ``gpu/large``."""
    request: Request
    owner: str
    device_class: DeviceClass
    count: int = 0
    wanted: tuple[Offer, ...] = ()
    """The devices that ``All`` stands for."""
    verdicts: dict[Offer, bool] = field(default_factory=dict)
    sizes: dict[Offer, Size] = field(default_factory=dict)

    @property
    def all_devices(self) -> bool:
        return self.request.mode == "All"

    @property
    def admin(self) -> bool:
        return bool(self.request.admin)


class Asks:
    """Checks the requests of claims before a search, as the scheduler does.

    :raises Fatal: from every call, where the scheduler would not even look at devices.
    """

    def __init__(
        self,
        classes: Mapping[str, DeviceClass],
        features: Features,
        matching: Matching,
        node: Node,
        pools: Sequence[Pool],
    ) -> None:
        self._classes = classes
        self._features = features
        self._matching = matching
        self._node = node
        self._pools = pools

    def of(self, index: int, claim: WantedClaim) -> tuple[tuple[Ask, ...], ...]:
        """The alternatives of each request of the claim at `index`."""
        groups = []
        least = 0
        for position, group in enumerate(claim.groups):
            asks = self._group(index, position, claim, group)
            needed = min(ask.count for ask in asks)
            if needed > RESULTS_PER_CLAIM - least:
                raise Fatal(
                    f"claim {claim.title}, request {group.name}: adding {needed} devices exceeds the claim"
                    f" limit of {RESULTS_PER_CLAIM}, with {least} already accounted for"
                )
            least += needed
            groups.append(asks)
        return tuple(groups)

    def selectable(self, ask: Ask, offer: Offer) -> bool:
        """Whether selectors and node selection let a request have a device."""
        found = ask.verdicts.get(offer)
        if found is None:
            found = ask.verdicts[offer] = self._selectable(ask, offer)
        return found

    def _selectable(self, ask: Ask, offer: Offer) -> bool:
        device = offer.device
        if device.conditions and not self._features.binding_conditions:
            return False
        device_class = ask.device_class
        if not self._matching.all_true(device_class.selectors, device, f"class {device_class.name}"):
            return False
        if not self._matching.all_true(ask.request.selectors, device, f"claim {ask.owner}"):
            return False
        # As the scheduler does after the selectors: one that fails on another node's device counts.
        return not offer.slice.per_device or device.reach.covers(self._node)

    def _group(self, index: int, position: int, claim: WantedClaim, group: RequestGroup) -> tuple[Ask, ...]:
        where = f"claim {claim.title}, request {group.name}"
        if group.first_available and not self._features.prioritized_list:
            raise Fatal(f"{where}: has subrequests, but the DRAPrioritizedList feature is disabled")
        if not self._features.consumable_capacity and not self._features.plain_allocator:
            for request in group.alternatives:
                if request.capacity is not None:
                    kind = "subrequest" if group.first_available else "request"
                    raise Fatal(
                        f"claim {claim.title}, {kind} {request.name}: has capacity requests, but the"
                        " DRAConsumableCapacity feature is disabled"
                    )
        asks = []
        for request in group.alternatives:
            name = f"{group.name}/{request.name}" if group.first_available else request.name
            asks.append(self._ask(index, position, name, claim, request))
        return tuple(asks)

    def _ask(self, index: int, position: int, name: str, claim: WantedClaim, request: Request) -> Ask:
        where = f"claim {claim.title}, request {request.name}"
        if request.derived and not self._features.derived_attributes:
            raise Fatal(f"{where}: cannot handle request with derived attributes, the feature is disabled")
        for number, selector in enumerate(request.selectors):
            if selector is None:
                raise Fatal(f"{where}, selector #{number}: CEL expression empty (unsupported selector type?)")
        if request.admin is not None and not self._features.admin_access:
            raise Fatal(f"{where}: admin access is requested, but the feature is disabled")
        if not request.class_name:
            raise Fatal(f"{where}: missing device class name (unsupported request type?)")
        device_class = self._classes.get(request.class_name)
        if device_class is None:
            raise Fatal(
                f"{where}: could not retrieve device class {request.class_name}:"
                f' deviceclass.resource.k8s.io "{request.class_name}" not found'
            )
        ask = Ask(index, position, name, request, claim.title, device_class)
        if request.mode == "ExactCount":
            ask.count = request.count
        elif request.mode == "All":
            ask.wanted = tuple(self._everything(ask, where))
            ask.count = len(ask.wanted)
        else:
            raise Fatal(f"{where}: unsupported count mode {request.mode}")
        return ask

    def _everything(self, ask: Ask, where: str) -> list[Offer]:
        """What ``All`` stands for: whatever can be selected and is large enough, in use or not."""
        found: list[Offer] = []
        for pool in self._pools:
            if pool.state is not PoolState.USABLE:
                now = "being updated" if pool.state is PoolState.INCOMPLETE else "invalid"
                raise Fatal(f"{where}: asks for all devices, but resource pool {pool.id} is currently {now}")
            found += [
                offer
                for offer in pool.offers
                if self.selectable(ask, offer) and self._large_enough(ask, offer, where)
            ]
        return found

    def amounts(self, ask: Ask, offer: Offer) -> Mapping[str, Quantity] | None:
        """What a request takes of a device; None where it does not allow that.

        :raises NotRepresentable: nobody can calculate with that.
        """
        if not self._features.consumable_capacity:
            return {}
        capacity = offer.device.capacity
        return taken(ask.request.capacity, capacity, fractional=self._features.fractional_range)

    def attribute(self, ask: Ask, device: PublishedDevice, name: str) -> Mapping[str, Any] | None:
        """What a constraint compares of a device for a request.

        :raises SelectorFailed: a derived attribute cannot be had.
        """
        return self._matching.attribute(ask.request, device, name)

    def _large_enough(self, ask: Ask, offer: Offer, where: str) -> bool:
        try:
            amounts = self.amounts(ask, offer)
        except NotRepresentable as error:
            raise Fatal(f"{where}: checking capacity for device {offer.device.id.device}: {error}") from None
        if not self._features.consumable_capacity:
            return True
        return amounts is not None and fits(amounts, offer.device.capacity)
