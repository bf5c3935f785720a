"""What the server does to an object before storing it: system fields, defaults, gates, validation."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dracore.testing.apiserver.decode import compact, format_time
from dracore.testing.apiserver.fielderrors import FieldError, forbidden
from dracore.testing.apiserver.gates import Gates, drop_disabled
from dracore.testing.apiserver.resources import Resource
from dracore.testing.apiserver.status import bad_request, conflict
from dracore.testing.apiserver.status import invalid as invalid_object
from dracore.testing.apiserver.validation import meta, validator

Object = dict[str, Any]
ADMIN_LABEL = "resource.kubernetes.io/admin-access"
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_GENERATED_BASE = 58
_GENERATIONS = frozenset({"ResourceSlice", "DeviceTaintRule", "Pod"})


@dataclass(frozen=True)
class Strategy:
    """The rules of one server: its gates, its clock, and how it finds the labels of a namespace."""

    gates: Gates
    namespace_labels: Callable[[str], Object]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def timestamp(self) -> str:
        return format_time(self.now())

    def for_create(self, resource: Resource, obj: Object) -> Object:
        """The object as it is stored; raises StatusError 422."""
        new = _copy(obj)
        metadata = new.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            base = metadata["generateName"][:_GENERATED_BASE]
            metadata["name"] = base + "".join(random.choices(_ALPHABET, k=5))
        for name in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
            metadata.pop(name, None)
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = self.timestamp()
        metadata.pop("generation", None)
        if resource.kind in _GENERATIONS:
            metadata["generation"] = 1
        if resource.status and resource.group:
            new.pop("status", None)
        if resource.kind == "Pod":
            new["status"] = {"phase": "Pending", **new.get("status", {})}
        if resource.kind == "Namespace":
            new["status"] = {"phase": "Active"}
        _default(new, self.timestamp())
        drop_disabled(self.gates, resource.kind, new, None)
        errors = meta.validate(new, None, resource.kind) + self._admin_access(resource, new)
        errors += validator(resource.kind, status=False)(new, None, self.gates)
        return self._checked(resource, new, errors)

    def for_update(self, resource: Resource, obj: Object, old: Object, *, status: bool) -> Object:
        """The object as it is stored in place of ``old``; raises StatusError 422."""
        new = _copy(obj)
        _keep_system(new, old)
        if status:
            new = {**old, "metadata": {**old["metadata"]}, "status": new.get("status", {})}
            if not new["status"]:
                new.pop("status")
        elif resource.status:
            new.pop("status", None)
            if "status" in old:
                new["status"] = old["status"]
        _default(new, self.timestamp())
        if resource.kind == "DeviceTaintRule" and not status:
            _restart_taint(new, old, self.timestamp())
        if resource.kind in _GENERATIONS and not status and new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        new = _copy(new)
        drop_disabled(self.gates, resource.kind, new, old, status=status)
        if status and resource.kind == "ResourceClaim":
            _drop_deallocated(new, old)
        errors = meta.validate(new, old, resource.kind)
        if status:
            errors += self._admin_results(resource, new, old)
        errors += validator(resource.kind, status=status)(new, old, self.gates)
        return self._checked(resource, new, errors)

    def _checked(self, resource: Resource, new: Object, errors: list[FieldError]) -> Object:
        if errors:
            raise invalid_object(resource, new["metadata"].get("name", ""), errors)
        compact(new, resource.shape)
        if resource.status and resource.group:
            new.setdefault("status", {})
        if resource.kind == "ResourceClaim":
            for item in new["status"].get("devices") or ():
                item.setdefault("conditions", None)  # the one list of the API without omitempty
        return new

    def _admin_access(self, resource: Resource, new: Object) -> list[FieldError]:
        if resource.kind not in ("ResourceClaim", "ResourceClaimTemplate"):
            return []
        template = resource.kind == "ResourceClaimTemplate"
        spec = new.get("spec", {}).get("spec", {}) if template else new.get("spec", {})
        for i, request in enumerate(spec.get("devices", {}).get("requests") or ()):
            if (request.get("exactly") or {}).get("adminAccess"):
                return self._labelled(new, f"spec.devices.requests[{i}].adminAccess")
        return []

    def _admin_results(self, resource: Resource, new: Object, old: Object) -> list[FieldError]:
        if resource.kind != "ResourceClaim" or _admin_index(old) is not None:
            return []
        index = _admin_index(new)
        if index is None:
            return []
        return self._labelled(new, f"status.allocation.devices.results[{index}].adminAccess")

    def _labelled(self, new: Object, path: str) -> list[FieldError]:
        if self.namespace_labels(new["metadata"].get("namespace", "")).get(ADMIN_LABEL) == "true":
            return []
        detail = (
            f"admin access to devices requires the `{ADMIN_LABEL}: true` label on the containing namespace"
        )
        return [forbidden(path, detail)]


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def _keep_system(new: Object, old: Object) -> None:
    """Fields that no update changes; a uid that names another object is a fault of the caller."""
    metadata, before = new.setdefault("metadata", {}), old["metadata"]
    for name in (
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
        "namespace",
    ):
        metadata.pop(name, None)
        if name in before:
            metadata[name] = before[name]


def _default(new: Object, now: str) -> None:
    spec = new.get("spec")
    if not isinstance(spec, dict):
        return
    if new.get("kind") == "ResourceSlice":
        for device in spec.get("devices") or ():
            for taint in device.get("taints") or ():
                taint.setdefault("timeAdded", now)
    elif new.get("kind") == "DeviceTaintRule":
        spec.setdefault("taint", {}).setdefault("timeAdded", now)
    elif new.get("kind") in ("ResourceClaim", "ResourceClaimTemplate"):
        inner = spec.get("spec", {}) if new["kind"] == "ResourceClaimTemplate" else spec
        for request in inner.get("devices", {}).get("requests") or ():
            exactly = request.get("exactly")
            for item in (request.get("firstAvailable") or []) + ([exactly] if exactly is not None else []):
                item.setdefault("allocationMode", "ExactCount")
                if item["allocationMode"] == "ExactCount" and not item.get("count"):
                    item["count"] = 1
        for request in inner.get("devices", {}).get("requests") or ():
            for item in [request.get("exactly") or {}, *(request.get("firstAvailable") or ())]:
                for toleration in item.get("tolerations") or ():
                    toleration.setdefault("operator", "Equal")


def _restart_taint(new: Object, old: Object, now: str) -> None:
    """A rule's time counts from its effect: another effect with the old time starts anew (KEP-5055)."""
    taint, before = new["spec"]["taint"], old.get("spec", {}).get("taint", {})
    if taint.get("effect") != before.get("effect") and taint.get("timeAdded") == before.get("timeAdded"):
        taint["timeAdded"] = now


