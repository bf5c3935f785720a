"""What a call costs when it runs, in the API server's units (KEP-2876: the limit of an evaluation)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from dracore.selectors.faults import Crash
from dracore.selectors.library.formats import Format
from dracore.selectors.values import Domains, Optional, from_key, go_name, size_of, size_or_held

LIMIT = 1_000_000
"""Units of one evaluation of a selector (``CELSelectorExpressionMaxCost``)."""
LIST, MAP, MESSAGE = 10, 30, 40
STRING_FACTOR, REGEX_FACTOR = 0.1, 0.25

Cost = Callable[[Sequence[Any], Any], int]
FAILED: Any = type("Failed", (), {})()
"""Stands for the value of an argument or call that failed; its size is 1."""


def traversal(value: Any) -> int:
    """Going through a value once."""
    kind = value.__class__
    if kind is str:
        return int(len(value.encode("utf-8", "surrogatepass")) * STRING_FACTOR)
    if kind is bytes:
        return int(len(value) * STRING_FACTOR)
    if kind is list:
        return sum(map(traversal, value))
    if kind is dict or kind is Domains:
        return sum(traversal(from_key(key)) + traversal(item) for key, item in value.items())
    return 1


def _first(args: Sequence[Any], _result: Any) -> int:
    return ceil(size_of(args[0]) * STRING_FACTOR)


def _twice(args: Sequence[Any], _result: Any) -> int:
    return ceil(size_of(args[0]) * 2 * STRING_FACTOR)


def _joined(_args: Sequence[Any], result: Any) -> int:
    return ceil(size_of(result) * 2 * STRING_FACTOR)


def _found(args: Sequence[Any], _result: Any) -> int:
    return ceil((1.0 + size_of(args[0])) * STRING_FACTOR) * ceil(size_of(args[1]) * REGEX_FACTOR)


def _validated(args: Sequence[Any], _result: Any) -> int:
    if not isinstance(args[0], Format):
        return 1
    return ceil((1.0 + size_of(args[1])) * STRING_FACTOR) * ceil(args[0].cost * REGEX_FACTOR)


def _traversed(args: Sequence[Any], _result: Any) -> int:
    return traversal(args[0])


def _contained(text: bool, cidr: bool) -> Cost:
    def cost(args: Sequence[Any], _result: Any) -> int:
        own = size_of(args[0])
        total = ceil((own + own) * STRING_FACTOR)
        if cidr:
            total += ceil(own * STRING_FACTOR) + 1
        return total + (ceil(size_of(args[1]) * STRING_FACTOR) if text else 0)

    return cost


def _allocated(factor: float) -> Callable[[int], int]:
    return lambda size: int(size * factor) + 1 + LIST


def _selector(args: Sequence[Any], _result: Any) -> int:
    """A selector is read, and may hold a requirement in every two characters."""
    size = size_of(args[1])
    return 10 + ceil(size * STRING_FACTOR) + ceil(ceil(size * 0.5) * 50.0)


def _output(_args: Sequence[Any], result: Any) -> int:
    return _allocated(1)(size_of(result))


def _flattened(args: Sequence[Any], _result: Any) -> int:
    if len(args) == 2 and args[1].__class__ is not int:
        name = "*types.Err" if args[1] is FAILED else go_name(args[1])
        raise Crash(f"interface conversion: ref.Val is {name}, not types.Int")
    depth = float(args[1]) if len(args) == 2 else 1.0
    return _allocated(1.0 if depth < 0 else depth)(size_of(args[0]))


def _compared(index: int, by_element: bool) -> Cost:
    def cost(args: Sequence[Any], _result: Any) -> int:
        values = args[index]
        if not isinstance(values, list):
            raise Crash(f"interface conversion: {_not_a_list(values)}")
        factor = 2.0 + (STRING_FACTOR if values and isinstance(values[0], str | bytes) and by_element else 0)
        return _allocated(factor)(len(values) * len(values))

    return cost


def _not_a_list(value: Any) -> str:
    if value is FAILED or isinstance(value, Optional):
        name = "*types.Err" if value is FAILED else go_name(value)
        return f"{name} is not traits.Lister: missing method Add"
    return f"{go_name(value)} is not traits.Lister: missing method Contains"


def _sets(factor: float) -> Cost:
    return lambda args, _result: 1 + int(size_of(args[0]) * size_of(args[1]) * factor)


def equality(one: Any, other: Any) -> int:
    """Comparing two values."""
    return ceil(min(size_or_held(one), size_or_held(other)) * STRING_FACTOR)


def _second(args: Sequence[Any], _result: Any) -> int:
    return ceil(size_or_held(args[1]) * STRING_FACTOR)


def _matched(args: Sequence[Any], _result: Any) -> int:
    return ceil((1.0 + size_or_held(args[0])) * STRING_FACTOR) * ceil(size_or_held(args[1]) * REGEX_FACTOR)


def _part(args: Sequence[Any], _result: Any) -> int:
    return ceil(size_or_held(args[0]) * STRING_FACTOR) * ceil(size_or_held(args[1]) * STRING_FACTOR)


def _smaller(args: Sequence[Any], _result: Any) -> int:
    return equality(args[0], args[1])


def _added(args: Sequence[Any], _result: Any) -> int:
    return ceil((size_or_held(args[0]) + size_or_held(args[1])) * STRING_FACTOR)


_TRACKED: dict[str, Cost] = {
    "list_slice": _output,
    "list_flatten": _flattened,
    "list_flatten_int": _flattened,
    "lists_range": _output,
    "list_reverse": _output,
    "list_distinct": _compared(0, by_element=True),
    "list_sets_contains_list": _sets(1),
    "list_sets_intersects_list": _sets(1),
    "list_sets_equivalent_list": _sets(2),
}
_FUNCTIONS: dict[str, Cost | int] = {
    **dict.fromkeys(("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf", "includes"), _traversed),
    **dict.fromkeys(("url", "lowerAscii", "upperAscii", "substring", "trim"), _first),
    **dict.fromkeys(("cidr", "isIP", "isCIDR", "ip"), _first),
    **dict.fromkeys(("quantity", "isQuantity", "semver", "isSemver"), _first),
    **dict.fromkeys(("replace", "split", "ip.isCanonical"), _twice),
    "join": _joined,
    "check": 350_000,
    **dict.fromkeys(("fieldSelector", "labelSelector"), _selector),
    "find": _found,
    "findAll": _found,
    "validate": _validated,
}
_OVERLOADS: dict[str, Cost] = {
    "starts_with_string": _second,
    "ends_with_string": _second,
    **dict.fromkeys(("string_to_bytes", "bytes_to_string", "strings_quote", "string_format"), _first),
    "in_list": lambda args, _result: size_or_held(args[1]),
    **{
        f"{word}_{kind}": _smaller
        for word in ("less", "less_equals", "greater", "greater_equals")
        for kind in ("string", "bytes")
    },
    "add_string": _added,
    "add_bytes": _added,
    "matches": _matched,
    "matches_string": _matched,
    "contains_string": _part,
}


def of_call(name: str, overload: str) -> Cost | int:
    """What a call of a function costs: a number, or a function of its arguments and its result.

    :param overload: the one that was resolved, or empty where there are several.
    """
    if overload in _TRACKED:
        return _TRACKED[overload]
    if overload.endswith("_sortByAssociatedKeys"):
        return _compared(1, by_element=True)
    if overload.endswith("_sort") and name == "sort":
        return _compared(0, by_element=True)
    if overload == "cidr_ip":
        return 1
    if name in ("containsIP", "containsCIDR"):
        return _contained(overload.endswith("_string"), cidr=name == "containsCIDR")
    if name in _FUNCTIONS:
        return _FUNCTIONS[name]
    return _OVERLOADS.get(overload, 1)
