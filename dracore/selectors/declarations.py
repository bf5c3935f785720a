"""How functions are declared: names, signatures written as text, and what runs them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from dracore.selectors import types
from dracore.selectors.types import Type
from dracore.selectors.values import EMPTY, Domains, from_key, type_name

Run = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Overload:
    """One signature of a function. `run` gets plain values and raises Fault; None where the planner knows."""

    id: str
    args: tuple[Type, ...]
    result: Type
    member: bool
    library: str
    run: Run | None
    variables: tuple[str, ...]
    """The type variables of the signature."""
    guarded: bool = True


@dataclass(frozen=True, slots=True)
class Library:
    """Functions that came together. `since` is the Kubernetes version that first had them, (1, 30)."""

    name: str
    since: tuple[int, int]
    functions: Mapping[str, tuple[Overload, ...]]
    macros: bool = False


def library(
    name: str, since: tuple[int, int], table: Mapping[str, Mapping[str, tuple[str, Run | None]]]
) -> Library:
    """A library from function -> overload id -> (signature, what runs it).

    ``string.(int) -> string`` is a member function, ``(int) -> string`` is not. An id that ends in ``!`` is
    checked by its own code rather than by its signature when it runs.
    """
    functions: dict[str, tuple[Overload, ...]] = {}
    for function, overloads in table.items():
        made = []
        for key, (signature, run) in overloads.items():
            member, args, result = _signature(signature)
            variables = types.variables_of(*args, result)
            guarded = not key.endswith("!")
            made.append(Overload(key.rstrip("!"), args, result, member, name, run, variables, guarded))
        functions[function] = tuple(made)
    return Library(name, since, functions)


_NAMED: dict[str, Type] = {
    **{t.kind: t for t in (types.BOOL, types.INT, types.UINT, types.DOUBLE, types.STRING, types.BYTES)},
    **{t.kind: t for t in (types.NULL, types.DURATION, types.TIMESTAMP, types.DYN, types.TYPE)},
    "Quantity": types.QUANTITY,
    "Semver": types.SEMVER,
    "URL": types.URL,
    "IP": types.IP,
    "CIDR": types.CIDR,
    "Format": types.FORMAT,
    "Authorizer": types.AUTHORIZER,
    "PathCheck": types.PATH_CHECK,
    "GroupCheck": types.GROUP_CHECK,
    "ResourceCheck": types.RESOURCE_CHECK,
    "Decision": types.DECISION,
}
_WRAPPERS: dict[str, Callable[..., Type]] = {
    "list": types.list_of,
    "map": types.map_of,
    "optional": types.optional_of,
    "type": types.type_of,
}
_TOKEN = re.compile(r"[A-Za-z]+|[(),]")


@cache
def _signature(text: str) -> tuple[bool, tuple[Type, ...], Type]:
    left, _, result = text.partition(" -> ")
    target, dot, rest = left.partition(".(")
    args = _types(f"({rest}" if dot else left)
    return bool(dot), (*_types(f"({target})"), *args) if dot else args, _types(f"({result})")[0]


def _types(text: str) -> tuple[Type, ...]:
    """``(string, list(T))`` -> its types."""
    stack: list[tuple[str, list[Type]]] = []
    word = ""
    for part in _TOKEN.findall(text):
        if part == "(":
            stack.append((word, []))
            word = ""
        elif part in ",)":
            if word:
                stack[-1][1].append(_NAMED.get(word) or types.param(word))
            word = ""
            if part == ")":
                outer, found = stack.pop()
                if not stack:
                    return tuple(found)
                stack[-1][1].append(_WRAPPERS[outer](*found))
        else:
            word = part
    raise ValueError(text)


_RUNTIME = {
    "null": "null_type",
    "duration": "google.protobuf.Duration",
    "timestamp": "google.protobuf.Timestamp",
}


def accepts(kind: Type, value: Any) -> bool:
    """Whether a value may stand where `kind` is declared; of a list or map the first element is looked at."""
    if kind.kind in ("dyn", "any", "param"):
        return True
    if type_name(value) != _RUNTIME.get(kind.kind, kind.name):
        return False
    if kind.kind == "list":
        return not value or accepts(kind.params[0], value[0])
    if kind.kind == "map":
        if not value:
            return True
        key = next(iter(value))
        return accepts(kind.params[0], from_key(key)) and accepts(kind.params[1], value[key])
    return True


def plain_map(value: Any) -> dict[Any, Any]:
    """A map as a dict."""
    return value if isinstance(value, dict) else EMPTY


__all__ = ["Domains", "Library", "Overload", "Run", "accepts", "library", "plain_map"]
