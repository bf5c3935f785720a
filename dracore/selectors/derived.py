"""Derived attributes: an expression of a request that gives a device one more attribute (KEP-6080, alpha)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dracore.model.device import Device
from dracore.model.semver import Semver
from dracore.selectors import types
from dracore.selectors.amounts import QUANTITY_CLASSES
from dracore.selectors.device import activation
from dracore.selectors.engine import Program, build
from dracore.selectors.environment import Environment, stored
from dracore.selectors.faults import CompileError, Fault
from dracore.selectors.library.formats import Format
from dracore.selectors.library.network import CIDR, IP
from dracore.selectors.library.urls import URL
from dracore.selectors.selector import Selector
from dracore.selectors.types import Type
from dracore.selectors.values import Domains, Duration, Empty, Optional, Timestamp, TypeValue, UInt

_SCALARS = (types.BOOL, types.INT, types.STRING, types.ANY, types.DYN, types.SEMVER)
_WORDS = "must evaluate to a primitive scalar (string, integer, boolean, semver)"
_FIELDS: dict[type, tuple[str, str]] = {
    bool: ("bool", "bool"),
    int: ("int", "int"),
    str: ("string", "string"),
    Semver: ("version", "semver"),
}
"""Class of a value to the field of an attribute that holds it, and to its name in an error."""
_GO: dict[type, str] = {
    bool: "bool",
    int: "int64",
    UInt: "uint64",
    float: "float64",
    str: "string",
    bytes: "[]uint8",
    Semver: "semver.Version",
    Duration: "time.Duration",
    Timestamp: "time.Time",
    type(None): "structpb.NullValue",
    IP: "netip.Addr",
    CIDR: "netip.Prefix",
    URL: "*url.URL",
    Format: "cel.Format",
    Empty: "*dynamicpb.Message",
    **dict.fromkeys(QUANTITY_CLASSES, "*resource.Quantity"),
}


class DerivedAttribute:
    """A compiled expression over ``device`` whose value is an attribute."""

    def __init__(self, program: Program) -> None:
        self._selector = Selector(program)
        self.program = program
        self.text = program.text

    @property
    def cost(self) -> int:
        """As :attr:`Selector.cost`."""
        return self._selector.cost

    def value(self, driver: str, device: Device | Mapping[str, Any]) -> dict[str, Any]:
        """The attribute in the form of a published one: ``{"int": 4}``, ``{"strings": ["a"]}``.

        :raises SelectorError: the expression fails on this device, or gives what no attribute can be.
        """
        try:
            return self.evaluate(driver, device)[0]
        except Fault as fault:
            raise self._selector.error(fault, driver, device) from None

    def evaluate(self, driver: str, device: Device | Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        """As :meth:`value`, with the cost.

        :raises Fault: in the scheduler's words.
        """
        value, cost = self.program.run_on(activation(driver, device))
        try:
            return _attribute(value), cost
        except Fault as fault:
            fault.cost = cost
            raise


def compile_derived(text: str, environment: Environment | None = None) -> DerivedAttribute:
    """Compiles the expression of a derived attribute.

    :param environment: as for :func:`~dracore.selectors.compile`.
    :raises CompileError: also where its type is none of an attribute.
    """
    environment = environment or stored()
    lists = environment.everything or environment.features.list_attributes

    def refuse(kind: Type) -> str | None:
        listed = kind.kind == "list" and lists
        if kind in _SCALARS or (listed and kind.params[0] in _SCALARS):
            return None
        return f"{_WORDS}{' or a list of these scalars' if lists else ''}, not {kind.declared()}"

    return DerivedAttribute(build(text, environment, refuse))


def _attribute(value: Any) -> dict[str, Any]:
    value = _plain(value)
    kind = value.__class__
    if kind in _FIELDS:
        return {_FIELDS[kind][0]: str(value) if kind is Semver else value}
    if kind is not list:
        raise Fault(f"unsupported CEL return type: {_go(value)}")
    if not value:
        return {"strings": []}
    items = [_plain(item) for item in value]
    first = items[0].__class__
    if first not in _FIELDS:
        raise Fault(f"unsupported list element type: {_go(items[0])}")
    field, name = _FIELDS[first]
    for index, item in enumerate(items):
        if item.__class__ is not first:
            raise Fault(f"expected list element at index {index} to be {name}, got {_go(item)}")
    return {f"{field}s": [str(item) for item in items] if first is Semver else items}


def _plain(value: Any) -> Any:
    """What Go sees of a value: what an optional holds, and the name of a type."""
    while value.__class__ is Optional and value.present:
        value = value.value
    return str(value.name) if isinstance(value, TypeValue) else value


def _go(value: Any) -> str:
    if value.__class__ is Optional:
        return "<nil>"
    if isinstance(value, list):
        return "[]ref.Val"
    if isinstance(value, dict | Domains):
        return "map[ref.Val]ref.Val"
    return _GO[value.__class__]


__all__ = ["CompileError", "DerivedAttribute", "compile_derived"]
