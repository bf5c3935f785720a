"""Compiling: parse, check, plan; then evaluating on one device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dracore.model.device import Device
from dracore.model.names import EXPRESSION_LIMIT
from dracore.selectors import costs, types
from dracore.selectors.attributes import COST, DEVICE, Run
from dracore.selectors.checker import check
from dracore.selectors.depth import apart
from dracore.selectors.device import activation
from dracore.selectors.environment import Environment
from dracore.selectors.faults import CompileError, Crash, Fault, Issues, Stopped
from dracore.selectors.messages import refused
from dracore.selectors.parser import parse
from dracore.selectors.planner import plan
from dracore.selectors.tree import Call, Node, walk
from dracore.selectors.types import Type
from dracore.selectors.validate import validate
from dracore.selectors.values import Optional, type_name

TOO_DEEP = "nested too deeply"


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled expression; evaluating it changes nothing, so threads may share it."""

    text: str
    type: Type
    tree: Node
    environment: Environment
    macros: frozenset[str]
    run: Run = field(repr=False)
    size: int = field(repr=False)
    deep: bool = False
    """Whether it is nested so deeply that evaluating it needs a stack of its own."""

    def evaluate(self, device: Mapping[str, Any]) -> tuple[Any, int]:
        """The value for a value of ``device``, and what it cost.

        :raises Fault: it fails.
        """
        frame: list[Any] = [None] * self.size
        frame[COST], frame[DEVICE] = 0, device
        try:
            value = self.run(frame)
            if frame[COST] > costs.LIMIT:
                raise Stopped
        except Crash as crash:
            fault = Fault(f"internal error: {crash}")
            fault.cost = frame[COST]
            raise fault from None
        except Stopped:
            raise Spent(frame[COST]) from None
        except Fault as fault:
            fault.cost = frame[COST]
            if frame[COST] > costs.LIMIT:
                raise Spent(frame[COST]) from None
            raise
        return value, frame[COST]

    def run_on(self, device: Mapping[str, Any]) -> tuple[Any, int]:
        """As :meth:`evaluate`, on a stack of its own where it needs one."""
        try:
            return apart(lambda: self.evaluate(device)) if self.deep else self.evaluate(device)
        except RecursionError:
            raise Fault(TOO_DEEP) from None

    def libraries(self) -> dict[str, tuple[int, int]]:
        """The libraries beyond the standard that the expression uses, and since when Kubernetes has them."""
        from dracore.selectors.environment import since

        used = set(self.macros)
        functions = self.environment.functions
        for node in walk(self.tree):
            if isinstance(node, Call):
                ids = set(node.overloads)
                used |= {each.library for each in functions.get(node.name, ()) if each.id in ids}
        return {name: since(name) for name in sorted(used - {"standard"})}


class Spent(Fault):
    """The evaluation was stopped at its cost limit."""

    def __init__(self, cost: int) -> None:
        super().__init__("operation cancelled: actual cost limit exceeded")
        self.cost = cost


Refusal = Callable[[Type], "str | None"]
"""Why the type of a whole expression is not taken; None where it is."""


def build(text: str, environment: Environment, refuse: Refusal | None = None) -> Program:
    """Compiles an expression for an environment.

    :param refuse: by default only what may be a bool is taken.
    :raises CompileError: in the API server's words.
    """
    try:
        size = len(text) if len(text) > EXPRESSION_LIMIT else len(text.encode())
    except UnicodeEncodeError:
        shown = text.encode("utf-8", "replace").decode()
        raise CompileError(shown, "holds half a surrogate pair, which no UTF-8 text can") from None
    if size > EXPRESSION_LIMIT:
        raise CompileError(text[:400], f"longer than {EXPRESSION_LIMIT} bytes, the API's limit")
    try:
        if _looks_deep(text):
            return apart(lambda: _build(text, environment, refuse))
        return _build(text, environment, refuse)
    except RecursionError:
        raise CompileError(text, TOO_DEEP) from None


def _build(text: str, environment: Environment, refuse: Refusal | None) -> Program:
    issues = Issues(text)
    tree, macros = parse(text, environment.macros)
    check(tree, environment, issues)
    if not issues:
        validate(tree, issues)
    if issues:
        raise CompileError(text, f"compilation failed: {issues.render()}", issues.sorted())
    refused_type = refuse(tree.type) if refuse is not None else _no_answer(tree.type, environment)
    if refused_type is not None:
        raise CompileError(text, refused_type)
    try:
        run, size = plan(tree, environment)
    except Crash as crash:
        raise CompileError(text, f"crashes the API server's planner: {crash}") from None
    except Fault as fault:
        raise CompileError(text, f"program instantiation failed: {fault.message}") from None
    return Program(text, tree.type, tree, environment, frozenset(macros), run, size, _looks_deep(text))


def _no_answer(kind: Type, environment: Environment) -> str | None:
    if kind in (types.BOOL, environment.attribute):
        return None
    return f"must evaluate to bool or the unknown type, not {kind.declared()}"


def _looks_deep(text: str) -> bool:
    """Whether brackets lie so deep that the caller's stack may not have room enough."""
    return sum(map(text.count, "([{")) > 40


def matches(program: Program, driver: str, device: Device | Mapping[str, Any]) -> tuple[bool, int]:
    """Whether the expression is true for a device, and what that cost.

    :raises Fault: it fails, or gives neither true nor false.
    """
    value, cost = program.run_on(activation(driver, device))
    held = value
    while held.__class__ is Optional and held.present:
        held = held.value
    if held.__class__ is not bool:
        why = "optional.none() dereference" if held.__class__ is Optional else refused(held, "bool").message
        fault = Fault(f"CEL result of type {type_name(value)} could not be converted to bool: {why}")
        fault.cost = cost
        raise fault
    return held, cost
