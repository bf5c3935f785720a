from __future__ import annotations

import pytest

from dracore.model.device import (
    Capacity,
    CounterConsumption,
    CounterSet,
    Device,
    NodeSelection,
    RequestPolicy,
    Taint,
    ValidRange,
)
from dracore.model.quantity import Quantity
from dracore.model.semver import Semver
from dracore.publish.pack import Names, Packed
from dracore.publish.wire import (
    device_json,
    missing_fields,
    names_in,
    same_content,
    same_device,
    slice_spec,
    with_times,
)

Q = Quantity.parse


def test_a_device_with_every_field():
    device = Device(
        "gpu-0",
        attributes={
            "flag": False,
            "count": 0,
            "name": "",
            "version": Semver(580, 95, 5),
            "names": ("a", "b"),
            "numbers": (1, 2),
            "flags": (True,),
            "versions": (Semver(1, 0, 0),),
        },
        capacity={
            "memory": Capacity(
                Q("40Gi"), RequestPolicy(Q("1Gi"), (), ValidRange(Q("1Gi"), Q("40Gi"), Q("1Gi")))
            ),
            "parts": Capacity(Q(4), RequestPolicy(Q(1), (Q(1), Q(2)))),
            "plain": Capacity(Q("0.5")),
        },
        consumes=(CounterConsumption("set", {"slice": Q(2)}),),
        taints=(Taint("a/b", "NoSchedule", "v", "2026-01-02T03:04:05Z"), Taint("c", "None")),
        allow_multiple_allocations=True,
        binds_to_node=True,
        binding_conditions=("x",),
        binding_failure_conditions=("y",),
        facts={"minor": 3},
    )
    assert device_json(device) == {
        "name": "gpu-0",
        "attributes": {
            "flag": {"bool": False},
            "count": {"int": 0},
            "name": {"string": ""},
            "version": {"version": "580.95.5"},
            "names": {"strings": ["a", "b"]},
            "numbers": {"ints": [1, 2]},
            "flags": {"bools": [True]},
            "versions": {"versions": ["1.0.0"]},
        },
        "capacity": {
            "memory": {
                "value": "40Gi",
                "requestPolicy": {
                    "default": "1Gi",
                    "validRange": {"min": "1Gi", "max": "40Gi", "step": "1Gi"},
                },
            },
            "parts": {"value": "4", "requestPolicy": {"default": "1", "validValues": ["1", "2"]}},
            "plain": {"value": "500m"},
        },
        "consumesCounters": [{"counterSet": "set", "counters": {"slice": {"value": "2"}}}],
        "taints": [
            {"key": "a/b", "value": "v", "effect": "NoSchedule", "timeAdded": "2026-01-02T03:04:05Z"},
            {"key": "c", "effect": "None"},
        ],
        "bindsToNode": True,
        "bindingConditions": ["x"],
        "bindingFailureConditions": ["y"],
        "allowMultipleAllocations": True,
    }


def test_a_slice_names_its_nodes_once():
    packed = Packed(devices=(Device("a"), Device("b", node=NodeSelection(all_nodes=True))))
    node = NodeSelection(node_name="n")
    spec = slice_spec("d", "p", packed, node)
    assert spec == {
        "driver": "d",
        "pool": {"name": "p"},
        "nodeName": "n",
        "devices": [{"name": "a"}, {"name": "b"}],
    }
    spec = slice_spec("d", "p", packed, node, per_device_nodes=True)
    assert spec == {
        "driver": "d",
        "pool": {"name": "p"},
        "perDeviceNodeSelection": True,
        "devices": [{"name": "a", "nodeName": "n"}, {"name": "b", "allNodes": True}],
    }
    selector = {"nodeSelectorTerms": [{}]}
    counters = Packed(counter_sets=(CounterSet("s", {"u": Q(1)}),))
    spec = slice_spec("d", "p", counters, NodeSelection(selector=selector))
    assert spec["nodeSelector"] == selector
    assert spec["sharedCounters"] == [{"name": "s", "counters": {"u": {"value": "1"}}}]
    assert names_in(spec) == Names((), ("s",))


