"""The plainest of the scheduler's allocators, which is taken where shares and binding conditions are off."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dracore.allocate.documents import Source
from dracore.allocate.features import Features
from dracore.allocate.outcomes import Outcome
from dracore.allocate.simulation import Simulation
from dracore.allocate.world import World

D = "gpu.example.com"
GROUP = "resource.k8s.io/v1"
OFF = {"DRAConsumableCapacity": False, "DRADeviceBindingConditions": False}


def run(release: str, gates: dict[str, bool], selector: str = "true", **more: Any) -> Outcome:
    """Two devices of one pool that may be shared, and bind claims to the node."""
    device = {
        "attributes": {"numa": {"int": 0}},
        "capacity": {"memory": {"value": "8Gi"}},
        "allowMultipleAllocations": True,
        "bindsToNode": True,
    }
    pool = {"name": "p", "generation": 1, "resourceSliceCount": 1}
    devices = [{"name": name, **device} for name in "ab"]
    exactly = {"deviceClassName": "gpu", "selectors": [{"cel": {"expression": selector}}], **more}
    constraints = exactly.pop("constraints", [])
    claim = {"requests": [{"name": "r", "exactly": exactly}], "constraints": constraints}
    items = [
        {
            "kind": "ResourceSlice",
            "metadata": {"name": "s"},
            "spec": {"driver": D, "pool": pool, "allNodes": True, "devices": devices},
        },
        {"kind": "DeviceClass", "metadata": {"name": "gpu"}, "spec": {}},
        {"kind": "ResourceClaim", "metadata": {"name": "c"}, "spec": {"devices": claim}},
    ]
    text = "\n".join(json.dumps({"apiVersion": GROUP, **item}) for item in items)
    (outcome,) = Simulation(World().read(Source("f", text)), Features.of(release, gates)).run()
    return outcome


ROOM = {"capacity": {"requests": {"memory": "100Gi"}}}
DISTINCT = {"count": 2, "constraints": [{"distinctAttribute": f"{D}/numa"}]}


@pytest.mark.parametrize("release", ["1.36", "1.37"])
def test_it_looks_at_no_capacity(release: str) -> None:
    outcome = run(release, OFF, **ROOM)
    assert outcome.allocation is not None
    assert outcome.allocation.node_selector is None


def test_up_to_1_35_no_scheduler_took_it() -> None:
    assert (
        "has capacity requests, but the DRAConsumableCapacity feature is disabled"
        in run("1.35", {}, **ROOM).reason
    )
    assert "empty constraint" not in run("1.35", {}, **DISTINCT).reason


def test_it_knows_no_distinct_attribute() -> None:
    assert "empty constraint (unsupported constraint type?)" in run("1.37", OFF, **DISTINCT).reason


def test_its_selectors_see_no_shares() -> None:
    shared = "device.allowMultipleAllocations"
    assert run("1.37", OFF, shared).allocation is None
    assert run("1.37", OFF, f"!{shared}").allocation is not None
    assert run("1.37", {"DRAConsumableCapacity": False}, shared).allocation is not None


def test_a_newer_gate_takes_another_one() -> None:
    newer = {**OFF, "DRAListTypeAttributes": True}
    assert "DRAConsumableCapacity feature is disabled" in run("1.37", newer, **ROOM).reason
