"""Asks our allocator a case, and says where two answers differ."""

from __future__ import annotations

import re
from typing import Any

from cases import FIELDS

from dracore.allocate import Allocator, DeviceClass, Features, Held, Node, PublishedSlice, WantedClaim
from dracore.model.quantity import Quantity

JSON = Any


def features(case: JSON) -> Features:
    """The library's features as ours."""
    off = Features(**dict.fromkeys(Features.__dataclass_fields__, False))
    known = {FIELDS[name]: on for name, on in case["features"].items()}
    return Features(**{name: known.get(name, getattr(off, name)) for name in Features.__dataclass_fields__})


def ask(case: JSON, limit: int = 300_000) -> JSON:
    """Our answer, in the oracle's form."""
    allocator = Allocator(
        [PublishedSlice.from_json(item) for item in case["slices"]],
        [DeviceClass.from_json(item) for item in case["classes"]],
        features=features(case),
        limit=limit,
    )
    held = Held()
    held.add(case["held"])
    claims = [WantedClaim.from_json(claim) for claim in case["claims"]]
    answer = allocator.allocate(Node.from_json(case["node"]), claims, held)
    found: JSON = {"allocations": None}
    if answer.allocations is not None:
        found["allocations"] = [item.json() for item in answer.allocations]
    if answer.error:
        found["error"] = answer.error
    if answer.this_node_only:
        found["nodeOnly"] = True
    if answer.gave_up:
        found["gaveUp"] = True
    return found


def plain(answer: JSON) -> JSON:
    """An answer without what differs by nature: share ids, the writing of quantities, texts of CEL faults."""
    found: JSON = {}
    if answer.get("error"):
        text = re.sub(r"(CEL (compile|runtime) error): .*", r"\1", answer["error"], flags=re.DOTALL)
        found["error"] = re.sub(r"(derived attribute \S+ .*?failed): .*", r"\1", text, flags=re.DOTALL)
        found["nodeOnly"] = bool(answer.get("nodeOnly"))
        return found
    if answer["allocations"] is None:
        return {"allocations": None}
    found["allocations"] = []
    for allocation in answer["allocations"]:
        results = []
        for result in allocation["devices"].get("results") or ():
            result = dict(result)
            result["shareID"] = bool(result.get("shareID"))
            result["consumedCapacity"] = {
                name: str(Quantity.parse(value).value.normalize())
                for name, value in (result.get("consumedCapacity") or {}).items()
            }
            results.append(result)
        found["allocations"].append(
            {
                "results": results,
                "config": allocation["devices"].get("config") or [],
                "nodeSelector": allocation.get("nodeSelector"),
            }
        )
    return found
