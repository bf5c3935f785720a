"""The variable ``device`` as the API server shapes it, out of a device as discovered or as published."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from celpy import celtypes

from dracore.model.device import Device
from dracore.model.names import qualify
from dracore.model.quantity import Quantity
from dracore.model.semver import Semver


class Domains(celtypes.MapType):
    """Domains to their names; a domain that a device has nothing of reads as an empty map."""

    def __getitem__(self, key: Any) -> Any:
        return self.get(key)

    def get(self, key: Any, default: Any = None) -> Any:
        return dict.get(self, key, celtypes.MapType()) if default is None else dict.get(self, key, default)

    def __contains__(self, key: Any) -> bool:
        return True


def activation(driver: str, device: Device | Mapping[str, Any]) -> celtypes.MapType:
    """The value of ``device``."""
    if isinstance(device, Device):
        attributes = {name: _value(value) for name, value in device.attributes.items()}
        capacity = {name: amount.value for name, amount in device.capacity.items()}
        shared = device.allow_multiple_allocations
    else:
        attributes = {name: _published(value) for name, value in (device.get("attributes") or {}).items()}
        capacity = {
            name: Quantity.parse(amount["value"]) for name, amount in (device.get("capacity") or {}).items()
        }
        shared = bool(device.get("allowMultipleAllocations"))
    return celtypes.MapType(
        {
            celtypes.StringType("driver"): celtypes.StringType(driver),
            celtypes.StringType("attributes"): _domains(driver, attributes),
            celtypes.StringType("capacity"): _domains(driver, capacity),
            celtypes.StringType("allowMultipleAllocations"): celtypes.BoolType(shared),
        }
    )


def _domains(driver: str, values: Mapping[str, Any]) -> Domains:
    domains = Domains()
    for name, value in values.items():
        domain, _, identifier = qualify(name, driver).rpartition("/")
        names: Any = domains.setdefault(celtypes.StringType(domain), celtypes.MapType())
        names[celtypes.StringType(identifier)] = value
    return domains


def _value(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return celtypes.ListType([_value(item) for item in value])
    if isinstance(value, bool):
        return celtypes.BoolType(value)
    if isinstance(value, int):
        return celtypes.IntType(value)
    if isinstance(value, str):
        return celtypes.StringType(value)
    return value


def _published(attribute: Mapping[str, Any]) -> Any:
    ((kind, value),) = attribute.items()
    if kind == "version":
        return Semver.parse(value)
    if kind == "versions":
        versions: list[Any] = [Semver.parse(item) for item in value]
        return celtypes.ListType(versions)
    return _value(value)


def quantity(value: Any) -> Quantity:
    """The CEL function ``quantity``."""
    return Quantity.parse(str(value))


def number(value: Any) -> Any:
    """What a quantity is compared with: another quantity or a whole number."""
    return value if isinstance(value, Quantity) else Quantity(Decimal(int(value)))
