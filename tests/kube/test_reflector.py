from __future__ import annotations

import itertools
import threading

import pytest

from dracore.kube.backoff import Backoff
from dracore.kube.client import KubeClient
from dracore.kube.reflector import Reflector

PATH = "/apis/resource.k8s.io/v1/resourceslices"


def obj(name, version, uid="", **more):
    return {"metadata": {"name": name, "uid": uid or f"uid-{name}", "resourceVersion": str(version)}, **more}


def listed(*items, version):
    return {
        "kind": "ResourceSliceList",
        "apiVersion": "resource.k8s.io/v1",
        "metadata": {"resourceVersion": str(version)},
        "items": list(items),
    }


class Seen:
    """Collects what a reflector says, and waits for it."""

    def __init__(self):
        self.changes = []
        self.errors = []
        self.condition = threading.Condition()

    def __call__(self, old, new):
        kind = "added" if old is None else "deleted" if new is None else "modified"
        with self.condition:
            self.changes.append((kind, (new or old)["metadata"]["name"]))
            self.condition.notify_all()

    def error(self, problem, delay):
        with self.condition:
            self.errors.append((str(problem), delay))
            self.condition.notify_all()

    def wait(self, predicate, timeout=20):
        with self.condition:
            assert self.condition.wait_for(predicate, timeout), (self.changes, self.errors)


@pytest.fixture
def follow(scripted):
    started = []

    def start(**options):
        seen = Seen()
        client = KubeClient.to_url(scripted.url)
        options.setdefault("backoff", Backoff(first=0.02, limit=0.05))
        reflector = Reflector(client, PATH, handlers=(seen,), on_error=seen.error, **options)
        started.append(reflector)
        reflector.start()
        return reflector, seen

    yield start
    for reflector in started:
        reflector.stop()
        assert not reflector._thread.is_alive()


def test_lists_in_pages_then_watches_from_the_lists_version(scripted, follow):
    def answer(request):
        if request.query.get("watch"):
            request.begin_stream()
            managed = obj("c", 11)
            managed["metadata"]["managedFields"] = [{}]
            request.event("ADDED", managed)
            request.event("MODIFIED", obj("a", 12))
            request.event("BOOKMARK", {"metadata": {"resourceVersion": "20"}})
            request.event("DELETED", obj("b", 21))
            scripted.released.wait(30)
        elif request.query.get("continue"):
            request.json(listed(obj("b", 2), version=10))
        else:
            page = listed(obj("a", 1), version=10)
            page["metadata"]["continue"] = "more"
            request.json(page)

    scripted.answer = answer
    reflector, seen = follow(field_selector="spec.nodeName=n", page_size=1)
    assert reflector.synced.wait(10)
    seen.wait(lambda: len(seen.changes) == 5)
    assert seen.changes == [
        ("added", "a"),
        ("added", "b"),
        ("added", "c"),
        ("modified", "a"),
        ("deleted", "b"),
    ]
    assert sorted(item["metadata"]["name"] for item in reflector.list()) == ["a", "c"]
    assert "managedFields" not in reflector.get("c")["metadata"]
    assert reflector.get("a")["metadata"]["resourceVersion"] == "12"
    assert reflector.resource_version == "21"
    first, _, watch = scripted.requests
    assert first.query == {"fieldSelector": "spec.nodeName=n", "limit": "1"}
    assert watch.query["resourceVersion"] == "10"
    assert watch.query["allowWatchBookmarks"] == "true"
    assert watch.query["fieldSelector"] == "spec.nodeName=n"
    assert 300 <= int(watch.query["timeoutSeconds"]) <= 600


def test_an_expired_continue_token_starts_the_list_again(scripted, follow):
    answers = itertools.count()

    def answer(request):
        number = next(answers)
        if request.query.get("watch"):
            request.begin_stream()
            scripted.released.wait(30)
        elif request.query.get("continue"):
            request.fail(410, "Expired", "the token is too old")
        elif number == 0:
            page = listed(obj("a", 1), version=10)
            page["metadata"]["continue"] = "more"
            request.json(page)
        else:
            request.json(listed(obj("a", 1), obj("b", 2), version=12))

    scripted.answer = answer
    reflector, seen = follow()
    seen.wait(lambda: len(seen.changes) == 2)
    assert seen.changes == [("added", "a"), ("added", "b")]
    assert reflector.counts.lists == 2


@pytest.mark.parametrize("how", ["answer", "event"])
def test_gone_lists_again_and_finds_what_was_deleted_meanwhile(scripted, follow, how):
    lists = iter(
        [
            listed(obj("a", 1), obj("b", 2), obj("c", 3), version=10),
            listed(obj("b", 22), obj("c", 3, uid="another"), obj("d", 23), version=30),
        ]
    )

    def answer(request):
        if not request.query.get("watch"):
            request.json(next(lists))
        elif request.query["resourceVersion"] == "30":
            request.begin_stream()
            scripted.released.wait(30)
        elif how == "answer":
            request.fail(410, "Expired", "too old")
        else:
            request.begin_stream()
            request.event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})
            request.end_stream()

    scripted.answer = answer
    reflector, seen = follow()
    seen.wait(lambda: len(seen.changes) == 8)
    assert seen.changes[3:] == [
        ("deleted", "a"),
        ("deleted", "c"),
        ("modified", "b"),
        ("added", "c"),
        ("added", "d"),
    ]
    assert reflector.counts.lists == 2


