"""The embedded API server over its socket: verbs, conflicts, pages, watches, faults."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dracore.testing.apiserver import EmbeddedAPI

SLICES = "/apis/resource.k8s.io/v1/resourceslices"
CLAIMS = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims"
Object = dict[str, Any]


def call(
    api: EmbeddedAPI, method: str, path: str, body: Any = None, *, kind: str = "application/json"
) -> tuple[int, Object]:
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=20)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": kind, "User-Agent": "tester/1"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def watch(
    api: EmbeddedAPI, query: str, count: int, opened: Callable[[], object] = lambda: None
) -> list[Object]:
    """The first ``count`` events of a watch (fewer when it ends before)."""
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=20)
    try:
        connection.request("GET", f"{SLICES}?watch=1&{query}")
        response = connection.getresponse()
        opened()
        events: list[Object] = []
        while len(events) < count and (line := response.readline()):
            events.append(json.loads(line))
        return events
    finally:
        connection.close()


def test_create_assigns_what_the_server_assigns(embedded_api: EmbeddedAPI, objects: Any) -> None:
    made = objects.slice()
    made["metadata"] = {"generateName": "00000-" + "x" * 80 + "-"}
    made["spec"]["devices"][0]["taints"] = [{"key": "k", "effect": "NoSchedule"}]
    code, stored = call(embedded_api, "POST", SLICES, made)
    assert code == 201
    metadata = stored["metadata"]
    assert len(metadata["name"]) == 63
    assert metadata["name"].startswith("00000-x")
    assert metadata["generation"] == 1
    assert metadata["uid"]
    assert metadata["creationTimestamp"].endswith("Z")
    assert stored["spec"]["devices"][0]["taints"][0]["timeAdded"].endswith("Z")
    assert metadata["managedFields"][0]["manager"] == "tester"


def test_update_conflicts_and_no_change_is_no_version(embedded_api: EmbeddedAPI, objects: Any) -> None:
    _, first = call(embedded_api, "POST", SLICES, objects.slice())
    path = f"{SLICES}/s1"
    code, same = call(embedded_api, "PUT", path, first)
    assert (code, same["metadata"]["resourceVersion"]) == (200, first["metadata"]["resourceVersion"])
    changed = {**first, "spec": {**first["spec"], "devices": [{"name": "gpu-1"}]}}
    code, second = call(embedded_api, "PUT", path, changed)
    assert (code, second["metadata"]["generation"]) == (200, 2)
    code, status = call(embedded_api, "PUT", path, first)
    assert (code, status["reason"]) == (409, "Conflict")
    assert "the object has been modified" in status["message"]
    assert call(embedded_api, "POST", SLICES, objects.slice())[1]["reason"] == "AlreadyExists"
    code, status = call(embedded_api, "GET", f"{SLICES}/none")
    assert (code, status["message"]) == (404, 'resourceslices.resource.k8s.io "none" not found')


def test_immutable_fields_and_every_fault_in_one_answer(embedded_api: EmbeddedAPI, objects: Any) -> None:
    _, first = call(embedded_api, "POST", SLICES, objects.slice())
    moved = {**first, "spec": {**first["spec"], "nodeName": "node-2", "driver": "other.example.com"}}
    code, status = call(embedded_api, "PUT", f"{SLICES}/s1", moved)
    assert (code, status["reason"]) == (422, "Invalid")
    assert [cause["field"] for cause in status["details"]["causes"]] == ["spec.driver", "spec.nodeName"]
    assert status["message"].startswith(
        'ResourceSlice.resource.k8s.io "s1" is invalid: [spec.driver: Invalid'
    )
    _, claim = call(embedded_api, "POST", CLAIMS, objects.claim(allocated=False))
    claim["spec"]["devices"]["requests"][0]["exactly"]["count"] = 2
    assert call(embedded_api, "PUT", f"{CLAIMS}/c1", claim)[1]["reason"] == "Invalid"


def test_dry_run_changes_nothing_and_shows_what_it_would(embedded_api: EmbeddedAPI, objects: Any) -> None:
    before = embedded_api.store.version
    code, shown = call(embedded_api, "POST", f"{SLICES}?dryRun=All", objects.slice())
    assert (code, shown["spec"]["devices"]) == (201, [{"name": "gpu-0"}])
    assert embedded_api.store.version == before
    assert embedded_api.list("resourceslices") == []
    assert embedded_api.log.writes() == []


def test_delete_preconditions_and_finalizers(embedded_api: EmbeddedAPI, objects: Any) -> None:
    _, made = call(embedded_api, "POST", SLICES, objects.slice())
    wrong = {"preconditions": {"uid": "other"}}
    code, status = call(embedded_api, "DELETE", f"{SLICES}/s1", wrong)
    assert (code, "UID in the precondition" in status["message"]) == (409, True)
    stale = {"preconditions": {"uid": made["metadata"]["uid"], "resourceVersion": "1"}}
    assert call(embedded_api, "DELETE", f"{SLICES}/s1", stale)[0] == 409
    right = {"preconditions": {"uid": made["metadata"]["uid"]}}
    assert call(embedded_api, "DELETE", f"{SLICES}/s1", right)[0] == 200
    assert call(embedded_api, "DELETE", f"{SLICES}/s1")[0] == 404
    claim = objects.claim(allocated=False)
    claim["metadata"]["finalizers"] = ["example.com/hold"]
    call(embedded_api, "POST", CLAIMS, claim)
    held = call(embedded_api, "DELETE", f"{CLAIMS}/c1")[1]
    assert held["metadata"]["deletionTimestamp"]
    freed = {"metadata": {"finalizers": None}}
    call(embedded_api, "PATCH", f"{CLAIMS}/c1", freed, kind="application/merge-patch+json")
    assert call(embedded_api, "GET", f"{CLAIMS}/c1")[0] == 404


def test_pod_on_a_node_ends_gracefully(embedded_api: EmbeddedAPI) -> None:
    pods = "/api/v1/namespaces/default/pods"
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": "n"}}
    call(embedded_api, "POST", pods, pod)
    assert call(embedded_api, "DELETE", f"{pods}/p")[1]["metadata"]["deletionGracePeriodSeconds"] == 30
    assert call(embedded_api, "GET", f"{pods}/p")[0] == 200
    call(embedded_api, "DELETE", f"{pods}/p", {"gracePeriodSeconds": 0})
    assert call(embedded_api, "GET", f"{pods}/p")[0] == 404


def test_selectors_and_delete_collection(embedded_api: EmbeddedAPI, objects: Any) -> None:
    for i, node in enumerate(("a", "a", "b")):
        made = objects.slice(f"s{i}", node)
        made["metadata"]["labels"] = {"n": str(i)}
        embedded_api.create(made)
    _, found = call(embedded_api, "GET", f"{SLICES}?fieldSelector=spec.nodeName%3Da")
    assert [item["metadata"]["name"] for item in found["items"]] == ["s0", "s1"]
    assert "kind" not in found["items"][0]
    _, found = call(embedded_api, "GET", f"{SLICES}?labelSelector=n%20in%20(0,2),n!%3D0")
    assert [item["metadata"]["name"] for item in found["items"]] == ["s2"]
    code, status = call(embedded_api, "GET", f"{SLICES}?fieldSelector=spec.pool%3Da")
    assert (code, "field label not supported" in status["message"]) == (400, True)
    selector = "fieldSelector=spec.nodeName%3Da%2Cspec.driver%3Dgpu.example.com"
    call(embedded_api, "DELETE", f"{SLICES}?{selector}")
    assert [item["metadata"]["name"] for item in embedded_api.list("resourceslices")] == ["s2"]


def test_pages_show_one_moment_and_expire(embedded_api: EmbeddedAPI, objects: Any) -> None:
    for i in range(5):
        embedded_api.create(objects.slice(f"s{i}"))
    _, page = call(embedded_api, "GET", f"{SLICES}?limit=2")
    assert page["metadata"]["remainingItemCount"] == 3
    embedded_api.delete("resourceslices", "s3")
    embedded_api.create(objects.slice("s9"))
    token = page["metadata"]["continue"]
    _, rest = call(embedded_api, "GET", f"{SLICES}?limit=10&continue={token}")
    assert [item["metadata"]["name"] for item in rest["items"]] == ["s2", "s3", "s4"]
    assert rest["metadata"]["resourceVersion"] == page["metadata"]["resourceVersion"]
    embedded_api.compact()
    code, status = call(embedded_api, "GET", f"{SLICES}?limit=10&continue={token}")
    assert (code, status["reason"]) == (410, "Expired")
    _, rest = call(embedded_api, "GET", f"{SLICES}?continue={status['metadata']['continue']}")
    assert [item["metadata"]["name"] for item in rest["items"]] == ["s2", "s4", "s9"]
    assert call(embedded_api, "GET", f"{SLICES}?resourceVersion=9999")[0] == 504


def test_watch_follows_selection_and_resumes(embedded_api: EmbeddedAPI, objects: Any) -> None:
    made = objects.slice()
    made["metadata"]["labels"] = {"on": "1"}
    first = embedded_api.create(made)
    start = first["metadata"]["resourceVersion"]
    off = embedded_api.update({**first, "metadata": {**first["metadata"], "labels": {}}})
    on = embedded_api.update({**off, "metadata": {**off["metadata"], "labels": {"on": "1"}}})
    embedded_api.delete("resourceslices", "s1")
    events = watch(embedded_api, f"resourceVersion={start}&labelSelector=on%3D1", 3)
    assert [event["type"] for event in events] == ["DELETED", "ADDED", "DELETED"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(versions)
    assert versions[1] == int(on["metadata"]["resourceVersion"])
    assert versions[2] == embedded_api.store.version


def test_watch_without_a_version_starts_with_what_is_there(embedded_api: EmbeddedAPI, objects: Any) -> None:
    embedded_api.create(objects.slice())
    assert watch(embedded_api, "", 1)[0]["type"] == "ADDED"
    query = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    events = watch(embedded_api, query, 2)
    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_bookmark_carries_the_version_of_other_kinds_writes(embedded_api: EmbeddedAPI, objects: Any) -> None:
    start = embedded_api.store.version
    embedded_api.create(objects.claim(allocated=False))
    with ThreadPoolExecutor(1) as pool:
        query = f"resourceVersion={start}&allowWatchBookmarks=true"
        running = pool.submit(watch, embedded_api, query, 1)
        embedded_api.log.wait(1, verb="watch")
        while not running.done():
            embedded_api.bookmark()
            time.sleep(0.01)
    (event,) = running.result()
    assert event["type"] == "BOOKMARK"
    assert int(event["object"]["metadata"]["resourceVersion"]) == embedded_api.store.version


def test_old_version_gets_410_inside_the_stream(embedded_api: EmbeddedAPI, objects: Any) -> None:
    start = embedded_api.store.version
    embedded_api.create(objects.slice())
    embedded_api.compact()
    (event,) = watch(embedded_api, f"resourceVersion={start}", 5)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_bounded_history_expires_by_itself(objects: Any) -> None:
    with EmbeddedAPI(history=3) as api:
        start = api.store.version
        for i in range(5):
            api.create(objects.slice(f"s{i}"))
        assert watch(api, f"resourceVersion={start}", 1)[0]["type"] == "ERROR"


def test_timeout_ends_a_watch_cleanly(embedded_api: EmbeddedAPI) -> None:
    assert watch(embedded_api, f"resourceVersion={embedded_api.store.version}&timeoutSeconds=1", 5) == []


@pytest.mark.parametrize("how", ["restart", "cut_watches"])
def test_watches_are_cut_and_the_server_goes_on(embedded_api: EmbeddedAPI, objects: Any, how: str) -> None:
    embedded_api.create(objects.slice())
    start = embedded_api.store.version
    with ThreadPoolExecutor(1) as pool:
        opened = threading.Event()
        running = pool.submit(watch, embedded_api, f"resourceVersion={start}", 1, opened.set)
        assert opened.wait(20)  # with headers: a watch that is cut before them has no clean end
        getattr(embedded_api, how)()
        assert running.result(20) == []
    assert len(call(embedded_api, "GET", SLICES)[1]["items"]) == 1


def test_faults_hit_what_they_name_and_are_counted(embedded_api: EmbeddedAPI, objects: Any) -> None:
    fault = embedded_api.fault(verb="create", resource="resourceslices", code=503, times=2)
    codes = [call(embedded_api, "POST", SLICES, objects.slice(f"s{i}"))[0] for i in range(3)]
    assert (codes, fault.hits) == ([503, 503, 201], 2)
    embedded_api.fault(verb="get", cut=True, times=1)
    with pytest.raises((http.client.HTTPException, OSError)):
        call(embedded_api, "GET", f"{SLICES}/s2")
    embedded_api.fault(verb="create", cut=True, after=True, times=1)
    with pytest.raises((http.client.HTTPException, OSError)):
        call(embedded_api, "POST", SLICES, objects.slice("lost-answer"))
    assert call(embedded_api, "GET", f"{SLICES}/lost-answer")[0] == 200
    assert embedded_api.log.counts()["create", "resourceslices"] == 4
    assert [request.code for request in embedded_api.log.select("create")] == [503, 503, 201, 0]


def test_hanging_request_ends_with_its_fault(embedded_api: EmbeddedAPI) -> None:
    fault = embedded_api.fault(verb="list", hang=True)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(call, embedded_api, "GET", SLICES)
        while not fault.hits:
            time.sleep(0.005)
        assert not running.done()
        embedded_api.faults.remove(fault)
        with pytest.raises((http.client.HTTPException, OSError)):
            running.result(10)
    assert call(embedded_api, "GET", SLICES)[0] == 200


def test_concurrent_updates_lose_nothing(embedded_api: EmbeddedAPI) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "annotations": {"count": "0"}}}
    call(embedded_api, "POST", "/api/v1/nodes", node)
    conflicts = []

    def increment() -> None:
        for _ in range(20):
            while True:
                _, old = call(embedded_api, "GET", "/api/v1/nodes/n")
                old["metadata"]["annotations"]["count"] = str(
                    int(old["metadata"]["annotations"]["count"]) + 1
                )
                code, _ = call(embedded_api, "PUT", "/api/v1/nodes/n", old)
                if code == 200:
                    break
                assert code == 409
                conflicts.append(code)

    threads = [threading.Thread(target=increment) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = embedded_api.get("nodes", "n", group="")
    assert found["metadata"]["annotations"]["count"] == "60"


def test_events_are_one_table_under_two_groups(embedded_api: EmbeddedAPI) -> None:
    path = "/apis/events.k8s.io/v1/namespaces/default/events"
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "e1"},
        "regarding": {"kind": "Pod", "name": "p"},
        "note": "text",
        "reason": "Because",
        "type": "Warning",
    }
    assert call(embedded_api, "POST", path, event)[1]["note"] == "text"
    _, core = call(embedded_api, "GET", "/api/v1/namespaces/default/events?fieldSelector=reason%3DBecause")
    assert core["items"][0]["message"] == "text"
    assert core["items"][0]["involvedObject"]["name"] == "p"
    again = {"series": {"count": 2}, "note": "more"}
    call(embedded_api, "PATCH", f"{path}/e1", again, kind="application/merge-patch+json")
    shown = call(embedded_api, "GET", f"{path}/e1")[1]
    assert (shown["regarding"]["name"], shown["note"], shown["series"]) == ("p", "more", {"count": 2})


def test_unknown_fields_fall_away_and_strict_says_so(embedded_api: EmbeddedAPI, objects: Any) -> None:
    made = objects.slice()
    made["spec"]["surprise"] = 1
    code, status = call(embedded_api, "POST", f"{SLICES}?fieldValidation=Strict", made)
    assert (code, 'unknown field "spec.surprise"' in status["message"]) == (400, True)
    assert "surprise" not in call(embedded_api, "POST", SLICES, made)[1]["spec"]
    made["spec"]["pool"]["generation"] = "1"
    assert call(embedded_api, "POST", SLICES, made)[0] == 400


def test_namespace_must_exist(embedded_api: EmbeddedAPI, objects: Any) -> None:
    path = "/apis/resource.k8s.io/v1/namespaces/none/resourceclaims"
    made = objects.claim(allocated=False)
    del made["metadata"]["namespace"]
    code, status = call(embedded_api, "POST", path, made)
    assert (code, status["message"]) == (404, 'namespaces "none" not found')


def test_discovery_and_version(embedded_api: EmbeddedAPI) -> None:
    assert call(embedded_api, "GET", "/version")[1]["minor"] == "37"
    _, listed = call(embedded_api, "GET", "/apis/resource.k8s.io/v1")
    names = {entry["name"] for entry in listed["resources"]}
    assert {"resourceslices", "resourceclaims", "resourceclaims/status", "devicetaintrules"} <= names
    with EmbeddedAPI(version="1.36") as older:
        _, listed = call(older, "GET", "/apis/resource.k8s.io/v1")
        assert "devicetaintrules" not in {entry["name"] for entry in listed["resources"]}
        assert call(older, "GET", "/apis/resource.k8s.io/v1/devicetaintrules")[0] == 404
    assert call(embedded_api, "GET", "/apis/none.example.com/v1/things")[0] == 404


def test_state_file_brings_objects_back(tmp_path: Path, objects: Any) -> None:
    with EmbeddedAPI() as api:
        api.create(objects.slice())
        api.save(tmp_path / "state.json")
        version = api.store.version
    with EmbeddedAPI() as api:
        api.load(tmp_path / "state.json")
        assert api.get("resourceslices", "s1")["spec"]["driver"] == objects.driver
        assert api.store.version > version
