"""Loops: what ``all``, ``exists``, ``map``, ``filter`` and their like run, and ``cel.bind``."""

from __future__ import annotations

from typing import Any, Protocol

from dracore.selectors import costs
from dracore.selectors.attributes import COST, Run
from dracore.selectors.faults import Fault, Stopped
from dracore.selectors.macros import ACCU
from dracore.selectors.tree import Call, Fold, Ident, ListNode, Literal, Node
from dracore.selectors.values import NO_OVERLOAD, Domains, from_key, items_of

_UNSET: Any = object()


class Planner(Protocol):
    """What plans the parts of a loop."""

    def plan(self, node: Node) -> object:
        """The plan of a node, still open for steps that follow."""
        ...

    def run(self, node: Node) -> Run:
        """What evaluates a node."""
        ...

    def slot(self) -> int:
        """A place in the frame."""
        ...

    def push(self, scope: dict[str, Run]) -> None:
        """Local names become visible."""
        ...

    def pop(self) -> None:
        """The last local names end."""
        ...


def fold(node: Fold, planner: Planner) -> Run:
    """What runs a loop or binding."""
    init = planner.run(node.accu)
    accu = planner.slot()
    if node.is_bind():
        return _bind(node, planner, init, accu)
    over = planner.run(node.range)
    first = planner.slot()
    second = planner.slot() if node.var2 else 0
    planner.push({node.accu_name: _lazy(accu, init)})
    planner.push({node.var: local(first), **({node.var2: local(second)} if node.var2 else {})})
    body = _quantifier(node, planner, accu, first, second) or _collector(node, planner, accu, first, second)
    if body is None:
        condition = None if _is_true(node.condition) else planner.run(node.condition)
        body = _loop(condition, planner.run(node.step), accu, first, second)
    planner.pop()
    result = planner.run(node.result)
    planner.pop()
    pairs = bool(node.var2)

    def run(frame: list[Any]) -> Any:
        values = over(frame)
        frame[accu] = _UNSET
        body(frame, _pairs(values) if pairs else items_of(values))
        return result(frame)

    return run


def local(slot: int) -> Run:
    """Reads a local variable."""
    return lambda frame: frame[slot]


def _lazy(slot: int, init: Run) -> Run:
    """Reads an accumulator, which has its first value when somebody asks for it."""

    def read(frame: list[Any]) -> Any:
        value = frame[slot]
        if value is _UNSET:
            try:
                value = init(frame)
                if value.__class__ is dict:
                    value = dict(value)  # it grows in place; a constant must not
            except Fault as fault:
                value = fault
            frame[slot] = value
        if value.__class__ is Fault:
            raise value.with_traceback(None)
        return value

    return read


def _bind(node: Fold, planner: Planner, init: Run, accu: int) -> Run:
    planner.push({node.accu_name: _lazy(accu, init)})
    planner.plan(node.step)  # it never runs, but may be what cannot be planned
    result = planner.run(node.result)
    planner.pop()

    def run(frame: list[Any]) -> Any:
        before = frame[accu]
        frame[accu] = _UNSET
        try:
            return result(frame)
        finally:
            frame[accu] = before

    return run


def _pairs(value: Any) -> Any:
    kind = value.__class__
    if kind is list:
        return enumerate(value)
    if kind is dict or kind is Domains:
        return ((from_key(key), item) for key, item in list(value.items()))
    raise Fault(f"unsupported comprehension range type: {_go(value)}")


def _go(value: Any) -> str:
    from dracore.selectors.values import go_name

    return go_name(value)


def _over_limit(frame: list[Any]) -> Stopped:
    return Stopped(f"cost {frame[COST]}")


def _is_true(node: Node) -> bool:
    return isinstance(node, Literal) and node.value is True


def _is_accu(node: Node) -> bool:
    return isinstance(node, Ident) and node.name == ACCU


def _loop(condition: Run | None, step: Run, accu: int, first: int, second: int) -> Any:
    def body(frame: list[Any], items: Any) -> None:
        for item in items:
            if second:
                frame[first], frame[second] = item
            else:
                frame[first] = item
            if condition is not None:
                try:
                    if condition(frame) is False:
                        return
                except Fault:
                    pass
            try:
                frame[accu] = step(frame)
            except Fault as fault:
                frame[accu] = fault
            if frame[COST] > costs.LIMIT:
                raise _over_limit(frame)

    return body


def _quantifier(node: Fold, planner: Planner, accu: int, first: int, second: int) -> Any:
    """``all`` and ``exists``, whose accumulator is true, false or the first error."""
    step = node.step
    if not isinstance(step, Call) or step.name not in ("_&&_", "_||_") or not _is_accu(step.args[0]):
        return None
    if not isinstance(node.accu, Literal) or not isinstance(node.condition, Call):
        return None
    decisive = step.name == "_||_"
    predicate = planner.run(step.args[1])
    # The condition: a name and one call, for exists one more; then the name in the step.
    condition_cost = 3 if decisive else 2

    def body(frame: list[Any], items: Any) -> None:
        state: Any = not decisive
        frame[accu] = state
        for item in items:
            frame[COST] += condition_cost
            if state is decisive:
                break
            if second:
                frame[first], frame[second] = item
            else:
                frame[first] = item
            frame[COST] += 1
            try:
                value = predicate(frame)
                if value is decisive:
                    state = decisive
                elif value.__class__ is not bool and state.__class__ is bool:
                    state = Fault(NO_OVERLOAD)
            except Fault as fault:
                if state.__class__ is bool:
                    state = fault
            if frame[COST] > costs.LIMIT:
                raise _over_limit(frame)
        frame[accu] = state

    return body


def _collector(node: Fold, planner: Planner, accu: int, first: int, second: int) -> Any:
    """``map``, ``filter`` and ``transformList``, whose list grows in place."""
    step, guard_node = node.step, None
    if isinstance(step, Call) and step.name == "_?_:_" and _is_accu(step.args[2]):
        guard_node, step = step.args[0], step.args[1]
    if not (isinstance(step, Call) and step.name == "_+_" and _is_accu(step.args[0])):
        return None
    added = step.args[1]
    if not (isinstance(added, ListNode) and len(added.elements) == 1 and not added.optional):
        return None
    if not (isinstance(node.accu, ListNode) and not node.accu.elements and _is_true(node.condition)):
        return None
    guard = planner.run(guard_node) if guard_node is not None else None
    element = planner.run(added)  # its one-element list, with the cost of making it

    def body(frame: list[Any], items: Any) -> None:
        built: list[Any] = []
        state: Any = built
        for item in items:
            if second:
                frame[first], frame[second] = item
            else:
                frame[first] = item
            if guard is not None:
                try:
                    chosen = guard(frame)
                except Fault as fault:
                    state = fault
                    continue
                if chosen is not True:
                    if chosen is not False:
                        state = Fault(NO_OVERLOAD)
                    continue
            frame[COST] += 2  # the name of the accumulator, and the call of +
            try:
                value = element(frame)[0]
                if state is built:
                    built.append(value)
            except Fault as fault:
                if state is built:
                    state = fault
            if frame[COST] > costs.LIMIT:
                raise _over_limit(frame)
        frame[accu] = state

    return body
