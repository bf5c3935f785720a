"""One claim in one call: counts, selectors, constraints, alternatives; nothing is given out twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dracore.allocate import DeviceId, allocate, allocated_devices
from dracore.errors import AllocationError, SelectorError

DRIVER = "gpu.example.com"


def device(name: str, numa: int = 0, memory: int = 80, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "attributes": {
            "numa": {"int": numa},
            "memory": {"int": memory},
            "std.io/root": {"string": f"r{numa}"},
        },
        **more,
    }


def slice_(
    *devices: dict[str, Any], pool: str = "node-1", generation: int = 1, count: int = 1
) -> dict[str, Any]:
    return {
        "metadata": {"name": f"00000-{pool}-{devices[0]['name'] if devices else ''}"},
        "spec": {
            "driver": DRIVER,
            "nodeName": pool,
            "pool": {"name": pool, "generation": generation, "resourceSliceCount": count},
            "devices": list(devices),
        },
    }


class Plain:
    """``driver=X`` or ``<attribute>=<int>``: stands in for CEL."""

    def __init__(self, expression: str) -> None:
        self.name, _, self.value = expression.partition("=")

    def matches(self, driver: str, device: Mapping[str, Any]) -> bool:
        if self.name == "driver":
            return driver == self.value
        return bool(device["attributes"][self.name]["int"] == int(self.value))

    def shape(self, driver: str, device: Mapping[str, Any]) -> None:
        return None


CLASSES = [
    {
        "metadata": {"name": "gpu"},
        "spec": {
            "selectors": [{"cel": {"expression": f"driver={DRIVER}"}}],
            "config": [{"opaque": {"driver": DRIVER, "parameters": {"kind": "FromTheClass"}}}],
        },
    },
    {"metadata": {"name": "other"}, "spec": {"selectors": [{"cel": {"expression": "driver=x"}}]}},
]


def exactly(name: str = "r", *selectors: str, device_class: str = "gpu", **more: Any) -> dict[str, Any]:
    spec = {"deviceClassName": device_class, **more}
    if selectors:
        spec["selectors"] = [{"cel": {"expression": text}} for text in selectors]
    return {"name": name, "exactly": spec}


def claim(*requests: dict[str, Any], **devices: Any) -> dict[str, Any]:
    return {"metadata": {"name": "c"}, "spec": {"devices": {"requests": list(requests), **devices}}}


def run(content: dict[str, Any], *slices: dict[str, Any], taken: Any = ()) -> Any:
    return allocate(content, slices, CLASSES, taken=taken, compiler=Plain)


def names(allocation: Any) -> list[tuple[str, str]]:
    return [(result["request"], result["device"]) for result in allocation["devices"]["results"]]


EIGHT = slice_(*(device(f"gpu-{i}", numa=i // 4) for i in range(8)))


def test_the_first_device_that_fits() -> None:
    allocation = run(claim(exactly()), EIGHT)
    assert allocation["devices"]["results"] == [
        {"request": "r", "driver": DRIVER, "pool": "node-1", "device": "gpu-0"}
    ]
    (term,) = allocation["nodeSelector"]["nodeSelectorTerms"]
    assert term == {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]}


def test_what_others_hold_is_not_given_out() -> None:
    first = run(claim(exactly(count=2)), EIGHT)
    held = allocated_devices([{"status": {"allocation": first}}])
    assert held == {DeviceId(DRIVER, "node-1", "gpu-0"), DeviceId(DRIVER, "node-1", "gpu-1")}
    assert names(run(claim(exactly()), EIGHT, taken=held)) == [("r", "gpu-2")]


def test_selectors_of_class_and_request() -> None:
    assert names(run(claim(exactly("r", "numa=1")), EIGHT)) == [("r", "gpu-4")]
    with pytest.raises(AllocationError, match="request r wants 1: of 8 devices 0 match its selectors"):
        run(claim(exactly(device_class="other")), EIGHT)


def test_a_class_that_is_not_there() -> None:
    with pytest.raises(AllocationError, match="claim c, request r: could not retrieve device class nope"):
        run(claim(exactly(device_class="nope")), EIGHT)


def test_match_attribute_goes_back_on_a_first_choice() -> None:
    # gpu-0 is alone on its NUMA node, so the pair must be the second and third device.
    slices = slice_(device("gpu-0", numa=0), device("gpu-1", numa=1), device("gpu-2", numa=1))
    pair = claim(exactly(count=2), constraints=[{"matchAttribute": f"{DRIVER}/numa"}])
    assert names(run(pair, slices)) == [("r", "gpu-1"), ("r", "gpu-2")]


def test_match_attribute_over_two_requests_and_a_domain() -> None:
    content = claim(
        exactly("a", "numa=1"),
        exactly("b"),
        constraints=[{"matchAttribute": "std.io/root", "requests": ["a", "b"]}],
    )
    assert names(run(content, EIGHT)) == [("a", "gpu-4"), ("b", "gpu-5")]


def test_a_device_without_the_attribute_matches_nothing() -> None:
    with pytest.raises(AllocationError, match=r"gpu-0 would do if it had gpu\.example\.com/absent"):
        run(claim(exactly(), constraints=[{"matchAttribute": f"{DRIVER}/absent"}]), EIGHT)


def test_requests_that_compete_find_their_only_arrangement() -> None:
    slices = slice_(device("gpu-0", memory=80), device("gpu-1", memory=40))
    assert names(run(claim(exactly("any"), exactly("big", "memory=80")), slices)) == [
        ("any", "gpu-1"),
        ("big", "gpu-0"),
    ]


def test_first_available() -> None:
    subs = [
        {"name": "huge", "deviceClassName": "gpu", "selectors": [{"cel": {"expression": "memory=999"}}]},
        {"name": "two", "deviceClassName": "gpu", "count": 2},
    ]
    content = claim({"name": "gpu", "firstAvailable": subs})
    assert names(run(content, EIGHT)) == [("gpu/two", "gpu-0"), ("gpu/two", "gpu-1")]


def test_all_mode() -> None:
    content = claim(exactly("r", "numa=1", allocationMode="All"))
    assert [name for _, name in names(run(content, EIGHT))] == ["gpu-4", "gpu-5", "gpu-6", "gpu-7"]
    with pytest.raises(AllocationError):
        run(content, EIGHT, taken={DeviceId(DRIVER, "node-1", "gpu-5")})


def test_admin_access_sees_what_is_taken_and_takes_nothing() -> None:
    taken = {DeviceId(DRIVER, "node-1", f"gpu-{i}") for i in range(8)}
    content = claim(exactly("admin", adminAccess=True))
    allocation = run(content, EIGHT, taken=taken)
    assert allocation["devices"]["results"][0]["adminAccess"] is True
    assert allocated_devices([{"status": {"allocation": allocation}}]) == set()
    both = claim(exactly("admin", "numa=0", adminAccess=True), exactly("r", "memory=1"))
    with pytest.raises(AllocationError):
        run(both, EIGHT, taken=taken)


def test_taints_need_a_toleration() -> None:
    lost = slice_(device("gpu-0", taints=[{"key": "lost", "effect": "NoSchedule"}]))
    with pytest.raises(AllocationError):
        run(claim(exactly()), lost)
    tolerations = [{"key": "lost", "operator": "Exists"}]
    allocation = run(claim(exactly(tolerations=tolerations)), lost)
    assert allocation["devices"]["results"][0]["tolerations"] == tolerations


def test_old_generations_and_incomplete_pools_do_not_count() -> None:
    old = slice_(device("gone"), generation=1)
    new = slice_(device("gpu-0"), generation=2)
    assert names(run(claim(exactly()), old, new)) == [("r", "gpu-0")]
    with pytest.raises(AllocationError, match="no pool that can be reached counts"):
        run(claim(exactly()), slice_(device("gpu-0"), count=2))


def test_a_claim_stays_on_one_node() -> None:
    one, two = slice_(device("a"), pool="node-1"), slice_(device("b"), device("c"), pool="node-2")
    allocation = run(claim(exactly(count=2)), one, two)
    assert {result["pool"] for result in allocation["devices"]["results"]} == {"node-2"}


def test_configs_of_class_and_claim() -> None:
    mine = {"requests": ["r"], "opaque": {"driver": DRIVER, "parameters": {"kind": "Mine"}}}
    elsewhere = {"requests": ["other"], "opaque": {"driver": DRIVER, "parameters": {}}}
    config = run(claim(exactly(), config=[mine, elsewhere]), EIGHT)["devices"]["config"]
    assert [(entry["source"], entry["opaque"]["parameters"]) for entry in config] == [
        ("FromClass", {"kind": "FromTheClass"}),
        ("FromClaim", {"kind": "Mine"}),
    ]


@given(
    counts=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    taken=st.sets(st.integers(0, 7)),
    same=st.booleans(),
)
def test_an_allocation_is_complete_and_never_takes_twice(
    counts: list[int], taken: set[int], same: bool
) -> None:
    requests = [exactly(f"r{i}", count=count) for i, count in enumerate(counts)]
    constraints = [{"matchAttribute": f"{DRIVER}/numa"}] if same else []
    held = {DeviceId(DRIVER, "node-1", f"gpu-{i}") for i in taken}
    free = [i for i in range(8) if i not in taken]
    most = max(sum(i // 4 == half for i in free) for half in (0, 1)) if same else len(free)
    try:
        found = names(run(claim(*requests, constraints=constraints), EIGHT, taken=held))
    except AllocationError:
        assert sum(counts) > most
        return
    devices = [name for _, name in found]
    assert sum(counts) == len(set(devices)) <= most
    assert not {int(name[4:]) for name in devices} & taken
    assert [sum(request == f"r{i}" for request, _ in found) for i in range(len(counts))] == counts
    if same:
        assert len({int(name[4:]) // 4 for name in devices}) == 1


def test_selectors_are_cel() -> None:
    classes = [
        {
            "metadata": {"name": "gpu"},
            "spec": {"selectors": [{"cel": {"expression": f"device.driver == '{DRIVER}'"}}]},
        }
    ]
    content = claim(exactly("r", f"device.attributes['{DRIVER}'].numa == 1"))
    allocation = allocate(content, [EIGHT], classes)
    assert names(allocation) == [("r", "gpu-4")]
    with pytest.raises(SelectorError, match="absent"):
        allocate(claim(exactly("r", f"device.attributes['{DRIVER}'].absent == 1")), [EIGHT], classes)
