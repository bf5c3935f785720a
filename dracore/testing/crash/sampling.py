"""A sample: one seeded point of every kind, for each group of modes that are alike."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from dracore.testing.crash.children import Mode, tried

GROUPS: Sequence[Sequence[Mode]] = (
    ("kill",),
    ("peer", "stop"),
    ("ENOSPC", "EIO", "EROFS", "timeout", "defect", "exit"),
    ("full", "gone"),
)
"""Of each group, every kind of point is tried once, under one of its modes."""
OTHERS: Mapping[Mode, tuple[int, int]] = {"drill": (10_000, 1), "power": (2, 60), "twice": (1, 100)}
"""Modes whose runs are not those of points: of so many scenarios, one in so many runs."""
GROUPED = frozenset(mode for group in GROUPS for mode in group)

Place: TypeAlias = tuple[str, Mode]
"""A scenario's name and a mode."""


def kind_of(point: str) -> str:
    """What is alike about points: ``journal.commit.after effect.intent``, ``cdi.rename.before``."""
    name, _, detail = point.partition(" ")
    return f"{name} {detail.partition(' ')[0]}".rstrip() if name.startswith("journal.") else name


def some(names: Sequence[str], mode: Mode, seed: str) -> list[str]:
    """Of which scenarios a mode of :data:`OTHERS` is tried."""
    return random.Random(f"{seed} {mode}").sample(names, min(len(names), OTHERS[mode][0]))


def choose(seen: Mapping[Place, Sequence[str]], seed: str) -> dict[Place, list[int]]:
    """Which points to try of each scenario and mode.

    :param seen: the points that each scenario passes under each mode.
    """
    chosen: dict[Place, list[int]] = defaultdict(list)
    for group in GROUPS:
        places: dict[str, list[tuple[Place, int]]] = defaultdict(list)
        for place, points in seen.items():
            if place[1] in group:
                for number in tried(place[1], points):
                    places[kind_of(points[number])].append((place, number))
        for kind, candidates in sorted(places.items()):
            place, number = random.Random(f"{seed} {group[0]} {kind}").choice(candidates)
            chosen[place].append(number)
    return {place: sorted(numbers) for place, numbers in chosen.items()}
