"""Each limit from both sides: the last value that passes and the first that does not.

Every case is also asked of the API server (test_validate_server), so that both agree.
"""

from __future__ import annotations

from dataclasses import replace

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
    ValidRange,
)
from dracore.model.quantity import Quantity
from dracore.model.semver import Semver
from dracore.publish.pack import Packed
from dracore.publish.validate import check_pool, device_problems
from dracore.publish.wire import PATH, slice_spec

Q = Quantity.parse
SETS = {
    "s": CounterSet("s", {"u": Q(1), "v": Q(2)}),
    "t": CounterSet("t", {"u": Q(1)}),
    "x": CounterSet("x", {"u": Q(1)}),
}


def draws(*sets, counters=("u",)):
    return tuple(CounterConsumption(name, {counter: Q(1) for counter in counters}) for name in sets)


def shared(policy, value="10"):
    return {"capacity": {"m": Capacity(Q(value), policy)}, "allow_multiple_allocations": True}


def ranged(default, low, high=None, step=None):
    limits = ValidRange(Q(low), None if high is None else Q(high), None if step is None else Q(step))
    return RequestPolicy(Q(default), (), limits)


def values(default, *amounts):
    return RequestPolicy(Q(default), tuple(map(Q, amounts)))


GOOD = {
    "name of 63": {"name": "a" * 63},
    "32 attributes": {"attributes": {f"a{n}": n for n in range(32)}},
    "a string of 64 bytes": {"attributes": {"a": "ä" * 32}},
    "an identifier of 32": {"attributes": {"a" * 32: 1}},
    "a domain of 63": {"attributes": {"a" * 63 + "/b": 1}},
    "16 taints": {"taints": tuple(Taint(f"k{n}", "NoSchedule", "V.1_x") for n in range(16))},
    "a taint value of 63": {"taints": (Taint("example.com/k", "None", "v" * 63),)},
    "the greatest int": {"attributes": {"a": 2**63 - 1, "b": -(2**63)}},
    "a prerelease": {"attributes": {"a": Semver.parse("1.2.3-rc.1+build.5")}},
    "four binding conditions": {
        "binding_conditions": ("a", "b", "c", "d"),
        "binding_failure_conditions": ("e", "f", "g", "h"),
    },
    "a range": shared(ranged("2", "1", "10", "1")),
    "a range without step": shared(ranged("10", "10")),
    "ten values": shared(values("1", *map(str, range(1, 11)))),
    "a policy with a default alone": shared(RequestPolicy(Q(5))),
}

BAD = {
    "name of 64": {"name": "a" * 64},
    "a name in capitals": {"name": "GPU-0"},
    "an empty name": {"name": ""},
    "33 attributes": {"attributes": {f"a{n}": n for n in range(32)}, "capacity": {"m": Capacity(Q(1))}},
    "a string of 65 bytes": {"attributes": {"a": "ä" * 32 + "b"}},
    "an identifier of 33": {"attributes": {"a" * 33: 1}},
    "an identifier with a dash": {"attributes": {"a-b": 1}},
    "a domain of 64": {"attributes": {"a" * 64 + "/b": 1}},
    "17 taints": {"taints": tuple(Taint(f"k{n}", "NoSchedule") for n in range(17))},
    "a taint value of 64": {"taints": (Taint("k", "None", "v" * 64),)},
    "a taint key with a blank": {"taints": (Taint("a b", "None"),)},
    "an empty taint key": {"taints": (Taint("", "None"),)},
    "an unknown effect": {"taints": (Taint("k", "Never"),)},  # type: ignore[arg-type]
    "beyond 64 bits": {"attributes": {"a": 2**63}},
    "five binding conditions": {
        "binding_conditions": ("a", "b", "c", "d", "e"),
        "binding_failure_conditions": ("f",),
    },
    "binding conditions alone": {"binding_conditions": ("a",)},
    "failure conditions alone": {"binding_failure_conditions": ("a",)},
    "a condition in both": {"binding_conditions": ("a",), "binding_failure_conditions": ("a",)},
    "a condition twice": {"binding_conditions": ("a", "a"), "binding_failure_conditions": ("b",)},
    "three counter sets": {"consumes": draws("s", "t", "x")},
    "the same counter set twice": {"consumes": draws("s", "s")},
    "a policy without sharing": {"capacity": {"m": Capacity(Q(10), RequestPolicy(Q(5)))}},
    "a range without default": shared(RequestPolicy(None, (), ValidRange(Q(1)))),
    "values without default": shared(RequestPolicy(None, (Q(1),))),
    "values and a range": shared(RequestPolicy(Q(1), (Q(1),), ValidRange(Q(1)))),
    "eleven values": shared(values("1", *map(str, range(1, 12))), "20"),
    "values that descend": shared(values("2", "2", "1")),
    "values that repeat": shared(values("1", "1", "1")),
    "a value above the capacity": shared(values("1", "1", "11")),
    "a default that is no value": shared(values("3", "1", "2")),
    "a default below the minimum": shared(ranged("1", "2")),
    "a default above the maximum": shared(ranged("5", "2", "4")),
    "a maximum above the capacity": shared(ranged("5", "2", "11")),
    "a minimum above the capacity": shared(ranged("11", "11")),
    "a step of nothing": shared(ranged("2", "2", None, "0")),
    "a step beyond the capacity": shared(ranged("2", "2", None, "9")),
    "a default between the steps": shared(ranged("3", "2", None, "2")),
    "a maximum between the steps": shared(ranged("4", "2", "7", "2")),
}

