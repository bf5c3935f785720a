"""Our answer to a cluster of :mod:`clusters`, and where it differs from :mod:`scheduler`'s."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from scheduler import comparable

from dracore.allocate.documents import Source
from dracore.allocate.features import Features
from dracore.allocate.simulation import Simulation
from dracore.allocate.world import World

JSON = Any


def simulate(
    objects: list[JSON],
    gates: dict[str, bool],
    limit: int,
    release: str = "1.37",
    *,
    plain: bool = False,
) -> list[JSON]:
    """The claims as `dracore simulate` answers them, with what it does not print: the whole allocation.

    :param plain: False: with the middle one of the scheduler's allocators where it would take the plainest.
    """
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    world = World().read(Source("cluster", text))
    features = Features.of(release, gates)
    features = replace(features, plain_allocator=features.plain_allocator and plain)
    simulation = Simulation(world, features, limit=limit)
    outcomes = simulation.run()
    simulation.left()
    return [
        {**one.json(), "allocation": one.allocation.json() if one.allocation is not None else None}
        for one in outcomes
    ]


def gave_up(claims: list[JSON]) -> bool:
    """Whether our bound on work was reached."""
    return any("gave up after" in (claim["reason"] or "") for claim in claims)


def verdict(claim: JSON) -> JSON:
    """What must be the same: results as printed, config and node selector, and how an error begins."""
    allocation = claim["allocation"] or {}
    return {
        **comparable(claim),
        "config": allocation.get("devices", {}).get("config") or [],
        "nodeSelector": allocation.get("nodeSelector"),
    }


def same_error(ours: JSON, theirs: JSON) -> bool:
    """Whether a refusal begins with the library's error, if it is one; texts of CEL faults are our own."""
    expected = re.sub(r"(CEL (compile|runtime) error): .*", r"\1", theirs["error"], flags=re.DOTALL)
    return str(ours["reason"] or "").startswith(expected)
