"""The nearest miss: the device for which the fewest things would have to be otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dracore.allocate.asks import Ask
from dracore.allocate.judge import Judge
from dracore.allocate.nodes import Node
from dracore.allocate.pools import Offer
from dracore.allocate.published import PublishedDevice
from dracore.allocate.reasons import INDEX, Reason, Stage

_LOOKED_AT = 1_000
"""Devices of which all obstacles are found; of more those that come farthest."""
_ALIKE = 64
"""Devices with the same first reason of which more is found out."""
_TRIED = 50


def closest(
    judge: Judge,
    ask: Ask,
    reasons: Mapping[PublishedDevice, Reason],
    places: Mapping[PublishedDevice, tuple[Offer, Node]],
) -> Reason | None:
    """The device that lacks least, with everything that it lacks in one remedy; None where none would do.

    A device of another class is none where there are some of this class: it is not meant. Nor is one that
    would not do after all: with the values that it ought to have the selectors must be true.
    """
    classed = any(INDEX[reason.stage] > INDEX[Stage.CLASS] for reason in reasons.values())
    alike: dict[str, list[PublishedDevice]] = {}
    for device, reason in reasons.items():
        if not (classed and reason.stage is Stage.CLASS):
            known = alike.setdefault(reason.text, [])
            if len(known) < _ALIKE:
                known.append(device)
    meant = [device for known in alike.values() for device in known]
    meant.sort(key=lambda device: (-INDEX[reasons[device].stage], reasons[device].distance, device.id))
    found = []
    for device in meant[:_LOOKED_AT]:
        offer, node = places[device]
        obstacles = judge.obstacles(ask, offer, node)
        if obstacles and all(one.remedy for one in obstacles):
            found.append((offer, obstacles))
    found.sort(key=lambda entry: _rank(entry[1]))
    for offer, obstacles in found[:_TRIED]:
        wishes = [one for reason in obstacles for one in reason.wishes]
        untried = any(
            reason.stage in (Stage.CLASS, Stage.REQUEST) and not reason.wishes for reason in obstacles
        )
        if not wishes or untried or judge.keeps(ask, offer, wishes):
            remedy = " and ".join(one.remedy for one in obstacles)
            return replace(obstacles[0], remedy=remedy, distance=sum(one.distance for one in obstacles))
    return None


def _rank(obstacles: Sequence[Reason]) -> tuple[int, int, float, tuple[str, ...]]:
    many = sum(reason.parts for reason in obstacles)
    far = sum(reason.distance for reason in obstacles)
    return many, -INDEX[obstacles[0].stage], far, tuple(obstacles[0].device)
