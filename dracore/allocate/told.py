"""An explanation in one line for people, and whole for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dracore.allocate.allocator import Allocator
from dracore.allocate.compared import Together
from dracore.allocate.funnels import Explanation, Funnel
from dracore.allocate.near import hint
from dracore.allocate.nodes import Node
from dracore.allocate.reasons import Reason, Stage
from dracore.allocate.wanted import WantedClaim

_WORDS = {
    Stage.CAPACITY: ("is large enough", "are large enough"),
    Stage.TAINTS: ("is not tainted", "are not tainted"),
    Stage.IN_USE: ("is free", "are free"),
    Stage.COUNTERS: ("is within the counters", "are within the counters"),
    Stage.CONSTRAINTS: ("has the attributes of its constraints", "have the attributes of its constraints"),
}


def summary(
    allocator: Allocator,
    nodes: Sequence[Node],
    claims: Sequence[WantedClaim],
    funnels: Sequence[Funnel],
    problems: Sequence[str],
    together: Sequence[Together],
) -> str:
    """Why claims cannot be allocated, the cause first."""
    for funnel in funnels:
        if funnel.error:
            return funnel.error + _hint(allocator, claims)
    if not any(funnel.left.get(Stage.SEEN) for funnel in funnels):
        return "; ".join([_nothing_seen(allocator, nodes, problems), *problems[:3]])
    several = len(claims) > 1
    parts = [_told(funnel, several) for funnel in funnels if funnel.blocks]
    parts += [one.told for one in together[:1] if not parts]
    return "; ".join([*(parts or ["the requests cannot be met together on one node"]), *problems[:3]])


def error_told(
    error: str, allocator: Allocator, claims: Sequence[WantedClaim], explanation: Explanation
) -> str:
    """What an attempt ended with, in the scheduler's words, and what is known beyond them."""
    more = ""
    if "could not retrieve device class" in error:
        more = _hint(allocator, claims)
    elif explanation.problems and "pool" in error:
        more = "; " + "; ".join(explanation.problems[:3])
    elif explanation.together:
        more = "; " + "; ".join(one.told for one in explanation.together[:2])
    return error + more


def _hint(allocator: Allocator, claims: Sequence[WantedClaim]) -> str:
    """The class that was perhaps meant."""
    for claim in claims:
        for group in claim.groups:
            for request in group.alternatives:
                if request.class_name and request.class_name not in allocator.classes:
                    meant = hint(request.class_name, allocator.classes)
                    if meant:
                        return meant
                    known = ", ".join(sorted(allocator.classes)[:5])
                    return f"; there are {known}" if known else "; there are no DeviceClasses"
    return ""


def _nothing_seen(allocator: Allocator, nodes: Sequence[Node], problems: Sequence[str]) -> str:
    if not allocator.slices:
        return "there are no ResourceSlices, so no devices"
    seen = [pool for node in nodes for pool in allocator.pools(node)]
    if seen and all(pool.state.value == "usable" for pool in seen):
        return "the pools that can be reached have no devices"
    if seen:
        return "no pool that can be reached counts"
    where = f"node {nodes[0].name}" if len(nodes) == 1 else f"any of the {len(nodes)} nodes"
    if problems:
        return f"no pool for {where} counts"
    names = sorted({item.reach.node_name for item in allocator.slices if item.reach.node_name})
    others = f": there are some for {', '.join(names[:3])}" if names else ""
    return f"no ResourceSlice is for {where}{others}{' and more' if len(names) > 3 else ''}"


def _told(funnel: Funnel, several: bool) -> str:
    left = funnel.left
    seen, matching = left[Stage.SEEN], left[Stage.REQUEST]
    where = f"claim {funnel.claim}, " if several else ""
    text = f"{where}request {funnel.request} wants {funnel.wants}: of {count(seen, 'device')} "
    text += f"{matching} {'matches' if matching == 1 else 'match'} its selectors"
    if left[Stage.FEATURES] != seen:
        text += f" ({seen - left[Stage.FEATURES]} cannot be used with these gates)"
    previous = left[Stage.NODE]
    if previous != matching:
        text += f", {previous} of them on these nodes"
    for stage, words in _WORDS.items():
        if left[stage] != previous or (stage is Stage.IN_USE and previous):
            text += f", {left[stage]} {words[left[stage] != 1]}"
        previous = left[stage]
    if previous and funnel.best < previous:
        text += f", at most {funnel.best} on one node"
    missing = next((reason for reason in funnel.reasons if reason.stage in _WORDS), None)
    if funnel.wants == "all" and previous and missing is not None:
        return f"{text}; {funnel.name(missing.device)} cannot be had: {missing.text}"
    nearest = funnel.nearest
    if nearest is not None and funnel.best == 0:
        text += f"; {near(funnel, nearest)}"
    elif nearest is None and funnel.reasons and not matching:
        text += f"; {funnel.name(funnel.reasons[0].device)}: {funnel.reasons[0].text}"
    return text


def near(funnel: Funnel, reason: Reason) -> str:
    """``gpu-3 would do if memory were ≥ 40Gi: it is 39Gi``."""
    return f"{funnel.name(reason.device)} would do if {reason.remedy}"


def count(number: int, noun: str) -> str:
    """``1 device``, ``2 devices``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def as_json(explanation: Explanation, reasons: int) -> dict[str, Any]:
    """The explanation for programs.

    :param reasons: how many devices of a request are told of.
    """
    return {
        "summary": explanation.summary,
        "problems": list(explanation.problems),
        "ends": [list(ends) for ends in explanation.ends or ()],
        "together": [
            {
                "text": one.told,
                "details": list(one.details),
                "nearest": one.remedy or None,
                "frees": list(one.frees),
            }
            for one in explanation.together
        ],
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
    return {**reason.device._asdict(), "text": near(funnel, reason)}
