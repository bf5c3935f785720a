"""What goes wrong between the publisher and the API server, provoked in the embedded one."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dracore.errors import Conflict, NotFound
from dracore.kube.backoff import Backoff
from dracore.model.device import Device
from dracore.publish import publisher as publisher_module
from dracore.publish import shaper as shaper_module
from dracore.publish.wire import PATH

SLICES = {"resource": "resourceslices"}


def start(api, devices, **options):
    publisher, recorder = api.publisher(**options)
    publisher.update([api.pool(*devices)])
    recorder.wait(lambda: bool(recorder.publications))
    return publisher, recorder


def blind(api, recorder):
    """From here on the publisher's watch brings nothing more."""
    faults = [api.server.fault(verb=verb, hang=True, **SLICES) for verb in ("watch", "list")]
    api.server.cut_watches()
    recorder.poll(lambda: any(fault.hits for fault in faults))


def at_rest(api, publisher):
    """True where the watch has brought everything and the publisher has nothing to do about it."""
    changes = api.server.store.since("resourceslices", 0)
    queue = publisher._queue
    with queue._condition:
        busy = bool(queue._waiting or queue._working)
        soon = any(when < time.monotonic() + 10 for when in queue._due.values())
    return int(publisher._reflector.resource_version) >= changes[-1].version and not busy and not soon


def changed(devices, index, **attributes):
    devices = list(devices)
    devices[index] = replace(devices[index], attributes=attributes)
    return devices


def test_one_changed_device_is_one_write_in_the_servers_log(embedded, gpus):
    api = embedded()
    publisher, recorder = start(api, gpus(1000))
    api.server.log.clear()
    publisher.update([api.pool(*changed(gpus(1000), 500, model="U"))])
    recorder.wait(lambda: len(recorder.publications) == 2)
    assert [request.verb for request in api.server.log.writes()] == ["update"]
    assert [request.verb for request in api.server.log.all()] == ["update"]


def test_the_server_is_away_while_the_inventory_changes(embedded, gpus):
    api = embedded()
    publisher, recorder = start(api, gpus(2))
    api.server.stop()
    publisher.update([api.pool(*gpus(3))])
    recorder.wait(lambda: bool(recorder.failures))
    assert "is not published" in publisher.status().degradations[0]
    api.server.start()
    recorder.wait(lambda: len(recorder.publications) == 2)
    recorder.wait(lambda: publisher.status().degradations == ())
    assert len(api.devices()) == 3


def test_slices_deleted_while_the_watch_was_cut_are_found(embedded, gpus):
    api = embedded()
    _, recorder = start(api, gpus(1))
    api.server.stop()
    (obj,) = api.server.list("resourceslices")
    api.server.delete("resourceslices", obj["metadata"]["name"])
    api.server.compact()
    api.server.start()
    recorder.wait(lambda: bool(recorder.repairs))
    assert api.devices() == ["gpu-0"]


@pytest.mark.parametrize("verb", ["create", "update", "delete"])
@pytest.mark.parametrize("fault", [{"code": 503}, {"cut": True}, {"cut": True, "after": True}], ids=str)
def test_a_write_that_fails_or_whose_answer_is_lost(embedded, gpus, verb, fault):
    api = embedded()
    publisher, recorder = start(api, gpus(300))
    api.server.fault(verb=verb, times=2, **SLICES, **fault)
    wanted = gpus(400) if verb == "create" else changed(gpus(300), 0, model="U")
    if verb == "delete":
        wanted = []
    publisher.update([api.pool(*wanted)])
    recorder.wait(lambda: len(recorder.publications) >= 2)
    recorder.wait(lambda: publisher.status().degradations == ())
    # A slice whose creation was not answered may have a twin, until the watch has brought both.
    recorder.poll(lambda: at_rest(api, publisher))
    assert api.devices() == [device.name for device in wanted]
    stored = [obj["spec"]["pool"] for obj in api.slices()]
    assert len({pool["generation"] for pool in stored}) == 1
    assert {pool["resourceSliceCount"] for pool in stored} == {len(stored)}


def test_a_conflict_reads_the_object_again(embedded, gpus):
    """The watch is blind, so that only the conflict itself can tell that the slice has changed."""
    api = embedded()
    publisher, recorder = start(api, gpus(1))
    assert publisher._reflector.synced.is_set()
    blind(api, recorder)
    (name,) = [obj["metadata"]["name"] for obj in api.server.list("resourceslices")]
    stored = api.server.get("resourceslices", name)
    api.server.update({**stored, "metadata": {**stored["metadata"], "labels": {"x": "y"}}})
    publisher.update([api.pool(*gpus(2))])
    recorder.wait(lambda: len(recorder.publications) == 2)
    assert len(api.server.get("resourceslices", name)["spec"]["devices"]) == 2
    assert any("the object has been modified" in failure for failure in recorder.failures)
    api.server.faults.clear()


