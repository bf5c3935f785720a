"""Why a request does not get a device: the first thing in the way, in the scheduler's order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from typing import Any, TypeAlias

from dracore.allocate.asks import Ask
from dracore.allocate.constraints import values
from dracore.allocate.counters import CounterLedger
from dracore.allocate.features import Features
from dracore.allocate.held import Held
from dracore.allocate.matching import Matching, fault_of
from dracore.allocate.nodes import Node
from dracore.allocate.pools import NODE_OPERATIONS, Offer, Pool, missing_gate, skips
from dracore.allocate.published import DeviceId, PublishedDevice, TaintRule, billionths, taint
from dracore.allocate.shares import NotRepresentable, rule_of, taken
from dracore.allocate.taints import all_in_the_way
from dracore.allocate.terms import Miss, guards, nearest, reads, terms
from dracore.allocate.wanted import Constraint, Toleration
from dracore.allocate.wishes import Wish, granted
from dracore.errors import SelectorError
from dracore.model.device import Taint
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
    """``selector #0 of request gpu is false: memory is 39Gi``"""
    remedy: str = ""
    """What would have to be otherwise: ``memory were ≥ 40Gi: it is 39Gi``."""
    distance: float = 1.0
    frees: str = ""
    """What would give the device free."""
    holders: tuple[str, ...] = ()
    """The claims whose end that is."""
    wishes: tuple[Wish, ...] = ()
    """The values of the device that the remedy means."""
    parts: int = 1
    """How many things the remedy wants otherwise."""


Judged: TypeAlias = tuple[Reason | None, Reason | None]


