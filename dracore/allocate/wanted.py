"""ResourceClaims and DeviceClasses: what is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dracore.allocate import fields
from dracore.allocate.fields import Fault
from dracore.model.claim import ClaimRef
from dracore.model.device import JSON
from dracore.model.quantity import Quantity

_REQUEST = {
    "deviceClassName",
    "selectors",
    "allocationMode",
    "count",
    "tolerations",
    "capacity",
    "derivedAttributes",
}
_EXACT = {*_REQUEST, "adminAccess"}


@dataclass(frozen=True, slots=True)
class Toleration:
    """Tolerates device taints; an empty key or effect stands for all of them."""

    key: str
    operator: str
    value: str
    effect: str
    content: JSON

    def tolerates(self, key: str, value: str, effect: str) -> bool:
        """Whether a taint is tolerated (the operator is Equal where none is given)."""
        if self.effect and self.effect != effect:
            return False
        if self.key and self.key != key:
            return False
        if self.operator in ("", "Equal"):
            return self.value == value
        return self.operator == "Exists"


@dataclass(frozen=True, slots=True)
class Request:
    """One request, or one alternative of a ``firstAvailable`` request."""

    name: str
    class_name: str
    selectors: tuple[str | None, ...] = ()
    """None: a selector that is not CEL."""
    mode: str = "ExactCount"
    count: int = 1
    admin: bool | None = None
    tolerations: tuple[Toleration, ...] = ()
    capacity: Mapping[str, Quantity] | None = None
    derived: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RequestGroup:
    """An entry of ``requests``: one way to satisfy it, or several in the order of preference."""

    name: str
    alternatives: tuple[Request, ...]
    first_available: bool = False


@dataclass(frozen=True, slots=True)
class Constraint:
    """An attribute that is the same, or never the same, over the devices of some requests (none: all)."""

    requests: frozenset[str]
    match: str | None = None
    distinct: str | None = None


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """An entry of ``config``; `content` is all of it but the requests."""

    requests: tuple[str, ...]
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeviceClass:
    """A DeviceClass."""

    name: str
    selectors: tuple[str | None, ...] = ()
    config: tuple[Mapping[str, Any], ...] = ()
    extended_resource: str = ""
    created: str = ""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> DeviceClass:
        """Reads it.

        :raises Fault: with the path of the field.
        """
        meta = fields.mapping(content, "metadata")

        def spec_of(spec: Mapping[str, Any]) -> DeviceClass:
            fields.only(
                spec, {"selectors", "config", "extendedResourceName", "suitableNodes", "managementMode"}
            )
            return cls(
                _name(meta),
                fields.each(spec, "selectors", _selector),
                tuple(entry.content for entry in fields.each(spec, "config", _config)),
                fields.text(spec, "extendedResourceName"),
                fields.text(meta, "creationTimestamp"),
            )

        if content.get("spec") is None:
            return cls(_name(meta))
        return fields.under(content, "spec", spec_of)


@dataclass(frozen=True, slots=True)
class WantedClaim:
    """A ResourceClaim that is to be allocated."""

    ref: ClaimRef
    groups: tuple[RequestGroup, ...]
    constraints: tuple[Constraint, ...] = ()
    config: tuple[ConfigEntry, ...] = ()

    @property
    def title(self) -> str:
        """``namespace/name`` as errors name it."""
        return f"{self.ref.namespace}/{self.ref.name}" if self.ref.namespace else self.ref.name

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> WantedClaim:
        """Reads a ResourceClaim of ``v1``, ``v1beta2`` or ``v1beta1``.

        :raises Fault: with the path of the field.
        """
        meta = fields.mapping(content, "metadata")
        namespace = fields.text(meta, "namespace")
        ref = ClaimRef(fields.text(meta, "uid"), namespace, _name(meta))
        spec = content.get("spec")
        return cls.from_spec(ref, {} if spec is None else fields.mapping(content, "spec"))

    @classmethod
    def from_spec(cls, ref: ClaimRef, spec: Mapping[str, Any]) -> WantedClaim:
        """A claim with the ``spec`` of a ResourceClaim or of a template."""
        try:
            fields.only(spec, {"devices"})
            devices = fields.mapping(spec, "devices")
            try:
                fields.only(devices, {"requests", "constraints", "config"})
                groups = fields.each(devices, "requests", _group)
                constraints = fields.each(devices, "constraints", _constraint)
                config = fields.each(devices, "config", _config)
            except Fault as fault:
                raise fault.under("devices") from None
        except Fault as fault:
            raise fault.under("spec") from None
        return cls(ref, groups, constraints, config)


def _name(meta: Mapping[str, Any]) -> str:
    try:
        return fields.text(meta, "name") or fields.text(meta, "generateName", required=True)
    except Fault as fault:
        raise Fault(
            "is required" if fault.what == "is required" else fault.what, "metadata", "name"
        ) from None


def _selector(content: Mapping[str, Any]) -> str | None:
    if content.get("cel") is None:
        return None
    return fields.under(content, "cel", lambda cel: fields.text(cel, "expression", required=True))


def _group(content: Mapping[str, Any]) -> RequestGroup:
    name = fields.text(content, "name", required=True)
    if content.get("firstAvailable"):
        if content.get("exactly") is not None:
            raise Fault("has both exactly and firstAvailable; one of them is allowed")
        fields.only(content, {"name", "exactly", "firstAvailable"})
        return RequestGroup(name, fields.each(content, "firstAvailable", _alternative), first_available=True)
    if content.get("exactly") is None and "deviceClassName" in content:  # v1beta1 has the fields inline
        fields.only(content, {"name", *_EXACT})
        return RequestGroup(name, (_request(name, content),))
    fields.only(content, {"name", "exactly", "firstAvailable"})

    def exact(body: Mapping[str, Any]) -> Request:
        fields.only(body, _EXACT)
        return _request(name, body)

    return RequestGroup(name, (fields.under(content, "exactly", exact),))


def _alternative(content: Mapping[str, Any]) -> Request:
    fields.only(content, {"name", *_REQUEST})
    return _request(fields.text(content, "name", required=True), content)


def _request(name: str, content: Mapping[str, Any]) -> Request:
    capacity = content.get("capacity")
    derived = fields.each(
        content,
        "derivedAttributes",
        lambda item: (
            fields.text(item, "name", required=True),
            fields.text(item, "expression", required=True),
        ),
    )
    mode = fields.text(content, "allocationMode") or "ExactCount"
    count = fields.number(content, "count")
    if mode == "ExactCount" and not count:
        count = 1  # the API server's default, of an explicit 0 too
    if count < 0:
        raise Fault("is less than one", "count")
    return Request(
        name,
        fields.text(content, "deviceClassName"),
        fields.each(content, "selectors", _selector),
        mode,
        count,
        fields.flag(content, "adminAccess") if content.get("adminAccess") is not None else None,
        fields.each(content, "tolerations", _toleration),
        fields.under(content, "capacity", _capacities) if capacity is not None else None,
        derived,
    )


def _capacities(content: Mapping[str, Any]) -> Mapping[str, Quantity]:
    fields.only(content, {"requests"})
    amounts = fields.mapping(content, "requests")
    try:
        return {str(name): fields.quantity(value, str(name)) for name, value in amounts.items()}
    except Fault as fault:
        raise fault.under("requests") from None


def _toleration(content: Mapping[str, Any]) -> Toleration:
    fields.only(content, {"key", "operator", "value", "effect", "tolerationSeconds"})
    operator = fields.text(content, "operator") or "Equal"  # the API server's default, which it stores
    written = {name: value for name, value in content.items() if value not in ("", None)}
    return Toleration(
        fields.text(content, "key"),
        operator,
        fields.text(content, "value"),
        fields.text(content, "effect"),
        {**written, "operator": operator},
    )


def _constraint(content: Mapping[str, Any]) -> Constraint:
    return Constraint(
        frozenset(fields.strings(content, "requests")),
        fields.text(content, "matchAttribute") or None,
        fields.text(content, "distinctAttribute") or None,
    )


def _config(content: Mapping[str, Any]) -> ConfigEntry:
    fields.mapping(content, "opaque")
    rest = {name: value for name, value in content.items() if name != "requests"}
    return ConfigEntry(fields.strings(content, "requests"), rest)
