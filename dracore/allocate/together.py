"""Why devices that would each do cannot be had together on one node.

A claim can be refused although every request finds enough devices: two requests want the same ones, a
constraint finds no common value, counters or room run out half-way. The cause is found by asking the
allocator again with one rule left out; what then fits was kept back by that rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from dracore.allocate.allocator import Allocator
from dracore.allocate.asks import Ask
from dracore.allocate.constraints import Distinct, Match, rules, values
from dracore.allocate.held import Held
from dracore.allocate.nodes import Node
from dracore.allocate.pools import Offer
from dracore.allocate.published import DeviceId, billionths
from dracore.allocate.reasons import Judge, Reason, Stage, in_unit, plain
from dracore.allocate.search import Without
from dracore.allocate.shares import taken
from dracore.allocate.wanted import WantedClaim
from dracore.model.names import RESULTS_PER_CLAIM

STEPS = 20_000
"""Devices that each further question may try; it is asked up to a dozen times."""
SHOWN = 4
Group: TypeAlias = tuple[Ask, ...]


@dataclass(frozen=True, slots=True)
class Together:
    """What keeps requests from being met together; `told` is one line, `details` says who has what."""

    told: str
    details: tuple[str, ...] = ()
    remedy: str = ""
    """What would have to be otherwise."""
    frees: tuple[str, ...] = ()
    most: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Claim and request to how many devices it can have where the rule counts."""
    met: bool = False
    """It could be met, were it the only one."""
    few: bool = False
    """There are too few devices: one more would do."""
    reasons: Mapping[tuple[str, str], tuple[Reason, ...]] = field(default_factory=dict)
    """Claim and request to what speaks against each device that it could have alone."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """What a request could have on the node, and what others keep from it."""

    free: tuple[Offer, ...]
    kept: tuple[tuple[Offer, Reason], ...]
    lacking: tuple[Reason, ...]
    """Devices without an attribute that a constraint compares."""


class Joint:
    """Looks at one node where each request finds enough devices; used once.

    :param groups: the requests of each claim with their alternatives.
    """

    def __init__(
        self,
        allocator: Allocator,
        node: Node,
        claims: Sequence[WantedClaim],
        groups: Sequence[Sequence[Group]],
        judges: Sequence[Judge],
        held: Held,
    ) -> None:
        self._allocator = allocator
        self._node = node
        self._claims = claims
        self._groups = groups
        self._judges = judges
        self._held = held
        self._ready: dict[Ask, _Ready] = {}
        self._several = len(claims) > 1

    def find(self) -> Together:
        """The cause, or that it is not to be found."""
        return (
            self._too_few()
            or self._constraint()
            or self._without(Without.COUNTERS, self._counters)
            or self._without(Without.ROOM, self._room)
            or self._all_constraints()
            or self._too_many()
            or Together(f"the requests cannot be met together on {self._node_title}")
        )

    def constraints(self) -> tuple[Together, ...]:
        """The constraints with the values that there are; those that could be met only where all could be."""
        every = tuple(
            self._told(index, number)
            for index, claim in enumerate(self._claims)
            for number in range(len(claim.constraints))
        )
        return tuple(one for one in every if not one.met) or every

    # --- questions ------------------------------------------------------------------------------------

    def _fits(self, claims: Sequence[WantedClaim], without: frozenset[Without] = frozenset()) -> bool:
        answer = self._allocator.allocate(self._node, claims, self._held, limit=STEPS, without=without)
        return answer.allocations is not None

    def _less(self, index: int, number: int | None = None) -> list[WantedClaim]:
        """The claims, that at `index` without one constraint, or all claims without any."""
        found = list(self._claims)
        if number is None:
            return [replace(claim, constraints=()) for claim in found]
        kept = [one for at, one in enumerate(found[index].constraints) if at != number]
        found[index] = replace(found[index], constraints=tuple(kept))
        return found

    def _constraint(self) -> Together | None:
        for index, claim in enumerate(self._claims):
            for number in range(len(claim.constraints)):
                if self._fits(self._less(index, number)):
                    return self._told(index, number)
        return None

    def _all_constraints(self) -> Together | None:
        every = self.constraints()
        if not every:
            both = frozenset(Without)
            if not self._fits(self._claims, both):
                return None
            return Together(
                f"counters and capacity do not let the requests be met together on {self._node_title}"
            )
        for without, also in (
            (frozenset[Without](), ""),
            (frozenset({Without.COUNTERS}), " and counters"),
            (frozenset(Without), " and what the requests leave of counters and capacity"),
        ):
            if self._fits(self._less(0), without):
                names = " and ".join(dict.fromkeys(self._titles()))
                return Together(
                    f"{names}{also} cannot be met together on {self._node_title}",
                    tuple(line for one in every for line in one.details),
                )
        return None

    def _titles(self) -> Iterable[str]:
        for claim in self._claims:
            for constraint in claim.constraints:
                kind = "matchAttribute" if constraint.match else "distinctAttribute"
                yield f"{kind} {constraint.match or constraint.distinct}"

    def _without(self, rule: Without, tell: Callable[[], Together]) -> Together | None:
        return tell() if self._fits(self._claims, frozenset({rule})) else None

    # --- what there is --------------------------------------------------------------------------------

    @property
    def _node_title(self) -> str:
        return f"node {self._node.name}" if self._node.name else "one node"

    def _of(self, ask: Ask) -> _Ready:
        found = self._ready.get(ask)
        if found is None:
            judge = self._judges[ask.claim]
            free, kept, lacking = [], [], []
            for pool in self._allocator.pools(self._node):
                for offer in pool.offers:
                    reason = judge.first(ask, offer, self._node)
                    if reason is None:
                        free.append(offer)
                    elif reason.stage in (Stage.TAINTS, Stage.IN_USE, Stage.COUNTERS):
                        kept.append((offer, reason))
                    elif reason.stage is Stage.CONSTRAINTS:
                        lacking.append(reason)
            found = self._ready[ask] = _Ready(tuple(free), tuple(kept), tuple(lacking))
        return found

    def _name(self, ask: Ask) -> str:
        return f"{ask.owner}: {ask.name}" if self._several else ask.name

    def _demand(self, ask: Ask) -> int:
        return len(self._of(ask).free) if ask.all_devices else ask.count

    def _shareable(self, offer: Offer) -> bool:
        return offer.device.shareable and self._allocator.features.consumable_capacity

    # --- too few devices ------------------------------------------------------------------------------

    def _too_few(self) -> Together | None:
        """Requests that compete for the same devices: more are wanted than there are for them."""
        takers: dict[DeviceId, tuple[int, int]] = {}
        wanted: dict[tuple[int, int], list[DeviceId]] = {}
        counts: dict[tuple[int, int], int] = {}
        for claim, groups in enumerate(self._groups):
            for number, group in enumerate(groups):
                offers = {offer.device.id: offer for ask in group for offer in self._of(ask).free}
                if any(ask.admin for ask in group) or any(map(self._shareable, offers.values())):
                    continue  # others may have the same
                wanted[claim, number] = list(offers)
                counts[claim, number] = min(map(self._demand, group))

        def give(taker: tuple[int, int], seen: set[DeviceId]) -> bool:
            for device in wanted[taker]:
                if device not in seen:
                    seen.add(device)
                    owner = takers.get(device)
                    if owner is None or (owner != taker and give(owner, seen)):
                        takers[device] = taker
                        return True
            return False

        for taker, count in counts.items():
            for _ in range(count):
                seen: set[DeviceId] = set()
                if not give(taker, seen):
                    involved = {taker, *(takers[device] for device in seen if device in takers)}
                    return self._compete(sorted(involved), seen, counts)
        return None

    def _compete(
        self,
        involved: Sequence[tuple[int, int]],
        devices: set[DeviceId],
        counts: Mapping[tuple[int, int], int],
    ) -> Together:
        names: list[str] = []
        most: dict[tuple[str, str], int] = {}
        kept: list[tuple[Offer, Reason]] = []
        for claim, number in involved:
            group = self._groups[claim][number]
            names.append(self._group_name(group))
            for ask in group:
                most[ask.owner, ask.name] = len(devices)
                kept += self._of(ask).kept
        total = sum(counts[taker] for taker in involved)
        listed = _listed(sorted(device.device for device in devices))
        there = f"only {listed} is" if len(devices) == 1 else f"only {listed} are"
        return Together(
            f"requests {_and(names)} want {total} devices together,"
            f" and on {self._node_title} {there} for them",
            frees=_frees(kept),
            most=most,
            few=True,
        )

    def _group_name(self, group: Group) -> str:
        if len(group) == 1:
            return self._name(group[0])
        base = group[0].name.partition("/")[0]
        return f"{group[0].owner}: {base}" if self._several else base

    # --- constraints ----------------------------------------------------------------------------------

    def _told(self, index: int, number: int) -> Together:
        claim = self._claims[index]
        lists = self._allocator.features.list_attributes
        rule = rules([claim.constraints[number]], lists=lists)[0]
        assert rule is not None
        groups = [
            covered
            for group in self._groups[index]
            if (covered := tuple(ask for ask in group if rule.covers(ask.name)))
        ]
        for ask in (ask for group in groups for ask in group if ask.all_devices):
            for reason in self._of(ask).lacking:
                if rule.attribute in reason.text:
                    return Together(
                        f"{reason.device.device}, one of all for request {ask.name}: {reason.text}"
                    )
        by_value: dict[Any, dict[Ask, list[str]]] = {}
        kept: dict[Any, list[tuple[Offer, Reason]]] = {}
        for ask in (ask for group in groups for ask in group):
            ready = self._of(ask)
            for offer in ready.free:
                for value in _items(offer, rule, lists=lists):
                    by_value.setdefault(value, {}).setdefault(ask, []).append(offer.device.id.device)
            for offer, reason in ready.kept:
                for value in _items(offer, rule, lists=lists):
                    kept.setdefault(value, []).append((offer, reason))
        if isinstance(rule, Match):
            return self._matched(rule, groups, by_value, kept)
        return self._different(rule, groups, by_value, kept)

    def _matched(
        self,
        rule: Match,
        groups: Sequence[Group],
        by_value: Mapping[Any, Mapping[Ask, Sequence[str]]],
        kept: Mapping[Any, Sequence[tuple[Offer, Reason]]],
    ) -> Together:
        name = _short_name(rule.attribute)
        short = {value: self._short(groups, mine) for value, mine in by_value.items()}
        ordered = sorted(by_value, key=lambda value: (short[value], _order(value)))
        details = [f"{name} {_shown(value)}: {self._who(groups, by_value[value])}" for value in ordered]
        frees = [
            reason.frees
            for value in ordered
            if 0 < short[value] <= len(kept.get(value, ()))
            for _, reason in kept[value]
            if reason.frees
        ]
        most = {
            (ask.owner, ask.name): max(
                (
                    len(mine.get(ask, ()))
                    for mine in by_value.values()
                    if not self._short([other for other in groups if ask not in other], mine)
                ),
                default=0,
            )
            for group in groups
            for ask in group
        }
        if len(groups) == 1:
            most_of_all = max(most.values(), default=0)
            has = f"at most {most_of_all} {'does' if most_of_all == 1 else 'do'}"
        else:
            has = "no value is there for all of them"
        told = f"{self._wants(groups)} must have the same {rule.attribute}: on {self._node_title} {has}"
        return Together(
            f"{told} ({_some(details)})" if details else told,
            tuple(details),
            self._nearest(name, ordered, short, kept, groups, by_value),
            tuple(dict.fromkeys(frees)),
            most,
            met=not min(short.values(), default=1),
            reasons=self._values(rule, groups, by_value),
        )

    def _nearest(
        self,
        name: str,
        ordered: Sequence[Any],
        short: Mapping[Any, int],
        kept: Mapping[Any, Sequence[tuple[Offer, Reason]]],
        groups: Sequence[Group],
        by_value: Mapping[Any, Mapping[Ask, Sequence[str]]],
    ) -> str:
        """How the value that the most devices have could do."""
        if not ordered or not short[ordered[0]]:
            return ""
        best = ordered[0]
        value, number = f"{name} {_shown(best)}", short[best]
        would = {offer.device.id.device: reason for offer, reason in kept.get(best, ())}
        if len(would) >= number:
            device, reason = next(iter(would.items()))
            others = f" and {number - 1} more" if number > 1 else ""
            return f"{value} would do if {device}{others} could be had: {reason.text}"
        lacking = [
            self._group_name(group)
            for group in groups
            if all(len(by_value[best].get(ask, ())) < self._demand(ask) for ask in group)
        ]
        noun = "one more device" if number == 1 else f"{number} more devices"
        return f"{value} would do with {noun} of it" + (f" for request {_and(lacking)}" if lacking else "")

    def _different(
        self,
        rule: Distinct,
        groups: Sequence[Group],
        by_value: Mapping[Any, Mapping[Ask, Sequence[str]]],
        kept: Mapping[Any, Sequence[tuple[Offer, Reason]]],
    ) -> Together:
        name = _short_name(rule.attribute)
        ordered = sorted(by_value, key=_order)
        details = [f"{name} {_shown(value)}: {self._who(groups, by_value[value])}" for value in ordered]
        frees = [
            reason.frees
            for value, would in kept.items()
            if value not in by_value
            for _, reason in would
            if reason.frees
        ]
        there = "there is one value" if len(ordered) == 1 else f"there are {len(ordered)} values"
        told = f"{self._wants(groups)} must have different {rule.attribute}: on {self._node_title} {there}"
        most = {
            (ask.owner, ask.name): sum(ask in mine for mine in by_value.values())
            for group in groups
            for ask in group
        }
        return Together(
            f"{told} ({_some(details)})" if details else told,
            tuple(details),
            f"a device with another {name} would do",
            tuple(dict.fromkeys(frees)),
            most,
            met=len(ordered) >= sum(min(map(self._demand, group)) for group in groups),
            reasons=self._values(rule, groups, by_value),
        )

    def _values(
        self,
        rule: Match | Distinct,
        groups: Sequence[Group],
        by_value: Mapping[Any, Mapping[Ask, Sequence[str]]],
    ) -> dict[tuple[str, str], tuple[Reason, ...]]:
        """What each device that could be had has, and with how many others."""
        name, lists = _short_name(rule.attribute), self._allocator.features.list_attributes
        found = {}
        for ask in (ask for group in groups for ask in group):
            reasons = []
            for offer in self._of(ask).free:
                items = _items(offer, rule, lists=lists)
                same = {one for item in items for names in by_value[item].values() for one in names}
                others = len(same) - 1
                also = "no other" if not others else "1 other" if others == 1 else f"{others} others"
                text = f"its {name} is {_and([_shown(item) for item in items])}, as of {also}"
                reasons.append(Reason(offer.device.id, Stage.CONSTRAINTS, text))
            found[ask.owner, ask.name] = tuple(reasons)
        return found

    def _wants(self, groups: Sequence[Group]) -> str:
        parts = []
        for group in groups:
            number = min(map(self._demand, group))
            noun = "device" if number == 1 else "devices"
            parts.append(f"the {number} {noun} of request {self._group_name(group)}")
        return _and(parts)

    def _short(self, groups: Sequence[Group], mine: Mapping[Ask, Sequence[str]]) -> int:
        """How many devices of one value are missing."""
        missing = sum(
            min(max(self._demand(ask) - len(mine.get(ask, ())), 0) for ask in group) for group in groups
        )
        if missing:
            return missing
        together = {name for names in mine.values() for name in names}
        return max(sum(min(map(self._demand, group)) for group in groups) - len(together), 0)

    def _who(self, groups: Sequence[Group], mine: Mapping[Ask, Sequence[str]]) -> str:
        if len(groups) == 1 and len(groups[0]) == 1:
            return _listed(mine.get(groups[0][0], ()))
        parts = [
            f"{self._name(ask)} {_listed(mine[ask])}" if ask in mine else f"{self._name(ask)} none"
            for group in groups
            for ask in group
        ]
        return ", ".join(parts)

    # --- counters, room, limit ------------------------------------------------------------------------

    def _counters(self) -> Together:
        """What the devices that the requests could have draw on each counter of which there is too little."""
        lines = []
        free = {
            offer.device.id: offer
            for groups in self._groups
            for group in groups
            for ask in group
            for offer in self._of(ask).free
        }
        for pool in self._allocator.pools(self._node):
            drawn: dict[tuple[str, str], list[tuple[str, int]]] = {}
            for offer in free.values():
                if offer.pool is pool:
                    for draw in offer.device.draws:
                        for name, number in draw.counters.items():
                            drawn.setdefault((draw.counter_set, name), []).append(
                                (offer.device.id.device, number)
                            )
            left = self._judges[0].counters_left(pool)
            for (counter_set, name), draws in drawn.items():
                has = left.get((counter_set, name), 0)
                if sum(number for _, number in draws) > has:
                    shown = [f"{device} draws {plain(number)}" for device, number in draws]
                    lines.append(f"counter {name} of {counter_set} has {plain(has)} left: {_listed(shown)}")
        told = f"the requests' devices draw more on counters together than there is on {self._node_title}"
        return Together("; ".join([told, *lines[:2]]), tuple(lines))

    def _room(self) -> Together:
        """What the requests take together of devices that they would have to share."""
        lines = []
        shared: dict[DeviceId, tuple[Offer, list[Ask]]] = {}
        for groups in self._groups:
            for group in groups:
                for ask in group:
                    for offer in self._of(ask).free:
                        if self._shareable(offer):
                            shared.setdefault(offer.device.id, (offer, []))[1].append(ask)
        for device, (offer, asks) in shared.items():
            used = self._held.shared.get(device, {})
            for name, has in offer.device.capacity.items():
                parts = []
                for ask in asks:
                    amounts = taken(
                        ask.request.capacity,
                        offer.device.capacity,
                        fractional=self._allocator.features.fractional_range,
                    )
                    if amounts:
                        parts.append((self._name(ask), billionths(amounts[name])))
                left = billionths(has.value) - used.get(name, 0)
                if sum(number for _, number in parts) > left:
                    shown = [f"{who} takes {in_unit(number, has.value)}" for who, number in parts]
                    rest = in_unit(left, has.value)
                    lines.append(f"{device.device} has {rest} of {name} left: {_listed(shown)}")
        told = f"the requests want more room together than the devices of {self._node_title} have"
        return Together("; ".join([told, *lines[:2]]), tuple(lines))

    def _too_many(self) -> Together | None:
        for claim, groups in zip(self._claims, self._groups, strict=True):
            least = sum(min(map(self._demand, group)) for group in groups)
            if least > RESULTS_PER_CLAIM:
                return Together(
                    f"claim {claim.title} wants {least} devices: a claim holds {RESULTS_PER_CLAIM}"
                )
        return None


def _items(offer: Offer, rule: Match | Distinct, *, lists: bool) -> list[Any]:
    found = values(offer.device, rule.attribute, lists=lists)
    return sorted(found.items, key=_order) if found is not None else []


def _order(value: Any) -> tuple[str, Any]:
    return type(value).__name__, value


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _short_name(attribute: str) -> str:
    return attribute.rpartition("/")[2]


def _some(lines: Sequence[str]) -> str:
    more = len(lines) - SHOWN
    return "; ".join(lines[:SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _listed(names: Sequence[str]) -> str:
    if len(names) > SHOWN:
        return ", ".join(names[:SHOWN]) + f" and {len(names) - SHOWN} more"
    return _and(names)


def _and(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def _frees(kept: Iterable[tuple[Offer, Reason]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reason.frees for _, reason in kept if reason.frees))
