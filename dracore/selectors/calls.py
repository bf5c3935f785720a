"""Calls of functions: arguments evaluated, cost added, the overload chosen by what the arguments are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from dracore.model.semver import Semver
from dracore.selectors import costs, types
from dracore.selectors.amounts import QUANTITY_CLASSES
from dracore.selectors.attributes import COST, Run
from dracore.selectors.costs import FAILED
from dracore.selectors.declarations import Overload, accepts
from dracore.selectors.environment import Environment
from dracore.selectors.equality import equals
from dracore.selectors.faults import Fault
from dracore.selectors.library.formats import Format
from dracore.selectors.library.network import CIDR, IP
from dracore.selectors.library.urls import URL
from dracore.selectors.tree import Call, Literal, Node
from dracore.selectors.types import Type
from dracore.selectors.values import NO_OVERLOAD, type_name

_SURE = frozenset(
    {
        "quantity",
        "semver",
        "ip",
        "cidr",
        "url",
        "lowerAscii",
        "upperAscii",
        "trim",
        "string",
        "int",
        "double",
        "uint",
        "bool",
    }
)
_UNIT = (*QUANTITY_CLASSES, Semver, Format, IP, CIDR, URL)


def call(node: Call, args: list[Run], environment: Environment, constant: list[bool]) -> Run:
    """What evaluates a call whose arguments are planned."""
    if node.name in ("_==_", "_!=_"):
        return _equality(args[0], args[1], equal=node.name == "_==_")
    if node.name == "@not_strictly_false":
        return _not_strictly_false(args[0])
    implementation = _implementation(node, environment)
    if node.name in ("matches", "find", "findAll") and len(args) > 1 and constant[1]:
        implementation = _prepared(implementation)
    overload = node.overloads[0] if len(node.overloads) == 1 else ""
    cost = costs.of_call(node.name, overload)
    # A constant pattern, or a choice between overloads, makes a call that gives up at the first argument.
    eager = (
        len(args) > 2
        or overload == "string_format"
        or (node.name in ("matches", "find", "findAll") and len(args) == 2 and constant[1])
        or (not overload and any(each.guarded for each in environment.functions[node.name]))
    )
    if len(args) == 1:
        return _unary(args[0], implementation, cost)
    if len(args) == 2 and not eager:
        return _binary(args[0], args[1], implementation, cost)
    return _many(args, implementation, cost)


def _unary(arg: Run, run: Callable[[Any], Any], cost: costs.Cost | int) -> Run:
    if isinstance(cost, int):

        def fixed(frame: list[Any]) -> Any:
            frame[COST] += cost
            return run(arg(frame))

        return fixed

    def varying(frame: list[Any]) -> Any:
        value = result = FAILED
        try:
            value = arg(frame)
            result = run(value)
            return result
        finally:
            frame[COST] += cost((value,), result)

    return varying


def _binary(left: Run, right: Run, run: Callable[[Any, Any], Any], cost: costs.Cost | int) -> Run:
    if isinstance(cost, int):

        def fixed(frame: list[Any]) -> Any:
            frame[COST] += cost
            try:
                one = left(frame)
            except Fault:
                _spend(right, frame)
                raise
            return run(one, right(frame))

        return fixed

    def varying(frame: list[Any]) -> Any:
        one = other = result = FAILED
        try:
            try:
                one = left(frame)
            except Fault:
                with contextlib.suppress(Fault):
                    other = right(frame)
                raise
            other = right(frame)
            result = run(one, other)
            return result
        finally:
            frame[COST] += cost((one, other), result)

    return varying


def _spend(run: Run, frame: list[Any]) -> None:
    """Both sides of an operator are evaluated, even where the first has failed already."""
    with contextlib.suppress(Fault):
        run(frame)


def _many(args: list[Run], run: Callable[..., Any], cost: costs.Cost | int) -> Run:
    last = len(args) - 1

    def evaluate(frame: list[Any]) -> Any:
        values: list[Any] = []
        for index, arg in enumerate(args):
            try:
                values.append(arg(frame))
            except Fault:
                if index == last:  # else the call is not reached, and costs nothing
                    frame[COST] += cost if isinstance(cost, int) else cost([*values, FAILED], FAILED)
                raise
        result = FAILED
        try:
            result = run(*values)
            return result
        finally:
            frame[COST] += cost if isinstance(cost, int) else cost(values, result)

    return evaluate


def _equality(left: Run, right: Run, *, equal: bool) -> Run:
    def compare(frame: list[Any]) -> Any:
        one = other = FAILED
        try:
            try:
                one = left(frame)
            except Fault:
                with contextlib.suppress(Fault):
                    other = right(frame)
                raise
            other = right(frame)
        except Fault:
            frame[COST] += 1 if equal and isinstance(one, _UNIT) else costs.equality(one, other)
            raise
        kind = one.__class__
        if kind is int or kind is bool:
            frame[COST] += 1 if other.__class__ is kind else costs.equality(one, other)
        elif equal and kind in _UNIT:
            frame[COST] += 1
        else:
            frame[COST] += costs.equality(one, other)
        if equal:
            return equals(one, other)
        try:
            return not equals(one, other)
        except Fault:
            return True

    return compare


def _not_strictly_false(arg: Run) -> Run:
    def test(frame: list[Any]) -> bool:
        frame[COST] += 1
        try:
            return arg(frame) is not False
        except Fault:
            return True

    return test


# --- overloads --------------------------------------------------------------------------------------------


def _implementation(node: Call, environment: Environment) -> Callable[..., Any]:
    overloads = environment.functions[node.name]
    operands = node.operands()
    if len(node.overloads) == 1:
        chosen = next(each for each in overloads if each.id == node.overloads[0])
        return _guarded(node.name, chosen, operands)
    candidates = tuple(each for each in overloads if len(each.args) == len(operands) and each.run is not None)
    if all(not each.guarded for each in candidates):
        run = candidates[0].run
        assert run is not None
        return run
    return _dispatched(node.name, candidates)


def _guarded(name: str, overload: Overload, operands: list[Node]) -> Callable[..., Any]:
    run = overload.run
    if run is None:
        raise Fault(f"{NO_OVERLOAD}: {name}")
    checked = [
        (index, kind)
        for index, (kind, node) in enumerate(zip(overload.args, operands, strict=True))
        if overload.guarded and kind.kind not in ("param", "dyn") and not _certain(node, overload.args[index])
    ]
    if not checked:
        return run

    if all(kind is types.STRING for _, kind in checked):
        places = tuple(index for index, _ in checked)
        return _texts_only(name, run, places)

    def guarded(*values: Any) -> Any:
        for index, kind in checked:
            if not accepts(kind, values[index]):
                raise _no_overload(name, values)
        return run(*values)

    return guarded


def _texts_only(name: str, run: Callable[..., Any], places: tuple[int, ...]) -> Callable[..., Any]:
    """The commonest guard: texts where texts are wanted."""

    def guarded(*values: Any) -> Any:
        for index in places:
            if values[index].__class__ is not str:
                raise _no_overload(name, values)
        return run(*values)

    return guarded


def _certain(node: Node, wanted: Type) -> bool:
    """Whether a node's value is sure to be of a type: what was inferred from dyn may turn out otherwise."""
    return (isinstance(node, Literal) and node.value is not None) or (
        isinstance(node, Call) and node.type == wanted and not wanted.params and node.name in _SURE
    )


def _prepared(run: Callable[..., Any]) -> Callable[..., Any]:
    """A call with a constant pattern says less about arguments of wrong types."""

    def prepared(*values: Any) -> Any:
        try:
            return run(*values)
        except Fault as fault:
            if fault.message.startswith(NO_OVERLOAD):
                raise Fault(NO_OVERLOAD) from None
            raise

    return prepared


def _dispatched(name: str, overloads: tuple[Overload, ...]) -> Callable[..., Any]:
    def dispatch(*values: Any) -> Any:
        for overload in overloads:
            if all(map(accepts, overload.args, values)):
                assert overload.run is not None
                return overload.run(*values)
        raise _no_overload(name, values)

    return dispatch


def _no_overload(name: str, values: tuple[Any, ...]) -> Fault:
    return Fault(f"{NO_OVERLOAD}: {name}({', '.join(map(type_name, values))})")
