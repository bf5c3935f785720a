"""Devices of a slice: names, attributes, capacities, counters, taints, binding conditions."""

from __future__ import annotations

from typing import Any

from dracore.model.quantity import Quantity
from dracore.testing.apiserver.fielderrors import (
    FieldError,
    duplicate,
    invalid,
    not_found,
    required,
    too_long,
    too_many,
)
from dracore.testing.apiserver.gates import Gates
from dracore.testing.apiserver.validation import formats
from dracore.testing.apiserver.validation.capacity import validate_capacity

Object = dict[str, Any]
MAX_ENTRIES = 32
MAX_VALUES = 48
MAX_TAINTS = 16
MAX_CONSUMED_SETS = 2
MAX_COUNTERS = 32
MAX_VALUE_BYTES = 64
EFFECTS = ("NoExecute", "NoSchedule", "None")
_SCALARS = ("int", "bool", "string", "version")
_LISTS = ("ints", "bools", "strings", "versions")
_NODE_ALLOCATABLE = ("cpu", "memory", "ephemeral-storage")


def validate(
    device: Object, old: Object | None, path: str, *, per_device: bool, gates: Gates
) -> list[FieldError]:
    errors = formats.dns_label(device.get("name"), f"{path}.name")
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    entries = len(attributes) + len(capacity)
    if entries > MAX_ENTRIES:
        detail = f"the total number of attributes and capacities must not exceed {MAX_ENTRIES}"
        errors.append(invalid(path, entries, detail))
    values = sum(sum(len(value.get(name) or ()) for name in _LISTS) or 1 for value in attributes.values())
    if values > MAX_VALUES:
        errors.append(
            invalid(path, values, f"the total number of attribute values must not exceed {MAX_VALUES}")
        )
    for name, value in attributes.items():
        errors += formats.qualified_name(name, f"{path}.attributes")
        errors += attribute(value, f"{path}.attributes[{name}]")
    if old is None or (old.get("capacity") or {}) != capacity:
        multiple = device.get("allowMultipleAllocations") is True
        for name, value in capacity.items():
            errors += formats.qualified_name(name, f"{path}.capacity")
            errors += validate_capacity(value, f"{path}.capacity[{name}]", multiple=multiple, gates=gates)
    if old is None or (old.get("taints") or []) != (device.get("taints") or []):
        errors += formats.bounded_list(device.get("taints"), MAX_TAINTS, f"{path}.taints", taint)
    errors += formats.bounded_set(
        device.get("consumesCounters"),
        MAX_CONSUMED_SETS,
        f"{path}.consumesCounters",
        _consumption,
        lambda item: item.get("counterSet", ""),
        whole=True,
    )
    errors += _node_selection(device, path, per_device=per_device)
    errors += binding(device, path)
    return errors + _node_allocatable(device, f"{path}.nodeAllocatableResources")


def attribute(value: Object, path: str) -> list[FieldError]:
    """Exactly one value; strings and versions of at most 64 bytes; lists not empty."""
    errors: list[FieldError] = []
    for name in ("string", "version"):
        if name in value:
            errors += _text(value[name], f"{path}.{name}", version=name == "version")
    for name in _LISTS:
        items = value.get(name)
        if items is None:
            continue
        if not items:
            errors.append(invalid(f"{path}.{name}", items, "must not be empty if specified"))
        if name in ("strings", "versions"):
            for i, item in enumerate(items):
                errors += _text(item, f"{path}.{name}[{i}]", version=name == "versions")
    given = [name for name in (*_SCALARS, *_LISTS) if value.get(name) is not None]
    if len(given) != 1:
        names = ", ".join(f"`{name}`" for name in (*_SCALARS, *_LISTS))
        shown = "{" + ", ".join(given) + "}" if given else ""
        exactly = "exactly " if given else ""
        errors.append(invalid(path, shown, f"must specify {exactly}one of: {names}"))
    return errors


def _text(value: str, path: str, *, version: bool) -> list[FieldError]:
    errors = []
    if version and not formats.semver(value):
        errors.append(invalid(path, value, "must be a string compatible with semver.org spec 2.0.0"))
    if len(value.encode()) > MAX_VALUE_BYTES:
        errors.append(too_long(path, MAX_VALUE_BYTES))
    return errors


def counters(value: Any, path: str) -> list[FieldError]:
    if not value:
        return [required(path)]
    if len(value) > MAX_COUNTERS:
        return [too_many(path, len(value), MAX_COUNTERS)]
    return [error for name in value for error in formats.dns_label(name, path)]


def _consumption(item: Object, path: str) -> list[FieldError]:
    groups = formats.bounded_set(
        item.get("compatibilityGroups"), 2, f"{path}.compatibilityGroups", formats.dns_label, str
    )
    return (
        formats.required_label(item.get("counterSet"), f"{path}.counterSet")
        + counters(item.get("counters"), f"{path}.counters")
        + groups
    )