def test_a_broken_watch_resumes_without_a_new_list(scripted, follow):
    def answer(request):
        if not request.query.get("watch"):
            request.json(listed(obj("a", 1), version=10))
        elif request.query["resourceVersion"] == "10":
            request.begin_stream()
            request.event("ADDED", obj("b", 11))
            request.cut()
        else:
            request.begin_stream()
            request.event("ADDED", obj("c", 12))
            scripted.released.wait(30)

    scripted.answer = answer
    reflector, seen = follow()
    seen.wait(lambda: ("added", "c") in seen.changes)
    assert seen.changes == [("added", "a"), ("added", "b"), ("added", "c")]
    assert (reflector.counts.lists, reflector.counts.watches) == (1, 2)
    assert scripted.requests[2].query["resourceVersion"] == "11"


def test_a_server_that_comes_back_is_listed_again(scripted, scripted_at, follow):
    def before(request):
        if request.query.get("watch"):
            request.begin_stream()
            scripted.released.wait(30)
        else:
            request.json(listed(obj("a", 1), version=10))

    scripted.answer = before
    reflector, seen = follow()
    scripted.wait_for(2)
    scripted.stop()
    seen.wait(lambda: len(seen.errors) >= 3)

    def after(request):
        if request.query.get("watch"):
            request.begin_stream()
            second.released.wait(30)
        else:
            request.json(listed(obj("b", 2), version=3))

    second = scripted_at(scripted.port)
    second.answer = after
    seen.wait(lambda: ("added", "b") in seen.changes)
    assert seen.changes == [("added", "a"), ("deleted", "a"), ("added", "b")]
    assert reflector.resource_version == "3"


@pytest.mark.parametrize(
    "trouble",
    ["list fails", "watch fails", "watch ends at once", "gone at once", "bookmark of old", "no json"],
)
def test_never_a_hot_loop(scripted, follow, trouble):
    """Whatever the server does, each further attempt waits for its delay, and delays grow."""

    def answer(request):
        if not request.query.get("watch"):
            if trouble == "list fails":
                request.fail(500)
            elif trouble == "no json":
                request.json(["what"])
            else:
                request.json(listed(version=10))
        elif trouble == "watch fails":
            request.fail(503)
        else:
            request.begin_stream()
            if trouble == "gone at once":
                request.event("ERROR", {"code": 410, "message": "too old"})
            if trouble == "bookmark of old":
                request.event("BOOKMARK", {"metadata": {"resourceVersion": "10"}})
            request.end_stream()

    scripted.answer = answer
    waits = []

    class Recorded(Backoff):
        def next(self):
            waits.append(super().next())
            return 0.001

    reflector, seen = follow(backoff=Recorded(rng=lambda: 1.0))
    seen.wait(lambda: len(seen.errors) >= 9)
    reflector.stop()
    assert waits[:9] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0]
    # One list and one watch at most for each failure.
    assert len(scripted.requests) <= 2 * (len(seen.errors) + 1)


def test_after_a_watch_that_worked_delays_start_small_again(scripted, follow):
    versions = itertools.count(11)

    def answer(request):
        if not request.query.get("watch"):
            request.json(listed(version=10))
        else:
            request.begin_stream()
            request.event("ADDED", obj("x", next(versions)))
            request.cut()

    scripted.answer = answer
    reflector, seen = follow(backoff=Backoff(first=0.01, limit=30, rng=lambda: 1.0))
    seen.wait(lambda: len(seen.errors) >= 6)
    assert {delay for _, delay in seen.errors} == {0.01}
    assert reflector.counts.lists == 1


def test_a_watch_that_ended_well_is_followed_by_the_next_at_once(scripted, follow):
    watches = itertools.count()

    def answer(request):
        if not request.query.get("watch"):
            request.json(listed(version=10))
        elif (number := next(watches)) % 3 == 2:
            request.fail(503)
        else:
            request.begin_stream()
            request.event("ADDED", obj("x", 11 + number))
            request.end_stream()

    scripted.answer = answer
    reflector, seen = follow(backoff=Backoff(first=0.01, limit=30, rng=lambda: 1.0))
    seen.wait(lambda: len(seen.errors) >= 4)
    assert {delay for _, delay in seen.errors} == {0.01}
    assert reflector.counts.watches > reflector.counts.failures


def test_stop_ends_a_blocked_watch(scripted, follow):
    def answer(request):
        if request.query.get("watch"):
            request.begin_stream()
            scripted.released.wait(30)
        else:
            request.json(listed(version=10))

    scripted.answer = answer
    reflector, seen = follow()
    scripted.wait_for(2)
    reflector.stop()
    assert not reflector._thread.is_alive()
    assert seen.errors == []


def test_stop_ends_a_wait_between_attempts(scripted, follow):
    scripted.answer = lambda request: request.fail(500)
    reflector, seen = follow(backoff=Backoff(first=1000, limit=1000))
    seen.wait(lambda: seen.errors)
    reflector.stop()
    assert not reflector._thread.is_alive()


def test_a_handler_that_fails_loses_only_its_own_call(scripted, caplog):
    def answer(request):
        if request.query.get("watch"):
            request.begin_stream()
            scripted.released.wait(30)
        else:
            request.json(listed(obj("a", 1), obj("b", 2), version=10))

    scripted.answer = answer
    seen = Seen()

    def bad(old, new):
        raise RuntimeError("mine")

    reflector = Reflector(KubeClient.to_url(scripted.url), PATH, handlers=(bad, seen))
    reflector.start()
    seen.wait(lambda: len(seen.changes) == 2)
    reflector.stop()
    assert "mine" in caplog.text
