"""Equality, order and membership of run-time values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from dracore.model.semver import Semver
from dracore.selectors.faults import Fault
from dracore.selectors.values import (
    EMPTY,
    MISSING,
    NO_OVERLOAD,
    Domains,
    Duration,
    Optional,
    Timestamp,
    UInt,
    to_key,
)

_NUMBERS = frozenset({int, UInt, float})
_LOUD: dict[type, Callable[[Any, Any], bool]] = {
    Semver: lambda one, other: one == other,
}
_ACCEPTS: dict[type, frozenset[type]] = {
    Semver: frozenset({Semver}),
}


def register_equality(kind: type, equal: Callable[[Any, Any], bool]) -> None:
    """A class whose values are compared with their own kind alone; anything else is an error."""
    _LOUD[kind] = equal
    _ACCEPTS[kind] = frozenset({kind})


def register_accepting(kind: type, others: frozenset[type], equal: Callable[[Any, Any], bool]) -> None:
    """As :func:`register_equality`, for a class that is compared with several."""
    _LOUD[kind] = equal
    _ACCEPTS[kind] = others


def equals(one: Any, other: Any) -> bool:
    """``one == other``.

    :raises Fault: where the API server's types refuse to be compared with another type.
    """
    kind, second = one.__class__, other.__class__
    if kind is second and (kind is str or kind is int or kind is bool):
        return bool(one == other)
    if kind in _LOUD:
        if second is type(None):
            return False
        if second not in _ACCEPTS[kind]:
            raise Fault(NO_OVERLOAD)
        return _LOUD[kind](one, other)
    if kind in _NUMBERS:
        if second not in _NUMBERS:
            return False
        # Beside a double a whole number counts as the nearest double, as in Go; Python compares exactly.
        return bool(float(one) == float(other) if kind is float or second is float else one == other)
    if kind is list:
        return second is list and _lists_equal(one, other)
    if kind is dict or kind is Domains:
        return (second is dict or second is Domains) and _maps_equal(one, other)
    if kind is Optional:
        if second is not Optional or one.present != other.present:
            return False
        return not one.present or equals(one.value, other.value)
    return kind is second and bool(one == other)


def same(one: Any, other: Any) -> bool:
    """``equals`` where an error counts as different: in ``in``, ``includes``, ``!=`` and sets."""
    try:
        return equals(one, other)
    except Fault:
        return False


def _lists_equal(one: list[Any], other: list[Any]) -> bool:
    if len(one) != len(other):
        return False
    return all(map(_not_different, one, other))


def _not_different(one: Any, other: Any) -> bool:
    """Elements that cannot be compared at all do not make their lists different: a quirk of cel-go."""
    try:
        return equals(one, other)
    except Fault:
        return True


def _maps_equal(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
    if len(one) != len(other):
        return False
    other_is_open = other.__class__ is Domains
    for key, value in one.items():
        if key in other:
            found = other[key]
        elif other_is_open:
            found = EMPTY
        else:
            return False
        if not _not_different(value, found):
            return False
    return True


def compare(one: Any, other: Any) -> int:
    """-1, 0 or 1.

    :raises Fault: when there is no order between them.
    """
    kind, second = one.__class__, other.__class__
    if kind in _NUMBERS and second in _NUMBERS:
        if one != one or other != other:
            raise Fault("NaN values cannot be ordered")
        if (kind is float) is not (second is float):
            one, other = float(one), float(other)
        return int(one > other) - int(one < other)
    if kind is not second:
        raise Fault(NO_OVERLOAD)
    if kind is bool or kind is bytes:
        return int(one > other) - int(one < other)
    if kind is str:
        if one == other:
            return 0
        return 1 if one.encode("utf-8", "surrogatepass") > other.encode("utf-8", "surrogatepass") else -1
    if kind is Duration or kind is Timestamp:
        return int(one.nanos > other.nanos) - int(one.nanos < other.nanos)
    raise Fault(NO_OVERLOAD)


def contains(container: Any, item: Any) -> bool:
    """``item in container``."""
    kind = container.__class__
    if kind is list:
        # An element that cannot be compared counts as another one.
        return any(same(item, each) for each in container)
    if kind is dict or kind is Domains:
        return find(container, item, open_domains=False) is not MISSING
    raise Fault(NO_OVERLOAD)


def find(container: dict[Any, Any], key: Any, *, open_domains: bool = True) -> Any:
    """The value under a key, or MISSING; a number finds an equal number of another type."""
    kind = key.__class__
    if not container:
        found = MISSING
    elif kind is str:
        found = container.get(key, MISSING)
    elif kind is float:
        found = container.get((key,), MISSING)
        if found is MISSING and math.isfinite(key) and key == int(key):
            found = container.get(int(key), MISSING)
    else:
        found = container.get(to_key(key), MISSING)
    if found is MISSING and open_domains and container.__class__ is Domains:
        return EMPTY
    return found
