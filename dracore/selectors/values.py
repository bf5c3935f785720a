"""Run-time values: Python's own where they mean the same as CEL's, classes where they do not.

bool, int, float (double), str, bytes, list and None stand for themselves; a map is a dict whose keys went
through :func:`to_key`. Errors are raised (:class:`~dracore.selectors.faults.Fault`), never values, except
that a fold keeps one in its accumulator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from dracore.model.semver import Semver
from dracore.selectors.faults import Crash, Fault

INT_MIN, INT_MAX, UINT_MAX = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1
NO_OVERLOAD = "no such overload"


class UInt(int):
    """An unsigned integer."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of time in nanoseconds, 64 bits."""

    nanos: int


@dataclass(frozen=True, slots=True)
class Timestamp:
    """An instant: nanoseconds since 1970 UTC; `offset` is that of the zone it was written in, in seconds."""

    nanos: int
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class TypeValue:
    """A type as a value: what ``type(x)`` gives."""

    name: str


class Optional:
    """A value or its absence; `NONE` is the absent one."""

    __slots__ = ("present", "value")

    def __init__(self, value: Any, present: bool = True) -> None:
        self.value = value
        self.present = present


class Domains(dict[str, Any]):
    """Domains of attributes or capacities: one that a device has nothing of reads as an empty map."""


class Key:
    """A key of a map that Python would confuse with another: true with 1, a list with nothing hashable."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


NONE = Optional(None, present=False)
EMPTY: dict[str, Any] = {}
_TRUE, _FALSE = Key(True), Key(False)
BOOL_TYPE, STRING_TYPE = TypeValue("bool"), TypeValue("string")


def to_key(value: Any) -> Any:
    """How a value is found in a dict."""
    kind = value.__class__
    if kind is str or kind is int:
        return value
    if kind is bool:
        return _TRUE if value else _FALSE
    if kind is float:
        return (value,)  # no whole number finds a double, though a double finds a whole number
    if kind in UNHASHABLE:
        raise Crash(f"runtime error: hash of unhashable type {go_name(value)}")
    if kind in BY_IDENTITY or kind.__hash__ is None:
        return Key(value)
    return value


BY_IDENTITY: set[type] = set()
"""Classes whose values, as keys of a map, are found by themselves alone."""
UNHASHABLE: set[type] = {bytes, Semver}
"""Classes whose values stop the API server's library where they are made keys of a map."""


def from_key(key: Any) -> Any:
    """The value that a key of a dict stands for."""
    if key.__class__ is Key:
        return key.value
    return key[0] if key.__class__ is tuple else key


_NAMES: dict[type, str] = {
    bool: "bool",
    int: "int",
    UInt: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    type(None): "null_type",
    list: "list",
    dict: "map",
    Domains: "map",
    Duration: "google.protobuf.Duration",
    Timestamp: "google.protobuf.Timestamp",
    TypeValue: "type",
    Optional: "optional_type",
    Semver: "kubernetes.Semver",
}


def register(kind: type, name: str, go: str = "") -> None:
    """Gives a class its name as a type of CEL, and the one that messages of the API server have for it."""
    _NAMES[kind] = name
    _GO_NAMES[kind] = go or f"cel.{name.rpartition('.')[2]}"


def type_name(value: Any) -> str:
    """The name of a value's type."""
    return _NAMES.get(value.__class__, "unknown")


# --- equality and order ---------------------------------------------------------------------------------

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
        return second in _NUMBERS and bool(one == other)
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


MISSING: Any = object()


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


def size_of(value: Any) -> int:
    """The size by which costs are counted: 1 for what has none."""
    kind = value.__class__
    if kind is str or kind is list or kind is bytes or kind is dict or kind is Domains:
        return len(value)
    return _SIZES[kind](value) if kind in _SIZES else 1


_SIZES: dict[type, Callable[[Any], int]] = {}


def register_size(kind: type, size: Callable[[Any], int]) -> None:
    """A class whose values cost by size."""
    _SIZES[kind] = size


def size_or_held(value: Any) -> int:
    """As :func:`size_of`; an optional costs what it holds."""
    if value.__class__ is Optional and value.present:
        return size_or_held(value.value)
    return size_of(value)


def int64(value: int) -> int:
    """`value`, which must fit into 64 bits."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise Fault("integer overflow")


def uint64(value: int) -> UInt:
    """`value` as an unsigned integer of 64 bits."""
    if 0 <= value <= UINT_MAX:
        return UInt(value)
    raise Fault("unsigned integer overflow")


def show(value: Any) -> str:
    """A value inside a message, roughly as Go prints it."""
    if value is None:
        return "null"
    if value.__class__ is bool:
        return "true" if value else "false"
    if value.__class__ is float:
        return show_double(value)
    if value.__class__ is list:
        return "[" + ", ".join(map(show, value)) + "]"
    return str(value)


def show_double(value: float, widest: int = 21) -> str:
    """The shortest text that reads back the same, in Go's ``%g``: an exponent from 10**`widest` on."""
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    sign, numbers, point = Decimal(repr(value)).normalize().as_tuple()
    digits = "".join(map(str, numbers))
    exponent = len(digits) - 1 + int(point)
    head = "-" if sign else ""
    if exponent < -4 or exponent >= widest:
        mantissa = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
        return f"{head}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{head}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    rest = digits[exponent + 1 :]
    return f"{head}{whole}.{rest}" if rest else head + whole


def items_of(value: Any) -> Iterable[Any]:
    """What a one-variable macro runs over: the elements of a list, the keys of a map."""
    kind = value.__class__
    if kind is list:
        return value  # type: ignore[no-any-return]
    if kind is dict or kind is Domains:
        return [from_key(key) for key in value]
    raise Fault(f"got '{go_name(value)}', expected iterable type")


_GO_NAMES: dict[type, str] = {
    bool: "types.Bool",
    int: "types.Int",
    UInt: "types.Uint",
    float: "types.Double",
    str: "types.String",
    bytes: "types.Bytes",
    type(None): "types.Null",
    Duration: "types.Duration",
    Timestamp: "types.Timestamp",
    TypeValue: "*types.Type",
    Optional: "*types.Optional",
}


def go_name(value: Any) -> str:
    """The name that a message of the API server uses for a value's class."""
    kind = value.__class__
    if kind in _GO_NAMES:
        return _GO_NAMES[kind]
    name = _NAMES.get(kind, "")
    return {"list": "*types.baseList", "map": "*types.baseMap"}.get(name, f"cel.{name.rpartition('.')[2]}")
