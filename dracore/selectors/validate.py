"""Checks beyond types: literals that cannot be read, mixed lists and maps, wrong formats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dracore.selectors.faults import Fault, Issues
from dracore.selectors.library.printf import WRONG, clauses
from dracore.selectors.library.regexes import pattern
from dracore.selectors.library.times import to_duration, to_timestamp
from dracore.selectors.tree import Call, ListNode, Literal, MapNode, Node
from dracore.selectors.types import Type, equivalent

_LITERALS: dict[str, Callable[[Any], Any]] = {
    "duration": to_duration,
    "timestamp": to_timestamp,
    "matches": pattern,
}
_CLAUSES = {
    "d": ("int", "uint"),
    "f": ("double", "string"),
    "e": ("double", "string"),
    "b": ("int", "uint", "bool"),
    "x": ("int", "uint", "string", "bytes"),
    "X": ("int", "uint", "string", "bytes"),
    "o": ("int", "uint"),
}
_AS_STRING = frozenset(
    {
        "list",
        "map",
        "int",
        "uint",
        "double",
        "bool",
        "string",
        "timestamp",
        "bytes",
        "duration",
        "type",
        "null",
    }
)
_NAMES = {
    "null": "null_type",
    "duration": "google.protobuf.Duration",
    "timestamp": "google.protobuf.Timestamp",
    "any": "google.protobuf.Any",
}


def validate(root: Node, issues: Issues) -> None:
    """Reports what a tree with types still has wrong."""
    stack: list[tuple[Node, bool]] = [(root, False)]
    while stack:
        node, inside_format = stack.pop()
        inside = inside_format or (isinstance(node, Call) and node.name == "format")
        if isinstance(node, Call):
            _call(node, issues)
        elif isinstance(node, ListNode) and not inside_format:
            _list(node, issues)
        elif isinstance(node, MapNode) and not inside_format:
            _map(node, issues)
        stack.extend((child, inside) for child in node.children())


def _call(node: Call, issues: Issues) -> None:
    read = _LITERALS.get(node.name)
    if read is not None and node.args:
        literal = node.args[0]
        if isinstance(literal, Literal):
            try:
                if isinstance(literal.value, str) or node.name != "matches":
                    read(literal.value)
            except Fault:
                issues.report(literal.pos, f"invalid {node.name} argument")
    if node.name == "format" and "string_format" in node.overloads:
        _format(node, issues)


def _mismatch(node: Node, expected: Type, found: Type, issues: Issues) -> None:
    issues.report(node.pos, f"expected type '{expected.text}' but found '{found.text}'")


def _held(node: Node, optional: bool, issues: Issues) -> Type:
    """What an element or entry holds. The API server's own check fails on an optional of unknown type."""
    if not optional:
        return node.type
    if not node.type.params:
        issues.report(node.pos, "an optional element of unknown type crashes the API server's check")
        return node.type
    return node.type.params[0]


def _list(node: ListNode, issues: Issues) -> None:
    first: Type | None = None
    for index, each in enumerate(node.elements):
        kind = _held(each, index in node.optional, issues)
        if first is None:
            first = kind
        elif not equivalent(first, kind):
            _mismatch(each, first, kind, issues)
            return


def _map(node: MapNode, issues: Issues) -> None:
    first: tuple[Type, Type] | None = None
    for key, value, optional in node.entries:
        kind = _held(value, optional, issues)
        if first is None:
            first = (key.type, kind)
            continue
        if not equivalent(first[0], key.type):
            _mismatch(key, first[0], key.type, issues)
        if not equivalent(first[1], kind):
            _mismatch(value, first[1], kind, issues)


def _format(node: Call, issues: Issues) -> None:
    if not isinstance(node.target, Literal) or not isinstance(node.target.value, str):
        return
    arguments = node.args[0]
    if not isinstance(arguments, ListNode):
        return
    elements = arguments.elements
    used = 0
    try:
        for part in clauses(node.target.value, len(elements)):
            if isinstance(part, str):
                continue
            letter, _, index = part
            used += 1
            wrong = _unfit(elements[index], letter)
            if wrong is not None:
                name = _NAMES.get(wrong.type.kind, wrong.type.name)
                message = f"error during formatting: {WRONG[letter]}, was given {name}"
                issues.report(wrong.pos, message)
                return
    except Fault as fault:
        issues.report(node.pos, fault.message)
        return
    if len(elements) > used:
        issues.report(
            node.pos, f"too many arguments supplied to string.format (expected {used}, got {len(elements)})"
        )


def _unfit(node: Node, letter: str) -> Node | None:
    """The node that a clause cannot take; it may lie inside a list or map."""
    if node.type.kind == "dyn":
        return None
    if letter != "s":
        return None if node.type.kind in _CLAUSES[letter] else node
    if node.type.kind not in _AS_STRING:
        return node
    if isinstance(node, ListNode | MapNode):
        for child in node.children():
            wrong = _unfit(child, letter)
            if wrong is not None:
                return wrong
    return None
