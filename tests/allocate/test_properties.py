"""Generated cases: what is given passes an independent check, what is refused is refused by brute force."""

from __future__ import annotations

from typing import Any

from cases import case
from checker import Cluster
from compare import ask
from hypothesis import given, settings
from hypothesis import strategies as st

from dracore import selectors

JSON = Any
D = "a.example.com"


def matches(expression: str, driver: str, device: JSON) -> bool:
    return selectors.compile(expression).matches(driver, device)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(10_000, 10_000_000))
def test_nothing_is_over_committed(seed: int) -> None:
    asked = case(seed)
    asked["features"] = dict.fromkeys(asked["features"], True)
    answer = ask(asked, limit=100_000)
    if answer["allocations"] is None:
        return
    # Lists, several slices of one device name and other generations are the oracle's part.
    text = repr(asked)
    if (
        "'ints'" in text
        or "'generation': 0" in text
        or "'generation': 2" in text
        or "'generation': 4" in text
    ):
        return
    found = Cluster(asked, matches)
    assert found.check(asked["claims"], answer["allocations"]) == []


names = st.lists(st.integers(0, 5), min_size=1, max_size=5, unique=True)


@st.composite
def small(draw: Any) -> JSON:
    """A pool of at most five devices with counters, and claims of exact requests."""
    devices = []
    for index in draw(names):
        device: JSON = {
            "name": f"d{index}",
            "attributes": {
                "numa": {"int": draw(st.integers(0, 1))},
                "kind": {"string": draw(st.sampled_from("xy"))},
            },
        }
        if draw(st.booleans()):
            mem = {"mem": {"value": f"{draw(st.integers(1, 3))}Gi"}}
            device["consumesCounters"] = [{"counterSet": "set", "counters": mem}]
        if draw(st.integers(0, 4)) == 0:
            device["taints"] = [{"key": "t", "effect": draw(st.sampled_from(["NoSchedule", "None"]))}]
        if draw(st.integers(0, 9)) == 0:
            del device["attributes"]["numa"]
        devices.append(device)
    counters = [{"name": "set", "counters": {"mem": {"value": f"{draw(st.integers(2, 6))}Gi"}}}]
    pool = {"name": "p", "generation": 1, "resourceSliceCount": 2}
    specs: list[JSON] = [{"sharedCounters": counters}, {"devices": devices}]
    slices = [
        {"metadata": {"name": f"s{n}"}, "spec": {"driver": D, "nodeName": "node-1", "pool": pool, **spec}}
        for n, spec in enumerate(specs)
    ]
    claims = []
    for number in range(draw(st.integers(1, 2))):
        requests = []
        for index in range(draw(st.integers(1, 2))):
            body: JSON = {"deviceClassName": "any", "allocationMode": "ExactCount"}
            body["count"] = draw(st.integers(1, 3))
            if draw(st.integers(0, 2)) == 0:
                body["selectors"] = [{"cel": {"expression": f"device.attributes['{D}'].kind == 'x'"}}]
            if draw(st.integers(0, 2)) == 0:
                body["tolerations"] = [{"key": "t", "operator": "Exists"}]
            requests.append({"name": f"r{index}", "exactly": body})
        wanted: JSON = {"requests": requests}
        if draw(st.booleans()):
            kind = draw(st.sampled_from(["matchAttribute", "distinctAttribute"]))
            wanted["constraints"] = [{kind: f"{D}/{draw(st.sampled_from(['numa', 'kind']))}"}]
        claims.append({"metadata": {"name": f"c{number}"}, "spec": {"devices": wanted}})
    held = [
        {"driver": D, "pool": "p", "device": device["name"]}
        for device in devices
        if draw(st.integers(0, 5)) == 0 and "consumesCounters" not in device
    ]
    return {
        "node": {"metadata": {"name": "node-1"}},
        "slices": slices,
        "classes": [{"metadata": {"name": "any"}, "spec": {}}],
        "claims": claims,
        "held": held,
        "features": dict.fromkeys(("PartitionableDevices", "DeviceTaints", "ConsumableCapacity"), True),
    }


@settings(max_examples=400, deadline=None)
@given(asked=small())
def test_every_answer_is_confirmed_by_brute_force(asked: JSON) -> None:
    answer = ask(asked)
    assert not answer.get("error"), answer
    found = Cluster({**asked, "held": []}, matches)
    free = {(one["driver"], one["pool"], one["device"]) for one in asked["held"]}
    found.devices = {key: device for key, device in found.devices.items() if key not in free}
    if answer["allocations"] is None:
        assert not found.possible(asked["claims"])
    else:
        assert found.check(asked["claims"], answer["allocations"]) == []
        taken = [
            (one["driver"], one["pool"], one["device"])
            for allocation in answer["allocations"]
            for one in allocation["devices"]["results"]
        ]
        assert len(set(taken)) == len(taken)
        assert not free & set(taken)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 3_000))
def test_the_order_of_the_input_does_not_matter(seed: int) -> None:
    asked = case(seed)
    turned = {**asked, "slices": asked["slices"][::-1], "classes": asked["classes"][::-1]}
    one, other = ask(asked, limit=20_000), ask(turned, limit=20_000)
    assert one == other
