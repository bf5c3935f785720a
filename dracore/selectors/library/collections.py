"""Lists (those of Kubernetes and the extension, version 3), sets, optionals, and what map macros need."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cmp_to_key
from typing import Any

from dracore.selectors.declarations import Library, library
from dracore.selectors.equality import compare, contains, same
from dracore.selectors.faults import Fault, Stopped
from dracore.selectors.library import operators, times
from dracore.selectors.shown import show
from dracore.selectors.types import COMPARABLE, SUMMABLE, Type
from dracore.selectors.values import (
    NO_OVERLOAD,
    NONE,
    Duration,
    Empty,
    Optional,
    Timestamp,
    UInt,
    to_key,
    type_name,
)

_LONGEST = 1_000_000
_ORDERED = (bool, int, UInt, float, str, bytes, Duration, Timestamp)


def _order(one: Any, other: Any) -> int | None:
    """As ``compare``; None where that fails, which these functions pass over as Kubernetes does."""
    try:
        return compare(one, other)
    except Fault:
        return None


def _comparable(values: list[Any]) -> None:
    for value in values:
        if value.__class__ not in _ORDERED:
            raise Fault(NO_OVERLOAD)


def is_sorted(values: list[Any]) -> bool:
    """Whether no element is less than the one before."""
    _comparable(values)
    return all(_order(one, other) != 1 for one, other in itertools.pairwise(values))


def _extreme(name: str, unwanted: int) -> Callable[[list[Any]], Any]:
    def extreme(values: list[Any]) -> Any:
        _comparable(values)
        if not values:
            raise Fault(f"{name} called on empty list")
        best = values[0]
        for value in values[1:]:
            if _order(best, value) == unwanted:
                best = value
        return best

    return extreme


def _sum(zero: Any) -> Callable[[list[Any]], Any]:
    def total(values: list[Any]) -> Any:
        result = zero
        for value in values:
            result = times.add(result, value) if isinstance(zero, Duration) else operators.add(result, value)
        return result

    return total


_ZEROS: dict[str, Any] = {"int": 0, "uint": UInt(0), "double": 0.0, "duration": Duration(0)}


def index_of(values: list[Any], item: Any) -> int:
    """Where an equal element first stands; -1 where nowhere."""
    return next((index for index, value in enumerate(values) if same(value, item)), -1)


def last_index_of(values: list[Any], item: Any) -> int:
    """Where an equal element last stands; -1 where nowhere."""
    return next((index for index in reversed(range(len(values))) if same(values[index], item)), -1)


def includes(target: Any, item: Any) -> bool:
    """A list has an equal element, anything else is equal itself (KEP-5491)."""
    if target.__class__ is list:
        return any(same(value, item) for value in target)
    return same(target, item)


def _each(kinds: tuple[Type, ...], key: str, signature: str, run: Any) -> dict[str, tuple[str, Any]]:
    return {
        key.format(kind.kind): (
            signature.replace("X", kind.kind),
            run(kind.kind) if run == _sum_of else run,
        )
        for kind in kinds
    }


def _sum_of(kind: str) -> Callable[[list[Any]], Any]:
    return _sum(_ZEROS[kind])


LISTS: Library = library(
    "lists",
    (1, 0),
    {
        "isSorted": _each(COMPARABLE, "list_{}_is_sorted_bool", "list(X).() -> bool", is_sorted),
        "sum": _each(SUMMABLE, "list_{0}_sum_{0}", "list(X).() -> X", _sum_of),
        "max": _each(COMPARABLE, "list_{0}_max_{0}", "list(X).() -> X", _extreme("max", -1)),
        "min": _each(COMPARABLE, "list_{0}_min_{0}", "list(X).() -> X", _extreme("min", 1)),
        "indexOf": {"list_a_index_of_int": ("list(A).(A) -> int", index_of)},
        "lastIndexOf": {"list_a_last_index_of_int": ("list(A).(A) -> int", last_index_of)},
    },
)
INCLUDES: Library = library(
    "includes", (1, 37), {"includes": {"list_includes_dyn_dyn": ("dyn.(dyn) -> bool", includes)}}
)


# --- the extension --------------------------------------------------------------------------------------


def slice_of(values: list[Any], start: int, end: int) -> list[Any]:
    """From `start` up to `end`."""
    what = f"cannot slice({start}, {end}),"
    if start < 0 or end < 0:
        raise Fault(f"{what} negative indexes not supported")
    if start > end:
        raise Fault(f"{what} start index must be less than or equal to end index")
    if len(values) < end:
        raise Fault(f"{what} list is length {len(values)}")
    return values[start:end]


_WITH_PARAMETERS = {"map": "map(dyn, dyn)", "list": "list(dyn)", "optional_type": "optional_type(dyn)"}


def flatten(values: Any, *depths: Any) -> list[Any]:
    """Lists inside, down to a depth of 1 or another, opened."""
    depth = depths[0] if depths else 1
    if values.__class__ is not list or depth.__class__ is not int:
        shown = _WITH_PARAMETERS.get(type_name(values), type_name(values))
        raise Fault(f"{NO_OVERLOAD}: {shown}.flatten({', '.join(map(type_name, depths))})")
    if depth < 0:
        raise Fault("level must be non-negative")
    for _ in range(depth):
        if not any(value.__class__ is list for value in values):
            break
        opened: list[Any] = []
        for value in values:
            if value.__class__ is list:
                opened.extend(value)
            else:
                opened.append(value)
        values = opened
    return list(values)


def sort(values: Any) -> list[Any]:
    """In ascending order."""
    if values.__class__ is not list:
        raise operators.no_trait("sort", values)
    return sort_by(values, values)


def _by_key(one: tuple[Any, Any], other: tuple[Any, Any]) -> int:
    return _order(one[0], other[0]) or 0


def sort_by(values: list[Any], keys: list[Any]) -> list[Any]:
    """In ascending order of the keys beside them."""
    if values.__class__ is not list:
        raise operators.no_trait("@sortByAssociatedKeys", values)
    if not values:
        return values
    kind = keys[0].__class__
    if kind not in _ORDERED:
        raise Fault("list elements must be comparable")
    if len(keys) > 1 and any(key.__class__ is not kind for key in keys):
        raise Fault("list elements must have the same type")
    order: Callable[[Any], Any] = cmp_to_key(_by_key)
    return [value for _, value in sorted(zip(keys, values, strict=True), key=order)]


def count(size: int) -> list[int]:
    """``[0, 1, … size - 1]``"""
    if size < 0:
        raise Fault(f"lists.range: size must be non-negative, got {size}")
    if size > _LONGEST:
        raise Fault(f"lists.range: size {size} exceeds maximum allowed ({_LONGEST})")
    return list(range(size))


def distinct(values: list[Any]) -> list[Any]:
    """Each value once."""
    found: list[Any] = []
    if len(values) > 2000:
        raise Stopped("costs twice the square of the list's length, more than the limit")
    for value in values:
        if not any(same(value, other) for other in found):
            found.append(value)
    return found


EXTENDED_LISTS: Library = library(
    "extended lists",
    (1, 34),
    {
        "slice": {"list_slice": ("list(T).(int, int) -> list(T)", slice_of)},
        "flatten": {
            "list_flatten!": ("list(list(T)).() -> list(T)", flatten),
            "list_flatten_int!": ("list(dyn).(int) -> list(dyn)", flatten),
        },
        "sort": _each(COMPARABLE, "list_{}_sort!", "list(X).() -> list(X)", sort),
        "@sortByAssociatedKeys": _each(
            COMPARABLE, "list_{}_sortByAssociatedKeys!", "list(T).(list(X)) -> list(T)", sort_by
        ),
        "lists.range": {"lists_range": ("(int) -> list(int)", count)},
        "reverse": {"list_reverse": ("list(T).() -> list(T)", lambda values: values[::-1])},
        "distinct": {"list_distinct": ("list(T).() -> list(T)", distinct)},
    },
)


# --- sets -------------------------------------------------------------------------------------------------


def _comparable_sizes(one: list[Any], other: list[Any]) -> None:
    """Every pair is compared, and costs a unit: no need to begin what ends over the limit."""
    if len(one) * len(other) > 2_000_000:
        raise Stopped


def _has_all(values: list[Any], others: list[Any]) -> bool:
    _comparable_sizes(values, others)
    return all(contains(values, other) for other in others)


SETS: Library = library(
    "sets",
    (1, 29),
    {
        "sets.contains": {"list_sets_contains_list": ("(list(T), list(T)) -> bool", _has_all)},
        "sets.equivalent": {
            "list_sets_equivalent_list": (
                "(list(T), list(T)) -> bool",
                lambda one, other: _has_all(one, other) and _has_all(other, one),
            )
        },
        "sets.intersects": {
            "list_sets_intersects_list": (
                "(list(T), list(T)) -> bool",
                lambda one, other: any(contains(other, value) for value in one),
            )
        },
    },
)


# --- optionals --------------------------------------------------------------------------------------------


def _is_zero(value: Any) -> bool:
    if value is None or value is False:
        return True
    if isinstance(value, str | bytes | list | dict):
        return not value
    if isinstance(value, int | float) and value is not True:
        return value == 0
    if isinstance(value, Empty):
        return True
    if isinstance(value, Duration):
        return value.nanos == 0
    if isinstance(value, Timestamp):
        return value.nanos == times.EARLIEST
    return False


def of_non_zero(value: Any) -> Optional:
    """An optional of what is not the zero of its type."""
    return NONE if _is_zero(value) else Optional(value)


def value_of(value: Optional) -> Any:
    """What an optional holds."""
    if not value.present:
        raise Fault("optional.none() dereference")
    return value.value


def unwrap(values: list[Any]) -> list[Any]:
    """The values of those optionals that have one."""
    for value in values:
        if not isinstance(value, Optional):
            raise Fault(f"value {show(value)} is not optional")
    return [value.value for value in values if value.present]


OPTIONALS: Library = library(
    "optionals",
    (1, 28),
    {
        "optional.of": {"optional_of": ("(V) -> optional(V)", Optional)},
        "optional.ofNonZeroValue": {"optional_ofNonZeroValue": ("(V) -> optional(V)", of_non_zero)},
        "optional.none": {"optional_none": ("() -> optional(V)", lambda: NONE)},
        "value": {"optional_value": ("optional(V).() -> V", value_of)},
        "hasValue": {"optional_hasValue": ("optional(V).() -> bool", lambda value: value.present)},
        "or": {"optional_or_optional": ("optional(V).(optional(V)) -> optional(V)", None)},
        "orValue": {"optional_orValue_value": ("optional(V).(V) -> V", None)},
        "_?._": {"select_optional_field": ("(dyn, string) -> optional(V)", None)},
        "_[?_]": {
            "list_optindex_optional_int": ("(list(V), int) -> optional(V)", None),
            "optional_list_optindex_optional_int": ("(optional(list(V)), int) -> optional(V)", None),
            "map_optindex_optional_value": ("(map(K, V), K) -> optional(V)", None),
            "optional_map_optindex_optional_value": ("(optional(map(K, V)), K) -> optional(V)", None),
        },
        "last": {"list_last": ("list(V).() -> optional(V)", lambda v: Optional(v[-1]) if v else NONE)},
        "first": {"list_first": ("list(V).() -> optional(V)", lambda v: Optional(v[0]) if v else NONE)},
        "optional.unwrap": {"optional_unwrap": ("(list(optional(V))) -> list(V)", unwrap)},
        "unwrapOpt": {"optional_unwrapOpt": ("list(optional(V)).() -> list(V)", unwrap)},
    },
)


# --- two-variable comprehensions --------------------------------------------------------------------------


def insert(target: dict[Any, Any], *added: Any) -> dict[Any, Any]:
    """A map with an entry, or the entries of another map, that it does not have yet."""
    pairs = list(added[0].items()) if len(added) == 1 else [(to_key(added[0]), added[1])]
    for key, _ in pairs:
        if key in target:
            raise Fault(f"insert failed: key {show(key)} already exists")
    return {**target, **dict(pairs)}


COMPREHENSIONS: Library = library(
    "comprehensions",
    (1, 32),
    {
        "cel.@mapInsert": {
            "@mapInsert_map_key_value": ("(map(K, V), K, V) -> map(K, V)", insert),
            "@mapInsert_map_map": ("(map(K, V), map(K, V)) -> map(K, V)", insert),
        }
    },
)
