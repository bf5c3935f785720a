"""Messages that an expression can write: ``google.protobuf.Int64Value{value: 1}`` (the well-known types).

Most are values of the language in other words: what is made is the number, text, time, list or map itself.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dracore.model.quantity import Quantity
from dracore.model.semver import Semver
from dracore.selectors import types
from dracore.selectors.faults import Fault
from dracore.selectors.library.times import SECOND
from dracore.selectors.library.times import show as show_time
from dracore.selectors.types import Type
from dracore.selectors.values import (
    Domains,
    Duration,
    Empty,
    Optional,
    Timestamp,
    UInt,
    from_key,
    to_key,
    type_name,
)

_SAFE = (1 << 53) - 1
"""JSON's numbers are exact up to here; what is larger becomes a text."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A message: its type, and its fields with what converts their values."""

    type: Type
    fields: Mapping[str, tuple[Type, Callable[[Any], Any]]]
    make: Callable[[dict[str, Any]], Any] = field(repr=False)


# --- values of fields ---------------------------------------------------------------------------------------


def refused(value: Any, target: str) -> Fault:
    """A value that has no form in Go's type `target`."""
    name = type_name(value)
    if name in ("int", "uint"):
        return Fault(f"unsupported type conversion from '{name}' to {target}")
    if name == "string":
        return Fault(f"unsupported native conversion from string to '{target}'")
    if name == "type":
        return Fault("type conversion not supported for 'type'")
    shown = {
        "double": "Double",
        "bytes": "Bytes",
        "list": "list",
        "map": "map",
        "bool": "bool",
        "null_type": "'null_type'",
        "google.protobuf.Empty": "'*dynamicpb.Message'",
    }.get(name)
    if shown is None:
        shown = f"'{name.rpartition('.')[2].removeprefix('Named')}'"
    return Fault(f"type conversion error from {shown} to '{target}'")


def _held(value: Any) -> Any:
    while value.__class__ is Optional:
        if not value.present:
            raise Fault("optional.none() dereference")
        value = value.value
    return value


def _as_string(value: Any) -> str:
    """Texts, and the types of Kubernetes that have one."""
    value = _held(value)
    if value.__class__ is not str:
        from dracore.selectors.library import network, urls

        if isinstance(value, urls.URL):
            return value.whole
        if isinstance(value, network.IP):
            return network.show_ip(value)
        if isinstance(value, network.CIDR):
            return network.show_cidr(value)
        if isinstance(value, Semver | Quantity):
            return str(value)
        raise refused(value, "string")
    return str(value)


def _native(kind: type, target: str, check: Callable[[Any], Any] | None = None) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        value = _held(value)
        if value.__class__ is not kind:
            raise refused(value, target)
        return value if check is None else check(value)

    return convert


