from __future__ import annotations

import pytest

from dracore.model.device import (
    Capacity,
    CounterConsumption,
    CounterSet,
    Device,
    NodeSelection,
    Pool,
    RequestPolicy,
    Taint,
)
from dracore.model.quantity import Quantity
from dracore.publish.features import Feature, Support, degrade, gates_of, used_by

Q = Quantity.parse
PLAIN = Device("plain", attributes={"a": 1})
SETS = (CounterSet("s", {"u": Q(1)}),)
DRAW = (CounterConsumption("s", {"u": Q(1)}),)


def devices(pool):
    return {device.name: device for device in pool.devices}


def without(feature, *members, sets=(), prepared=(), state="dropped"):
    pool = Pool("d", "p", (PLAIN, *members), sets)
    result = degrade(pool, {feature: Support(state)}, prepared)
    assert devices(result.pool)["plain"] == PLAIN
    return result, devices(result.pool)


def test_a_pool_names_the_features_that_it_needs():
    assert used_by(Pool("d", "p", (PLAIN,))) == set()
    everything = Pool(
        "d",
        "p",
        (
            Device("a", taints=(Taint("k", "None"),)),
            Device("b", consumes=DRAW),
            Device("c", capacity={"m": Capacity(Q(1), RequestPolicy(Q(1)))}),
            Device("d", binds_to_node=True),
            Device("e", attributes={"l": (1,)}),
            Device("f", node=NodeSelection(all_nodes=True)),
        ),
    )
    assert used_by(everything) == set(Feature)


@pytest.mark.parametrize("state", ["kept", "unknown"])
def test_what_the_server_keeps_or_may_keep_is_published(state):
    tainted = Device("a", taints=(Taint("k", "NoExecute"),))
    result, left = without(Feature.TAINTS, tainted, state=state)
    assert left["a"] == tainted
    assert result.texts == ()


def test_no_taints():
    result, left = without(
        Feature.TAINTS,
        Device("info", taints=(Taint("k", "None"),)),
        Device("lost", taints=(Taint("k", "NoSchedule"),)),
        Device("used", taints=(Taint("k", "NoExecute"),)),
        prepared={"used"},
    )
    assert set(left) == {"plain", "info", "used"}
    assert not left["info"].taints
    assert not left["used"].taints
    assert result.texts == (
        "devices[].taints: dropped by the API server (feature gate DRADeviceTaints); withheld: lost; "
        "published without: info, used",
    )


def test_no_counters():
    result, left = without(
        Feature.COUNTERS,
        Device("mig-0", consumes=DRAW),
        Device("mig-1", consumes=DRAW, facts={"static": True}),
        sets=SETS,
        state="refused",
    )
    assert set(left) == {"plain", "mig-1"}
    assert left["mig-1"].consumes == ()
    assert result.pool.counter_sets == ()
    assert result.texts[0].startswith("sharedCounters, devices[].consumesCounters: refused by the API server")


def test_no_sharing():
    shared = Device("s", capacity={"m": Capacity(Q(4), RequestPolicy(Q(1)))}, allow_multiple_allocations=True)
    _, left = without(Feature.SHARING, shared)
    assert left["s"] == Device("s", capacity={"m": Capacity(Q(4))})


def test_no_binding_conditions():
    waits = Device("w", binding_conditions=("a",), binding_failure_conditions=("b",), binds_to_node=True)
    _, left = without(Feature.BINDING, waits, Device("b", binds_to_node=True))
    assert left["b"] == Device("b")
    assert "w" not in left


def test_no_lists():
    _, left = without(Feature.LISTS, Device("l", attributes={"one": 1, "many": (1, 2)}))
    assert left["l"].attributes == {"one": 1}


def test_no_nodes_of_single_devices():
    _, left = without(Feature.NODES, Device("far", node=NodeSelection(node_name="other")))
    assert set(left) == {"plain"}


def test_a_feature_that_the_pool_does_not_use_is_not_mentioned():
    result, _ = without(Feature.TAINTS)
    assert result.texts == ()


def test_a_text_names_a_few_devices():
    lost = [Device(f"gpu-{n}", taints=(Taint("k", "NoSchedule"),)) for n in range(20)]
    result, _ = without(Feature.TAINTS, *lost)
    assert "gpu-7 and 12 more" in result.texts[0]


def test_a_dropped_field_tells_its_gate():
    assert gates_of(["devices[].taints", "sharedCounters"]) == "DRADeviceTaints, DRAPartitionableDevices"
    assert gates_of(["devices[].attributes[].future"]) == "unknown"
