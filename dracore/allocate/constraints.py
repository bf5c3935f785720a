"""``matchAttribute`` and ``distinctAttribute`` over the devices of a claim.

Each keeps a stack: what is taken last is given back first, and the state is then what it was before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from dracore.allocate.wanted import Constraint

_SCALARS = ("string", "int", "bool", "version")
_LISTS = {"ints": "int", "bools": "bool", "strings": "string", "versions": "version"}


class Values(NamedTuple):
    """The values of an attribute; `kind` is empty where its type is not known or switched off."""

    kind: str
    items: frozenset[Any]

    def common(self, other: Values) -> Values | None:
        """The values in both; None where there are none or the types differ."""
        if not self.kind or self.kind != other.kind:
            return None
        items = self.items & other.items
        return Values(self.kind, items) if items else None


def values(attribute: Mapping[str, Any] | None, *, lists: bool) -> Values | None:
    """The values of an attribute, ``{"int": 1}``; None where there is none.

    :param lists: a list counts as the set of its items (DRAListTypeAttributes), else as of no known type.
    """
    if attribute is None:
        return None
    ((kind, value),) = attribute.items()
    if kind in _SCALARS:
        return Values(kind, frozenset([value]))
    if lists and kind in _LISTS and value:
        return Values(_LISTS[kind], frozenset(value))
    return Values("", frozenset())


class Rule(Protocol):
    """A constraint in a search."""

    @property
    def attribute(self) -> str: ...

    def covers(self, request: str) -> bool:
        """Whether it is about a request, given by its full name."""
        ...

    def add(self, attribute: Mapping[str, Any] | None) -> bool:
        """Takes in a device with this attribute; False, and nothing has changed, where it breaks the
        constraint.
        """
        ...

    def remove(self) -> None:
        """Takes the last device out again."""
        ...


class _Covering:
    def __init__(self, constraint: Constraint, attribute: str, *, lists: bool) -> None:
        self._requests = constraint.requests
        self.attribute = attribute
        self._lists = lists

    def covers(self, request: str) -> bool:
        """A request without its alternative stands for all of them."""
        return not self._requests or request in self._requests or request.partition("/")[0] in self._requests


class Match(_Covering):
    """All devices have a value in common."""

    def __init__(self, constraint: Constraint, attribute: str, *, lists: bool) -> None:
        super().__init__(constraint, attribute, lists=lists)
        self._common: list[Values] = []

    @property
    def common(self) -> Values | None:
        """What the devices so far have in common; None before the first."""
        return self._common[-1] if self._common else None

    def add(self, attribute: Mapping[str, Any] | None) -> bool:
        found = values(attribute, lists=self._lists)
        if found is None:
            return False
        if not self._common:
            # Alone it matches itself, but the scheduler asks for a type that it knows where it makes sets.
            if self._lists and not found.kind:
                return False
            self._common.append(found)
            return True
        narrowed = self._common[-1].common(found)
        if narrowed is None:
            return False
        self._common.append(narrowed)
        return True

    def remove(self) -> None:
        self._common.pop()


class Distinct(_Covering):
    """No two devices have a value in common; values of different types never are the same."""

    def __init__(self, constraint: Constraint, attribute: str, *, lists: bool) -> None:
        super().__init__(constraint, attribute, lists=lists)
        self._taken: list[Values] = []

    def add(self, attribute: Mapping[str, Any] | None) -> bool:
        found = values(attribute, lists=self._lists)
        if found is None or (not found.kind and (self._lists or self._taken)):
            return False
        if any(found.common(other) for other in self._taken):
            return False
        self._taken.append(found)
        return True

    def remove(self) -> None:
        self._taken.pop()


def rules(constraints: Iterable[Constraint], *, lists: bool) -> list[Match | Distinct | None]:
    """The constraints ready for a search; None for one of an unknown type."""
    found: list[Match | Distinct | None] = []
    for constraint in constraints:
        if constraint.match is not None:
            found.append(Match(constraint, constraint.match, lists=lists))
        elif constraint.distinct is not None:
            found.append(Distinct(constraint, constraint.distinct, lists=lists))
        else:
            found.append(None)
    return found
