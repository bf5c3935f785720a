"""Limits of slices and claims, and gates by version: what is refused, what is dropped."""

from __future__ import annotations

from typing import Any

import pytest

from dracore.testing.apiserver import EmbeddedAPI, StatusError

Object = dict[str, Any]


def refusal(api: EmbeddedAPI, obj: Object) -> list[str]:
    """``field: message`` of each fault."""
    with pytest.raises(StatusError) as caught:
        api.create(obj)
    assert caught.value.code == 422
    return [f"{cause['field']}: {cause['message']}" for cause in caught.value.body["details"]["causes"]]


def device(**content: Any) -> Object:
    return {"name": "gpu-0", **content}


def test_full_slices_are_accepted(embedded_api: EmbeddedAPI, objects: Any) -> None:
    plain = [{"name": f"gpu-{i}"} for i in range(128)]
    embedded_api.create(objects.slice("plain", devices=plain))
    tainted = [{**one, "taints": [{"key": "k", "effect": "None"}]} for one in plain[:64]]
    embedded_api.create(objects.slice("tainted", devices=tainted))
    counters = {f"c{i}": {"value": "1"} for i in range(32)}
    sets = [{"name": f"set-{i}", "counters": counters} for i in range(8)]
    embedded_api.create(objects.slice("counters", devices=None, sharedCounters=sets))
    wide = {f"a{i}": {"int": i} for i in range(31)}
    many = device(attributes=wide, capacity={"memory": {"value": "1.5Gi"}})
    stored = embedded_api.create(objects.slice("wide", devices=[many]))
    assert stored["spec"]["devices"][0]["capacity"]["memory"]["value"] == "1536Mi"


UNION = "`int`, `bool`, `string`, `version`, `ints`, `bools`, `strings`, `versions`"
TOO_MUCH = {
    "129 devices": (
        {"devices": [{"name": f"gpu-{i}"} for i in range(129)]},
        "spec.devices: Too many: 129: must have at most 128 items",
    ),
    "65 devices with a taint": (
        {
            "devices": [device(taints=[{"key": "k", "effect": "None"}])]
            + [{"name": f"x{i}"} for i in range(64)]
        },
        "spec.devices: Too many: 65: must have at most 64 items",
    ),
    "two devices of one name": (
        {"devices": [{"name": "gpu-0"}, {"name": "gpu-0"}]},
        'spec.devices[1]: Duplicate value: "gpu-0"',
    ),
    "33 entries": (
        {"devices": [device(attributes={f"a{i}": {"int": 1} for i in range(33)})]},
        "spec.devices[0]: Invalid value: 33: the total number of attributes and capacities "
        "must not exceed 32",
    ),
    "long string": (
        {"devices": [device(attributes={"a": {"string": "x" * 65}})]},
        "spec.devices[0].attributes[a].string: Too long: may not be more than 64 bytes",
    ),
    "loose version": (
        {"devices": [device(attributes={"a": {"version": "v1.2"}})]},
        'spec.devices[0].attributes[a].version: Invalid value: "v1.2": must be a string compatible with '
        "semver.org spec 2.0.0",
    ),
    "two values": (
        {"devices": [device(attributes={"a": {"int": 1, "bool": True}})]},
        'spec.devices[0].attributes[a]: Invalid value: "{int, bool}": must specify exactly one of: ' + UNION,
    ),
    "17 taints": (
        {"devices": [device(taints=[{"key": f"k{i}", "effect": "None"} for i in range(17)])]},
        "spec.devices[0].taints: Too many: 17: must have at most 16 items",
    ),
    "odd effect": (
        {"devices": [device(taints=[{"key": "k", "effect": "Maybe"}])]},
        'spec.devices[0].taints[0].effect: Unsupported value: "Maybe": supported values: "NoExecute", '
        '"NoSchedule", "None"',
    ),
    "9 counter sets": (
        {
            "devices": None,
            "sharedCounters": [{"name": f"s{i}", "counters": {"c": {"value": "1"}}} for i in range(9)],
        },
        "spec.sharedCounters: Too many: 9: must have at most 8 items",
    ),
    "devices beside counters": (
        {"sharedCounters": [{"name": "s", "counters": {"c": {"value": "1"}}}]},
        'spec: Invalid value: "": only one of `sharedCounters` or `devices` is allowed',
    ),
    "no node": (
        {"nodeName": None},
        "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, "
        "`perDeviceNodeSelection` is required",
    ),
    "node of a device": (
        {"devices": [device(nodeName="n")]},
        "spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if "
        "`perDeviceNodeSelection` is set to true in the ResourceSlice spec",
    ),
    "lonely binding condition": (
        {"devices": [device(bindingConditions=["ready"])]},
        "spec.devices[0].bindingFailureConditions: Invalid value: null: "
        "bindingFailureConditions are required to use bindingConditions",
    ),
    "policy without sharing": (
        {"devices": [device(capacity={"m": {"value": "8Gi", "requestPolicy": {"default": "1Gi"}}})]},
        "spec.devices[0].capacity[m].requestPolicy: Forbidden: allowMultipleAllocations must be true",
    ),
    "attribute of two slashes' domain": (
        {"devices": [device(attributes={"a b/c": {"int": 1}})]},
        None,
    ),
    "pool with capitals": ({"pool": {"name": "A", "generation": 1, "resourceSliceCount": 1}}, None),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_slice_over_a_limit_is_refused(embedded_api: EmbeddedAPI, objects: Any, name: str) -> None:
    spec, wanted = TOO_MUCH[name]
    faults = refusal(embedded_api, objects.slice(**spec))
    assert len(faults) == 1
    assert wanted is None or faults == [wanted]


def policy(**content: Any) -> Object:
    bounds = {"default": "2Gi", **content}
    return device(allowMultipleAllocations=True, capacity={"m": {"value": "8Gi", "requestPolicy": bounds}})


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ({"validRange": {"min": "1Gi", "step": "1Gi"}}, []),
        ({"validValues": ["1Gi", "2Gi"]}, []),
        ({"validValues": ["2Gi", "1Gi"]}, ["values must be sorted in ascending order"]),
        ({"validValues": ["1Gi"]}, ["default value is not valid according to the requestPolicy"]),
        ({"validRange": {"min": "3Gi"}}, ["default is less than min: 3Gi"]),
        ({"validRange": {"min": "1Gi", "max": "16Gi"}}, ["max is larger than capacity value: 8Gi"]),
        (
            {"validRange": {"min": "1Gi", "step": "768Mi"}},
            ["value is not a multiple of a given step (768Mi) from (1Gi)"],
        ),
        ({"validRange": {"min": "1Gi", "step": "0"}}, ["must be greater than zero"]),
    ],
)
def test_request_policies(
    embedded_api: EmbeddedAPI, objects: Any, content: Object, wanted: list[str]
) -> None:
    made = objects.slice(devices=[policy(**content)])
    if not wanted:
        embedded_api.create(made)
        return
    faults = refusal(embedded_api, made)
    assert len(faults) == len(wanted)
    assert all(text in fault for text, fault in zip(wanted, faults, strict=True))


