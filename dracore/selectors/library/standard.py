"""The standard functions and operators of CEL."""

from __future__ import annotations

import math
import re
from typing import Any

from dracore.selectors.declarations import Library, library
from dracore.selectors.equality import compare, contains
from dracore.selectors.faults import Fault
from dracore.selectors.library import times
from dracore.selectors.library.regexes import matches
from dracore.selectors.shown import show_double
from dracore.selectors.values import (
    INT_MAX,
    INT_MIN,
    NO_OVERLOAD,
    UINT_MAX,
    Domains,
    Duration,
    Timestamp,
    TypeValue,
    UInt,
    int64,
    type_name,
    uint64,
)

_NUMBERS = ("int", "uint", "double")
_ORDERED = (
    *(("bool", "bool"), ("int", "int"), ("int", "double"), ("int", "uint"), ("uint", "uint")),
    *(("uint", "double"), ("uint", "int"), ("double", "double"), ("double", "int"), ("double", "uint")),
    *(("string", "string"), ("bytes", "bytes"), ("timestamp", "timestamp"), ("duration", "duration")),
)
_SHORT = {"int": "int64", "uint": "uint64"}


def no_trait(name: str, value: Any) -> Fault:
    """The error of an operator that a value's type does not have; texts and times answer for themselves."""
    if isinstance(value, str | Duration | Timestamp):
        return Fault(NO_OVERLOAD)
    return Fault(f"{NO_OVERLOAD}: {name}")


def add(one: Any, other: Any) -> Any:
    """``one + other``"""
    kind = one.__class__
    if kind is other.__class__:
        if kind is int:
            return int64(one + other)
        if kind in (str, float, bytes, list):
            return one + other
        if kind is UInt:
            return uint64(int(one) + int(other))
    if kind in (Duration, Timestamp):
        return times.add(one, other)
    if kind in (int, UInt, float, str, bytes, list):
        raise Fault(NO_OVERLOAD)
    raise no_trait("_+_", one)


def subtract(one: Any, other: Any) -> Any:
    """``one - other``"""
    kind = one.__class__
    if kind is other.__class__:
        if kind is int:
            return int64(one - other)
        if kind is float:
            return one - other
        if kind is UInt:
            return uint64(int(one) - int(other))
    if kind in (Duration, Timestamp):
        return times.subtract(one, other)
    if kind in (int, UInt, float):
        raise Fault(NO_OVERLOAD)
    raise no_trait("_-_", one)


def multiply(one: Any, other: Any) -> Any:
    """``one * other``"""
    kind = _number(one, other, "_*_")
    if kind is int:
        return int64(one * other)
    return one * other if kind is float else uint64(int(one) * int(other))


