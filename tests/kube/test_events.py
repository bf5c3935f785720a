from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dracore.kube.client import KubeClient
from dracore.kube.events import QUEUE_LIMIT, EventRecorder, Regarding

NODE = Regarding("Node", "node-a")
CLAIM = Regarding("ResourceClaim", "c", "team", "uid-c", "resource.k8s.io/v1")


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def recorder(scripted, clock):
    scripted.answer = lambda request: request.json({})
    recorder = EventRecorder(
        KubeClient.to_url(scripted.url),
        "gpu.nvidia.com",
        "node-a",
        clock=clock,
        now=lambda: datetime(2026, 1, 2, 3, 4, 5, 678, UTC),
    )
    yield recorder
    recorder.stop()


def test_an_event_is_what_the_api_takes(scripted, recorder):
    recorder.start()
    recorder.event(CLAIM, "Warning", "DeviceLost", "gpu-3 is gone", action="Prepare")
    scripted.wait_for(1)
    request = scripted.requests[0]
    assert (request.method, request.path) == ("POST", "/apis/events.k8s.io/v1/namespaces/team/events")
    body = request.body
    name = body["metadata"].pop("name")
    assert name.startswith("c.")
    assert body == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": "team"},
        "eventTime": "2026-01-02T03:04:05.000678Z",
        "reportingController": "gpu.nvidia.com",
        "reportingInstance": "node-a",
        "action": "Prepare",
        "reason": "DeviceLost",
        "type": "Warning",
        "note": "gpu-3 is gone",
        "regarding": {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaim",
            "namespace": "team",
            "name": "c",
            "uid": "uid-c",
        },
    }


def test_the_same_event_again_is_counted_in_its_series(scripted, recorder, clock):
    recorder.start()
    recorder.event(NODE, "Normal", "Published", "8 devices")
    scripted.wait_for(1)
    name = scripted.requests[0].body["metadata"]["name"]
    assert scripted.requests[0].path == "/apis/events.k8s.io/v1/namespaces/default/events"
    clock.now += 20
    recorder.event(NODE, "Normal", "Published", "8 devices")
    scripted.wait_for(2)
    patch = scripted.requests[1]
    assert (patch.method, patch.path) == ("PATCH", f"/apis/events.k8s.io/v1/namespaces/default/events/{name}")
    assert patch.body["series"]["count"] == 2


def test_after_ten_minutes_of_silence_it_is_a_new_event(scripted, recorder, clock):
    recorder.start()
    for count in (1, 2):
        recorder.event(NODE, "Normal", "Published", "8 devices")
        scripted.wait_for(count)
        clock.now += 601
    assert [request.method for request in scripted.requests] == ["POST", "POST"]


def test_a_burst_becomes_one_event_and_one_patch(scripted, recorder, clock):
    for _ in range(1000):
        recorder.event(NODE, "Warning", "Flaps", "again")
    recorder.start()
    scripted.wait_for(1)
    recorder.event(NODE, "Warning", "Flaps", "again")
    clock.now += 20
    recorder.event(NODE, "Warning", "Other", "x")
    scripted.wait_for(3)
    counts = [r.body.get("series", {}).get("count") for r in scripted.requests if "Other" not in str(r.body)]
    assert counts == [1000, 1001]


def test_a_note_is_cut_at_1024_bytes(scripted, recorder):
    recorder.start()
    recorder.event(NODE, "Normal", "Long", "ä" * 2000)
    scripted.wait_for(1)
    note = scripted.requests[0].body["note"]
    assert len(note.encode()) <= 1024
    assert note.endswith("ä…")


def test_an_event_that_expired_is_created_again(scripted, recorder, clock):
    recorder.start()
    recorder.event(NODE, "Normal", "Published", "x")
    scripted.wait_for(1)
    scripted.answer = lambda r: r.fail(404, "NotFound") if r.method == "PATCH" else r.json({})
    clock.now += 20
    recorder.event(NODE, "Normal", "Published", "x")
    scripted.wait_for(3)
    assert [request.method for request in scripted.requests] == ["POST", "PATCH", "POST"]
    assert scripted.requests[2].body["series"]["count"] == 2


def test_a_refusal_is_not_repeated(scripted, recorder, caplog):
    scripted.answer = lambda request: request.fail(403, "Forbidden", "no")
    recorder.start()
    recorder.event(NODE, "Normal", "A", "x")
    recorder.event(NODE, "Normal", "B", "x")
    scripted.wait_for(2)
    recorder.stop()
    assert len(scripted.requests) == 2
    assert "not recorded" in caplog.text


def test_the_queue_is_bounded_and_the_caller_never_waits(scripted, recorder):
    scripted.stop()
    for number in range(QUEUE_LIMIT + 5):
        recorder.event(NODE, "Normal", "Many", str(number))
    assert recorder.dropped == 5


def test_an_event_waits_for_a_server_that_is_away(scripted, recorder, clock):
    answers = iter([503, 200])
    scripted.answer = lambda request: request.json({}, next(answers))
    recorder.start()
    recorder.event(NODE, "Normal", "A", "x")
    scripted.wait_for(1)
    clock.now += 100
    recorder.event(NODE, "Normal", "A", "x")
    scripted.wait_for(2)
    recorder.stop()
    assert [request.method for request in scripted.requests] == ["POST", "POST"]
    assert scripted.requests[1].body["series"]["count"] == 2