def gated() -> Object:
    """A device with a field of each feature that a server may not have."""
    return device(
        taints=[{"key": "k", "effect": "NoSchedule"}],
        consumesCounters=[{"counterSet": "s", "counters": {"c": {"value": "1"}}}],
        allowMultipleAllocations=True,
        capacity={"m": {"value": "8Gi", "requestPolicy": {"default": "1Gi", "validValues": ["1Gi"]}}},
        bindsToNode=True,
        bindingConditions=["a"],
        bindingFailureConditions=["b"],
        nodeAllocatableResources={"cpu": {"overhead": {"perPod": "1"}}},
    )


@pytest.mark.parametrize("version", ["1.34", "1.35"])
def test_old_servers_drop_what_is_off(objects: Any, version: str) -> None:
    api = EmbeddedAPI(version=version)
    stored = api.create(objects.slice(devices=[gated()]))
    assert stored["spec"]["devices"] == [device(capacity={"m": {"value": "8Gi"}})]


@pytest.mark.parametrize("version", ["1.36", "1.37"])
def test_new_servers_keep_all_but_alpha(objects: Any, version: str) -> None:
    api = EmbeddedAPI(version=version)
    (stored,) = api.create(objects.slice(devices=[gated()]))["spec"]["devices"]
    kept = gated()
    del kept["nodeAllocatableResources"]
    stored["taints"][0].pop("timeAdded")
    assert stored == kept


def test_list_attributes_are_refused_where_their_gate_is_off(objects: Any) -> None:
    made = objects.slice(devices=[device(attributes={"a": {"strings": ["x"]}})])
    off = EmbeddedAPI()
    fault = 'spec.devices[0].attributes[a]: Invalid value: "": must specify one of: ' + UNION
    assert refusal(off, made) == [fault]
    on = EmbeddedAPI(feature_gates={"DRAListTypeAttributes": True})
    assert on.create(made)["spec"]["devices"] == made["spec"]["devices"]


def test_a_feature_in_use_is_kept_on_update(objects: Any) -> None:
    api = EmbeddedAPI()
    stored = api.create(objects.slice(devices=[device(taints=[{"key": "k", "effect": "None"}])]))
    older = EmbeddedAPI(version="1.34")
    older.store.put("resourceslices", stored)
    again = older.get("resourceslices", "s1")
    taints = [{"key": "k", "effect": "NoSchedule"}]
    changed = {**again, "spec": {**again["spec"], "devices": [device(taints=taints)]}}
    assert older.update(changed)["spec"]["devices"][0]["taints"][0]["effect"] == "NoSchedule"


def test_unknown_gate_and_version_are_named(objects: Any) -> None:
    with pytest.raises(ValueError, match="unrecognized feature gate: DRANothing"):
        EmbeddedAPI(feature_gates={"DRANothing": True})
    with pytest.raises(ValueError, match=r"1\.33 is not emulated"):
        EmbeddedAPI(version="1.33")


