"""``int(x)``, ``string(x)`` and their like."""

from __future__ import annotations

import math
import re
from typing import Any

from dracore.selectors.faults import Fault
from dracore.selectors.library import times
from dracore.selectors.shown import show_double
from dracore.selectors.values import (
    INT_MAX,
    INT_MIN,
    UINT_MAX,
    Duration,
    Timestamp,
    TypeValue,
    UInt,
    int64,
    type_name,
    uint64,
)

_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_DIGITS = r"\d(?:_?\d)*"
_DOUBLE = re.compile(
    rf"[+-]?(?:(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:e[+-]?{_DIGITS})?|inf|infinity|nan)",
    re.ASCII | re.IGNORECASE,
)
_HEX_DOUBLE = re.compile(
    r"[+-]?0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)p[+-]?\d{1,6}", re.ASCII | re.IGNORECASE
)
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")


def conversion_error(value: Any, target: str) -> Fault:
    """A value that cannot become one of another type."""
    return Fault(f"type conversion error from '{type_name(value)}' to '{target}'")


def to_int(value: Any) -> int:
    """``int(value)``"""
    kind = value.__class__
    if kind is int:
        return value  # type: ignore[no-any-return]
    if kind is UInt:
        return int64(int(value))
    if kind is float:
        if not -9.223372036854775808e18 < value < 9.223372036854775808e18:  # NaN too
            raise Fault("integer overflow")
        return int(value)
    if kind is str:
        if len(value) < 100 and _INTEGER.fullmatch(value) and INT_MIN <= int(value) <= INT_MAX:
            return int(value)
        raise conversion_error(value, "int")
    if kind is Duration:
        return value.nanos  # type: ignore[no-any-return]
    if kind is Timestamp:
        return value.nanos // 1_000_000_000  # type: ignore[no-any-return]
    raise conversion_error(value, "int")


def to_uint(value: Any) -> UInt:
    """``uint(value)``"""
    kind = value.__class__
    if kind is UInt:
        return value  # type: ignore[no-any-return]
    if kind is int:
        return uint64(value)
    if kind is float:
        if not -1.0 < value < 18446744073709551616.0 or value < 0:
            raise Fault("unsigned integer overflow")
        return UInt(int(value))
    if kind is str and len(value) < 100 and value.isascii() and value.isdigit() and int(value) <= UINT_MAX:
        return UInt(int(value))
    raise conversion_error(value, "uint")


def to_double(value: Any) -> float:
    """``double(value)``"""
    kind = value.__class__
    if kind is float:
        return value  # type: ignore[no-any-return]
    if kind is int or kind is UInt:
        return float(value)
    if kind is str and len(value) < 1000 and _HEX_DOUBLE.fullmatch(value):
        try:
            return float.fromhex(value)
        except OverflowError:
            raise conversion_error(value, "double") from None
    if kind is str and len(value) < 1000 and _DOUBLE.fullmatch(value):
        result = float(value)
        if not math.isinf(result) or "n" in value.lower():
            return result
    raise conversion_error(value, "double")


def to_bool(value: Any) -> bool:
    """``bool(value)``"""
    if value.__class__ is bool:
        return value
    if value.__class__ is str:
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
    raise conversion_error(value, "bool")


def to_string(value: Any) -> str:
    """``string(value)``"""
    kind = value.__class__
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is bool:
        return "true" if value else "false"
    if kind is int or kind is UInt:
        return str(int(value))
    if kind is float:
        return show_double(value)
    if kind is bytes:
        try:
            return value.decode()  # type: ignore[no-any-return]
        except UnicodeDecodeError:
            raise Fault("invalid UTF-8 in bytes, cannot convert to string") from None
    if kind in (Duration, Timestamp):
        return times.show(value)
    if kind is TypeValue:
        return value.name  # type: ignore[no-any-return]
    raise conversion_error(value, "string")


def to_bytes(value: Any) -> bytes:
    """``bytes(value)``"""
    if value.__class__ is bytes:
        return value
    if value.__class__ is str:
        return value.encode("utf-8", "surrogatepass")
    raise conversion_error(value, "bytes")


def to_type(value: Any) -> TypeValue:
    """``type(value)``"""
    return TypeValue(type_name(value))
