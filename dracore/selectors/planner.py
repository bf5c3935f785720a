"""A checked tree to closures. Each adds its cost to the frame, as the API server's interpreter counts it.

Constants are folded, patterns compiled and sets made while planning, as the API server does: what fails
there fails the whole expression.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dracore.selectors import costs
from dracore.selectors.attributes import (
    COST,
    DEVICE,
    KEYS,
    LOCALS,
    Choice,
    Path,
    Run,
    Step,
    invalid_key,
    named,
)
from dracore.selectors.calls import call
from dracore.selectors.depth import STRIDE, apart
from dracore.selectors.environment import NAMED_TYPES, Environment
from dracore.selectors.faults import Fault
from dracore.selectors.folds import fold
from dracore.selectors.library.regexes import pattern
from dracore.selectors.messages import message, shape
from dracore.selectors.shown import show
from dracore.selectors.tree import Call, Fold, Ident, ListNode, Literal, MapNode, Message, Node, Select
from dracore.selectors.values import NO_OVERLOAD, Optional, TypeValue, to_key

CONVERSIONS = frozenset(
    {
        "bool",
        "bytes",
        "double",
        "duration",
        "dyn",
        "int",
        "string",
        "timestamp",
        "type",
        "uint",
    }
)
_PRIMITIVE = (bool, int, float, str)


class Constant:
    """A value known while planning; evaluating it costs nothing."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


Plan = Constant | Path | Choice | Run


def plan(root: Node, environment: Environment) -> tuple[Run, int]:
    """What evaluates the tree, and how long its frame is.

    :raises Fault: a constant part fails.
    """
    planner = Planner(environment)
    return planner.run(root), LOCALS + planner.locals


