"""Why claims cannot be allocated: for each request a funnel of devices, reasons and the nearest miss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dracore.allocate.allocator import Allocator
from dracore.allocate.asks import Ask, Asks, Fatal
from dracore.allocate.held import Held
from dracore.allocate.matching import SelectorFailed
from dracore.allocate.nodes import Node
from dracore.allocate.pools import PoolState
from dracore.allocate.published import DeviceId, PublishedDevice
from dracore.allocate.reasons import ORDER, Judge, Reason, Stage
from dracore.allocate.wanted import Constraint, WantedClaim

SELECTORS = (Stage.FEATURES, Stage.CLASS, Stage.REQUEST, Stage.NODE)


@dataclass(frozen=True, slots=True)
class Funnel:
    """How far the devices come on their way to one request."""

    claim: str
    request: str
    wants: str
    """A number, or ``all``."""
    left: Mapping[Stage, int]
    """How many devices passed each stage."""
    reasons: tuple[Reason, ...]
    """For each device that fails, why."""
    best: int = 0
    """The most devices on one node that pass all stages."""
    best_node: str = ""
    blocks: bool = False
    """This request alone cannot be met on any node."""
    error: str = ""

    @property
    def nearest(self) -> Reason | None:
        """The device that comes farthest, and of these the one that is least off."""
        found = [reason for reason in self.reasons if reason.remedy]
        return min(
            found,
            key=lambda reason: (-ORDER.index(reason.stage), reason.distance, reason.device),
            default=None,
        )

    @property
    def frees(self) -> tuple[str, ...]:
        """What would give a device free, each once."""
        return tuple(dict.fromkeys(reason.frees for reason in self.reasons if reason.frees))


@dataclass(frozen=True, slots=True)
class Explanation:
    """The funnels of all requests of some claims, and in one line why they cannot be met."""

    funnels: tuple[Funnel, ...]
    summary: str
    problems: tuple[str, ...] = ()
    """Pools that are left out."""


REASONS_LIMIT = 2_000
"""How many devices that others hold are told of for one request; all are counted."""
_INDEX = {stage: index for index, stage in enumerate(ORDER)}


@dataclass(slots=True)
class _Count:
    stopped: list[int] = field(default_factory=lambda: [0] * (len(ORDER) + 1))
    """How many devices each stage stops; the last entry: none does."""
    reasons: list[Reason] = field(default_factory=list)
    held: int = 0
    seen: set[PublishedDevice] = field(default_factory=set)
    best: int = -1
    best_node: str = ""

    def left(self) -> dict[Stage, int]:
        """How many passed each stage."""
        left, found = sum(self.stopped), {}
        for stage, stopped in zip(ORDER, self.stopped, strict=False):
            left -= stopped
            found[stage] = left
        return found


def explain(
    allocator: Allocator,
    nodes: Sequence[Node],
    claims: Sequence[WantedClaim],
    held: Held,
    *,
    holders: Mapping[DeviceId, Sequence[str]] | None = None,
) -> Explanation:
    """Why `claims` cannot be allocated on any of `nodes`.

    :param holders: the claims that hold a device, for the text.
    """
    funnels: list[Funnel] = []
    problems: dict[str, None] = {}
    for node in nodes:
        for pool in allocator.pools(node):
            if pool.state is PoolState.INCOMPLETE:
                problems[f"pool {pool.id} is incomplete: not all of its slices are there"] = None
            elif pool.state is PoolState.INVALID:
                problems[f"pool {pool.id} is invalid: {pool.reason}"] = None
    for claim in claims:
        judge = Judge(
            allocator.matching, allocator.features, held, holders or {}, claim.constraints, allocator.judged
        )
        for ask, error in _asks(allocator, claim):
            if ask is None:
                funnels.append(Funnel(claim.title, "", "", {}, (), blocks=True, error=error))
                continue
            count = _Count()
            for node in nodes:
                _look(allocator, judge, ask, node, count, held)
            funnels.append(_funnel(claim, ask, count))
    return Explanation(tuple(funnels), _summary(allocator, claims, funnels, list(problems)), tuple(problems))


def _asks(allocator: Allocator, claim: WantedClaim) -> list[tuple[Ask | None, str]]:
    """All requests, alternatives too, without looking at devices."""
    asks = Asks(allocator.classes, allocator.features, allocator.matching, Node(""), ())
    try:
        return [(ask, "") for group in asks.of(0, claim) for ask in group]
    except Fatal as error:
        return [(None, str(error))]
    except SelectorFailed as error:
        return [(None, str(error))]


def _look(allocator: Allocator, judge: Judge, ask: Ask, node: Node, count: _Count, held: Held) -> None:
    passed = 0
    for pool in allocator.pools(node):
        if pool.state is not PoolState.USABLE:
            continue
        for offer in pool.offers:
            device = offer.device
            early, late = judge.standing(ask, offer)
            reason = judge.on_node(offer, node) if early is None else early
            if reason is None and device.id in held.whole and not ask.admin and count.held >= REASONS_LIMIT:
                if device not in count.seen:
                    count.seen.add(device)
                    count.stopped[_INDEX[Stage.IN_USE]] += 1
                continue
            if reason is None:
                reason = judge.held_by_others(ask, offer)
                count.held += reason is not None
            reason = reason or late
            passed += reason is None
            if device in count.seen:
                continue
            count.seen.add(device)
            if reason is None:
                count.stopped[-1] += 1
            else:
                count.stopped[_INDEX[reason.stage]] += 1
                count.reasons.append(reason)
    if passed > count.best:
        count.best, count.best_node = passed, node.name


def _funnel(claim: WantedClaim, ask: Ask, count: _Count) -> Funnel:
    blocked = count.best < (1 if ask.all_devices else ask.count)
    if ask.all_devices and not blocked:
        # All of them have to be had: one that passes the selectors and then fails is enough.
        blocked = any(reason.stage not in (*SELECTORS, Stage.CAPACITY) for reason in count.reasons)
    return Funnel(
        claim.title,
        ask.name,
        "all" if ask.all_devices else str(ask.count),
        count.left(),
        tuple(count.reasons),
        max(count.best, 0),
        count.best_node,
        blocked,
    )


# --- in one line ----------------------------------------------------------------------------------------


def _summary(
    allocator: Allocator, claims: Sequence[WantedClaim], funnels: Sequence[Funnel], problems: list[str]
) -> str:
    for funnel in funnels:
        if funnel.error:
            return funnel.error
    if not any(funnel.left.get(Stage.SEEN) for funnel in funnels):
        text = "no complete pool of devices is published"
        return "; ".join([text, *problems[:3]])
    several = len(claims) > 1
    blocking = [funnel for funnel in funnels if funnel.blocks]
    parts = [_told(funnel, several) for funnel in blocking]
    if not parts:
        names = [name for claim in claims for one in claim.constraints if (name := _named(one))]
        if names:
            parts.append(f"no free devices meet {' and '.join(dict.fromkeys(names))} together on one node")
        else:
            parts.append("the requests cannot be met together on one node")
    return "; ".join([*parts, *problems[:3]])


def _named(constraint: Constraint) -> str:
    if constraint.match:
        return f"matchAttribute {constraint.match}"
    return f"distinctAttribute {constraint.distinct}" if constraint.distinct else ""


def _told(funnel: Funnel, several: bool) -> str:
    left = funnel.left
    where = f"claim {funnel.claim}, " if several else ""
    text = f"{where}request {funnel.request} wants {funnel.wants}: of {left[Stage.SEEN]} devices"
    text += f" {left[Stage.NODE]} match its selectors"
    previous = left[Stage.NODE]
    words = {
        Stage.CAPACITY: "are large enough",
        Stage.TAINTS: "are not tainted",
        Stage.IN_USE: "are free",
        Stage.COUNTERS: "have counters left",
        Stage.CONSTRAINTS: "have the attributes of its constraints",
    }
    for stage, verb in words.items():
        if left[stage] != previous or (stage is Stage.IN_USE and previous):
            text += f", {left[stage]} {verb}"
        previous = left[stage]
    if previous and funnel.best < previous:
        text += f", at most {funnel.best} on one node"
    nearest = funnel.nearest
    if nearest is not None and funnel.best == 0:
        text += f"; {nearest.device.device} would do if {nearest.remedy}"
    return text


# --- in JSON --------------------------------------------------------------------------------------------


def as_json(explanation: Explanation, reasons: int) -> dict[str, Any]:
    """The explanation for programs.

    :param reasons: how many devices of a request are told of.
    """
    return {
        "summary": explanation.summary,
        "problems": list(explanation.problems),
        "requests": [
            {
                "claim": funnel.claim,
                "request": funnel.request,
                "wants": funnel.wants,
                "error": funnel.error or None,
                "blocks": funnel.blocks,
                "funnel": [{"stage": stage.value, "devices": left} for stage, left in funnel.left.items()],
                "devices": [
                    {**reason.device._asdict(), "stage": reason.stage.value, "reason": reason.text}
                    for reason in funnel.reasons[:reasons]
                ],
                "nearest": _nearest(funnel),
                "frees": list(funnel.frees),
            }
            for funnel in explanation.funnels
        ],
    }


def _nearest(funnel: Funnel) -> dict[str, Any] | None:
    reason = funnel.nearest
    if reason is None:
        return None
    return {**reason.device._asdict(), "text": f"{reason.device.device} would do if {reason.remedy}"}
