"""Field managers, server-side apply, and the older patches."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from dracore.testing.apiserver import EmbeddedAPI
from dracore.testing.apiserver.patches import json_patch, merge_patch, strategic_patch
from dracore.testing.apiserver.schema import POD
from dracore.testing.apiserver.status import StatusError

CLAIMS = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims"
SHARES = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222")
SLICES = "/apis/resource.k8s.io/v1/resourceslices"
Object = dict[str, Any]


def apply(
    api: EmbeddedAPI, path: str, body: Any, manager: str, *, force: bool = False, dry: bool = False
) -> tuple[int, Object]:
    connection = http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=20)
    query = (
        f"fieldManager={quote(manager)}" + ("&force=true" if force else "") + ("&dryRun=All" if dry else "")
    )
    try:
        headers = {"Content-Type": "application/apply-patch+yaml"}
        connection.request("PATCH", f"{path}?{query}", json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def device_status(driver: str, device: str, **content: Any) -> Object:
    """As a driver sends it; the server adds ``conditions: null``."""
    return {"driver": driver, "pool": "node-1", "device": device, **content}


def stored(*devices: Object) -> list[Object]:
    return [{**device, "conditions": None} for device in devices]


def status_of(*devices: Object) -> Object:
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": "c1"},
        "status": {"devices": list(devices)},
    }


@pytest.fixture
def claim(embedded_api: EmbeddedAPI, objects: Any) -> Object:
    """A claim with a device of each of two drivers, and two shares of a third device."""
    made = objects.claim("c1", ("gpu-0", "gpu-1"))
    results = made["status"]["allocation"]["devices"]["results"]
    results[1]["driver"] = "nic.example.com"
    results += [{**results[0], "device": "gpu-2", "shareID": share} for share in SHARES]
    return embedded_api.create(made)


def test_two_drivers_keep_their_own_entries(embedded_api: EmbeddedAPI, claim: Object) -> None:
    path = f"{CLAIMS}/c1/status"
    gpu = device_status("gpu.example.com", "gpu-0", data={"a": 1, "b": 2})
    nic = device_status("nic.example.com", "gpu-1", networkData={"interfaceName": "eth1"})
    assert apply(embedded_api, path, status_of(gpu), "gpu-driver")[0] == 200
    assert apply(embedded_api, path, status_of(nic), "nic-driver")[0] == 200
    _, both = apply(
        embedded_api, path, status_of(device_status("gpu.example.com", "gpu-0", data={"a": 3})), "gpu-driver"
    )
    mine = device_status("gpu.example.com", "gpu-0", data={"a": 3})  # data is owned as a whole
    assert both["status"]["devices"] == stored(mine, nic)
    _, one = apply(embedded_api, path, status_of(), "gpu-driver")
    assert one["status"]["devices"] == stored(nic)
    managers = {entry["manager"]: entry for entry in one["metadata"]["managedFields"]}
    assert managers["nic-driver"]["subresource"] == "status"
    assert managers["nic-driver"]["operation"] == "Apply"
    key = 'k:{"device":"gpu-1","driver":"nic.example.com","pool":"node-1"}'
    assert managers["nic-driver"]["fieldsV1"]["f:status"]["f:devices"][key]["f:networkData"] == {
        "f:interfaceName": {}
    }


def test_fields_named_no_more_are_removed(embedded_api: EmbeddedAPI, claim: Object) -> None:
    path = f"{CLAIMS}/c1/status"
    network = {"interfaceName": "eth1", "hardwareAddress": "aa"}
    nic = device_status("nic.example.com", "gpu-1", networkData=network, data={"x": 1})
    apply(embedded_api, path, status_of(nic), "nic-driver")
    less = device_status("nic.example.com", "gpu-1", networkData={"interfaceName": "eth1"})
    _, left = apply(embedded_api, path, status_of(less), "nic-driver")
    assert left["status"]["devices"] == stored(less)


def test_share_id_is_part_of_the_key(embedded_api: EmbeddedAPI, claim: Object) -> None:
    path = f"{CLAIMS}/c1/status"
    shares = [
        device_status(
            "gpu.example.com",
            "gpu-2",
            shareID=f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}",
        )
        for digit in "12"
    ]
    code, both = apply(embedded_api, path, status_of(*shares), "gpu-driver")
    assert (code, len(both["status"]["devices"])) == (200, 2)
    other = device_status("gpu.example.com", "gpu-2")
    code, status = apply(embedded_api, path, status_of(other), "gpu-driver")
    assert (code, "must be an allocated device in the claim" in status["message"]) == (422, True)


def test_conflict_names_manager_and_field_and_force_takes_over(
    embedded_api: EmbeddedAPI, claim: Object
) -> None:
    path = f"{CLAIMS}/c1/status"
    apply(embedded_api, path, status_of(device_status("gpu.example.com", "gpu-0", data={"a": 1})), "one")
    wanted = status_of(device_status("gpu.example.com", "gpu-0", data={"a": 2}))
    code, status = apply(embedded_api, path, wanted, "two")
    assert (code, status["reason"]) == (409, "Conflict")
    assert status["message"] == (
        'Apply failed with 1 conflict: conflict with "one" with subresource "status": '
        '.status.devices[device="gpu-0",driver="gpu.example.com",pool="node-1"].data'
    )
    code, taken = apply(embedded_api, path, wanted, "two", force=True)
    assert (code, taken["status"]["devices"][0]["data"]) == (200, {"a": 2})
    code, _ = apply(
        embedded_api, path, status_of(device_status("gpu.example.com", "gpu-0", data={"a": 2})), "one"
    )
    assert code == 200  # equal values are shared, not contested


def test_repeating_an_apply_writes_nothing(embedded_api: EmbeddedAPI, claim: Object) -> None:
    path = f"{CLAIMS}/c1/status"
    wanted = status_of(device_status("gpu.example.com", "gpu-0", data={"a": 1}))
    _, first = apply(embedded_api, path, wanted, "one")
    version = embedded_api.store.version
    _, second = apply(embedded_api, path, wanted, "one")
    assert (first, embedded_api.store.version) == (second, version)
    apply(embedded_api, path, status_of(), "one", dry=True)
    assert embedded_api.store.version == version


def test_deallocation_takes_the_status_entries_along(embedded_api: EmbeddedAPI, claim: Object) -> None:
    wanted = status_of(device_status("gpu.example.com", "gpu-0"))
    apply(embedded_api, f"{CLAIMS}/c1/status", wanted, "one")
    found = embedded_api.get("resourceclaims", "c1", "default")
    left = embedded_api.update_status({**found, "status": {"devices": found["status"]["devices"]}})
    assert left.get("status", {}).get("devices") is None


def test_apply_creates_objects_but_no_status(embedded_api: EmbeddedAPI, objects: Any) -> None:
    body = {**objects.slice(), "metadata": {"name": "s1", "labels": {"a": "1", "b": "1"}}}
    code, made = apply(embedded_api, f"{SLICES}/s1", body, "one")
    assert (code, made["metadata"]["uid"] != "") == (201, True)
    body["metadata"] = {"name": "s1", "labels": {"a": "1"}}
    _, changed = apply(embedded_api, f"{SLICES}/s1", body, "one")
    assert changed["metadata"]["labels"] == {"a": "1"}
    assert apply(embedded_api, f"{CLAIMS}/none/status", status_of(), "one")[0] == 404
    code, status = apply(embedded_api, f"{SLICES}/s1", body, "")
    assert (code, "fieldManager: Required value" in status["message"]) == (422, True)


def test_update_takes_fields_from_an_applier(embedded_api: EmbeddedAPI, objects: Any) -> None:
    body = {**objects.slice(), "metadata": {"name": "s1", "labels": {"a": "1"}}}
    _, made = apply(embedded_api, f"{SLICES}/s1", body, "one")
    made["metadata"]["labels"] = {"a": "2"}
    embedded_api.update(made, manager="editor")
    code, status = apply(embedded_api, f"{SLICES}/s1", body, "one")
    assert (
        code,
        'conflict with "editor" using resource.k8s.io/v1 at ' in status["message"],
    ) == (
        409,
        True,
    )


def test_merge_patch_follows_rfc_7386() -> None:
    target = {"a": {"b": 1, "c": 2}, "d": [1]}
    assert merge_patch(target, {"a": {"b": None, "e": 3}, "d": [2]}) == {"a": {"c": 2, "e": 3}, "d": [2]}
    assert merge_patch(target, [1]) == [1]
    assert merge_patch("x", {"a": {"b": None}}) == {"a": {}}


def test_json_patch_follows_rfc_6902() -> None:
    target = {"a": [1, 2], "b~/": 1}
    operations = [
        {"op": "test", "path": "/a/0", "value": 1},
        {"op": "add", "path": "/a/-", "value": 3},
        {"op": "remove", "path": "/a/0"},
        {"op": "move", "from": "/b~0~1", "path": "/c"},
        {"op": "copy", "from": "/a/0", "path": "/d"},
    ]
    assert json_patch(target, operations) == {"a": [2, 3], "c": 1, "d": 2}
    assert target == {"a": [1, 2], "b~/": 1}
    with pytest.raises(StatusError, match="rejected our request"):
        json_patch(target, [{"op": "test", "path": "/a/0", "value": 9}])
    with pytest.raises(StatusError, match="rejected our request"):
        json_patch(target, [{"op": "replace", "path": "/zz", "value": 9}])


def test_strategic_patch_merges_keyed_lists() -> None:
    pod = {
        "spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b"}], "tolerations": [{"key": "x"}]}
    }
    patch = {
        "spec": {
            "$setElementOrder/containers": [{"name": "a"}],
            "containers": [{"name": "a", "image": "2"}, {"name": "b", "$patch": "delete"}, {"name": "c"}],
            "tolerations": [],
        }
    }
    assert strategic_patch(pod, patch, POD) == {
        "spec": {"containers": [{"name": "a", "image": "2"}, {"name": "c"}], "tolerations": []}
    }