# What only clients check, or what a server with other gates refuses for another reason.
BAD_FOR_CLIENTS = {
    "two slashes": {"attributes": {"a.b/c/d": 1}},  # the server's check has a gap here
    "an unknown counter set": {"consumes": draws("nothing")},
    "an unknown counter": {"consumes": draws("t", counters=("v",))},
    "no counters": {"consumes": (CounterConsumption("s", {}),)},
    "a list of different types": {"attributes": {"a": (1, "b")}},
    "an empty list": {"attributes": {"a": ()}},
    "49 values": {"attributes": {"a": tuple(range(49))}},
    "a long string in a list": {"attributes": {"a": ("b" * 65,)}},
    "a float": {"attributes": {"a": 1.5}},
    "the same name bare and full": {"attributes": {"a": 1, "d.example.com/a": 1}},
    "two ways of giving nodes": {"node": NodeSelection(node_name="a", all_nodes=True)},
    "no way of giving nodes": {"node": NodeSelection()},
    "a selector of two terms": {"node": NodeSelection(selector={"nodeSelectorTerms": [{}, {}]})},
}


def device(fields):
    return Device(**{"name": "gpu-0", **fields})


@pytest.mark.parametrize("fields", GOOD.values(), ids=GOOD)
def test_within_the_limits(fields):
    assert list(device_problems(device(fields), "d.example.com", SETS)) == []


@pytest.mark.parametrize("fields", [*BAD.values(), *BAD_FOR_CLIENTS.values()], ids=[*BAD, *BAD_FOR_CLIENTS])
def test_beyond_the_limits(fields):
    assert list(device_problems(device(fields), "d.example.com", SETS))


@pytest.mark.parametrize("case", [*GOOD, *BAD])
def test_the_server_agrees(api, case):
    from dracore.errors import Invalid

    tested = device(GOOD.get(case) or BAD[case])
    spec = slice_spec(api.driver, api.node, Packed(devices=(tested,)), NodeSelection(node_name=api.node))
    spec["pool"] |= {"generation": 1, "resourceSliceCount": 1}
    meta = {"generateName": "validate-"}
    body = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": meta, "spec": spec}
    if case in GOOD:
        api.client.create(PATH, body, dry_run=True)
    else:
        with pytest.raises(Invalid):
            api.client.create(PATH, body, dry_run=True)


def test_a_bad_device_never_blocks_the_others():
    good = Device("good")
    pool = Pool(
        "d", "p", (Device("BAD"), good, Device("good", kind="other"), Device("far", attributes={"x": 2**64}))
    )
    checked = check_pool(pool)
    assert checked.pool is not None
    assert checked.pool.devices == (good,)
    texts = list(map(str, checked.problems))
    assert len(texts) == 3
    assert texts[0].startswith("device p/BAD: its name is no DNS label")
    assert "device p/good: another device of the pool has the same name" in texts[1]
    assert "beyond 64 bits" in texts[2]


def test_a_bad_counter_set_takes_its_devices_with_it():
    sets = (
        CounterSet("ok", {"u": Q(1)}),
        CounterSet("ok", {"u": Q(2)}),
        CounterSet("many", {f"u{n}": Q(1) for n in range(33)}),
        CounterSet("none", {}),
    )
    users = tuple(
        Device(name, consumes=(CounterConsumption(name, {"u": Q(1)}),)) for name in ("ok", "many", "none")
    )
    checked = check_pool(Pool("d", "p", users, sets))
    assert checked.pool is not None
    assert [counters.counters["u"] for counters in checked.pool.counter_sets] == [Q(1)]
    assert [user.name for user in checked.pool.devices] == ["ok"]
    assert len(checked.problems) == 5


@pytest.mark.parametrize(
    "fields",
    [
        {"driver": "d" * 64},
        {"driver": "a_b"},
        {"name": ""},
        {"name": "A"},
        {"name": "a//b"},
        {"name": "a" * 254},
    ],
)
def test_a_pool_with_a_wrong_name_is_not_published(fields):
    pool = replace(Pool("d", "p", (Device("a"),)), **fields)
    checked = check_pool(pool)
    assert checked.pool is None
    assert checked.problems


def test_a_pool_name_may_have_parts():
    assert check_pool(Pool("d", "rack-1/switch.a", (Device("a"),))).problems == ()


@pytest.mark.parametrize(
    "fields",
    [{"attributes": {5: 1}}, {"taints": 5}, {"consumes": (1,)}, {"node": "n"}, {"binding_conditions": 5}],
)
def test_values_of_types_that_no_device_has_leave_the_other_devices_alone(fields):
    pool = Pool("gpu.example.com", "p", (Device("bad", **fields), Device("good")))
    checked = check_pool(pool)
    assert [device.name for device in checked.pool.devices] == ["good"]
    assert "device p/bad" in str(checked.problems[0])
