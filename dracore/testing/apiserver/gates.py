"""Feature gates by server version, and the fields that a disabled one drops.

Defaults are those of kube-apiserver 1.34 to 1.37 (the gate matrix of the KEPs). Rules follow the registry
strategies: a field of a disabled feature is dropped silently on create, and on update too unless the stored
object already used the feature. An attribute whose only value was dropped is then refused by validation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

_ON_FROM: dict[str, tuple[int, int]] = {
    "DRAAdminAccess": (1, 34),
    "DRAPrioritizedList": (1, 34),
    "DRAResourceClaimDeviceStatus": (1, 33),
    "DRAConsumableCapacity": (1, 36),
    "DRADeviceBindingConditions": (1, 36),
    "DRADeviceTaints": (1, 36),
    "DRAExtendedResource": (1, 36),
    "DRAPartitionableDevices": (1, 36),
    "DRADeviceTaintRules": (1, 37),
}
_OFF = (
    "DRADerivedAttributes",
    "DRADeviceCompatibilityGroups",
    "DRAFractionalCapacityRange",
    "DRAListTypeAttributes",
    "DRANodeAllocatableResources",
    "DRAOptionalNodeOperations",
    "DRAPartitionableDevicesType",
)
KNOWN = frozenset(_ON_FROM) | frozenset(_OFF)
NEWEST = (1, 37)
OLDEST = (1, 34)


@dataclass(frozen=True)
class Gates:
    """Which features a server has on."""

    version: tuple[int, int]
    enabled: frozenset[str]

    def __contains__(self, gate: str) -> bool:
        return gate in self.enabled


def parse_version(text: str) -> tuple[int, int]:
    """``1.36`` or ``v1.36.2``; raises ValueError for one that is not emulated."""
    major, minor, *_ = (*text.removeprefix("v").split("."), "")
    if not (major.isdigit() and minor.isdigit()):
        raise ValueError(f"{text!r} is not a Kubernetes version such as 1.36")
    version = int(major), int(minor)
    if not OLDEST <= version <= NEWEST:
        raise ValueError(f"Kubernetes {text} is not emulated: choose 1.34, 1.35, 1.36 or 1.37")
    return version


def gates(version: str = "1.37", overrides: Mapping[str, bool] | None = None) -> Gates:
    """The gates of a version, with ``overrides`` as ``--feature-gates`` would set them."""
    parsed = parse_version(version)
    enabled = {gate for gate, since in _ON_FROM.items() if since <= parsed}
    for gate, on in (overrides or {}).items():
        if gate not in KNOWN:
            raise ValueError(f"unrecognized feature gate: {gate}; known are {', '.join(sorted(KNOWN))}")
        (enabled.add if on else enabled.discard)(gate)
    return Gates(parsed, frozenset(enabled))


Uses = Callable[[Object], bool]
Drop = Callable[[Object], None]


def _devices(obj: Object) -> Iterator[Object]:
    yield from obj.get("spec", {}).get("devices") or ()


def _pop(obj: Object, *names: str) -> None:
    for name in names:
        obj.pop(name, None)


def _device_rule(*names: str, spec: tuple[str, ...] = ()) -> tuple[Uses, Drop]:
    """A feature that lives in fields of devices and, with ``spec``, of the slice."""

    def uses(obj: Object) -> bool:
        return any(obj.get("spec", {}).get(name) is not None for name in spec) or any(
            device.get(name) is not None for device in _devices(obj) for name in names
        )

    def drop(obj: Object) -> None:
        _pop(obj.get("spec", {}), *spec)
        for device in _devices(obj):
            _pop(device, *names)

    return uses, drop


def _capacities(obj: Object) -> Iterator[Object]:
    for device in _devices(obj):
        yield from (device.get("capacity") or {}).values()


_LISTS = ("ints", "bools", "strings", "versions")


def _attributes(obj: Object) -> Iterator[Object]:
    for device in _devices(obj):
        yield from (device.get("attributes") or {}).values()


def _consumptions(obj: Object) -> Iterator[Object]:
    for device in _devices(obj):
        yield from device.get("consumesCounters") or ()


def _each(items: Callable[[Object], Iterator[Object]], *names: str) -> tuple[Uses, Drop]:
    def uses(obj: Object) -> bool:
        return any(item.get(name) is not None for item in items(obj) for name in names)

    def drop(obj: Object) -> None:
        for item in items(obj):
            _pop(item, *names)

    return uses, drop


def _both(first: tuple[Uses, Drop], second: tuple[Uses, Drop]) -> tuple[Uses, Drop]:
    def drop(obj: Object) -> None:
        first[1](obj)
        second[1](obj)

    return (lambda obj: first[0](obj) or second[0](obj)), drop


_SLICE_RULES: tuple[tuple[tuple[str, ...], tuple[Uses, Drop]], ...] = (
    (("DRADeviceTaints",), _device_rule("taints")),
    (
        ("DRAPartitionableDevices",),
        _device_rule(
            "consumesCounters",
            "nodeName",
            "nodeSelector",
            "allNodes",
            spec=("sharedCounters", "perDeviceNodeSelection"),
        ),
    ),
    (
        ("DRADeviceBindingConditions", "DRAResourceClaimDeviceStatus"),
        _device_rule("bindingConditions", "bindingFailureConditions", "bindsToNode"),
    ),
    (
        ("DRAConsumableCapacity",),
        _both(_device_rule("allowMultipleAllocations"), _each(_capacities, "requestPolicy")),
    ),
    (("DRADeviceCompatibilityGroups",), _each(_consumptions, "compatibilityGroups")),
    (("DRANodeAllocatableResources",), _device_rule("nodeAllocatableResources")),
    (("DRAListTypeAttributes",), _each(_attributes, *_LISTS)),
    (("DRAPartitionableDevicesType",), _device_rule(spec=("partitionTypeAttribute",))),
    (("DRAOptionalNodeOperations",), _device_rule(spec=("skipNodeOperations",))),
)


def _results(obj: Object) -> Iterator[Object]:
    yield from ((obj.get("status", {}).get("allocation") or {}).get("devices") or {}).get("results") or ()


def _statuses(obj: Object) -> Iterator[Object]:
    yield from obj.get("status", {}).get("devices") or ()


def _claim_status_devices(obj: Object) -> None:
    _pop(obj.get("status", {}), "devices")


_STATUS_RULES: tuple[tuple[tuple[str, ...], tuple[Uses, Drop]], ...] = (
    (
        ("DRAResourceClaimDeviceStatus",),
        ((lambda obj: bool(obj.get("status", {}).get("devices"))), _claim_status_devices),
    ),
    (("DRAAdminAccess",), _each(_results, "adminAccess")),
    (
        ("DRAConsumableCapacity",),
        _both(_each(_results, "shareID", "consumedCapacity"), _each(_statuses, "shareID")),
    ),
    (("DRADeviceBindingConditions",), _each(_results, "bindingConditions", "bindingFailureConditions")),
    (("DRAOptionalNodeOperations",), _each(_results, "skipNodeOperations")),
    (("DRADeviceCompatibilityGroups",), _each(_results, "compatibilityGroups")),
)


def _spec_of(obj: Object) -> Object:
    spec: Object = obj.get("spec", {})
    inner: Object = spec["spec"] if isinstance(spec.get("spec"), dict) else spec
    return inner


def _claim_requests(obj: Object) -> Iterator[Object]:
    yield from _spec_of(obj).get("devices", {}).get("requests") or ()


def _exact(obj: Object) -> Iterator[Object]:
    for request in _claim_requests(obj):
        if isinstance(request.get("exactly"), dict):
            yield request["exactly"]


def _every(obj: Object) -> Iterator[Object]:
    yield from _exact(obj)
    for request in _claim_requests(obj):
        yield from request.get("firstAvailable") or ()


def _constraints(obj: Object) -> Iterator[Object]:
    yield from _spec_of(obj).get("devices", {}).get("constraints") or ()


_CLAIM_RULES: tuple[tuple[tuple[str, ...], tuple[Uses, Drop]], ...] = (
    (("DRAAdminAccess",), _each(_exact, "adminAccess")),
    (("DRAPrioritizedList",), _each(_claim_requests, "firstAvailable")),
    (("DRADeviceTaints",), _each(_every, "tolerations")),
    (
        ("DRAConsumableCapacity",),
        _both(_each(_every, "capacity"), _each(_constraints, "distinctAttribute")),
    ),
    (("DRADerivedAttributes",), _each(_every, "derivedAttributes")),
)


def _class_rule(obj: Object) -> None:
    _pop(obj.get("spec", {}), "extendedResourceName")


_CLASS_RULES: tuple[tuple[tuple[str, ...], tuple[Uses, Drop]], ...] = (
    (
        ("DRAExtendedResource",),
        ((lambda obj: obj.get("spec", {}).get("extendedResourceName") is not None), _class_rule),
    ),
)

_RULES = {
    "ResourceSlice": _SLICE_RULES,
    "ResourceClaim": _CLAIM_RULES,
    "ResourceClaimTemplate": _CLAIM_RULES,
    "DeviceClass": _CLASS_RULES,
}


def drop_disabled(gates: Gates, kind: str, new: Object, old: Object | None, *, status: bool = False) -> None:
    """Removes from ``new`` the fields of features that are off and that ``old`` does not use."""
    rules = _STATUS_RULES if status and kind == "ResourceClaim" else _RULES.get(kind, ())
    for names, (uses, drop) in rules:
        if not all(name in gates for name in names) and not (old is not None and uses(old)):
            drop(new)