def _results(claim: Object) -> list[Object]:
    found: list[Object] = (claim.get("status", {}).get("allocation") or {}).get("devices", {}).get(
        "results"
    ) or []
    return found


def _admin_index(claim: Object) -> int | None:
    return next((i for i, result in enumerate(_results(claim)) if result.get("adminAccess")), None)


def _share(item: Object) -> tuple[Any, ...]:
    return item.get("driver"), item.get("pool"), item.get("device"), item.get("shareID")


def _drop_deallocated(new: Object, old: Object) -> None:
    """Status entries of devices that this write deallocates go with them (KEP-4817)."""
    status = new.get("status", {})
    gone = {_share(result) for result in _results(old)} - {_share(result) for result in _results(new)}
    if status.get("devices"):
        status["devices"] = [item for item in status["devices"] if _share(item) not in gone]


def check_identity(resource: Resource, obj: Object, old: Object) -> None:
    """Raises StatusError 400 or 409 when an update names another object than the stored one."""
    metadata = obj.get("metadata", {})
    if metadata.get("uid") and metadata["uid"] != old["metadata"]["uid"]:
        where = "/".join(filter(None, (resource.plural, old["metadata"].get("namespace"))))
        why = (
            f"StorageError: invalid object, Code: 4, Key: /registry/{where}/{old['metadata']['name']}, "
            f"ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: "
            f"{metadata['uid']}, UID in object meta: {old['metadata']['uid']}"
        )
        raise conflict(resource, old["metadata"]["name"], why)
    if metadata.get("name") and metadata["name"] != old["metadata"]["name"]:
        named, there = metadata["name"], old["metadata"]["name"]
        raise bad_request(f"the name of the object ({named}) does not match the name on the URL ({there})")
