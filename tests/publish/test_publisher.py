"""The publisher against the embedded API server and a real one (see conftest)."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from dracore.model.device import Capacity, CounterConsumption, CounterSet, Device, NodeSelection, Taint
from dracore.model.quantity import Quantity
from dracore.publish.owner import Owner
from dracore.publish.wire import PATH

Q = Quantity.parse


def tainted(device, effect="NoSchedule", key="example.com/lost"):
    return device.with_taint(Taint(key, effect))


def settled(publisher, recorder, times=1):
    recorder.wait(lambda: len(recorder.publications) >= times)


def ident(obj):
    return obj["metadata"]["uid"], obj["metadata"]["resourceVersion"]


# --- what is published --------------------------------------------------------------------------------


def test_the_first_publish(api, gpus):
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(3))])
    settled(publisher, recorder)
    (obj,) = api.slices()
    assert obj["metadata"]["name"].startswith(f"00000-{api.driver}-{api.node}-"[:58])
    node = api.client.get(f"/api/v1/nodes/{api.node}")
    assert obj["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "name": api.node,
            "uid": node["metadata"]["uid"],
            "controller": True,
        }
    ]
    spec = obj["spec"]
    assert spec["driver"] == api.driver
    assert spec["nodeName"] == api.node
    assert spec["pool"] == {"name": api.node, "generation": 1, "resourceSliceCount": 1}
    assert [device["name"] for device in spec["devices"]] == ["gpu-0", "gpu-1", "gpu-2"]
    assert spec["devices"][1]["attributes"] == {
        "index": {"int": 1},
        "model": {"string": "T"},
        "fast": {"bool": True},
    }
    status = publisher.status()
    assert status.published is not None
    assert (status.published.generation, status.published.slices) == (1, 1)
    assert status.degradations == ()
    assert recorder.writes == ["create"]


def test_an_empty_pool_is_one_empty_slice(api):
    publisher, recorder = api.publisher()
    publisher.update([api.pool()])
    settled(publisher, recorder)
    (obj,) = api.slices()
    assert not obj["spec"].get("devices")
    assert obj["spec"]["pool"]["resourceSliceCount"] == 1


def test_nothing_is_touched_before_the_first_inventory(api, gpus):
    first, recorder = api.publisher()
    first.update([api.pool(*gpus(1))])
    settled(first, recorder)
    first.stop()
    second, _ = api.publisher()
    assert second._reflector.synced.wait(20)
    second.refresh()
    assert second.status().published is None
    second.stop()
    assert api.devices() == ["gpu-0"]


def test_a_restart_writes_nothing(api, gpus):
    first, recorder = api.publisher()
    first.update([api.pool(*gpus(150))])
    settled(first, recorder)
    before = list(map(ident, api.slices()))
    first.stop()
    second, recorder = api.publisher()
    second.update([api.pool(*gpus(150))])
    settled(second, recorder)
    assert recorder.writes == []
    assert list(map(ident, api.slices())) == before


def test_a_restart_keeps_devices_where_they_are(api, gpus):
    first, recorder = api.publisher()
    first.update([api.pool(*gpus(150))])
    settled(first, recorder)
    first.stop()
    fewer = [device for device in gpus(150) if device.name != "gpu-7"]
    second, recorder = api.publisher()
    second.update([api.pool(*fewer)])
    settled(second, recorder)
    assert recorder.writes == ["update"]
    assert [len(obj["spec"]["devices"]) for obj in api.slices()] == [127, 22]


@pytest.mark.parametrize("count", [3, 200])
def test_one_changed_device_is_one_write_at_the_same_generation(api, gpus, count):
    publisher, recorder = api.publisher()
    devices = gpus(count)
    publisher.update([api.pool(*devices)])
    settled(publisher, recorder)
    before = {obj["metadata"]["name"]: ident(obj) for obj in api.slices()}
    recorder.writes.clear()
    devices[1] = replace(devices[1], attributes={**devices[1].attributes, "model": "U"})
    publisher.update([api.pool(*devices)])
    settled(publisher, recorder, 2)
    assert recorder.writes == ["update"]
    after = {obj["metadata"]["name"]: ident(obj) for obj in api.slices()}
    assert after.keys() == before.keys()
    assert sum(after[name] != before[name] for name in after) == 1
    assert {obj["spec"]["pool"]["generation"] for obj in api.slices()} == {1}


def test_two_changed_slices_are_a_new_generation(api, gpus):
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(300))])
    settled(publisher, recorder)
    devices = gpus(300)
    for index in (0, 299):
        devices[index] = replace(devices[index], attributes={"model": "U"})
    publisher.update([api.pool(*devices)])
    settled(publisher, recorder, 2)
    assert recorder.counted() == {"create": 3, "update": 3}
    assert {obj["spec"]["pool"]["generation"] for obj in api.slices()} == {2}


def test_growing_and_shrinking(api, gpus):
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(1))])
    settled(publisher, recorder)
    publisher.update([api.pool(*gpus(300))])
    settled(publisher, recorder, 2)
    pools = [obj["spec"]["pool"] for obj in api.slices()]
    assert [(p["generation"], p["resourceSliceCount"]) for p in pools] == [(2, 3)] * 3
    publisher.update([api.pool()])
    settled(publisher, recorder, 3)
    (obj,) = api.slices()
    assert obj["spec"]["pool"]["generation"] == 3
    assert not obj["spec"].get("devices")


def test_the_same_again_is_no_write(api, gpus):
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(3))])
    settled(publisher, recorder)
    publisher.update([api.pool(*gpus(3))])
    changed = [replace(device, capacity={"memory": Capacity(Q("1.5Gi"))}) for device in gpus(3)]
    publisher.update([api.pool(*changed)])
    publisher.update([api.pool(*changed), api.pool(name="second")])
    recorder.wait(lambda: ("second", 1, 1) in recorder.publications)
    assert recorder.writes == ["create", "create"]


def test_several_pools_and_one_that_goes(api, gpus):
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(1), name="a"), api.pool(*gpus(2), name="b/c")])
    settled(publisher, recorder, 2)
    assert {obj["spec"]["pool"]["name"] for obj in api.slices()} == {"a", "b/c"}
    assert publisher.status().published.slices == 2
    publisher.update([api.pool(*gpus(2), name="b/c")])
    recorder.wait(lambda: "delete" in recorder.writes)
    assert {obj["spec"]["pool"]["name"] for obj in api.slices()} == {"b/c"}


def test_pools_of_an_earlier_life_are_removed(api, gpus):
    first, recorder = api.publisher()
    first.update([api.pool(*gpus(1), name="old")])
    settled(first, recorder)
    first.stop()
    second, recorder = api.publisher()
    second.update([api.pool(*gpus(1), name="new")])
    recorder.wait(lambda: recorder.counted() == {"create": 1, "delete": 1})
    assert {obj["spec"]["pool"]["name"] for obj in api.slices()} == {"new"}


def test_counter_sets_come_first_in_slices_of_their_own(api):
    sets = tuple(CounterSet(f"s{n}", {"u": Q(2)}) for n in range(9))
    devices = [Device(f"d{n}", consumes=(CounterConsumption(f"s{n % 9}", {"u": Q(1)}),)) for n in range(70)]
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*devices, counter_sets=sets)])
    settled(publisher, recorder)
    shape = [
        (len(obj["spec"].get("sharedCounters") or ()), len(obj["spec"].get("devices") or ()))
        for obj in api.slices()
    ]
    assert shape == [(8, 0), (1, 0), (0, 64), (0, 6)]
    assert publisher.status().degradations == ()


def test_a_bad_device_is_left_out_and_said(api, gpus):
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(1), Device("BAD"))])
    settled(publisher, recorder)
    assert api.devices() == ["gpu-0"]
    (text,) = publisher.status().degradations
    assert text.startswith(f"device {api.node}/BAD: its name is no DNS label")
    assert recorder.degradations == [text]
    publisher.update([api.pool(*gpus(1))])
    recorder.wait(lambda: recorder.recoveries == [text])
    assert publisher.status().degradations == ()


def test_a_pool_that_cannot_be_published_does_not_stop_the_others(api, gpus):
    publisher, recorder = api.publisher()
    elsewhere = api.pool(*gpus(1), name="far", node=NodeSelection(node_name="another-node"))
    publisher.update([api.pool(*gpus(1), name="BAD"), elsewhere, api.pool(*gpus(1))])
    settled(publisher, recorder)
    recorder.wait(lambda: len(publisher.status().degradations) == 2)
    assert {obj["spec"]["pool"]["name"] for obj in api.slices()} == {api.node}


def test_devices_that_lie_on_no_node(api, gpus):
    publisher, recorder = api.publisher(node="", only_pool="fabric")
    everywhere = NodeSelection(all_nodes=True)
    neighbour, neighbours = api.publisher(node="", only_pool="neighbour")
    neighbour.update([api.pool(name="neighbour", node=everywhere)])
    settled(neighbour, neighbours)
    other = api.pool(name="other", node=everywhere)
    publisher.update([api.pool(*gpus(2), name="fabric", node=everywhere), other])
    settled(publisher, recorder)
    recorder.wait(lambda: bool(publisher.status().degradations))
    assert publisher.status().degradations == (
        "pool other is not published: this publisher is for the pool fabric",
    )
    found = {obj["spec"]["pool"]["name"]: obj for obj in api.slices(node="")}
    assert set(found) == {"fabric", "neighbour"}
    obj = found["fabric"]
    assert obj["spec"]["allNodes"] is True
    assert "ownerReferences" not in obj["metadata"]


def test_devices_that_choose_their_nodes(api):
    publisher, recorder = api.publisher(node="", owner=Owner("Node", api.node))
    pool = api.pool(
        Device("near", node=NodeSelection(node_name=api.node)),
        Device("far"),
        name="fabric",
        node=NodeSelection(all_nodes=True),
    )
    publisher.update([pool])
    settled(publisher, recorder)
    (obj,) = api.slices(node="")
    assert obj["spec"]["perDeviceNodeSelection"] is True
    assert obj["spec"]["devices"] == [
        {"name": "near", "nodeName": api.node},
        {"name": "far", "allNodes": True},
    ]
    assert obj["metadata"]["ownerReferences"][0]["name"] == api.node


# --- taints and their times ---------------------------------------------------------------------------


def test_a_taints_time_survives_other_changes(api, gpus):
    publisher, recorder = api.publisher()
    devices = gpus(2)
    devices[0] = tainted(devices[0])
    publisher.update([api.pool(*devices)])
    settled(publisher, recorder)
    added = api.slices()[0]["spec"]["devices"][0]["taints"][0]["timeAdded"]
    # A time that no clock gives again: only keeping it explains that it stays.
    (obj,) = api.slices()
    obj["spec"]["devices"][0]["taints"][0]["timeAdded"] = "2020-01-01T00:00:00Z"
    api.foreign_update(obj)
    devices[1] = replace(devices[1], attributes={"model": "U"})
    publisher.update([api.pool(*devices)])
    settled(publisher, recorder, 2)
    (obj,) = api.slices()
    assert obj["spec"]["devices"][1]["attributes"] == {"model": {"string": "U"}}
    assert obj["spec"]["devices"][0]["taints"][0]["timeAdded"] == "2020-01-01T00:00:00Z"
    assert added != "2020-01-01T00:00:00Z"


def test_a_taint_with_a_time_of_ours(api, gpus):
    publisher, recorder = api.publisher()
    (device,) = gpus(1)
    wanted = device.with_taint(Taint("k", "NoExecute", time_added="2026-01-02T03:04:05.7Z"))
    publisher.update([api.pool(wanted)])
    settled(publisher, recorder)
    publisher.update([api.pool(wanted), api.pool(name="other")])
    recorder.wait(lambda: ("other", 1, 1) in recorder.publications)
    assert recorder.writes == ["create", "create"]


# --- what others do to our slices ---------------------------------------------------------------------


def test_a_deleted_slice_is_back_at_the_same_generation(api, gpus):
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(200))])
    settled(publisher, recorder)
    api.foreign_delete(api.slices()[1])
    recorder.wait(lambda: bool(recorder.repairs))
    assert recorder.counted() == {"create": 3}
    assert [len(obj["spec"]["devices"]) for obj in api.slices()] == [128, 72]
    assert {obj["spec"]["pool"]["generation"] for obj in api.slices()} == {1}


def test_a_wipe_as_the_kubelet_does_it(api, gpus):
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(300))])
    settled(publisher, recorder)
    selector = f"spec.driver={api.driver},spec.nodeName={api.node}"
    api.client.delete_collection(PATH, params={"fieldSelector": selector})
    recorder.poll(lambda: len(api.devices()) == 300)
    assert recorder.counted()["update"] == 0
    assert {obj["spec"]["pool"]["resourceSliceCount"] for obj in api.slices()} == {3}
    assert len({obj["spec"]["pool"]["generation"] for obj in api.slices()}) == 1


def test_a_foreign_edit_is_undone(api, gpus):
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(2))])
    settled(publisher, recorder)
    (obj,) = api.slices()
    api.foreign_update(obj, devices=obj["spec"]["devices"][:1])
    recorder.wait(lambda: bool(recorder.repairs))
    assert api.devices() == ["gpu-0", "gpu-1"]
    assert recorder.writes == ["create", "update"]


def test_foreign_labels_stay(api, gpus):
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(1))])
    settled(publisher, recorder)
    (obj,) = api.slices()
    path = f"{PATH}/{obj['metadata']['name']}"
    api.client.patch(path, {"metadata": {"labels": {"a": "b"}}})
    publisher.update([api.pool(*gpus(2))])
    settled(publisher, recorder, 2)
    assert api.client.get(path)["metadata"]["labels"] == {"a": "b"}


def test_an_intruder_in_our_pool_is_removed(api, gpus):
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(1))])
    settled(publisher, recorder)
    (obj,) = api.slices()
    api.client.create(
        PATH, {**obj, "metadata": {"name": f"intruder-{api.node}"}, "spec": {**obj["spec"], "devices": []}}
    )
    recorder.wait(lambda: "delete" in recorder.writes)
    assert [ident(found) for found in api.slices()] == [ident(obj)]


def test_other_nodes_and_drivers_are_left_alone(api, gpus):
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(1))])
    settled(publisher, recorder)
    (obj,) = api.slices()
    others = []
    for spec in (
        {**obj["spec"], "driver": "other.example.com"},
        {**obj["spec"], "nodeName": "another-node"},
    ):
        made = api.client.create(PATH, {**obj, "metadata": {"generateName": "other-"}, "spec": spec})
        others.append(made)
    publisher.update([])
    recorder.wait(lambda: "delete" in recorder.writes)
    assert api.slices() == []
    for other in others:
        path = f"{PATH}/{other['metadata']['name']}"
        assert api.client.get(path)["metadata"]["resourceVersion"] == other["metadata"]["resourceVersion"]
        api.client.delete(path)


def test_a_fight_is_paced(api, gpus):
    """Somebody edits our slice every time we have put it right: each repair waits longer."""
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(1))])
    settled(publisher, recorder)
    waits = []
    pacer = publisher._keeper._states[api.node].pacer
    original = pacer.wait
    pacer.wait = lambda now: waits.append(original(now)) or waits[-1]
    for count in range(1, 5):
        (obj,) = api.slices()
        api.foreign_update(obj, devices=[])
        recorder.wait(lambda count=count: len(recorder.repairs) >= count)
    assert waits[0] == 0
    assert max(waits) > 0
    assert api.devices() == ["gpu-0"]


def test_a_node_made_anew_owns_the_slices_that_are_made_anew(api, gpus):
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(1))])
    settled(publisher, recorder)
    api.client.delete(f"/api/v1/nodes/{api.node}")
    uid = api.make_node(api.node)
    api.foreign_delete(api.slices()[0])
    recorder.wait(lambda: bool(recorder.repairs))
    assert api.slices()[0]["metadata"]["ownerReferences"][0]["uid"] == uid


def test_no_node_yet(api, gpus):
    publisher, recorder = api.publisher(node=f"late-{api.node}")
    publisher.update([api.pool(*gpus(1))])
    recorder.wait(lambda: bool(recorder.failures))
    assert "is not published" in publisher.status().degradations[0]
    api.make_node(f"late-{api.node}")
    settled(publisher, recorder)
    recorder.wait(lambda: publisher.status().degradations == ())


# --- who may write ------------------------------------------------------------------------------------


def test_only_who_may_write_does(api, gpus):
    turn = threading.Event()
    asked = threading.Event()

    def may_write():
        asked.set()
        return turn.is_set()

    publisher, recorder = api.publisher(may_write=may_write)
    publisher.update([api.pool(*gpus(1))])
    assert asked.wait(20)
    assert api.slices() == []
    turn.set()
    publisher.refresh()
    settled(publisher, recorder)
    turn.clear()
    assert publisher.drain(10)
    recorder.writes.clear()
    asked.clear()
    publisher.update([api.pool(*gpus(2))])
    assert asked.wait(20)
    assert recorder.writes == []
    assert api.devices() == ["gpu-0"]


def test_a_handover_between_two_writes(api, gpus):
    """The question is asked before every single write, not once a pool."""
    allowed = iter([True, True, True, False])
    publisher, recorder = api.publisher(may_write=lambda: next(allowed, False))
    publisher.update([api.pool(*gpus(500))])
    recorder.wait(lambda: len(recorder.writes) == 2)
    recorder.poll(lambda: next(allowed, "asked") == "asked")
    assert recorder.writes == ["create", "create"]
    assert len(api.slices()) == 2
    successor, recorder = api.publisher()
    successor.update([api.pool(*gpus(500))])
    settled(successor, recorder)
    assert len(api.devices()) == 500
    assert recorder.counted() == {"create": 2}
