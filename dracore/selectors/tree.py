"""The syntax tree of an expression, macros already expanded. Positions are offsets in characters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dracore.selectors.types import ERROR, Type


class Node:
    """One expression. The checker fills in `type` and, for names and calls, what they refer to."""

    __slots__ = ("pos", "type")

    def __init__(self, pos: int) -> None:
        self.pos = pos
        self.type: Type = ERROR

    def children(self) -> Iterator[Node]:
        """The expressions directly below, in the order of the source."""
        return iter(())


class Literal(Node):
    """``1``, ``2u``, ``'text'``, ``b'bytes'``, ``true``, ``null``: a run-time value."""

    __slots__ = ("value",)

    def __init__(self, pos: int, value: Any) -> None:
        super().__init__(pos)
        self.value = value


class Ident(Node):
    """A name; `constant` is its value where it is the name of a type."""

    __slots__ = ("constant", "name")

    def __init__(self, pos: int, name: str) -> None:
        super().__init__(pos)
        self.name = name
        self.constant: Any = None


class Select(Node):
    """``operand.name``; as `test` it is ``has(operand.name)``."""

    __slots__ = ("constant", "name", "operand", "test")

    def __init__(self, pos: int, operand: Node, name: str, test: bool = False) -> None:
        super().__init__(pos)
        self.operand = operand
        self.name = name
        self.test = test
        self.constant: Any = None

    def children(self) -> Iterator[Node]:
        yield self.operand


class Call(Node):
    """A function, operator (``_+_``) or member function; `overloads` are the declarations that fit."""

    __slots__ = ("args", "name", "overloads", "target")

    def __init__(self, pos: int, name: str, args: list[Node], target: Node | None = None) -> None:
        super().__init__(pos)
        self.name = name
        self.args = args
        self.target = target
        self.overloads: tuple[str, ...] = ()

    def operands(self) -> list[Node]:
        """The target, where there is one, and the arguments."""
        return self.args if self.target is None else [self.target, *self.args]

    def children(self) -> Iterator[Node]:
        return iter(self.operands())


class ListNode(Node):
    """``[a, ?b]``; `optional` holds the indices of elements that may be absent."""

    __slots__ = ("elements", "optional")

    def __init__(self, pos: int, elements: list[Node], optional: frozenset[int] = frozenset()) -> None:
        super().__init__(pos)
        self.elements = elements
        self.optional = optional

    def children(self) -> Iterator[Node]:
        return iter(self.elements)


class MapNode(Node):
    """``{k: v, ?k: v}``."""

    __slots__ = ("entries",)

    def __init__(self, pos: int, entries: list[tuple[Node, Node, bool]]) -> None:
        super().__init__(pos)
        self.entries = entries

    def children(self) -> Iterator[Node]:
        for key, value, _ in self.entries:
            yield key
            yield value


class Message(Node):
    """``Name{field: value, ?field: value}``; of a field the offset, name, value, and whether optional."""

    __slots__ = ("fields", "name")

    def __init__(self, pos: int, name: str, fields: list[tuple[int, str, Node, bool]]) -> None:
        super().__init__(pos)
        self.name = name
        self.fields = fields

    def children(self) -> Iterator[Node]:
        return (value for _, _, value, _ in self.fields)


class Fold(Node):
    """What every macro with a body becomes: a loop over `range` that carries `accu`."""

    __slots__ = ("accu", "accu_name", "condition", "range", "result", "step", "var", "var2")

    def __init__(
        self,
        pos: int,
        range: Node,
        var: str,
        var2: str,
        accu_name: str,
        accu: Node,
        condition: Node,
        step: Node,
        result: Node,
    ) -> None:
        super().__init__(pos)
        self.range = range
        self.var = var
        self.var2 = var2
        self.accu_name = accu_name
        self.accu = accu
        self.condition = condition
        self.step = step
        self.result = result

    def is_bind(self) -> bool:
        """``cel.bind`` and its like: no loop at all, a name for a value."""
        return (
            isinstance(self.range, ListNode)
            and not self.range.elements
            and isinstance(self.condition, Literal)
            and self.condition.value is False
        )

    def children(self) -> Iterator[Node]:
        yield from (self.range, self.accu, self.condition, self.step, self.result)


def walk(root: Node) -> Iterator[Node]:
    """Every node, parents before children, in the order of the source; no recursion."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(list(node.children())))
