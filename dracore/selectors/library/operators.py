"""What operators do with values, by their classes when an expression runs."""

from __future__ import annotations

import math
from typing import Any

from dracore.selectors.equality import compare, contains
from dracore.selectors.faults import Fault
from dracore.selectors.library import times
from dracore.selectors.values import INT_MIN, NO_OVERLOAD, Domains, Duration, Timestamp, UInt, int64, uint64


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


def ordering(operator: str) -> Any:
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


def is_in(item: Any, container: Any) -> bool:
    """``item in container``"""
    return contains(container, item)


def of_text(method: str) -> Any:
    call = getattr(str, method)

    def test(value: Any, part: Any) -> bool:
        if value.__class__ is not str or part.__class__ is not str:
            raise Fault(NO_OVERLOAD)
        return bool(call(value, part))

    return test
