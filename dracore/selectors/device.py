"""The variable ``device``, out of a device as discovered or as published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dracore.model.device import Device
from dracore.model.quantity import Quantity
from dracore.selectors.faults import Fault
from dracore.selectors.library.kubernetes import semver
from dracore.selectors.values import Domains

_SCALARS: dict[str, Callable[[Any], Any]] = {"int": int, "bool": bool, "string": str}
_LISTS: tuple[tuple[str, Callable[[Any], Any]], ...] = (("ints", int), ("bools", bool), ("strings", str))


def activation(driver: str, device: Device | Mapping[str, Any]) -> dict[str, Any]:
    """The value of ``device``.

    :raises Fault: an attribute has no value, or a malformed version: this fails every expression.
    """
    attributes, capacity = Domains(), Domains()
    if isinstance(device, Device):
        for name, value in device.attributes.items():
            _put(attributes, driver, name, list(value) if value.__class__ is tuple else value)
        for name, amount in device.capacity.items():
            _put(capacity, driver, name, amount.value)
        shared = device.allow_multiple_allocations
    else:
        for name, published in (device.get("attributes") or {}).items():
            _put(attributes, driver, name, _published(name, published))
        for name, amount in (device.get("capacity") or {}).items():
            _put(capacity, driver, name, _quantity(name, amount))
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
    if not isinstance(attribute, Mapping):
        raise Fault(f"attribute {name}: unsupported attribute value")
    for key, kind in _LISTS:
        values = attribute.get(key)
        if values is not None:
            return [kind(value) for value in values]
    if attribute.get("versions") is not None:
        return [_version(name, text) for text in attribute["versions"]]
    for key, convert in _SCALARS.items():
        value = attribute.get(key)
        if value is not None:
            return convert(value)
    if attribute.get("version") is not None:
        return _version(name, attribute["version"])
    raise Fault(f"attribute {name}: unsupported attribute value")


def _version(name: str, text: str) -> Any:
    try:
        return semver(text)
    except Fault as fault:
        raise Fault(f"attribute {name}: parse semantic version: {fault.message}") from None


def _quantity(name: str, amount: Any) -> Quantity:
    value = amount.get("value") if isinstance(amount, Mapping) else amount
    try:
        return Quantity.parse(str(value))
    except (ValueError, ArithmeticError):
        raise Fault(f"capacity {name}: {value!r} is not a quantity") from None