def test_claim_defaults_and_references(embedded_api: EmbeddedAPI, objects: Any) -> None:
    stored = embedded_api.create(objects.claim(allocated=False))
    exactly = stored["spec"]["devices"]["requests"][0]["exactly"]
    assert (exactly["allocationMode"], exactly["count"]) == ("ExactCount", 1)
    wrong = objects.claim("c2", allocated=False)
    wrong["spec"]["devices"]["constraints"] = [{"requests": ["other"], "matchAttribute": "plain"}]
    faults = refusal(embedded_api, wrong)
    assert [fault.split(": ")[0] for fault in faults] == [
        "spec.devices.constraints[0].requests[0]",
        "spec.devices.constraints[0].matchAttribute",
    ]


def test_tolerations_have_no_limit(embedded_api: EmbeddedAPI, objects: Any) -> None:
    """Kubernetes 1.37 names one of 16 (``DeviceTolerationsMaxLength``) and checks it nowhere: neither
    ``validateExactDeviceRequest`` nor the generated ``Validate_ExactDeviceRequest`` counts them."""
    many = [{"key": f"k{i}", "operator": "Exists"} for i in range(17)]
    made = objects.claim(allocated=False)
    made["spec"]["devices"]["requests"][0]["exactly"]["tolerations"] = many
    stored = embedded_api.create(made)
    assert len(stored["spec"]["devices"]["requests"][0]["exactly"]["tolerations"]) == 17
    (result,) = objects.claim()["status"]["allocation"]["devices"]["results"]
    allocation = {"devices": {"results": [{**result, "tolerations": many}]}}
    allocated = embedded_api.update_status({**stored, "status": {"allocation": allocation}})
    (kept,) = allocated["status"]["allocation"]["devices"]["results"]
    assert len(kept["tolerations"]) == 17


def test_each_toleration_is_checked(embedded_api: EmbeddedAPI, objects: Any) -> None:
    made = objects.claim(allocated=False)
    wrong = [{"key": "k", "operator": "Exists"}, {"key": "k", "operator": "Exists", "value": "v"}]
    made["spec"]["devices"]["requests"][0]["exactly"]["tolerations"] = wrong
    (fault,) = refusal(embedded_api, made)
    assert fault.startswith("spec.devices.requests[0].exactly.tolerations[1].value: ")
    made["spec"]["devices"]["requests"][0]["exactly"]["tolerations"] = []
    stored = embedded_api.create(made)
    (result,) = objects.claim()["status"]["allocation"]["devices"]["results"]
    allocation = {"devices": {"results": [{**result, "tolerations": wrong}]}}
    with pytest.raises(StatusError, match=r"status\.allocation\.devices\.results\[0\]\.tolerations\[1\]"):
        embedded_api.update_status({**stored, "status": {"allocation": allocation}})


def test_allocation_is_immutable_and_reservations_need_it(embedded_api: EmbeddedAPI, objects: Any) -> None:
    stored = embedded_api.create(objects.claim(pods=("uid-1",)))
    moved = {**stored, "status": {"allocation": {"devices": {"results": []}}}}
    with pytest.raises(StatusError, match="field cannot be modified once set"):
        embedded_api.update_status(moved)
    with pytest.raises(StatusError, match="may not be specified when `allocated` is not set"):
        embedded_api.update_status({**stored, "status": {"reservedFor": stored["status"]["reservedFor"]}})
    cleared = embedded_api.update_status({**stored, "status": {}})
    assert "allocation" not in cleared.get("status", {})


def test_admin_access_needs_the_namespace_label(embedded_api: EmbeddedAPI, objects: Any) -> None:
    made = objects.claim(allocated=False)
    made["spec"]["devices"]["requests"][0]["exactly"]["adminAccess"] = True
    (fault,) = refusal(embedded_api, made)
    assert fault.startswith(
        "spec.devices.requests[0].adminAccess: Forbidden: admin access to devices requires"
    )
    namespace = embedded_api.get("namespaces", "default", group="")
    label = {"resource.kubernetes.io/admin-access": "true"}
    embedded_api.update({**namespace, "metadata": {**namespace["metadata"], "labels": label}})
    assert embedded_api.create(made)["spec"]["devices"]["requests"][0]["exactly"]["adminAccess"] is True


def test_taint_rule_restarts_its_time_with_its_effect(embedded_api: EmbeddedAPI) -> None:
    rule = embedded_api.create(
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceTaintRule",
            "metadata": {"name": "r"},
            "spec": {
                "deviceSelector": {"driver": "gpu.example.com"},
                "taint": {"key": "k", "effect": "None", "timeAdded": "2020-01-01T00:00:00Z"},
            },
        }
    )
    same = embedded_api.update(rule)
    assert same["spec"]["taint"]["timeAdded"] == "2020-01-01T00:00:00Z"
    taint = {**rule["spec"]["taint"], "effect": "NoExecute"}
    changed = embedded_api.update({**rule, "spec": {**rule["spec"], "taint": taint}})
    assert changed["spec"]["taint"]["timeAdded"] > "2021"