def taint(item: Object, path: str) -> list[FieldError]:
    return (
        formats.label_key(item.get("key"), f"{path}.key")
        + formats.label_value(item.get("value"), f"{path}.value")
        + formats.one_of(item.get("effect"), EFFECTS, f"{path}.effect")
    )


def node_selector(value: Object, path: str) -> list[FieldError]:
    if not value.get("nodeSelectorTerms"):
        return [required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")]
    return []


def _node_selection(device: Object, path: str, *, per_device: bool) -> list[FieldError]:
    given = [name for name in ("nodeName", "nodeSelector", "allNodes") if device.get(name) is not None]
    if not per_device:
        detail = (
            "`nodeName`, `nodeSelector` and `allNodes` can only be set if "
            "`perDeviceNodeSelection` is set to true "
            "in the ResourceSlice spec"
        )
        return [invalid(path, None, detail)] if given else []
    errors = []
    if device.get("nodeName") == "":
        errors.append(invalid(f"{path}.nodeName", "", "must not be empty"))
    elif "nodeName" in given:
        errors += formats.dns_subdomain(device["nodeName"], f"{path}.nodeName")
    if device.get("allNodes") is False:
        errors.append(invalid(f"{path}.allNodes", False, "must be either unset or set to true"))
    if "nodeSelector" in given:
        errors += node_selector(device["nodeSelector"], f"{path}.nodeSelector")
    chosen = [name for name in given if device[name]]
    if len(chosen) != 1:
        detail = (
            "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when "
            "`perDeviceNodeSelection` is "
            "set to true in the ResourceSlice spec"
        )
        shown = "{" + ", ".join(f"`{name}`" for name in chosen) + "}"
        errors.append(invalid(path, shown, detail) if chosen else required(path, detail))
    return errors


def binding(item: Object, path: str) -> list[FieldError]:
    """Binding conditions (KEP-5007): at most four each, no name in both, one list never without the other."""
    wanted, failing = item.get("bindingConditions") or [], item.get("bindingFailureConditions") or []
    errors: list[FieldError] = []
    for name, values in (("bindingConditions", wanted), ("bindingFailureConditions", failing)):
        errors += formats.bounded_list(values, 4, f"{path}.{name}", formats.label_key)
        for i, value in enumerate(values):
            at = f"{path}.{name}[{i}]"
            if value in values[:i]:
                errors.append(duplicate(at, value))
            if values is failing and value in wanted:
                detail = "bindingFailureConditions must not overlap with bindingConditions"
                errors.append(invalid(at, value, detail))
    if failing and not wanted:
        detail = "bindingConditions are required to use bindingFailureConditions"
        errors.append(invalid(f"{path}.bindingConditions", None, detail))
    if wanted and not failing:
        detail = "bindingFailureConditions are required to use bindingConditions"
        errors.append(invalid(f"{path}.bindingFailureConditions", None, detail))
    return errors


def _node_allocatable(device: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    capacity = device.get("capacity") or {}
    for name, item in (device.get("nodeAllocatableResources") or {}).items():
        at = f"{path}[{name}]"
        if name not in _NODE_ALLOCATABLE and not name.startswith("hugepages-"):
            errors.append(invalid(at, name, "must be a node allocatable resource name"))
        mapping, overhead = item.get("mapping"), item.get("overhead")
        if mapping is None and overhead is None:
            errors.append(required(at, "at least one of mapping or overhead must be set"))
        if mapping is not None:
            errors += _mapping(mapping, capacity, f"{at}.mapping")
        if overhead is not None:
            errors += _overhead(overhead, f"{at}.overhead")
    return errors


def _mapping(mapping: Object, capacity: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    key, multiplier = mapping.get("capacityKey"), mapping.get("capacityMultiplier")
    if key is not None:
        if key == "":
            errors.append(invalid(f"{path}.capacityKey", "", "capacityKey must not be an empty string"))
        elif key not in capacity:
            errors.append(not_found(f"{path}.capacityKey", key))
        if multiplier is None:
            detail = "capacityMultiplier is required when capacityKey is set"
            errors.append(required(f"{path}.capacityMultiplier", detail))
    elif multiplier is not None:
        errors.append(
            required(f"{path}.capacityKey", "capacityKey is required when capacityMultiplier is set")
        )
    return errors + [
        invalid(f"{path}.{name}", mapping[name], "must be positive")
        for name in ("capacityMultiplier", "deviceMultiplier")
        if mapping.get(name) is not None and Quantity.parse(mapping[name]).value <= 0
    ]


def _overhead(overhead: Object, path: str) -> list[FieldError]:
    if not overhead:
        return [invalid(path, "", "at least one of perPod or perContainer must be set")]
    return [
        invalid(f"{path}.{name}", text, "must be non-negative")
        for name, text in overhead.items()
        if Quantity.parse(text).value < 0
    ]
