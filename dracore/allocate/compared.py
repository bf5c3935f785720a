"""What ``matchAttribute`` and ``distinctAttribute`` find on a node: values, who has them, what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dracore.allocate.asks import Ask
from dracore.allocate.candidates import SHOWN, Candidates, Group, both, listed
from dracore.allocate.constraints import Distinct, Match, rules, values
from dracore.allocate.matching import SelectorFailed
from dracore.allocate.pools import Offer
from dracore.allocate.reasons import Reason, Stage
from dracore.allocate.wanted import Constraint


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


class Compared:
    """Tells of the constraints of one claim."""

    def __init__(self, there: Candidates, groups: Sequence[Group]) -> None:
        self._there = there
        self._groups = groups

    def tell(self, constraint: Constraint) -> Together:
        """The values that there are for a constraint, and how far they are from meeting it."""
        lists = self._there.lists
        rule = rules([constraint], lists=lists)[0]
        assert rule is not None
        groups = [
            covered
            for group in self._groups
            if (covered := tuple(ask for ask in group if rule.covers(ask.name)))
        ]
        for ask in (ask for group in groups for ask in group if ask.all_devices):
            for reason in self._there.of(ask).lacking:
                if rule.attribute in reason.text:
                    return Together(
                        f"{reason.device.device}, one of all for request {ask.name}: {reason.text}"
                    )
        by_value: dict[Any, dict[Ask, list[str]]] = {}
        kept: dict[Any, list[tuple[Offer, Reason]]] = {}
        for ask in (ask for group in groups for ask in group):
            ready = self._there.of(ask)
            for offer in ready.free:
                for value in self._items(ask, offer, rule):
                    by_value.setdefault(value, {}).setdefault(ask, []).append(offer.device.id.device)
            for offer, reason in ready.kept:
                for value in self._items(ask, offer, rule):
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
        told = f"{self._wants(groups)} must have the same {rule.attribute}: on {self._there.node_title} {has}"
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
            self._there.group_name(group)
            for group in groups
            if all(len(by_value[best].get(ask, ())) < self._there.demand(ask) for ask in group)
        ]
        noun = "one more device" if number == 1 else f"{number} more devices"
        return f"{value} would do with {noun} of it" + (f" for request {both(lacking)}" if lacking else "")

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
        told = (
            f"{self._wants(groups)} must have different {rule.attribute}: on {self._there.node_title} {there}"
        )
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
            met=len(ordered) >= sum(min(map(self._there.demand, group)) for group in groups),
            reasons=self._values(rule, groups, by_value),
        )

    def _values(
        self,
        rule: Match | Distinct,
        groups: Sequence[Group],
        by_value: Mapping[Any, Mapping[Ask, Sequence[str]]],
    ) -> dict[tuple[str, str], tuple[Reason, ...]]:
        """What each device that could be had has, and with how many others."""
        name = _short_name(rule.attribute)
        found = {}
        for ask in (ask for group in groups for ask in group):
            reasons = []
            for offer in self._there.of(ask).free:
                items = self._items(ask, offer, rule)
                same = {one for item in items for names in by_value[item].values() for one in names}
                others = len(same) - 1
                also = "no other" if not others else "1 other" if others == 1 else f"{others} others"
                text = f"its {name} is {both([_shown(item) for item in items])}, as of {also}"
                reasons.append(Reason(offer.device.id, Stage.CONSTRAINTS, text))
            found[ask.owner, ask.name] = tuple(reasons)
        return found

    def _items(self, ask: Ask, offer: Offer, rule: Match | Distinct) -> list[Any]:
        try:
            attribute = self._there.allocator.matching.attribute(ask.request, offer.device, rule.attribute)
        except SelectorFailed:
            return []  # which ends every attempt that meets the device
        found = values(attribute, lists=self._there.lists)
        return sorted(found.items, key=_order) if found is not None else []

    def _wants(self, groups: Sequence[Group]) -> str:
        parts = []
        for group in groups:
            number = min(map(self._there.demand, group))
            noun = "device" if number == 1 else "devices"
            parts.append(f"the {number} {noun} of request {self._there.group_name(group)}")
        return both(parts)

    def _short(self, groups: Sequence[Group], mine: Mapping[Ask, Sequence[str]]) -> int:
        """How many devices of one value are missing."""
        missing = sum(
            min(max(self._there.demand(ask) - len(mine.get(ask, ())), 0) for ask in group) for group in groups
        )
        if missing:
            return missing
        together = {name for names in mine.values() for name in names}
        return max(sum(min(map(self._there.demand, group)) for group in groups) - len(together), 0)

    def _who(self, groups: Sequence[Group], mine: Mapping[Ask, Sequence[str]]) -> str:
        if len(groups) == 1 and len(groups[0]) == 1:
            return listed(mine.get(groups[0][0], ()))
        parts = [
            f"{self._there.name(ask)} {listed(mine[ask])}" if ask in mine else f"{self._there.name(ask)} none"
            for group in groups
            for ask in group
        ]
        return ", ".join(parts)


def _order(value: Any) -> tuple[str, Any]:
    return type(value).__name__, value


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _short_name(attribute: str) -> str:
    return attribute.rpartition("/")[2]


def _some(lines: Sequence[str]) -> str:
    more = len(lines) - SHOWN
    return "; ".join(lines[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