def _within(low: int, high: int, words: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not low <= value <= high:
            raise Fault(words)
        return value

    return check


def _single(value: float) -> float:
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


_INT = _native(int, "int64")
_INT32 = _native(int, "int32", _within(-(1 << 31), (1 << 31) - 1, "integer overflow"))
_UINT32 = _native(UInt, "uint32", _within(0, (1 << 32) - 1, "unsigned integer overflow"))
_KEY = _native(str, "string")


def json_value(value: Any) -> Any:
    """A value as google.protobuf.Value holds it: null, bool, double, text, list or map of texts."""
    value = _held(value)
    kind = value.__class__
    if value is None or kind in (bool, str, float):
        return value
    if kind is int or kind is UInt:
        return float(value) if -_SAFE <= value <= _SAFE else str(int(value))
    if kind is bytes:
        return base64.b64encode(value).decode()
    if kind in (Duration, Timestamp):
        return show_time(value)
    if kind is list:
        return [json_value(each) for each in value]
    if kind in (dict, Domains):
        return {_KEY(from_key(key)): json_value(each) for key, each in value.items()}
    if kind is Empty:
        return {}
    raise refused(value, "*structpb.Value")


def _container(kinds: tuple[type, ...], target: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        value = _held(value)
        if value.__class__ not in kinds:
            raise refused(value, target)
        return json_value(value)

    return convert


_LIST, _MAP = (list,), (dict, Domains)


class Unsupported(Fault):
    """A field that holds several, given one: no conversion is tried."""


def _several(kinds: tuple[type, ...]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if value.__class__ not in kinds:
            name = {"list": "list(dyn)", "map": "map(dyn, dyn)"}.get(type_name(value), type_name(value))
            raise Unsupported(name)
        return json_value(value)

    return convert


# --- the messages -------------------------------------------------------------------------------------------


def _wrapper(kind: Type, convert: Callable[[Any], Any], zero: Any) -> Shape:
    return Shape(types.wrapper_of(kind), {"value": (kind, convert)}, lambda fields: fields.get("value", zero))


def _nanos(fields: dict[str, Any]) -> int:
    return int(fields.get("seconds", 0)) * SECOND + int(fields.get("nanos", 0))


def _clipped(fields: dict[str, Any]) -> Duration:
    return Duration(max(-(1 << 63), min(_nanos(fields), (1 << 63) - 1)))


def _last(fields: dict[str, Any]) -> Any:
    """Of the fields of a Value only one is set: the last."""
    value = None
    for name, given in fields.items():
        value = None if name == "null_value" else given
    return value


def _any(fields: dict[str, Any]) -> Any:
    url = fields.get("type_url", "")
    name = url.rpartition("/")[2]
    if "/" in url and name in SHAPES and not fields.get("value"):
        return SHAPES[name].make({})
    shown = "".join(
        f"{gap}{key}:{_text(fields[key])}"
        for key, gap in (("type_url", ""), ("value", "  " if fields.get("type_url") else ""))
        if fields.get(key)
    )
    raise Fault(f"unsupported conversion to ref.Val: (*dynamicpb.Message){shown}")


def _text(value: str | bytes) -> str:
    from dracore.selectors.shown import quoted

    return quoted(value.decode("latin-1") if isinstance(value, bytes) else value)


def _device(_fields: dict[str, Any]) -> Any:
    raise Fault("unknown type 'kubernetes.DRADevice'")


def _missing(name: str) -> Callable[[dict[str, Any]], Any]:
    def make(_fields: dict[str, Any]) -> Any:
        raise Fault(f"unknown type '{name}'")

    return make


_TIME = {"seconds": (types.INT, _INT), "nanos": (types.INT, _INT32)}
_JSON_LIST, _JSON_MAP = types.list_of(types.DYN), types.map_of(types.STRING, types.DYN)
SHAPES: dict[str, Shape] = {
    f"google.protobuf.{name}": shape
    for name, shape in {
        "BoolValue": _wrapper(types.BOOL, _native(bool, "bool"), False),
        "BytesValue": _wrapper(types.BYTES, _native(bytes, "[]uint8"), b""),
        "DoubleValue": _wrapper(types.DOUBLE, _native(float, "float64"), 0.0),
        "FloatValue": _wrapper(types.DOUBLE, _native(float, "float32", _single), 0.0),
        "Int32Value": _wrapper(types.INT, _INT32, 0),
        "Int64Value": _wrapper(types.INT, _INT, 0),
        "StringValue": _wrapper(types.STRING, _as_string, ""),
        "UInt32Value": _wrapper(types.UINT, _UINT32, UInt(0)),
        "UInt64Value": _wrapper(types.UINT, _native(UInt, "uint64"), UInt(0)),
        "Timestamp": Shape(types.TIMESTAMP, _TIME, lambda fields: Timestamp(_nanos(fields))),
        "Duration": Shape(types.DURATION, _TIME, _clipped),
        "Struct": Shape(
            _JSON_MAP,
            {"fields": (_JSON_MAP, _several(_MAP))},
            lambda fields: {to_key(key): value for key, value in fields.get("fields", {}).items()},
        ),
        "ListValue": Shape(
            _JSON_LIST, {"values": (_JSON_LIST, _several(_LIST))}, lambda fields: fields.get("values", [])
        ),
        "Value": Shape(
            types.DYN,
            {
                "null_value": (types.INT, _native(int, "protoreflect.EnumNumber")),
                "number_value": (types.DOUBLE, _native(float, "float64")),
                "string_value": (types.STRING, _as_string),
                "bool_value": (types.BOOL, _native(bool, "bool")),
                "struct_value": (_JSON_MAP, _container(_MAP, "*structpb.Struct")),
                "list_value": (_JSON_LIST, _container(_LIST, "*structpb.ListValue")),
            },
            _last,
        ),
        "Any": Shape(
            types.ANY,
            {"type_url": (types.STRING, _as_string), "value": (types.BYTES, _native(bytes, "[]uint8"))},
            _any,
        ),
        "Empty": Shape(types.EMPTY, {}, lambda _fields: Empty()),
    }.items()
}
ALIASES = {
    "timestamp": "google.protobuf.Timestamp",
    "duration": "google.protobuf.Duration",
    "list": "google.protobuf.ListValue",
}
"""Names of types that check like messages; making one fails."""
NULL_VALUE = "google.protobuf.NullValue.NULL_VALUE"
"""The one constant of an enumeration: 0."""


def shape(name: str, device: Mapping[str, Type]) -> Shape | None:
    """The message of that name; that of the device has the fields of the environment."""
    if name == "kubernetes.DRADevice":
        return Shape(types.DEVICE, {key: (kind, _held) for key, kind in device.items()}, _device)
    if name in ALIASES:
        known = SHAPES[ALIASES[name]]
        return Shape(known.type, known.fields, _missing(name))
    return SHAPES.get(name)


def message(name: str, known: Shape, given: Mapping[str, Any]) -> Any:
    """What a message with these fields is.

    :raises Fault: a field has no form in it.
    """
    fields: dict[str, Any] = {}
    for key, value in given.items():
        try:
            fields[key] = known.fields[key][1](value)
        except Unsupported as fault:
            raise Fault(f"unsupported field type for {name}.{key}: {fault.message}") from None
        except Fault as fault:
            raise Fault(f"field type conversion error for {name}.{key} value type: {fault.message}") from None
    return known.make(fields)