class Judge:
    """Finds the first reason against a device; for one claim and one set of held devices.

    :param judged: what was found for other claims, by what they ask for; kept as long as the slices.
    :param holders: the claims that hold a device, for the text.
    :param rules: the taint rules, likewise.
    """

    def __init__(
        self,
        matching: Matching,
        features: Features,
        held: Held,
        holders: Mapping[DeviceId, Sequence[str]],
        constraints: Sequence[Constraint],
        judged: dict[str, dict[PublishedDevice, Judged]],
        rules: Sequence[TaintRule] = (),
    ) -> None:
        self._matching = matching
        self._features = features
        self._held = held
        self._holders = holders
        self._constraints = tuple(constraints)
        self._judged = judged
        self._rules = rules
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

    def obstacles(self, ask: Ask, offer: Offer, node: Node) -> list[Reason]:
        """All that is in the way of a device, not only the first; what one remedy mends is there once."""
        found = [self._gates(offer)]
        found += self._failing(ask, offer, Stage.CLASS)
        found += self._failing(ask, offer, Stage.REQUEST)
        found += self._sizes(ask, offer)
        found += self._tainted(ask, offer)
        found += [self.on_node(offer, node), self._in_use(ask, offer)]
        found += [self._room(ask, offer), self._counters(offer)]
        found += self._lacking(ask, offer)
        return list({one.remedy or one.text: one for one in found if one is not None}.values())

    def keeps(self, ask: Ask, offer: Offer, wishes: Sequence[Wish]) -> bool:
        """Whether all selectors are true of the device with these values."""
        expressions = (*ask.device_class.selectors, *ask.request.selectors)

        def holds(content: Mapping[str, Any]) -> bool:
            try:
                return all(
                    text is not None and self._matching.compiled(text)(offer.device.id.driver, content)
                    for text in expressions
                )
            except SelectorError:
                return False

        return granted(offer.device, wishes, holds)

    def on_node(self, offer: Offer, node: Node) -> Reason | None:
        """Whether the node is what keeps a device away."""
        device = offer.device
        if not skips(offer, node, self._features):
            text = f"node {node.name} does not declare {NODE_OPERATIONS}"
            return Reason(device.id, Stage.NODE, text, f"node {node.name} declared {NODE_OPERATIONS}")
        if offer.slice.per_device and not device.reach.covers(node):
            return Reason(device.id, Stage.NODE, f"node {node.name} does not reach it", "the node reached it")
        return None

    def first(self, ask: Ask, offer: Offer, node: Node) -> Reason | None:
        """The first thing in the way of a device; None: the request could have it, were it alone."""
        early, late = self.standing(ask, offer)
        return early or self.on_node(offer, node) or self.held_by_others(ask, offer) or late

    def counters_left(self, pool: Pool) -> Mapping[tuple[str, str], int]:
        """What is left of each counter of a pool, in billionths."""
        return self._ledger.left(pool)

    def held_by_others(self, ask: Ask, offer: Offer) -> Reason | None:
        """Whether other claims are what keeps a device away."""
        return self._in_use(ask, offer) or self._room(ask, offer) or self._counters(offer)

    def _gates(self, offer: Offer) -> Reason | None:
        device = offer.device
        missing = missing_gate(offer, self._features)
        if not missing:
            return None
        return Reason(
            device.id, Stage.FEATURES, f"it needs the gate {missing}", f"the gate {missing} were on"
        )

    def _selectors(self, ask: Ask, offer: Offer, stage: Stage) -> Reason | None:
        return next(self._failing(ask, offer, stage), None)

    def _failing(self, ask: Ask, offer: Offer, stage: Stage) -> Iterator[Reason]:
        of_class = stage is Stage.CLASS
        owner = f"class {ask.device_class.name}" if of_class else f"request {ask.name}"
        for index, expression in enumerate(ask.device_class.selectors if of_class else ask.request.selectors):
            what = f"selector #{index} of {owner}"
            try:
                if expression is not None and self._matching.answer(expression, offer.device):
                    continue
            except SelectorError as error:
                mended = self._why_false(stage, what, expression or "", offer)
                yield replace(mended, text=f"{what} fails: {fault_of(error)}")
            else:
                yield self._why_false(stage, what, expression or "", offer)

    def _why_false(self, stage: Stage, what: str, expression: str, offer: Offer) -> Reason:
        device = offer.device
        parts = terms(expression)
        wrong = [term for term in parts if len(parts) == 1 or not self._is_true(term, offer)] or [expression]
        if len(wrong) > 1:
            # Who says what a value has to be says that it has to be there.
            names = {read.name for term in wrong if not guards(term) for read in reads(term, device)}
            wrong = [term for term in wrong if guards(term) not in names]
        shown = [str(read) for term in wrong for read in reads(term, device)]
        text = f"{what} is false: {', '.join(dict.fromkeys(shown)) or _short(wrong[0])}"
        misses = [found for term in wrong if (found := nearest(term, device)) is not None]
        many = len(wrong)
        if len(misses) < many:
            wants = " and ".join(_short(term) for term in wrong)
            # A term that reads nothing is as it is, whatever the device has.
            remedy = f"this were true: {wants}" if all(reads(term, device) for term in wrong) else ""
            return Reason(device.id, stage, text, remedy, float(many), parts=many)
        wishes = tuple(found.wish for found in misses if found.wish is not None)
        if len(wishes) < many:
            wishes = ()
        far = sum(found.distance for found in misses)
        return Reason(device.id, stage, text, _joined(misses), far, wishes=wishes, parts=many)

    def _is_true(self, term: str, offer: Offer) -> bool:
        try:
            return self._matching.answer(term, offer.device)
        except SelectorError:
            return False  # it fails, or is no expression of its own

    def _size(self, ask: Ask, offer: Offer) -> Reason | None:
        return next(self._sizes(ask, offer), None)

    def _sizes(self, ask: Ask, offer: Offer) -> Iterator[Reason]:
        if not self._features.consumable_capacity:
            return
        device = offer.device
        requested = ask.request.capacity or {}
        absent = [name for name in requested if name not in device.capacity]
        for name in absent:
            text = f"it has no capacity {name}, which the request wants some of"
            own = name.rpartition("/")[2]
            if own != name and own in device.capacity:
                # Requests name a capacity as it is published; the scheduler looks at no domain.
                text = f"{text}; it has {own}"
                yield Reason(device.id, Stage.CAPACITY, text, f"the request asked for {own}, not {name}")
                continue
            yield Reason(device.id, Stage.CAPACITY, text, f"it had {name}")
        if absent:
            return
        try:
            amounts = taken(requested, device.capacity, fractional=self._features.fractional_range)
        except NotRepresentable as error:
            yield Reason(device.id, Stage.CAPACITY, str(error))
            return
        if amounts is None:
            yield self._policy(device, requested)
        else:
            yield from self._short_of(ask, offer, amounts, Stage.CAPACITY, {})

    def _policy(self, device: PublishedDevice, requested: Mapping[str, Quantity]) -> Reason:
        """Which amount the device's own rules for shares do not allow."""
        for name, has in device.capacity.items():
            asks = {name: requested[name]} if name in requested else {}
            if taken(asks, {name: has}, fractional=self._features.fractional_range) is not None:
                continue
            rule = rule_of(has)
            asked = f"{requested[name]} of {name} is" if name in requested else f"the default of {name} is"
            text = f"{asked} not allowed: a request takes {rule}"
            wanted = f"the request took {rule}" + (
                f": it wants {requested[name]}" if name in requested else ""
            )
            return Reason(device.id, Stage.CAPACITY, text, wanted)
        return Reason(device.id, Stage.CAPACITY, "its request policy does not allow it")

    def _room(self, ask: Ask, offer: Offer) -> Reason | None:
        device = offer.device
        sums = self._held.shared.get(device.id)
        if not self._features.consumable_capacity or not sums:
            return None
        amounts = taken(ask.request.capacity, device.capacity, fractional=self._features.fractional_range)
        return next(self._short_of(ask, offer, amounts or {}, Stage.IN_USE, sums), None)

    def _short_of(
        self, ask: Ask, offer: Offer, amounts: Mapping[str, Quantity], stage: Stage, used: Mapping[str, int]
    ) -> Iterator[Reason]:
        device = offer.device
        for name, amount in amounts.items():
            has = device.capacity[name].value
            left = billionths(has) - used.get(name, 0)
            if billionths(amount) > left:
                rest = in_unit(left, has)
                text = f"{rest} of {name} is left of {has}, {amount} is wanted"
                far = 1 - left / billionths(amount) if left > 0 else 1.0
                yield Reason(
                    device.id,
                    stage,
                    text,
                    f"{name} left were ≥ {amount}: it is {rest}",
                    far,
                    self._free(device.id),
                    tuple(self._holders.get(device.id, ())),
                )

    def _taints(self, ask: Ask, offer: Offer) -> Reason | None:
        return next(self._tainted(ask, offer), None)

    def _tainted(self, ask: Ask, offer: Offer) -> Iterator[Reason]:
        for found in all_in_the_way(offer.device, ask.request) if self._features.device_taints else ():
            value = f"={found.value}" if found.value else ""
            shown = f"{found.key}{value}:{found.effect}"
            by = [rule.name for rule in self._rules if rule.taint == found and rule.names(offer.device.id)]
            origin = f" by DeviceTaintRule {by[0]}" if by and found not in _published_taints(offer) else ""
            near = [one for one in ask.request.tolerations if one.key == found.key]
            yield Reason(
                offer.device.id,
                Stage.TAINTS,
                f"it is tainted {shown}{origin}" + (f"; {_unlike(near[0], found)}" if near else ""),
                f"the request tolerated {shown}",
                frees=f"a toleration for {shown}, or the end of the taint",
            )

    def _in_use(self, ask: Ask, offer: Offer) -> Reason | None:
        device = offer.device.id
        if ask.admin or device not in self._held.whole:
            return None
        holders = ", ".join(self._holders.get(device, ())) or "another claim"
        text = f"{holders} holds it"
        who = tuple(self._holders.get(device, ()))
        return Reason(
            device, Stage.IN_USE, text, f"it were free: {text}", frees=self._free(device), holders=who
        )

    def _free(self, device: DeviceId) -> str:
        holders = self._holders.get(device)
        return f"the end of {', '.join(holders)}" if holders else ""

    def _counters(self, offer: Offer) -> Reason | None:
        device = offer.device
        if not device.draws or not self._features.partitionable_devices:
            return None
        if device.shareable and device.id in self._held.shared:
            return None
        before = self._ledger.take(offer.pool, device)
        if before is not None:
            self._ledger.give_back(offer.pool, device, before)
            return None
        short = self._ledger.short_of(offer.pool, device)
        sets = {counter_set for counter_set, *_ in short} or {draw.counter_set for draw in device.draws}
        others = (*(other.device for other in offer.pool.offers), *offer.pool.elsewhere)
        users = tuple(
            dict.fromkeys(
                holder
                for other in others
                if any(draw.counter_set in sets for draw in other.draws)
                for holder in self._holders.get(other.id, ())
            )
        )
        frees = f"the end of {', '.join(users)}" if users else ""
        for counter_set, name, left, wants in short:
            rest, need = plain(left), plain(wants)
            text = f"counter {name} of {counter_set} has {rest} left, it draws {need}"
            if left < 0 and not wants:
                # As the scheduler has it: one overdrawn counter stops the whole pool.
                text = f"counter {name} of {counter_set} is overdrawn by {plain(-left)}, which stops its pool"
            far = 1 - left / wants if 0 < left < wants else 1.0
            return Reason(
                device.id,
                Stage.COUNTERS,
                text,
                f"counter {name} of {counter_set} had {need} left: it has {rest}",
                far,
                frees,
                users,
            )
        text = "its compatibility groups do not go with the devices in use"
        return Reason(device.id, Stage.COUNTERS, text, "they did", frees=frees, holders=users)

    def _attributes(self, ask: Ask, offer: Offer) -> Reason | None:
        return next(self._lacking(ask, offer), None)

    def _lacking(self, ask: Ask, offer: Offer) -> Iterator[Reason]:
        for constraint in self._constraints:
            name = constraint.match or constraint.distinct or ""
            covered = not constraint.requests or {ask.name, ask.name.partition("/")[0]} & constraint.requests
            if covered and values(offer.device, name, lists=self._features.list_attributes) is None:
                kind = "matchAttribute" if constraint.match else "distinctAttribute"
                text = f"it has no attribute {name}, which {kind} compares"
                yield Reason(offer.device.id, Stage.CONSTRAINTS, text, f"it had {name}")


def _published_taints(offer: Offer) -> list[Taint]:
    """The taints that the device was published with, without those of rules."""
    return [taint(one) for one in offer.device.content.get("taints") or ()]


def _unlike(toleration: Toleration, taint: Taint) -> str:
    if toleration.effect and toleration.effect != taint.effect:
        return f"the request tolerates {taint.key} with the effect {toleration.effect} only"
    return f"the request tolerates {taint.key}={toleration.value} only"


def _joined(misses: Sequence[Miss]) -> str:
    return " and ".join(map(str, misses))


def _short(text: str) -> str:
    line = " ".join(text[:400].split())
    return line if len(line) <= 100 else line[:99] + "…"


def in_unit(value: int, like: Quantity) -> Quantity:
    """Billionths, written in the unit of `like`."""
    return like.like(Decimal(value).scaleb(-9).normalize())


def plain(value: int) -> str:
    """Billionths of a counter: in powers of two where that is exact."""
    whole = value % 10**9 == 0 and value // 10**9 % 1024 == 0
    return str(in_unit(value, Quantity.bytes(0) if whole else Quantity.parse(0)))
