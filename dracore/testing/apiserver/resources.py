"""The kinds that the embedded API server serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dracore.testing.apiserver import schema
from dracore.testing.apiserver.schema import Struct

Object = dict[str, Any]
FieldReader = Callable[[Object], str]


def _at(*path: str) -> FieldReader:
    def read(obj: Object) -> str:
        value: Any = obj
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return "" if value is None else str(value)

    return read


@dataclass(frozen=True)
class Resource:
    """One kind: where it is served, what its objects look like, and which fields can be selected."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    shape: Struct
    status: bool = False
    short: tuple[str, ...] = ()
    selectable: Mapping[str, FieldReader] = field(default_factory=dict)
    since: tuple[int, int] = (1, 34)
    """First Kubernetes version that serves the kind in this version of its group."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """``resourceslices.resource.k8s.io``, as error messages say it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def storage(self) -> str:
        """The table of objects; two versions of one kind share it (events)."""
        return self.plural

    def fields(self) -> dict[str, FieldReader]:
        """Every field a field selector may name."""
        found: dict[str, FieldReader] = {"metadata.name": _at("metadata", "name")}
        if self.namespaced:
            found["metadata.namespace"] = _at("metadata", "namespace")
        return {**found, **self.selectable}


DRA = "resource.k8s.io"
VERSION = "v1"

RESOURCES: tuple[Resource, ...] = (
    Resource("", "v1", "namespaces", "Namespace", False, schema.OPEN, status=True, short=("ns",)),
    Resource(
        "",
        "v1",
        "nodes",
        "Node",
        False,
        schema.NODE,
        status=True,
        short=("no",),
        selectable={"spec.unschedulable": _at("spec", "unschedulable")},
    ),
    Resource(
        "",
        "v1",
        "pods",
        "Pod",
        True,
        schema.POD,
        status=True,
        short=("po",),
        selectable={
            "spec.nodeName": _at("spec", "nodeName"),
            "spec.restartPolicy": _at("spec", "restartPolicy"),
            "spec.schedulerName": _at("spec", "schedulerName"),
            "spec.serviceAccountName": _at("spec", "serviceAccountName"),
            "status.phase": _at("status", "phase"),
        },
    ),
    Resource(
        "",
        "v1",
        "events",
        "Event",
        True,
        schema.OPEN,
        short=("ev",),
        selectable={
            "involvedObject.kind": _at("involvedObject", "kind"),
            "involvedObject.name": _at("involvedObject", "name"),
            "involvedObject.namespace": _at("involvedObject", "namespace"),
            "involvedObject.uid": _at("involvedObject", "uid"),
            "reason": _at("reason"),
            "type": _at("type"),
        },
    ),
    Resource(
        "events.k8s.io",
        "v1",
        "events",
        "Event",
        True,
        schema.OPEN,
        short=("ev",),
        selectable={
            "regarding.kind": _at("involvedObject", "kind"),
            "regarding.name": _at("involvedObject", "name"),
            "regarding.namespace": _at("involvedObject", "namespace"),
            "reason": _at("reason"),
            "type": _at("type"),
        },
    ),
    Resource(
        "coordination.k8s.io",
        "v1",
        "leases",
        "Lease",
        True,
        schema.OPEN,
    ),
    Resource(
        DRA,
        VERSION,
        "resourceslices",
        "ResourceSlice",
        False,
        schema.SLICE,
        selectable={
            "spec.nodeName": _at("spec", "nodeName"),
            "spec.driver": _at("spec", "driver"),
            "spec.pool.name": _at("spec", "pool", "name"),
        },
    ),
    Resource(DRA, VERSION, "deviceclasses", "DeviceClass", False, schema.CLASS),
    Resource(DRA, VERSION, "resourceclaims", "ResourceClaim", True, schema.CLAIM, status=True),
    Resource(DRA, VERSION, "resourceclaimtemplates", "ResourceClaimTemplate", True, schema.TEMPLATE),
    Resource(
        DRA,
        VERSION,
        "devicetaintrules",
        "DeviceTaintRule",
        False,
        schema.TAINT_RULE,
        status=True,
        since=(1, 37),
    ),
)


def served(version: tuple[int, int]) -> tuple[Resource, ...]:
    """The kinds that a server of this version serves."""
    return tuple(resource for resource in RESOURCES if resource.since <= version)


def find(plural: str, group: str = DRA) -> Resource:
    """The kind with this plural name; raises KeyError when there is none."""
    for resource in RESOURCES:
        if resource.plural == plural and resource.group == group:
            return resource
    raise KeyError(f"{plural}.{group}")
