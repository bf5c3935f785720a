"""Reading the fields of API objects: each fault knows its path, the caller knows file and document."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, TypeVar

from dracore.model.quantity import Quantity

T = TypeVar("T")


class Fault(Exception):
    """A field is wrong. `path` holds its steps, outermost first: ``["spec", "devices[3]", "name"]``."""

    def __init__(self, what: str, *path: str) -> None:
        super().__init__(what)
        self.what = what
        self.path = list(path)

    def under(self, *steps: str) -> Fault:
        """The same fault, seen from further out."""
        self.path[:0] = steps
        return self

    @property
    def field(self) -> str:
        """The path in one word."""
        return ".".join(self.path)


def mapping(content: Any, name: str, *, required: bool = False) -> Mapping[str, Any]:
    """An object; empty where it is absent or null."""
    value = content.get(name)
    if value is None:
        if required:
            raise Fault("is required", name)
        return {}
    if type(value) is not dict and not isinstance(value, Mapping):
        raise Fault(f"is {_kind(value)}, not an object", name)
    return value


def sequence(content: Any, name: str) -> Sequence[Any]:
    """A list; empty where it is absent or null."""
    value = content.get(name)
    if value is None:
        return ()
    if type(value) is not list and not isinstance(value, list | tuple):
        raise Fault(f"is {_kind(value)}, not a list", name)
    return value


def text(content: Any, name: str, *, required: bool = False) -> str:
    """A string; empty where it is absent or null."""
    value = content.get(name)
    if isinstance(value, str) and (value or not required):
        return value
    if value is None or value == "":
        if required:
            raise Fault("is required", name)
        return ""
    raise Fault(f"is {_kind(value)}, not a string", name)


def number(content: Any, name: str, default: int = 0) -> int:
    """A whole number of 64 bits."""
    value = content.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise Fault(f"is {_kind(value)}, not a whole number", name)
    if not -(2**63) <= value < 2**63:
        raise Fault("is beyond 64 bits", name)
    return value


def flag(content: Any, name: str) -> bool:
    """A boolean; false where it is absent or null."""
    value = content.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise Fault(f"is {_kind(value)}, not true or false", name)
    return value


def strings(content: Any, name: str) -> tuple[str, ...]:
    """A list of strings."""
    value = sequence(content, name)
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise Fault(f"is {_kind(item)}, not a string", f"{name}[{index}]")
    return tuple(value)


def amount(content: Any, name: str) -> Quantity:
    """A required quantity."""
    value = content.get(name)
    if value is None:
        raise Fault("is required", name)
    return quantity(value, name)


def quantity(value: Any, name: str) -> Quantity:
    """A quantity as a string or, as YAML has it, a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Fault(f"is {_kind(value)}, not a quantity", name)
    try:
        return _parsed(value if isinstance(value, str) else str(value))
    except (ValueError, ArithmeticError) as error:
        raise Fault(str(error) or "is no quantity", name) from error


@lru_cache(maxsize=4096)
def _parsed(value: str) -> Quantity:
    if len(value) > 64:
        raise ValueError("is too long for a quantity")
    parsed = Quantity.parse(value)
    if not parsed.value.is_finite() or abs(parsed.value) > Decimal("1e1000"):
        raise ValueError(f"{value!r} is beyond any quantity")
    return parsed


def each(content: Any, name: str, read: Callable[[Any], T]) -> tuple[T, ...]:
    """A list of objects, each read by `read`."""
    found = []
    for index, item in enumerate(sequence(content, name)):
        try:
            if type(item) is not dict and not isinstance(item, Mapping):
                raise Fault(f"is {_kind(item)}, not an object")
            found.append(read(item))
        except Fault as fault:
            raise fault.under(f"{name}[{index}]") from None
    return tuple(found)


def entries(content: Any, name: str, read: Callable[[Any], T]) -> dict[str, T]:
    """An object of objects, each value read by `read`."""
    found = {}
    for key, item in mapping(content, name).items():
        try:
            if type(item) is not dict and not isinstance(item, Mapping):
                raise Fault(f"is {_kind(item)}, not an object")
            found[_key(key)] = read(item)
        except Fault as fault:
            raise fault.under(name, str(key)) from None
    return found


def under(content: Any, name: str, read: Callable[[Any], T]) -> T:
    """An object read by `read`."""
    try:
        return read(mapping(content, name, required=True))
    except Fault as fault:
        raise fault if fault.path == [name] and fault.what == "is required" else fault.under(name) from None


def only(content: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuses fields that are not known: a misspelt one would be ignored silently."""
    for name in content:
        if name not in known:
            close = get_close_matches(str(name)[:100], known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise Fault(f"is no field of the API{hint}", str(name)[:100])


def _key(value: Any) -> str:
    if not isinstance(value, str):
        raise Fault(f"is named by {_kind(value)}, not a string")
    return value


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the string {value[:40]!r}"
    if isinstance(value, int | float):
        return f"the number {str(value)[:40]}" if not abs(value) >= 2**64 else "a large number"
    return "an object" if isinstance(value, Mapping) else "a list"