def test_a_slice_that_somebody_has_just_changed_is_not_deleted_unseen(embedded, gpus):
    api = embedded()
    publisher, recorder = start(api, gpus(1))
    blind(api, recorder)
    (stored,) = api.server.list("resourceslices")
    api.server.update({**stored, "metadata": {**stored["metadata"], "labels": {"x": "y"}}})
    publisher.update([])
    recorder.wait(lambda: "delete" in recorder.writes)
    assert [request.code for request in api.server.log.select(verb="delete")] == [409, 200]
    assert api.server.list("resourceslices") == []
    api.server.faults.clear()


def test_a_slice_that_vanished_before_the_watch_saw_it_is_missed_in_the_end(embedded, gpus):
    """No event ever tells of it: made and deleted while the watch was away, then the history is compacted."""
    api = embedded()
    publisher, recorder = start(api, gpus(1), confirm_within=0.5)
    blind(api, recorder)
    publisher.update([api.pool(*gpus(1)), api.pool(name="second")])
    recorder.wait(lambda: len(recorder.publications) == 2)
    for obj in api.server.list("resourceslices"):
        if obj["spec"]["pool"]["name"] == "second":
            api.server.delete("resourceslices", obj["metadata"]["name"])
    api.server.compact()
    api.server.faults.clear()
    recorder.wait(lambda: ("second", 1) in recorder.repairs)
    assert {obj["spec"]["pool"]["name"] for obj in api.slices()} == {api.node, "second"}


def test_the_watch_is_far_behind_and_nothing_is_made_twice(embedded, gpus):
    api = embedded()
    publisher, recorder = start(api, gpus(1))
    blind(api, recorder)
    for count in (2, 300, 0, 5):
        publisher.update([api.pool(*gpus(count))])
        seen = len(recorder.publications)
        recorder.wait(lambda seen=seen: len(recorder.publications) > seen)
        stored = api.server.list("resourceslices")
        assert sum(len(obj["spec"].get("devices") or ()) for obj in stored) == count
    assert recorder.failures == []
    api.server.faults.clear()


def refuse_devices(api, monkeypatch, bad):
    """Makes the embedded server refuse certain devices, as an admission webhook or a newer rule would."""
    from dracore.testing.apiserver.fielderrors import invalid
    from dracore.testing.apiserver.validation import slices

    original = slices.validate

    def validate(new, old, gates):
        errors = original(new, old, gates)
        for index, device in enumerate(new["spec"].get("devices") or ()):
            if device["name"] in bad:
                errors.append(invalid(f"spec.devices[{index}]", device["name"], "we do not like it"))
        return errors

    monkeypatch.setattr(slices, "validate", validate)


def test_a_device_that_the_server_refuses_never_blocks_the_others(embedded, gpus, monkeypatch):
    api = embedded()
    bad = {"gpu-1", "gpu-3", "gpu-150"}
    refuse_devices(api, monkeypatch, bad)
    publisher, recorder = start(api, gpus(200))
    assert len(api.devices()) == 197
    texts = publisher.status().degradations
    assert len(texts) == 3
    assert all("refused by the API server" in text and "we do not like it" in text for text in texts)
    bad.discard("gpu-3")
    publisher.update([api.pool(*changed(gpus(200), 3, model="U"))])
    recorder.wait(lambda: len(publisher.status().degradations) == 2)
    assert "gpu-3" in api.devices()


def test_a_slice_that_is_invalid_as_a_whole_is_tried_again_and_recovers(embedded, gpus):
    api = embedded()
    fault = api.server.fault(verb="create", code=422, message="not today", **SLICES)
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(1))])
    recorder.wait(lambda: len(recorder.failures) >= 2)
    assert "not today" in publisher.status().degradations[0]
    assert publisher.status().published is None
    api.server.faults.remove(fault)
    publisher.update([api.pool(*gpus(2))])
    recorder.wait(lambda: bool(recorder.publications))
    recorder.wait(lambda: publisher.status().degradations == ())
    assert len(api.devices()) == 2


def test_no_permission_is_said(embedded, gpus):
    api = embedded()
    api.server.fault(verb="list", code=403, message="you may not list", **SLICES)
    publisher, recorder = api.publisher()
    publisher.update([api.pool(*gpus(1))])
    while not publisher.status().degradations:
        publisher._reflector.synced.wait(0.02)
    assert "you may not list" in publisher.status().degradations[0]
    api.server.faults.clear()
    recorder.wait(lambda: bool(recorder.publications))
    assert publisher.status().degradations == ()


def test_stop_leaves_the_slices_and_no_thread(embedded, gpus):
    import threading

    api = embedded()
    before = set(threading.enumerate())
    publisher, _ = start(api, gpus(1))
    publisher.stop()
    ours = {thread.name for thread in threading.enumerate() if thread not in before}
    assert not {name for name in ours if "reflector" in name or "publish" in name}
    assert api.devices() == ["gpu-0"]


# --- random foreigners --------------------------------------------------------------------------------

