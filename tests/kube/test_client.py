from __future__ import annotations

import threading

import pytest

from dracore.errors import Conflict, Forbidden, Gone, Invalid, KubeError, NotFound, Unreachable
from dracore.kube.client import KubeClient

PATH = "/apis/resource.k8s.io/v1/resourceslices"


@pytest.fixture
def client(scripted):
    client = KubeClient.to_url(scripted.url)
    yield client
    client.close()


def test_verbs_send_what_the_api_expects(scripted, client):
    scripted.answer = lambda request: request.json({"seen": request.method})
    client.get(f"{PATH}/a")
    client.create(PATH, {"a": 1}, dry_run=True)
    client.update(f"{PATH}/a", {"a": 2})
    client.patch(f"{PATH}/a", {"a": 3})
    client.patch(f"{PATH}/a", {"a": 4}, kind="apply", field_manager="me", force=True)
    client.delete(f"{PATH}/a", uid="u", resource_version="7")
    client.delete(f"{PATH}/a")
    client.delete_collection(PATH, params={"fieldSelector": "spec.nodeName=n"})
    seen = [(r.method, r.path, r.query, r.body) for r in scripted.requests]
    options = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "preconditions": {"uid": "u", "resourceVersion": "7"},
    }
    assert seen == [
        ("GET", f"{PATH}/a", {}, None),
        ("POST", PATH, {"dryRun": "All"}, {"a": 1}),
        ("PUT", f"{PATH}/a", {}, {"a": 2}),
        ("PATCH", f"{PATH}/a", {}, {"a": 3}),
        ("PATCH", f"{PATH}/a", {"fieldManager": "me", "force": "true"}, {"a": 4}),
        ("DELETE", f"{PATH}/a", {}, options),
        ("DELETE", f"{PATH}/a", {}, None),
        ("DELETE", PATH, {"fieldSelector": "spec.nodeName=n"}, None),
    ]
    types = [r.headers["content-type"] for r in scripted.requests if r.method == "PATCH"]
    assert types == ["application/merge-patch+json", "application/apply-patch+yaml"]
    assert scripted.connections == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Invalid),
        (401, Forbidden),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (410, Gone),
        (422, Invalid),
        (429, Unreachable),
        (500, Unreachable),
        (503, Unreachable),
        (418, KubeError),
    ],
)
def test_errors_say_what_where_and_keep_the_reason(scripted, client, status, kind):
    scripted.answer = lambda request: request.fail(status, "SomeReason", "slice is odd")
    with pytest.raises(KubeError) as caught:
        client.get(f"{PATH}/a")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.reason) == (status, "SomeReason")
    assert str(caught.value).startswith(f"GET {PATH}/a: slice is odd")


def test_an_answer_that_is_no_status_object_is_quoted(scripted, client):
    def answer(request):
        request.handler.send_error(502, "Bad Gateway")

    scripted.answer = answer
    with pytest.raises(Unreachable, match="Bad Gateway"):
        client.get(PATH)


def test_nobody_listens(scripted, client):
    scripted.stop()
    with pytest.raises(Unreachable) as caught:
        client.get(PATH)
    text = str(caught.value)
    assert "Connection refused" in text
    assert scripted.url in text
    assert "0x" not in text


def test_the_callers_time_ends_the_wait(scripted, client):
    scripted.answer = lambda request: scripted.released.wait(30)
    with pytest.raises(Unreachable, match="in time"):
        client.get(PATH, timeout=0.1)
    scripted.released.set()


def test_a_get_survives_a_connection_that_went_stale(scripted, client):
    answers = iter(["ok", "cut", "ok"])

    def answer(request):
        request.json({}) if next(answers) == "ok" else request.cut()

    scripted.answer = answer
    client.get(PATH)
    client.get(PATH)
    assert len(scripted.requests) == 3


def test_a_get_is_sent_again_once_only(scripted, client):
    scripted.answer = lambda request: request.cut()
    with pytest.raises(Unreachable):
        client.get(PATH)
    assert len(scripted.requests) == 2


def test_a_write_is_never_sent_twice(scripted, client):
    scripted.answer = lambda request: request.cut()
    with pytest.raises(Unreachable):
        client.create(PATH, {})
    assert len(scripted.requests) == 1


def test_list_follows_the_continue_tokens(scripted, client):
    def answer(request):
        start = int(request.query.get("continue", "0"))
        limit = int(request.query["limit"])
        items = [{"metadata": {"name": f"s{n}"}} for n in range(start, min(5, start + limit))]
        meta = {"resourceVersion": "9"}
        if start + limit < 5:
            meta["continue"] = str(start + limit)
        request.json({"kind": "ResourceSliceList", "apiVersion": "v1", "metadata": meta, "items": items})

    scripted.answer = answer
    items = client.list(PATH, limit=2)
    assert [item["metadata"]["name"] for item in items] == ["s0", "s1", "s2", "s3", "s4"]
    assert {item["kind"] for item in items} == {"ResourceSlice"}
    assert [r.query.get("continue") for r in scripted.requests] == [None, "2", "4"]


@pytest.mark.parametrize("body", [b"<html>log in first</html>", b"[]", b"null", b"\xff"])
def test_an_answer_of_something_that_is_no_api_server(scripted, client, body):
    def answer(request):
        request.handler.send_response(200)
        request.handler.send_header("Content-Length", str(len(body)))
        request.handler.end_headers()
        request.handler.wfile.write(body)

    scripted.answer = answer
    with pytest.raises(Unreachable, match="not one of an API server; check the address in the kubeconfig"):
        client.get(PATH)


def test_connections_are_reused_by_many_threads(scripted, client):
    scripted.answer = lambda request: request.json({})

    def work():
        for _ in range(20):
            client.get(PATH)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(scripted.requests) == 160
    assert scripted.connections <= 8


def test_watch_yields_events_as_they_come_and_close_ends_a_blocked_read(scripted, client):
    def answer(request):
        request.begin_stream()
        request.event("ADDED", {"n": 1})
        scripted.released.wait(30)

    scripted.answer = answer
    watch = client.watch(PATH, params={"resourceVersion": "1"})
    got, ended = [], threading.Event()

    def read():
        for event in watch:
            got.append(event)
            first.set()
        ended.set()

    first = threading.Event()
    thread = threading.Thread(target=read)
    thread.start()
    assert first.wait(10)
    watch.close()
    assert ended.wait(10)
    thread.join()
    assert got == [{"type": "ADDED", "object": {"n": 1}}]
    watch.close()


def test_watch_splits_events_at_lines_whatever_the_chunks(scripted, client):
    def answer(request):
        request.begin_stream()
        for piece in (b'{"type":"A"', b'}\n{"type":"B"}\n{"ty', b'pe":"C"}\n'):
            request.handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            request.handler.wfile.flush()
        request.end_stream()

    scripted.answer = answer
    assert [event["type"] for event in client.watch(PATH)] == ["A", "B", "C"]


def test_a_watch_that_breaks_off_says_so(scripted, client):
    def answer(request):
        request.begin_stream()
        request.event("ADDED", {})
        request.cut()

    scripted.answer = answer
    with pytest.raises(Unreachable, match="broke off"):
        list(client.watch(PATH))


def test_a_silent_watch_counts_as_broken(scripted, client):
    def answer(request):
        request.begin_stream()
        scripted.released.wait(30)

    scripted.answer = answer
    with pytest.raises(Unreachable):
        list(client.watch(PATH, silence=0.1))
