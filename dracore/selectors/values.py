"""Run-time values: Python's own where they mean the same as CEL's, classes where they do not.

bool, int, float (double), str, bytes, list and None stand for themselves; a map is a dict whose keys went
through :func:`to_key`. Errors are raised (:class:`~dracore.selectors.faults.Fault`), never values, except
that a fold keeps one in its accumulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
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


class Empty:
    """A message without fields; all of them are equal."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Empty)

    def __hash__(self) -> int:
        return 0


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
MISSING: Any = object()
"""What a look-up gives where there is nothing."""
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
    Empty: "google.protobuf.Empty",
    Semver: "kubernetes.Semver",
}


def register(kind: type, name: str, go: str = "") -> None:
    """Gives a class its name as a type of CEL, and the one that messages of the API server have for it."""
    _NAMES[kind] = name
    _GO_NAMES[kind] = go or f"cel.{name.rpartition('.')[2]}"


def type_name(value: Any) -> str:
    """The name of a value's type."""
    return _NAMES.get(value.__class__, "unknown")


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
