"""The variable ``device``, out of a device as discovered or as published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dracore.model.device import Device
from dracore.model.quantity import Quantity
from dracore.model.semver import Semver
from dracore.selectors.amounts import amount
from dracore.selectors.faults import Fault
from dracore.selectors.library.kubernetes import semver
from dracore.selectors.values import Domains

SCALARS: tuple[tuple[str, type], ...] = (("int", int), ("bool", bool), ("string", str), ("version", Semver))
LISTS: tuple[tuple[str, type], ...] = tuple((f"{key}s", kind) for key, kind in SCALARS)
"""In the order in which the API server looks where several are set."""


def activation(driver: str, device: Device | Mapping[str, Any]) -> dict[str, Any]:
    """The value of ``device``.

    :raises Fault: an attribute has no value, or a malformed version: this fails every expression.
    """
    attributes, capacity = Domains(), Domains()
    if isinstance(device, Device):
        for name, value in device.attributes.items():
            _put(attributes, driver, name, list(value) if value.__class__ is tuple else value)
        for name, held in device.capacity.items():
            _put(capacity, driver, name, held.value)
        shared = device.allow_multiple_allocations
    else:
        for name, published in (device.get("attributes") or {}).items():
            _put(attributes, driver, name, _published(name, published))
        for name, published in (device.get("capacity") or {}).items():
            _put(capacity, driver, name, _quantity(name, published))
        shared = bool(device.get("allowMultipleAllocations"))
    return {
        "driver": driver,
        "attributes": attributes,
        "capacity": capacity,
        "allowMultipleAllocations": shared,
    }


def _put(domains: Domains, driver: str, name: str, value: Any) -> None:
    domain, slash, identifier = name.partition("/")
    if not slash:
        domain, identifier = driver, name
    domains.setdefault(domain, {})[identifier] = value


def _published(name: str, attribute: Any) -> Any:
    if isinstance(attribute, Mapping):
        for key, kind in LISTS:
            values = attribute.get(key)
            if values is not None and isinstance(values, list):
                return [_one(name, value, kind) for value in values]
        for key, kind in SCALARS:
            value = attribute.get(key)
            if value is not None:
                return _one(name, value, kind)
    raise Fault(f"attribute {name}: unsupported attribute value")


def _one(name: str, value: Any, kind: type) -> Any:
    if kind is Semver:
        try:
            return semver(str(value))
        except Fault as fault:
            raise Fault(f"attribute {name}: parse semantic version: {fault.message}") from None
    if value.__class__ is not kind:
        raise Fault(f"attribute {name}: unsupported attribute value")
    if isinstance(value, str) and not value.isascii():
        # Half a surrogate pair, which JSON can hold, is read as Go reads it.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _quantity(name: str, published: Any) -> Quantity:
    value = published.get("value") if isinstance(published, Mapping) else published
    try:
        return amount(str(value))
    except Fault as fault:
        raise Fault(f"capacity {name}: {fault.message}") from None