class Planner:
    """Plans one expression."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.locals = 0
        self._scopes: list[dict[str, Run]] = []
        self._depth = 0
        self._kinds: dict[type, Callable[[Any], Plan]] = {
            Literal: lambda node: Constant(node.value),
            Ident: self._ident,
            Select: self._select,
            Call: self._call,
            ListNode: self._list,
            MapNode: self._map,
            Message: self._message,
            Fold: self._fold,
        }

    def plan(self, node: Node) -> Plan:
        """The plan of a node, still open for steps that follow."""
        self._depth += 1
        make = self._kinds[node.__class__]
        if self._depth % STRIDE:
            planned = make(node)
        else:
            planned = apart(lambda: make(node))
            if not isinstance(planned, Constant | Path | Choice):
                planned = _apart(planned)
        self._depth -= 1
        return planned

    def run(self, node: Node) -> Run:
        """What evaluates a node."""
        return closed(self.plan(node))

    # --- names and paths ----------------------------------------------------------------------------------

    def slot(self) -> int:
        """A place in the frame."""
        self.locals += 1
        return LOCALS + self.locals - 1

    def push(self, scope: dict[str, Run]) -> None:
        """Local names become visible."""
        self._scopes.append(scope)

    def pop(self) -> None:
        """The last local names end."""
        self._scopes.pop()

    def _ident(self, node: Ident) -> Plan:
        if node.constant is not None:
            return _type(node.constant.name)
        if node.type.kind == "type":
            # Upstream a name whose value is a type is looked up as the name of one, whatever it stands for.
            return _type(node.name.lstrip("."))
        for scope in reversed(self._scopes):
            if node.name in scope:
                return Path(scope[node.name])
        return Path(_device, is_device=True)

    def _path(self, node: Node) -> Path | Choice:
        planned = self.plan(node)
        return planned if isinstance(planned, Path | Choice) else _Relative(closed(planned))

    def _select(self, node: Select) -> Plan:
        if node.constant is not None:
            if isinstance(node.constant, TypeValue):
                return _type(node.constant.name)
            return Constant(node.constant)
        path = self._path(node.operand)
        if not node.test:
            path.add(Step(node.name))
            return path
        path.add(Step(node.name, test=True))
        resolve = path.resolver()
        if not isinstance(path, Choice):
            return resolve

        def presence(frame: list[Any]) -> Any:
            frame[COST] -= 1
            return resolve(frame)

        return presence

    def _index(self, node: Call, *, optional: bool) -> Plan:
        path = self._path(node.args[0])
        index = self.plan(node.args[1])
        if isinstance(index, Constant):
            if index.value.__class__ not in KEYS:
                raise invalid_key(index.value)
            path.add(Step(index.value, optional=optional))
        elif isinstance(index, Path | Choice):
            path.add(Step(run=index.resolver(), optional=optional))
        else:
            path.add(Step(run=closed(index), optional=optional))
        return path

    # --- calls --------------------------------------------------------------------------------------------

    def _call(self, node: Call) -> Plan:
        name = node.name
        if name in ("_[_]", "_[?_]", "_?._"):
            return self._index(node, optional=name != "_[_]")
        if name == "_?_:_":
            return Choice(self.run(node.args[0]), self._branch(node.args[1]), self._branch(node.args[2]))
        if name == "_&&_":
            return _logic(self.run(node.args[0]), self.run(node.args[1]), decisive=False)
        if name == "_||_":
            return _logic(self.run(node.args[0]), self.run(node.args[1]), decisive=True)
        operands = node.operands()
        if name in ("or", "orValue") and len(operands) == 2 and node.target is not None:
            return _either(self.run(operands[0]), self.run(operands[1]), unwrap=name == "orValue")
        plans = [self.plan(each) for each in operands]
        overload = node.overloads[0] if len(node.overloads) == 1 else ""
        if overload == "in_list" and isinstance(plans[1], Constant):
            found = _membership(closed(plans[0]), plans[1].value)
            if found is not None:
                return found
        regex = plans[1] if name in ("matches", "find", "findAll") and len(plans) > 1 else None
        if isinstance(regex, Constant) and isinstance(regex.value, str):
            pattern(regex.value)
        run = call(node, [closed(each) for each in plans], self.environment, constant_texts(plans))
        if name in CONVERSIONS and len(plans) == 1 and isinstance(plans[0], Constant):
            return Constant(run([0, None]))
        return run

    def _branch(self, node: Node) -> Path | Choice:
        return self._path(node)

    # --- constructors and folds ---------------------------------------------------------------------------

    def _list(self, node: ListNode) -> Plan:
        plans = [self.plan(each) for each in node.elements]
        if all(isinstance(each, Constant) for each in plans):
            if node.optional:
                return _failing(_not_optional_element(plans[min(node.optional)].value))  # type: ignore[union-attr]
            return Constant([each.value for each in plans if isinstance(each, Constant)])
        runs = [closed(each) for each in plans]
        optional = node.optional

        def build(frame: list[Any]) -> Any:
            frame[COST] += costs.LIST
            if not optional:
                return [run(frame) for run in runs]
            built = []
            for index, run in enumerate(runs):
                value = run(frame)
                if index in optional:
                    if value.__class__ is not Optional:
                        raise _not_optional_element(value)
                    if not value.present:
                        continue
                    value = value.value
                built.append(value)
            return built

        return build

    def _map(self, node: MapNode) -> Plan:
        pairs = [(self.plan(key), self.plan(value), optional) for key, value, optional in node.entries]
        if all(isinstance(k, Constant) and isinstance(v, Constant) for k, v, _ in pairs):
            for key, value, optional in pairs:
                if optional:
                    return _failing(_not_optional_entry(key.value, value.value))  # type: ignore[union-attr]
            return Constant({to_key(k.value): v.value for k, v, _ in pairs})  # type: ignore[union-attr]
        runs = [(closed(key), closed(value), optional) for key, value, optional in pairs]

        def build(frame: list[Any]) -> Any:
            frame[COST] += costs.MAP
            built: dict[Any, Any] = {}
            for key_run, value_run, optional in runs:
                name = key_run(frame)
                value = value_run(frame)
                if optional:
                    if value.__class__ is not Optional:
                        raise _not_optional_entry(name, value)
                    if not value.present:
                        built.pop(to_key(name), None)
                        continue
                    value = value.value
                built[to_key(name)] = value
            return built

        return build

    def _message(self, node: Message) -> Plan:
        known = shape(node.name.lstrip("."), self.environment.fields)
        runs = [(name, self.run(value), optional) for _, name, value, optional in node.fields]

        def build(frame: list[Any]) -> Any:
            frame[COST] += costs.MESSAGE
            given: dict[str, Any] = {}
            for name, run, optional in runs:
                value = run(frame)
                if optional:
                    if value.__class__ is not Optional:
                        raise _not_optional_entry(name, value)
                    if not value.present:
                        given.pop(name, None)
                        continue
                    value = value.value
                given.pop(name, None)
                given[name] = value
            if known is None:
                raise Fault(f"unknown type '{node.name}'")
            return message(node.name.lstrip("."), known, given)

        return build

    def _fold(self, node: Fold) -> Plan:
        return fold(node, self)


def _type(name: str) -> Plan:
    """The type of that name; some are declared, but not there when it runs."""
    if name not in NAMED_TYPES:
        raise Fault(f"reference to undefined type: {name}")
    return Constant(TypeValue(name))


def _not_optional_element(value: Any) -> Fault:
    return Fault(f"cannot initialize optional list element from non-optional value {show(value)}")


def _not_optional_entry(key: Any, value: Any) -> Fault:
    return Fault(f"cannot initialize optional entry '{show(key)}' from non-optional value {show(value)}")


def _failing(fault: Fault) -> Run:
    """A constant that is an error: it costs nothing."""

    def fail(_frame: list[Any]) -> Any:
        raise Fault(fault.message)

    return fail


class _Relative(Path):
    """A path from the value of an expression."""


def constant_texts(plans: list[Plan]) -> list[bool]:
    """Which of them are constant texts."""
    return [isinstance(each, Constant) and isinstance(each.value, str) for each in plans]


def closed(planned: Plan) -> Run:
    """What evaluates a plan to which nothing is added any more."""
    if isinstance(planned, Constant):
        value = planned.value
        return lambda frame: value
    if isinstance(planned, Path | Choice):
        if isinstance(planned, _Relative) and not planned.steps:
            return planned.base
        return named(planned)
    return planned


def _apart(run: Run) -> Run:
    return lambda frame: apart(lambda: run(frame))


def _device(frame: list[Any]) -> Any:
    return frame[DEVICE]


def _logic(left: Run, right: Run, *, decisive: bool) -> Run:
    """``&&`` and ``||``: a side that decides makes an error on the other one disappear."""
    neutral = not decisive

    def decide(frame: list[Any]) -> Any:
        fault: Fault | None = None
        try:
            value = left(frame)
            if value is decisive:
                return decisive
            if value is not neutral:
                fault = Fault(NO_OVERLOAD)
        except Fault as error:
            fault = error
        try:
            value = right(frame)
            if value is decisive:
                return decisive
            if value is not neutral and fault is None:
                fault = Fault(NO_OVERLOAD)
        except Fault as error:
            fault = fault or error
        if fault is not None:
            raise fault
        return neutral

    return decide


def _either(left: Run, right: Run, *, unwrap: bool) -> Run:
    def choose(frame: list[Any]) -> Any:
        value = left(frame)
        if value.__class__ is not Optional:
            raise Fault(NO_OVERLOAD)
        if value.present:
            return value.value if unwrap else value
        return right(frame)

    return choose


def _member(value: Any) -> Any:
    """Numbers are equal across their types; true is no number."""
    return to_key(value) if value.__class__ is bool else value


def _membership(item: Run, values: list[Any]) -> Plan | None:
    """``x in [constants]`` as a look-up, where the API server makes it one; it costs nothing."""
    if not values:
        return Constant(False)
    if not all(isinstance(value, _PRIMITIVE) for value in values):
        return None
    known = frozenset(map(_member, values))

    def test(frame: list[Any]) -> bool:
        value = item(frame)
        return isinstance(value, _PRIMITIVE) and _member(value) in known

    return test
