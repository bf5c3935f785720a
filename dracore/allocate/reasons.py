"""Why a request does not get a device: the first thing in the way, in the scheduler's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import TypeAlias

from dracore.allocate.asks import Ask
from dracore.allocate.constraints import values
from dracore.allocate.counters import CounterLedger
from dracore.allocate.features import Features
from dracore.allocate.held import Held
from dracore.allocate.matching import Matching
from dracore.allocate.nodes import Node
from dracore.allocate.pools import Offer
from dracore.allocate.published import DeviceId, PublishedDevice, billionths
from dracore.allocate.search import NODE_OPERATIONS
from dracore.allocate.shares import NotRepresentable, taken
from dracore.allocate.taints import in_the_way
from dracore.allocate.terms import Miss, miss, reads, terms
from dracore.allocate.wanted import Constraint
from dracore.errors import SelectorError
from dracore.model.quantity import Quantity


class Stage(Enum):
    """What a device passes, one after the other; the value is the heading of those that came so far."""

    SEEN = "devices seen"
    FEATURES = "usable with these gates"
    CLASS = "class selectors"
    REQUEST = "request selectors"
    NODE = "reach the node"
    CAPACITY = "enough capacity"
    TAINTS = "taints tolerated"
    IN_USE = "not in use"
    COUNTERS = "counters left"
    CONSTRAINTS = "constraints"


ORDER = tuple(Stage)


@dataclass(frozen=True, slots=True)
class Reason:
    """What keeps a device from a request."""

    device: DeviceId
    stage: Stage
    text: str
    """``selector 1 of request gpu is false: memory is 39Gi``"""
    remedy: str = ""
    """What would have to be otherwise: ``memory were ≥ 40Gi: it is 39Gi``."""
    distance: float = 1.0
    frees: str = ""
    """What would give the device free."""


Judged: TypeAlias = tuple[Reason | None, Reason | None]


class Judge:
    """Finds the first reason against a device; for one claim and one set of held devices.

    :param judged: what was found for other claims, by what they ask for; kept as long as the slices.
    :param holders: the claims that hold a device, for the text.
    """

    def __init__(
        self,
        matching: Matching,
        features: Features,
        held: Held,
        holders: Mapping[DeviceId, Sequence[str]],
        constraints: Sequence[Constraint],
        judged: dict[str, dict[PublishedDevice, Judged]],
    ) -> None:
        self._matching = matching
        self._features = features
        self._held = held
        self._holders = holders
        self._constraints = tuple(constraints)
        self._judged = judged
        self._known: dict[Ask, dict[PublishedDevice, Judged]] = {}
        self._ledger = CounterLedger(held, groups=features.compatibility_groups)

    def standing(self, ask: Ask, offer: Offer) -> tuple[Reason | None, Reason | None]:
        """What neither other claims nor the node change: before and after they are looked at."""
        known = self._known.get(ask)
        if known is None:
            # Equal requests of other claims have been judged before.
            wanted = (ask.name, ask.request, ask.device_class.name, self._constraints)
            known = self._known[ask] = self._judged.setdefault(repr(wanted), {})
        found = known.get(offer.device)
        if found is None:
            early = (
                self._gates(offer)
                or self._selectors(ask, offer, Stage.CLASS)
                or self._selectors(ask, offer, Stage.REQUEST)
                or self._size(ask, offer)
                or self._taints(ask, offer)
            )
            found = known[offer.device] = early, None if early else self._attributes(ask, offer)
        return found

    def on_node(self, offer: Offer, node: Node) -> Reason | None:
        """Whether the node is what keeps a device away."""
        device = offer.device
        if offer.slice.skip_node_operations and NODE_OPERATIONS not in node.declared_features:
            text = f"node {node.name} does not declare {NODE_OPERATIONS}"
            return Reason(device.id, Stage.FEATURES, text, f"node {node.name} declared it")
        if offer.slice.per_device and not device.reach.covers(node):
            return Reason(device.id, Stage.NODE, f"node {node.name} does not reach it", "the node reached it")
        return None

    def held_by_others(self, ask: Ask, offer: Offer) -> Reason | None:
        """Whether other claims are what keeps a device away."""
        return self._in_use(ask, offer) or self._room(ask, offer) or self._counters(offer)

    def _gates(self, offer: Offer) -> Reason | None:
        device = offer.device
        missing = ""
        if device.conditions and not self._features.binding_conditions:
            missing = "DRADeviceBindingConditions"
        elif device.draws and not self._features.partitionable_devices:
            missing = "DRAPartitionableDevices"
        elif offer.slice.skip_node_operations and not self._features.optional_node_operations:
            missing = NODE_OPERATIONS
        if not missing:
            return None
        return Reason(
            device.id, Stage.FEATURES, f"it needs the gate {missing}", f"the gate {missing} were on"
        )

    def _selectors(self, ask: Ask, offer: Offer, stage: Stage) -> Reason | None:
        of_class = stage is Stage.CLASS
        owner = f"class {ask.device_class.name}" if of_class else f"request {ask.name}"
        for index, expression in enumerate(ask.device_class.selectors if of_class else ask.request.selectors):
            try:
                if expression is not None and self._matching.answer(expression, offer.device):
                    continue
            except SelectorError as error:
                text = f"selector {index + 1} of {owner} fails: {error.what}"
                return Reason(offer.device.id, stage, text, "the selector did not fail")
            return self._why_false(stage, f"selector {index + 1} of {owner}", expression or "", offer)
        return None

    def _why_false(self, stage: Stage, what: str, expression: str, offer: Offer) -> Reason:
        device = offer.device
        parts = terms(expression)
        wrong = [term for term in parts if len(parts) == 1 or not self._is_true(term, offer)] or [expression]
        shown = [str(read) for term in wrong for read in reads(term, device)]
        text = f"{what} is false: {', '.join(dict.fromkeys(shown)) or _short(wrong[0])}"
        misses = [found for term in wrong if (found := miss(term, device)) is not None]
        if len(misses) < len(wrong):
            wants = " and ".join(_short(term) for term in wrong)
            return Reason(device.id, stage, text, f"this were true: {wants}", float(len(wrong)))
        return Reason(device.id, stage, text, _joined(misses), sum(found.distance for found in misses))

    def _is_true(self, term: str, offer: Offer) -> bool:
        try:
            return self._matching.answer(term, offer.device)
        except SelectorError:
            return False  # it fails, or is no expression of its own

    def _size(self, ask: Ask, offer: Offer) -> Reason | None:
        if not self._features.consumable_capacity:
            return None
        device = offer.device
        requested = ask.request.capacity or {}
        for name in requested:
            if name not in device.capacity:
                return Reason(device.id, Stage.CAPACITY, f"it has no capacity {name}", f"it had {name}")
        try:
            amounts = taken(requested, device.capacity, fractional=self._features.fractional_range)
        except NotRepresentable as error:
            return Reason(device.id, Stage.CAPACITY, str(error))
        if amounts is None:
            asked = ", ".join(f"{name}: {amount}" for name, amount in requested.items())
            text = f"its request policy does not allow {asked or 'its own default'}"
            return Reason(device.id, Stage.CAPACITY, text, "the policy allowed it")
        return self._short_of(ask, offer, amounts, Stage.CAPACITY, {})

    def _room(self, ask: Ask, offer: Offer) -> Reason | None:
        device = offer.device
        sums = self._held.shared.get(device.id)
        if not self._features.consumable_capacity or not sums:
            return None
        amounts = taken(ask.request.capacity, device.capacity, fractional=self._features.fractional_range)
        return self._short_of(ask, offer, amounts or {}, Stage.IN_USE, sums)

    def _short_of(
        self, ask: Ask, offer: Offer, amounts: Mapping[str, Quantity], stage: Stage, used: Mapping[str, int]
    ) -> Reason | None:
        device = offer.device
        for name, amount in amounts.items():
            has = device.capacity[name].value
            left = billionths(has) - used.get(name, 0)
            if billionths(amount) > left:
                rest = _amount(left, has)
                text = f"{rest} of {name} is left of {has}, {amount} is wanted"
                far = 1 - left / billionths(amount) if left > 0 else 1.0
                return Reason(
                    device.id,
                    stage,
                    text,
                    f"{name} left were ≥ {amount}: it is {rest}",
                    far,
                    self._free(device.id),
                )
        return None

    def _taints(self, ask: Ask, offer: Offer) -> Reason | None:
        taint = in_the_way(offer.device, ask.request) if self._features.device_taints else None
        if taint is None:
            return None
        shown = f"{taint.key}={taint.value}:{taint.effect}" if taint.value else f"{taint.key}:{taint.effect}"
        return Reason(
            offer.device.id,
            Stage.TAINTS,
            f"it is tainted {shown}",
            f"the request tolerated {shown}",
            frees=f"a toleration for {shown}, or the end of the taint",
        )

    def _in_use(self, ask: Ask, offer: Offer) -> Reason | None:
        device = offer.device.id
        if ask.admin or device not in self._held.whole:
            return None
        holders = ", ".join(self._holders.get(device, ())) or "another claim"
        return Reason(device, Stage.IN_USE, f"{holders} holds it", "it were free", frees=self._free(device))

    def _free(self, device: DeviceId) -> str:
        holders = self._holders.get(device)
        return f"the end of {', '.join(holders)}" if holders else ""

    def _counters(self, offer: Offer) -> Reason | None:
        device = offer.device
        if not device.draws or (device.shareable and device.id in self._held.shared):
            return None
        before = self._ledger.take(offer.pool, device)
        if before is not None:
            self._ledger.give_back(offer.pool, device, before)
            return None
        users = ", ".join(
            dict.fromkeys(
                holder
                for other in offer.pool.offers
                if other.device.draws
                for holder in self._holders.get(other.device.id, ())
            )
        )
        frees = f"the end of {users}" if users else ""
        for counter_set, name, left, wants in self._ledger.short_of(offer.pool, device):
            rest, need = _plain(left), _plain(wants)
            text = f"counter {name} of {counter_set} has {rest} left, it draws {need}"
            far = 1 - left / wants if 0 < left < wants else 1.0
            return Reason(
                device.id,
                Stage.COUNTERS,
                text,
                f"{counter_set}/{name} left were ≥ {need}: it is {rest}",
                far,
                frees,
            )
        text = "its compatibility groups do not go with the devices in use"
        return Reason(device.id, Stage.COUNTERS, text, "they did", frees=frees)

    def _attributes(self, ask: Ask, offer: Offer) -> Reason | None:
        for constraint in self._constraints:
            name = constraint.match or constraint.distinct or ""
            covered = not constraint.requests or {ask.name, ask.name.partition("/")[0]} & constraint.requests
            if covered and values(offer.device, name, lists=self._features.list_attributes) is None:
                kind = "matchAttribute" if constraint.match else "distinctAttribute"
                text = f"it has no attribute {name}, which {kind} compares"
                return Reason(offer.device.id, Stage.CONSTRAINTS, text, f"it had {name}")
        return None


def _joined(misses: Sequence[Miss]) -> str:
    return " and ".join(f"{found.wanted}: it is {found.found}" for found in misses)


def _short(text: str) -> str:
    line = " ".join(text[:400].split())
    return line if len(line) <= 100 else line[:99] + "…"


def _amount(value: int, like: Quantity) -> Quantity:
    return Quantity(Decimal(value).scaleb(-9).normalize(), like.binary)


def _plain(value: int) -> str:
    whole = value % 10**9 == 0 and value // 10**9 % 1024 == 0
    return str(_amount(value, Quantity.bytes(0) if whole else Quantity.parse(0)))
