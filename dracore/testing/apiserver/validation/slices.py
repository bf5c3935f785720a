"""ResourceSlices."""

from __future__ import annotations

from typing import Any

from dracore.testing.apiserver.fielderrors import FieldError, invalid, not_supported, required
from dracore.testing.apiserver.gates import Gates
from dracore.testing.apiserver.validation import devices, formats

Object = dict[str, Any]
MAX_DEVICES = 128
MAX_DEVICES_ADVANCED = 64
MAX_COUNTER_SETS = 8
IMMUTABLE = "field is immutable"
_LISTS = ("ints", "bools", "strings", "versions")
_SKIP = ("*", "NodePrepareResources", "NodeUnprepareResources")


def validate(new: Object, old: Object | None, gates: Gates) -> list[FieldError]:
    spec, before = new.get("spec", {}), (old or {}).get("spec", {})
    pool = spec.get("pool") or {}
    errors = formats.driver_name(spec.get("driver"), "spec.driver")
    errors += formats.pool_name(pool.get("name"), "spec.pool.name")
    if pool.get("resourceSliceCount", 0) <= 0:
        count = pool.get("resourceSliceCount", 0)
        errors.append(invalid("spec.pool.resourceSliceCount", count, "must be greater than zero"))
    if pool.get("generation", 0) < 0:
        errors.append(
            invalid("spec.pool.generation", pool["generation"], "must be greater than or equal to zero")
        )
    if old is not None:
        was = before.get("pool", {}).get("name")
        if pool.get("name") != was:
            errors.append(invalid("spec.pool.name", pool.get("name"), IMMUTABLE))
        for name in ("driver", "nodeName"):
            if spec.get(name) != before.get(name):
                errors.append(invalid(f"spec.{name}", spec.get(name), IMMUTABLE))
    errors += _node_selection(spec)
    if "sharedCounters" in spec and "devices" in spec:
        errors.append(invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed"))
    errors += _devices(spec, before, gates)
    errors += formats.bounded_set(
        spec.get("sharedCounters"),
        MAX_COUNTER_SETS,
        "spec.sharedCounters",
        _counter_set,
        lambda item: item.get("name", ""),
        whole=True,
    )
    if spec.get("partitionTypeAttribute") is not None:
        errors += _partition_type(spec)
    return errors + _skip(spec.get("skipNodeOperations") or [], "spec.skipNodeOperations")


def _node_selection(spec: Object) -> list[FieldError]:
    errors, chosen = [], []
    node = spec.get("nodeName")
    if node == "":
        detail = "must be either unset or set to a non-empty string"
        errors.append(invalid("spec.nodeName", node, detail))
    elif node is not None:
        chosen.append("`nodeName`")
        errors += formats.dns_subdomain(node, "spec.nodeName")
    selector = spec.get("nodeSelector")
    if selector is not None:
        chosen.append("`nodeSelector`")
        errors += devices.node_selector(selector, "spec.nodeSelector")
        terms = selector.get("nodeSelectorTerms") or []
        if len(terms) != 1:
            detail = "must have exactly one node selector term"
            errors.append(invalid("spec.nodeSelector.nodeSelectorTerms", terms, detail))
    for name in ("allNodes", "perDeviceNodeSelection"):
        if spec.get(name) is True:
            chosen.append(f"`{name}`")
        elif spec.get(name) is False:
            errors.append(invalid(f"spec.{name}", False, "must be either unset or set to true"))
    wanted = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
    if not chosen:
        errors.append(required("spec", wanted))
    elif len(chosen) > 1:
        shown = "{" + ", ".join(chosen) + "}"
        errors.append(invalid("spec", shown, f"{wanted}, but multiple fields are set"))
    return errors


def _advanced(spec: Object) -> bool:
    return any(
        device.get("taints")
        or device.get("consumesCounters")
        or any(name in value for value in (device.get("attributes") or {}).values() for name in _LISTS)
        for device in spec.get("devices") or ()
    )


def _devices(spec: Object, before: Object, gates: Gates) -> list[FieldError]:
    old = {device.get("name"): device for device in before.get("devices") or ()}
    per_device = spec.get("perDeviceNodeSelection") is True

    def check(device: Object, path: str) -> list[FieldError]:
        known = old.get(device.get("name"))
        return devices.validate(device, known, path, per_device=per_device, gates=gates)

    limit = MAX_DEVICES_ADVANCED if _advanced(spec) else MAX_DEVICES
    return formats.bounded_set(
        spec.get("devices"), limit, "spec.devices", check, lambda device: device.get("name", "")
    )


def _counter_set(item: Object, path: str) -> list[FieldError]:
    return formats.required_label(item.get("name"), f"{path}.name") + devices.counters(
        item.get("counters"), f"{path}.counters"
    )


def _partition_type(spec: Object) -> list[FieldError]:
    name = spec["partitionTypeAttribute"]
    path = "spec.partitionTypeAttribute"
    consuming = [
        (i, device) for i, device in enumerate(spec.get("devices") or ()) if device.get("consumesCounters")
    ]
    faults = formats.fully_qualified_name(name, path)
    if not consuming:
        detail = "may only be set on a slice which declares devices that consume counters"
        return [*faults, invalid(path, name, detail)]
    if faults:
        return faults
    bare = name.removeprefix(f"{spec.get('driver')}/")
    errors = []
    for i, device in consuming:
        attributes = device.get("attributes") or {}
        value = attributes.get(name, attributes.get(bare))
        at = f"spec.devices[{i}].attributes[{name}]"
        if value is None:
            detail = (
                "device consumes counters and `partitionTypeAttribute` names this attribute, so it "
                "must be set"
            )
            errors.append(required(at, detail))
        elif "string" not in value:
            detail = "must be a string value because `partitionTypeAttribute` names this attribute"
            errors.append(invalid(at, value, detail))
    return errors


def _skip(values: list[str], path: str) -> list[FieldError]:
    errors = [not_supported(f"{path}[{i}]", v, _SKIP) for i, v in enumerate(values) if v not in _SKIP]
    if "NodePrepareResources" in values and not {"NodeUnprepareResources", "*"} & set(values):
        detail = "NodePrepareResources cannot be skipped unless NodeUnprepareResources is also skipped"
        errors.append(invalid(path, values, detail))
    return errors
