"""Devices and slices as ``resource.k8s.io/v1`` JSON, and when two of them mean the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from dracore.model.device import AttributeValue, Capacity, CounterSet, Device, NodeSelection, Taint
from dracore.model.quantity import Quantity
from dracore.model.semver import Semver
from dracore.publish.pack import Names, Packed

Object: TypeAlias = dict[str, Any]

API_VERSION = "resource.k8s.io/v1"
PATH = "/apis/resource.k8s.io/v1/resourceslices"

TIME_TOLERANCE = 1.0
"""Seconds by which ``timeAdded`` of a taint may differ: the server stores whole seconds."""


# --- to JSON ------------------------------------------------------------------------------------------


def slice_spec(
    driver: str, pool: str, packed: Packed, node: NodeSelection, *, per_device_nodes: bool = False
) -> Object:
    """``spec`` of a ResourceSlice, its pool without generation and slice count."""
    spec: Object = {"driver": driver, "pool": {"name": pool}}
    if per_device_nodes:
        spec["perDeviceNodeSelection"] = True
    else:
        spec |= _node(node)
    if packed.counter_sets:
        spec["sharedCounters"] = [_counter_set(counters) for counters in packed.counter_sets]
    if packed.devices:
        own = node if per_device_nodes else None
        spec["devices"] = [device_json(device, own) for device in packed.devices]
    return spec


def device_json(device: Device, default_node: NodeSelection | None = None) -> Object:
    """A device as the API takes it; what is empty is left out."""
    result: Object = {"name": device.name}
    if device.attributes:
        result["attributes"] = {name: _attribute(value) for name, value in device.attributes.items()}
    if device.capacity:
        result["capacity"] = {name: _capacity(amount) for name, amount in device.capacity.items()}
    if device.consumes:
        result["consumesCounters"] = [
            {"counterSet": draw.counter_set, "counters": _counters(draw.counters)} for draw in device.consumes
        ]
    if default_node is not None:
        result |= _node(device.node or default_node)
    if device.taints:
        result["taints"] = [_taint(taint) for taint in device.taints]
    if device.binds_to_node:
        result["bindsToNode"] = True
    if device.binding_conditions:
        result["bindingConditions"] = list(device.binding_conditions)
    if device.binding_failure_conditions:
        result["bindingFailureConditions"] = list(device.binding_failure_conditions)
    if device.allow_multiple_allocations:
        result["allowMultipleAllocations"] = True
    return result


def _attribute(value: AttributeValue) -> Object:
    if isinstance(value, tuple):
        items = [str(item) if isinstance(item, Semver) else item for item in value]
        return {f"{_kind(value[0])}s": items}
    return {_kind(value): str(value) if isinstance(value, Semver) else value}


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    return "version" if isinstance(value, Semver) else "string"


def _capacity(amount: Capacity) -> Object:
    result: Object = {"value": str(amount.value)}
    if amount.policy is not None:
        policy: Object = {}
        if amount.policy.default is not None:
            policy["default"] = str(amount.policy.default)
        if amount.policy.valid_values:
            policy["validValues"] = [str(value) for value in amount.policy.valid_values]
        if amount.policy.valid_range is not None:
            limits = amount.policy.valid_range
            bounds = {"min": limits.min, "max": limits.max, "step": limits.step}
            policy["validRange"] = {name: str(value) for name, value in bounds.items() if value is not None}
        result["requestPolicy"] = policy
    return result


def _counters(counters: Mapping[str, Quantity]) -> Object:
    return {name: {"value": str(amount)} for name, amount in counters.items()}


def _counter_set(counters: CounterSet) -> Object:
    return {"name": counters.name, "counters": _counters(counters.counters)}


def _taint(taint: Taint) -> Object:
    fields = {"key": taint.key, "value": taint.value, "effect": taint.effect, "timeAdded": taint.time_added}
    return {name: value for name, value in fields.items() if value}


def _node(node: NodeSelection) -> Object:
    if node.node_name:
        return {"nodeName": node.node_name}
    return {"allNodes": True} if node.all_nodes else {"nodeSelector": node.selector}


# --- from JSON ----------------------------------------------------------------------------------------


def names_in(spec: Object) -> Names:
    """The names of what a slice holds, as a previous layout for the packer."""
    return Names(
        tuple(device["name"] for device in spec.get("devices") or ()),
        tuple(counters["name"] for counters in spec.get("sharedCounters") or ()),
    )


# --- the same or not ----------------------------------------------------------------------------------

_CONTENT = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection", "sharedCounters")


def same_content(desired: Object, stored: Object) -> bool:
    """True where two specs mean the same, their pool's generation and slice count aside.

    Quantities are compared by value, fields that are empty like fields that are absent, and a taint's
    ``timeAdded`` only where we want a certain one, within a second. The order of devices counts.
    """
    for name in _CONTENT:
        if not _equal(desired.get(name), stored.get(name), name):
            return False
    ours, theirs = desired.get("devices") or [], stored.get("devices") or []
    return len(ours) == len(theirs) and all(map(same_device, ours, theirs))


def same_device(desired: Object, stored: Object) -> bool:
    """True where two devices mean the same (see :func:`same_content`)."""
    return desired == stored or (_equal(_without(desired), _without(stored)) and _same_times(desired, stored))


def with_times(desired: Object, stored: Object) -> Object:
    """`desired` with each ``timeAdded`` that `stored` has for the same taint and we leave to the server.

    A taint's time tells how long a pod may still tolerate it: it must not start anew at every update.
    """
    known = {
        (device["name"], *_taint_key(taint)): taint["timeAdded"]
        for device in stored.get("devices") or ()
        for taint in device.get("taints") or ()
        if taint.get("timeAdded")
    }
    if not known:
        return desired
    devices = []
    for device in desired.get("devices") or ():
        taints = []
        for taint in device.get("taints") or ():
            time = known.get((device["name"], *_taint_key(taint)))
            keep = time and (not taint.get("timeAdded") or _close(taint["timeAdded"], time))
            taints.append({**taint, "timeAdded": time} if keep else taint)
        devices.append({**device, "taints": taints} if taints else device)
    return {**desired, "devices": devices}


def missing_fields(sent: Object, stored: Object) -> tuple[str, ...]:
    """The fields that the server did not store as sent, as ``devices[].taints`` or ``sharedCounters``."""
    found: dict[str, None] = {}
    for name in _CONTENT:
        if not _equal(sent.get(name), stored.get(name), name):
            found[name] = None
    theirs = {device["name"]: device for device in stored.get("devices") or ()}
    for device in sent.get("devices") or ():
        other = theirs.get(device["name"])
        if other is None:
            found["devices"] = None
        elif not same_device(device, other):
            found.update((f"devices[].{name}", None) for name in _differing(device, other))
    return tuple(found)


def _differing(device: Object, other: Object) -> Iterator[str]:
    ours, theirs = _without(device), _without(other)
    for name in {**ours, **theirs}:
        if _equal(ours.get(name), theirs.get(name), name):
            continue
        if name == "capacity" and _equal(_plain(ours.get(name) or {}), _plain(theirs.get(name) or {}), name):
            yield "capacity[].requestPolicy"
        else:
            yield name
    if _equal(ours.get("taints"), theirs.get("taints")) and not _same_times(device, other):
        yield "taints[].timeAdded"


def _plain(capacity: Object) -> Object:
    return {name: {"value": amount.get("value")} for name, amount in capacity.items()}


def _without(device: Object) -> Object:
    """A device without the times of its taints."""
    taints = device.get("taints")
    if not taints:
        return device
    return {
        **device,
        "taints": [{name: v for name, v in taint.items() if name != "timeAdded"} for taint in taints],
    }


def _same_times(desired: Object, stored: Object) -> bool:
    return all(
        not ours.get("timeAdded") or _close(ours["timeAdded"], theirs.get("timeAdded", ""))
        for ours, theirs in zip(desired.get("taints") or (), stored.get("taints") or (), strict=False)
    )


def _close(one: str, other: str) -> bool:
    try:
        apart = datetime.fromisoformat(one) - datetime.fromisoformat(other)
    except (ValueError, TypeError):
        return one == other
    return abs(apart.total_seconds()) <= TIME_TOLERANCE


def _taint_key(taint: Object) -> tuple[str, str, str]:
    return taint.get("key", ""), taint.get("value", ""), taint.get("effect", "")


def _equal(one: Any, other: Any, field: str = "") -> bool:
    """Semantic equality of JSON: empty is absent, and amounts count by value.

    Attributes are compared as they stand: ``""``, ``0`` and ``false`` are values, and ``"1Ki"`` is text.
    """
    if one == other:
        return type(one) is type(other) or not isinstance(one, bool | int)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if field == "attributes":
            return False
        names = {**one, **other}
        return all(_equal(one.get(name), other.get(name), _inner(field, name)) for name in names)
    if _is_list(one) and _is_list(other):
        return len(one) == len(other) and all(_equal(a, b, field) for a, b in zip(one, other, strict=True))
    if field == "amount" and isinstance(one, str) and isinstance(other, str):
        try:
            return Quantity.parse(one) == Quantity.parse(other)
        except ValueError:
            return False
    return _is_empty(one) and _is_empty(other)


_AMOUNT_LEAVES = frozenset({"value", "default", "validValues", "min", "max", "step"})


def _inner(field: str, name: str) -> str:
    """Where a member stands: ``amount`` below capacity and counters, unless it is a name."""
    if field in ("capacity", "consumesCounters", "sharedCounters", "below"):
        return "amount" if name in _AMOUNT_LEAVES else "below"
    return name


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_empty(value: Any) -> bool:
    return value is None or value is False or (isinstance(value, str | list | dict) and not value)
