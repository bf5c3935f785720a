"""Attributes that a request derives (KEP-6080): what they are compared for, what is told of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dracore.allocate.documents import Source
from dracore.allocate.features import Features
from dracore.allocate.outcomes import Outcome
from dracore.allocate.simulation import Simulation
from dracore.allocate.world import World
from dracore.errors import ConfigError

D = "gpu.example.com"
GROUP = "resource.k8s.io/v1"
ON = {"DRADerivedAttributes": True}
HALF = f"device.attributes['{D}'].slot / 2"


def run(
    expression: str = HALF, count: int = 2, gates: Any = None, name: str = "half", **more: Any
) -> Outcome:
    """Four devices in the slots 0 to 3, of which some must be of one half."""
    devices = [{"name": f"gpu-{n}", "attributes": {"slot": {"int": n}}} for n in range(4)]
    pool = {"name": "p", "generation": 1, "resourceSliceCount": 1}
    derived = [{"name": f"{D}/{name}", "expression": expression}]
    exactly = {"deviceClassName": "gpu", "count": count, "derivedAttributes": derived}
    claim = {
        "requests": [{"name": "r", "exactly": exactly}],
        "constraints": [{"matchAttribute": f"{D}/{name}"}],
        **more,
    }
    items = [
        {
            "kind": "ResourceSlice",
            "metadata": {"name": "s"},
            "spec": {"driver": D, "pool": pool, "nodeName": "n1", "devices": devices},
        },
        {"kind": "DeviceClass", "metadata": {"name": "gpu"}, "spec": {}},
        {"kind": "ResourceClaim", "metadata": {"name": "c"}, "spec": {"devices": claim}},
    ]
    text = "\n".join(json.dumps({"apiVersion": GROUP, **item}) for item in items)
    world = World().read(Source("f", text))
    (outcome,) = Simulation(world, Features.of("1.37", ON if gates is None else gates), thorough=True).run()
    return outcome


def test_devices_of_one_derived_value_are_taken() -> None:
    outcome = run(f"(device.attributes['{D}'].slot + 1) / 2")
    assert outcome.allocation is not None
    assert [picked.device.device for picked in outcome.allocation.results] == ["gpu-1", "gpu-2"]


def test_a_derived_attribute_hides_the_published_one() -> None:
    outcome = run("device.driver", count=4, name="slot")
    assert outcome.allocation is not None


def test_too_few_of_one_value_are_told() -> None:
    assert run(count=3).reason == (
        f"the 3 devices of request r must have the same {D}/half: on node n1 at most 2 do"
        " (half 0: gpu-0 and gpu-1; half 1: gpu-2 and gpu-3)"
    )


def test_an_expression_that_fails_ends_the_attempt() -> None:
    reason = run(f"10 / device.attributes['{D}'].slot").reason
    assert f"evaluate derived attribute {D}/half on device {D}/p/gpu-0 failed: division by zero" in reason
    assert f"compile derived attribute {D}/half failed" in run("1.5").reason


def test_without_the_gate_it_is_an_error() -> None:
    assert "cannot handle request with derived attributes" in run(gates={}).reason


@pytest.mark.parametrize(
    ("constraints", "says"),
    [
        ([], r"derivedAttributes\[0\]\.name no constraint on request r compares gpu.example.com/half"),
        ([{"matchAttribute": f"{D}/slot"}], "no constraint on request r compares"),
    ],
)
def test_the_api_server_wants_it_used(constraints: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        run(constraints=constraints)