def divide(one: Any, other: Any) -> Any:
    """``one / other``, towards zero."""
    kind = _number(one, other, "_/_")
    if kind is float:
        if other == 0:
            if one != one or one == 0:
                return math.nan
            return math.copysign(math.inf, one) * math.copysign(1.0, other)
        return one / other
    if other == 0:
        raise Fault("division by zero")
    if kind is UInt:
        return UInt(int(one) // int(other))
    quotient = abs(one) // abs(other)
    return int64(quotient if (one < 0) == (other < 0) else -quotient)


def modulo(one: Any, other: Any) -> Any:
    """``one % other``, with the sign of `one`."""
    if one.__class__ is float:
        raise no_trait("_%_", one)
    kind = _number(one, other, "_%_")
    if other == 0:
        raise Fault("modulus by zero")
    if kind is UInt:
        return UInt(int(one) % int(other))
    if one == INT_MIN and other == -1:
        raise Fault("integer overflow")
    return int(math.copysign(1, one)) * (abs(one) % abs(other))


def _number(one: Any, other: Any, operator: str) -> type:
    kind: type[Any] = type(one)
    if kind not in (int, UInt, float):
        raise no_trait(operator, one)
    if kind is not type(other):
        raise Fault(NO_OVERLOAD)
    return kind


def negate(value: Any) -> Any:
    """``-value``"""
    kind = value.__class__
    if kind is int:
        return int64(-value)
    if kind is float:
        return -value
    if kind is Duration:
        return times.duration(-value.nanos)
    raise Fault(NO_OVERLOAD if kind in (bool, str, Timestamp) else f"{NO_OVERLOAD}: -_")


def invert(value: Any) -> bool:
    """``!value``"""
    if value is True:
        return False
    if value is False:
        return True
    raise Fault(NO_OVERLOAD)


_COMPARED = (bool, int, UInt, float, str, bytes, Duration, Timestamp)


def _ordered(operator: str) -> Any:
    def ordered(one: Any, other: Any) -> int:
        if one.__class__ not in _COMPARED:
            raise no_trait(operator, one)
        return compare(one, other)

    less, more = operator == "_<_", operator == "_>_"
    if less or more:
        wanted = -1 if less else 1
        return lambda one, other: ordered(one, other) == wanted
    unwanted = 1 if operator == "_<=_" else -1
    return lambda one, other: ordered(one, other) != unwanted


def size(value: Any) -> int:
    """The number of characters, bytes, elements or entries."""
    if value.__class__ in (str, bytes, list, dict, Domains):
        return len(value)
    raise no_trait("size", value)


# --- conversions ------------------------------------------------------------------------------------------

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


def _same(value: Any) -> Any:
    return value


def _contains(item: Any, container: Any) -> bool:
    return contains(container, item)


def _text(method: str) -> Any:
    call = getattr(str, method)

    def test(value: Any, part: Any) -> bool:
        if value.__class__ is not str or part.__class__ is not str:
            raise Fault(NO_OVERLOAD)
        return bool(call(value, part))

    return test


def _comparisons() -> dict[str, dict[str, tuple[str, Any]]]:
    table: dict[str, dict[str, tuple[str, Any]]] = {}
    words = {"_<_": "less", "_<=_": "less_equals", "_>_": "greater", "_>=_": "greater_equals"}
    for operator, word in words.items():
        run = _ordered(operator)
        overloads: dict[str, tuple[str, Any]] = {}
        for one, other in _ORDERED:
            name = (
                _SHORT.get(one, one) if one == other else f"{_SHORT.get(one, one)}_{_SHORT.get(other, other)}"
            )
            overloads[f"{word}_{name}!"] = (f"({one}, {other}) -> bool", run)
        table[operator] = overloads
    return table


def _arithmetic(word: str, run: Any, *kinds: str) -> dict[str, tuple[str, Any]]:
    return {f"{word}_{_SHORT.get(kind, kind)}!": (f"({kind}, {kind}) -> {kind}", run) for kind in kinds}


def _conversions(target: str, run: Any, *kinds: str) -> dict[str, tuple[str, Any]]:
    own = {f"{target}_to_{target}": (f"({target}) -> {target}", run)}
    return own | {f"{kind}_to_{target}": (f"({kind}) -> {target}", run) for kind in kinds}


STANDARD: Library = library(
    "standard",
    (1, 0),
    {
        "_?_:_": {"conditional": ("(bool, A, A) -> A", None)},
        "_&&_": {"logical_and": ("(bool, bool) -> bool", None)},
        "_||_": {"logical_or": ("(bool, bool) -> bool", None)},
        "!_": {"logical_not!": ("(bool) -> bool", invert)},
        "@not_strictly_false": {"not_strictly_false": ("(bool) -> bool", None)},
        "_==_": {"equals": ("(A, A) -> bool", None)},
        "_!=_": {"not_equals": ("(A, A) -> bool", None)},
        "_+_": {
            "add_bytes!": ("(bytes, bytes) -> bytes", add),
            "add_double!": ("(double, double) -> double", add),
            "add_duration_duration!": ("(duration, duration) -> duration", add),
            "add_duration_timestamp!": ("(duration, timestamp) -> timestamp", add),
            "add_timestamp_duration!": ("(timestamp, duration) -> timestamp", add),
            "add_int64!": ("(int, int) -> int", add),
            "add_list!": ("(list(A), list(A)) -> list(A)", add),
            "add_string!": ("(string, string) -> string", add),
            "add_uint64!": ("(uint, uint) -> uint", add),
        },
        "_/_": _arithmetic("divide", divide, "double", "int", "uint"),
        "_%_": _arithmetic("modulo", modulo, "int", "uint"),
        "_*_": _arithmetic("multiply", multiply, "double", "int", "uint"),
        "-_": {
            "negate_double!": ("(double) -> double", negate),
            "negate_int64!": ("(int) -> int", negate),
        },
        "_-_": {
            **_arithmetic("subtract", subtract, "double"),
            "subtract_duration_duration!": ("(duration, duration) -> duration", subtract),
            **_arithmetic("subtract", subtract, "int"),
            "subtract_timestamp_duration!": ("(timestamp, duration) -> timestamp", subtract),
            "subtract_timestamp_timestamp!": ("(timestamp, timestamp) -> duration", subtract),
            **_arithmetic("subtract", subtract, "uint"),
        },
        **_comparisons(),
        "_[_]": {
            "index_list": ("(list(A), int) -> A", None),
            "index_map": ("(map(A, B), A) -> B", None),
            "optional_list_index_int": ("(optional(list(V)), int) -> optional(V)", None),
            "optional_map_index_value": ("(optional(map(K, V)), K) -> optional(V)", None),
        },
        "@in": {
            "in_list!": ("(A, list(A)) -> bool", _contains),
            "in_map!": ("(A, map(A, B)) -> bool", _contains),
        },
        "size": {
            "size_bytes!": ("(bytes) -> int", size),
            "bytes_size!": ("bytes.() -> int", size),
            "size_list!": ("(list(A)) -> int", size),
            "list_size!": ("list(A).() -> int", size),
            "size_map!": ("(map(A, B)) -> int", size),
            "map_size!": ("map(A, B).() -> int", size),
            "size_string!": ("(string) -> int", size),
            "string_size!": ("string.() -> int", size),
        },
        "type": {"type!": ("(A) -> type(A)", to_type)},
        "bool": _conversions("bool", to_bool, "string"),
        "bytes": _conversions("bytes", to_bytes, "string"),
        "double": _conversions("double", to_double, "int", "string", "uint"),
        "duration": _conversions("duration", times.to_duration, "string"),
        "dyn": {"to_dyn!": ("(A) -> dyn", _same)},
        "int": _conversions("int", to_int, "double", "duration", "string", "timestamp", "uint"),
        "string": _conversions(
            "string", to_string, "bool", "bytes", "double", "duration", "int", "timestamp", "uint"
        ),
        "timestamp": _conversions("timestamp", times.to_timestamp, "int", "string"),
        "uint": _conversions("uint", to_uint, "double", "int", "string"),
        "contains": {"contains_string!": ("string.(string) -> bool", _text("__contains__"))},
        "endsWith": {"ends_with_string!": ("string.(string) -> bool", _text("endswith"))},
        "startsWith": {"starts_with_string!": ("string.(string) -> bool", _text("startswith"))},
        "matches": {
            "matches!": ("(string, string) -> bool", matches),
            "matches_string!": ("string.(string) -> bool", matches),
        },
        **times.FUNCTIONS,
    },
)