def one(**fields):
    return {"driver": "d", "pool": {"name": "p"}, "nodeName": "n", "devices": [{"name": "a", **fields}]}


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ({}, {}, True),
        ({"capacity": {"m": {"value": "1Gi"}}}, {"capacity": {"m": {"value": "1024Mi"}}}, True),
        ({"capacity": {"m": {"value": "1Gi"}}}, {"capacity": {"m": {"value": "1G"}}}, False),
        ({"attributes": {"m": {"string": "1Gi"}}}, {"attributes": {"m": {"string": "1024Mi"}}}, False),
        ({"attributes": {"m": {"string": ""}}}, {"attributes": {"m": {"bool": False}}}, False),
        ({"attributes": {"m": {"int": 1}}}, {"attributes": {"m": {"int": 2}}}, False),
        ({"attributes": {}}, {}, True),
        ({"taints": []}, {}, True),
        ({"taints": [{"key": "k", "effect": "None"}]}, {}, False),
        (
            {"taints": [{"key": "k", "effect": "None"}]},
            {"taints": [{"key": "k", "effect": "None", "value": ""}]},
            True,
        ),
        (
            {"taints": [{"key": "k", "value": "1", "effect": "None"}]},
            {"taints": [{"key": "k", "value": "1000m", "effect": "None"}]},
            False,
        ),
        (
            {"consumesCounters": [{"counterSet": "1k", "counters": {"u": {"value": "1"}}}]},
            {"consumesCounters": [{"counterSet": "1000", "counters": {"u": {"value": "1"}}}]},
            False,
        ),
        (
            {"consumesCounters": [{"counterSet": "s", "counters": {"u": {"value": "1"}}}]},
            {"consumesCounters": [{"counterSet": "s", "counters": {"u": {"value": "1000m"}}}]},
            True,
        ),
        ({"allowMultipleAllocations": True}, {}, False),
        ({}, {"allowMultipleAllocations": False}, True),
    ],
)
def test_when_two_slices_mean_the_same(ours, theirs, same):
    assert same_content(one(**ours), one(**theirs)) is same
    assert same_content(one(**theirs), one(**ours)) is same


def test_order_and_names_of_devices_count():
    a, b = {"name": "a"}, {"name": "b"}
    assert not same_content({"devices": [a, b]}, {"devices": [b, a]})
    assert not same_content({"devices": [a]}, {"devices": [a, b]})
    assert not same_content({"devices": []}, {"devices": [a]})
    assert same_content({"devices": []}, {})


@pytest.mark.parametrize("field", ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"])
def test_node_selection_counts(field):
    assert not same_content({field: "x"}, {})


def taint(time=""):
    fields = {"key": "k", "effect": "NoExecute", "timeAdded": time}
    return {"name": "a", "taints": [{name: value for name, value in fields.items() if value}]}


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("", "2026-01-02T03:04:05Z", True),
        ("2026-01-02T03:04:05.9Z", "2026-01-02T03:04:05Z", True),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z", True),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:07Z", False),
        ("2026-01-02T03:04:05Z", "", False),
        ("2026-01-02T05:04:05+02:00", "2026-01-02T03:04:05Z", True),
    ],
)
def test_the_time_of_a_taint_counts_where_we_want_one(ours, theirs, same):
    assert same_device(taint(ours), taint(theirs)) is same


def test_an_update_keeps_the_time_that_the_server_gave():
    stored = {"devices": [taint("2026-01-02T03:04:05Z"), {"name": "b"}]}
    assert with_times({"devices": [taint()]}, stored) == {"devices": [taint("2026-01-02T03:04:05Z")]}
    other = {"name": "a", "taints": [{"key": "k", "effect": "NoSchedule"}]}
    assert with_times({"devices": [other]}, stored) == {"devices": [other]}
    moved = {"name": "b", "taints": taint()["taints"]}
    assert with_times({"devices": [moved]}, stored) == {"devices": [moved]}
    asked = taint("2026-05-01T00:00:00Z")
    assert with_times({"devices": [asked]}, stored) == {"devices": [asked]}


def test_what_the_server_dropped_is_named():
    sent = {
        "sharedCounters": [{"name": "s", "counters": {"u": {"value": "1"}}}],
        "devices": [
            {
                "name": "a",
                "attributes": {"x": {"int": 1}},
                "taints": [{"key": "k", "effect": "None"}],
                "capacity": {"m": {"value": "1", "requestPolicy": {"default": "1"}}},
                "allowMultipleAllocations": True,
            }
        ],
    }
    stored = {
        "devices": [{"name": "a", "attributes": {"x": {"int": 1}}, "capacity": {"m": {"value": "1000m"}}}]
    }
    assert set(missing_fields(sent, stored)) == {
        "sharedCounters",
        "devices[].taints",
        "devices[].capacity[].requestPolicy",
        "devices[].allowMultipleAllocations",
    }
    assert missing_fields(sent, sent) == ()