edits = st.lists(
    st.one_of(
        st.tuples(st.just("delete"), st.integers(0, 5)),
        st.tuples(st.just("empty"), st.integers(0, 5)),
        st.tuples(st.just("generation"), st.integers(0, 5)),
        st.tuples(st.just("count"), st.integers(0, 5)),
        st.tuples(st.just("copy"), st.integers(0, 5)),
        st.tuples(st.just("rename"), st.integers(0, 5)),
        st.tuples(st.just("ours"), st.integers(0, 400)),
        st.tuples(st.just("wipe"), st.just(0)),
    ),
    min_size=1,
    max_size=6,
)


def meddle(api, verb, number):
    """One edit by somebody who has the right to write slices and no idea."""
    objects = api.slices()
    if verb == "wipe":
        api.client.delete_collection(PATH, params={"fieldSelector": f"spec.driver={api.driver}"})
        return
    if not objects:
        return
    obj = objects[number % len(objects)]
    pool = obj["spec"]["pool"]
    if verb == "delete":
        api.foreign_delete(obj)
    elif verb == "empty":
        api.foreign_update(obj, devices=[])
    elif verb == "generation":
        api.foreign_update(obj, pool={**pool, "generation": pool["generation"] + number + 1})
    elif verb == "count":
        api.foreign_update(obj, pool={**pool, "resourceSliceCount": number + 1})
    else:
        meta = {"generateName": obj["metadata"]["generateName"] if verb == "copy" else "zz-"}
        api.client.create(PATH, {**obj, "metadata": meta})


@given(history=edits)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_foreigner_does_our_pool_comes_back(embedded, gpus, history):
    api = embedded()
    wanted = gpus(300)
    publisher, recorder = start(api, wanted)
    for verb, number in history:
        if verb == "ours":
            wanted = gpus(number)
            publisher.update([api.pool(*wanted)])
            continue
        with contextlib.suppress(Conflict, NotFound):  # we were quicker
            meddle(api, verb, number)

    def whole():
        objects = api.slices()
        pools = [obj["spec"]["pool"] for obj in objects]
        found = sorted(d["name"] for obj in objects for d in obj["spec"].get("devices") or ())
        return (
            found == sorted(device.name for device in wanted)
            and {pool["resourceSliceCount"] for pool in pools} == {len(pools)}
            and len({pool["generation"] for pool in pools}) == 1
        )

    # On the way the pool may be whole for a moment: what counts is what stands when nobody is at work.
    recorder.poll(lambda: at_rest(api, publisher) and whole())
    publisher.stop()
    api.server.stop()


def test_a_device_is_never_in_two_slices_after_a_move(embedded):
    api = embedded()
    devices = [Device(f"d{n}") for n in range(100)]
    publisher, recorder = start(api, devices, dense=False)
    heavy = [replace(device, attributes={"a": 1}) for device in devices]
    publisher.update([api.pool(*heavy)])
    recorder.wait(lambda: len(recorder.publications) == 2)
    assert sorted(api.devices()) == sorted(device.name for device in devices)


@pytest.fixture
def hours(monkeypatch):
    """After any failure the queue waits for an hour: what comes sooner comes by itself."""
    monkeypatch.setattr(publisher_module, "Backoff", lambda **_: Backoff(first=7200.0, limit=7200.0))


def test_a_node_that_is_registered_later_is_followed_within_seconds(embedded, gpus, hours):
    api = embedded()
    publisher, recorder = api.publisher("late")
    publisher.update([api.pool(*gpus(2), name="late")])
    recorder.wait(lambda: bool(recorder.failures))
    assert "there is no node object late" in recorder.failures[-1]
    assert "there is no node object late" in publisher.status().degradations[0]
    api.make_node("late")
    recorder.wait(lambda: bool(recorder.publications))
    assert len(api.slices("late")) == 1
    assert publisher.status().degradations == ()


def test_what_failed_while_the_server_was_away_is_written_when_it_is_back(embedded, gpus, hours):
    api = embedded()
    publisher, recorder = start(api, gpus(1))
    api.server.stop()
    publisher.update([api.pool(*gpus(2))])
    recorder.wait(lambda: len(recorder.failures) >= 3)  # the pool, and the server's version
    api.server.start()
    recorder.wait(lambda: len(recorder.publications) > 1)
    assert len(api.devices()) == 2


def test_a_defect_while_publishing_is_said_and_tried_again(embedded, gpus, monkeypatch):
    api = embedded()
    publisher, recorder = api.publisher()
    monkeypatch.setattr(shaper_module, "check_pool", lambda pool: 1 / 0)
    publisher.update([api.pool(*gpus(1))])
    recorder.wait(lambda: bool(recorder.degradations))
    assert "a defect of dracore: ZeroDivisionError" in publisher.status().degradations[0]
    monkeypatch.undo()
    recorder.wait(lambda: bool(recorder.publications))
    assert publisher.status().degradations == ()
