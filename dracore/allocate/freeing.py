"""Which claims would have to end for others to be allocated: found by allocating once more without them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from dracore.allocate.nodes import Node

Ends: TypeAlias = tuple[str, ...]
"""Claims that end together."""
NODES = 3
TRIES = 24
SHOWN = 5


def enough(
    candidates: Iterable[tuple[Node, Ends]], fits: Callable[[Node, frozenset[str]], bool]
) -> tuple[Ends, ...]:
    """The smallest sets of claims whose end is enough; none where none was found.

    One claim alone first, then those that hold one device, then all of a node with nobody who need not end.

    :param candidates: nodes with the claims that keep a device away there.
    :param fits: whether everything would be allocated on a node without some claims.
    """
    by_node: dict[str, tuple[Node, dict[Ends, None]]] = {}
    for node, ends in candidates:
        if ends and (node.name in by_node or len(by_node) < NODES):
            by_node.setdefault(node.name, (node, {}))[1][ends] = None
    left = TRIES
    found: dict[Ends, None] = {}
    for wanted in (_singles, _sets):
        for node, sets in by_node.values():
            for ends in wanted(sets):
                if ends in found or not left or len(found) >= SHOWN:
                    continue
                left -= 1
                if fits(node, frozenset(ends)):
                    found[ends] = None
        if found:
            return tuple(found)
    for node, sets in by_node.values():
        every = [name for (name,) in _singles(sets)]
        if len(every) > 1 and fits(node, frozenset(every)):
            return (_least(node, every, fits),)
    return ()


def _singles(sets: Mapping[Ends, None]) -> Sequence[Ends]:
    return [(name,) for name in dict.fromkeys(name for ends in sets for name in ends)]


def _sets(sets: Mapping[Ends, None]) -> Sequence[Ends]:
    return [ends for ends in sets if len(ends) > 1]


def _least(node: Node, every: Sequence[str], fits: Callable[[Node, frozenset[str]], bool]) -> Ends:
    needed = list(every)
    for name in every[:TRIES]:
        fewer = [one for one in needed if one != name]
        if fewer and fits(node, frozenset(fewer)):
            needed = fewer
    return tuple(needed)
