"""Static checking: what every part of an expression is, and which overloads its calls mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dracore.selectors import types
from dracore.selectors.declarations import Overload
from dracore.selectors.depth import STRIDE, apart
from dracore.selectors.environment import Environment
from dracore.selectors.faults import Issues
from dracore.selectors.messages import NULL_VALUE, shape
from dracore.selectors.tree import Call, Fold, Ident, ListNode, Literal, MapNode, Message, Node, Select, walk
from dracore.selectors.types import DYN, ERROR, Mappings, Type
from dracore.selectors.values import TypeValue, UInt

_LITERALS: dict[type, Type] = {
    bool: types.BOOL,
    int: types.INT,
    UInt: types.UINT,
    float: types.DOUBLE,
    str: types.STRING,
    bytes: types.BYTES,
    type(None): types.NULL,
}


def check(root: Node, environment: Environment, issues: Issues) -> None:
    """Gives each node its type and each call its overloads; reports what is wrong."""
    checker = _Checker(environment, issues)
    checker.check(root)
    if not issues:
        resolve = checker.mappings.resolve
        for node in walk(root):
            node.type = resolve(node.type, dynamic=True)


class _Checker:
    def __init__(self, environment: Environment, issues: Issues) -> None:
        self.mappings = Mappings()
        self._environment = environment
        self._report = issues.report
        self._scopes: list[dict[str, Type]] = []
        self._depth = 0
        self._kinds: dict[type, Callable[[Any], Type]] = {
            Literal: lambda node: _LITERALS[node.value.__class__],
            Ident: self._ident,
            Select: self._select,
            Call: self._call,
            ListNode: self._list,
            MapNode: self._map,
            Message: self._message,
            Fold: self._fold,
        }

    def check(self, node: Node) -> Type:
        self._depth += 1
        kind = self._kinds[node.__class__]
        node.type = apart(lambda: kind(node)) if self._depth % STRIDE == 0 else kind(node)
        self._depth -= 1
        return node.type

    # --- names --------------------------------------------------------------------------------------------

    def _lookup(self, name: str) -> Type | None:
        if name.startswith("."):
            return self._environment.names.get(name[1:])
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return self._environment.names.get(name)

    def _ident(self, node: Ident) -> Type:
        found = self._lookup(node.name)
        if found is None:
            self._report(node.pos, f"undeclared reference to '{node.name}' (in container '')")
            return ERROR
        if found.kind == "type" and not any(node.name in scope for scope in self._scopes):
            node.constant = TypeValue(node.name.lstrip("."))
        return found

    def _select(self, node: Select) -> Type:
        if not node.test:
            name = qualified(node)
            found = self._lookup(name) if name else None
            if found is not None and found.kind == "type":
                node.constant = TypeValue(str(name).lstrip("."))
                return found
            if found is not None and str(name).lstrip(".") == NULL_VALUE:
                node.constant = 0
                return found
        result = self._field(node, node.operand, node.name, optional=False)
        return types.BOOL if node.test else self.mappings.resolve(result)

    def _field(self, node: Node, operand: Node, name: str, *, optional: bool) -> Type:
        target, was_optional = types.unwrapped(self.mappings.resolve(self.check(operand)))
        result = ERROR
        if target.kind == "map":
            result = target.params[1]
        elif target.kind == "struct":
            fields = self._environment.fields if target == types.DEVICE else {}
            found = fields.get(name)
            if target == types.EMPTY:
                self._report(node.pos, f"undefined field '{name}'")
            elif target != types.DEVICE:
                self._report(node.pos, f"unexpected failed resolution of '{target.name}'")
            elif found is None:
                self._report(node.pos, f"undefined field '{name}'")
            else:
                result = found
        elif target.kind == "param":
            self.mappings.assignable(DYN, target)
            result = DYN
        else:
            if not types.is_dynamic(target) and target.kind != "error":
                self._report(node.pos, f"type '{target.text}' does not support field selection")
            result = DYN
        return types.optional_of(result) if was_optional or optional else result

    # --- calls --------------------------------------------------------------------------------------------

    def _call(self, node: Call) -> Type:
        if node.name == "_?._":
            operand, field = node.args
            assert isinstance(field, Literal)
            field.type = types.STRING
            result = self._field(node, operand, field.value, optional=True)
            node.overloads = ("select_optional_field",)
            return self.mappings.resolve(result)
        kinds = [self.check(each) for each in node.args]
        functions = self._environment.functions
        if node.target is None:
            found = functions.get(node.name.lstrip("."))
            node.name = node.name.lstrip(".") if found else node.name
            if found is None:
                return self._undeclared(node)
            return self._resolve(node, found, kinds)
        prefix = qualified(node.target)
        if prefix:
            name = f"{prefix.lstrip('.')}.{node.name}"
            found = functions.get(name)
            if found is not None:
                node.name, node.target = name, None
                return self._resolve(node, found, kinds)
        target = self.check(node.target)
        found = functions.get(node.name)
        if found is None:
            return self._undeclared(node)
        return self._resolve(node, found, [target, *kinds])

    def _undeclared(self, node: Call) -> Type:
        self._report(node.pos, f"undeclared reference to '{node.name}' (in container '')")
        return ERROR

    def _resolve(self, node: Call, overloads: tuple[Overload, ...], kinds: list[Type]) -> Type:
        mappings = self.mappings
        if node.name in ("_&&_", "_||_"):
            return self._logic(node, overloads[0], kinds)
        member = node.target is not None
        result: Type | None = None
        ids: list[str] = []
        for overload in overloads:
            if overload.member is not member or len(overload.args) != len(kinds):
                continue
            wanted, given = overload.args, overload.result
            if overload.variables:
                fresh = {name: mappings.fresh() for name in overload.variables}
                wanted = tuple(types.instantiate(each, fresh) for each in wanted)
                given = types.instantiate(given, fresh)
            if not mappings.assignable_all(kinds, wanted):
                continue
            ids.append(overload.id)
            given = mappings.resolve(given)
            if result is None:
                result = given
            elif not types.is_dynamic(result) and given != result:
                result = DYN
        if result is None:
            shown = [mappings.resolve(kind, dynamic=True).text for kind in kinds]
            applied = f"{shown[0]}.({', '.join(shown[1:])})" if member else f"({', '.join(shown)})"
            self._report(node.pos, f"found no matching overload for '{node.name}' applied to '{applied}'")
            return ERROR
        node.overloads = tuple(ids)
        return result

    def _logic(self, node: Call, overload: Overload, kinds: list[Type]) -> Type:
        wrong = False
        for each, kind in zip(node.args, kinds, strict=True):
            if not self.mappings.assignable(kind, types.BOOL):
                self._report(each.pos, f"expected type 'bool' but found '{kind.text}'")
                wrong = True
        node.overloads = (overload.id,)
        return ERROR if wrong else types.BOOL

    # --- constructors and folds ---------------------------------------------------------------------------

    def _join(self, before: Type | None, kind: Type) -> Type:
        """The type of both; mixed ones are dyn here, and refused when all types are known."""
        if before is None:
            return kind
        if self.mappings.assignable(before, kind):
            return before if types.at_least_as_general(before, kind) else kind
        return DYN

    def _mismatch(self, node: Node, expected: Type, found: Type) -> None:
        self._report(node.pos, f"expected type '{expected.text}' but found '{found.text}'")

    def _held(self, node: Node, kind: Type) -> Type:
        """What an optional element or entry holds."""
        held, was_optional = types.unwrapped(kind)
        if not was_optional and not types.is_dynamic(held):
            self._mismatch(node, types.optional_of(held), held)
        return held

    def _list(self, node: ListNode) -> Type:
        joined: Type | None = None
        for index, each in enumerate(node.elements):
            kind = self.check(each)
            if index in node.optional:
                kind = self._held(each, kind)
            joined = self._join(joined, kind)
        return types.list_of(joined or self.mappings.fresh())

    def _map(self, node: MapNode) -> Type:
        keys: Type | None = None
        values: Type | None = None
        for key, value, optional in node.entries:
            keys = self._join(keys, self.check(key))
            kind = self.check(value)
            if optional:
                kind = self._held(value, kind)
            values = self._join(values, kind)
        if keys is None or values is None:
            keys, values = self.mappings.fresh(), self.mappings.fresh()
        return types.map_of(keys, values)

    def _message(self, node: Message) -> Type:
        name = node.name.lstrip(".")
        known = shape(name, self._environment.fields)
        result: Type = ERROR
        if known is not None:
            result = known.type
        elif name == "null_type":
            result = types.NULL
        elif (declared := self._environment.names.get(name)) is not None and declared.kind == "type":
            self._report(node.pos, f"'{name}' is not a message type")
        else:
            self._report(node.pos, f"undeclared reference to '{node.name}' (in container '')")
            return ERROR
        for pos, field, value, optional in node.fields:
            wanted = ERROR
            if known is not None and field in known.fields:
                wanted = known.fields[field][0]
            elif known is not None:
                self._report(pos, f"undefined field '{field}'")
            kind = self.check(value)
            if optional:
                kind = self._held(value, kind)
            if not self.mappings.assignable(wanted, kind):
                self._report(
                    pos,
                    f"expected type of field '{field}' is '{wanted.text}' but provided type is "
                    f"'{self.mappings.resolve(kind, dynamic=True).text}'",
                )
        return result

    def _fold(self, node: Fold) -> Type:
        mappings = self.mappings
        over = mappings.resolve(self.check(node.range))
        accu = self.check(node.accu)
        self._scopes.append({node.accu_name: accu})
        first: Type = DYN
        second: Type = DYN
        if over.kind == "list":
            first = second = over.params[0]
            if node.var2:
                first = types.INT
        elif over.kind == "map":
            first, second = over.params
        elif over.kind in ("dyn", "error", "param"):
            mappings.assignable(DYN, over)
        else:
            self._report(
                node.range.pos,
                f"expression of type '{over.text}' cannot be range of a comprehension "
                "(must be list, map, or dynamic)",
            )
            first = second = ERROR
        self._scopes.append({node.var: first, **({node.var2: second} if node.var2 else {})})
        self._assert(node.condition, self.check(node.condition), types.BOOL)
        self._assert(node.step, self.check(node.step), accu)
        self._scopes.pop()
        result = self.check(node.result)
        self._scopes.pop()
        return mappings.resolve(result)

    def _assert(self, node: Node, found: Type, expected: Type) -> None:
        if not self.mappings.assignable(expected, found):
            self._mismatch(node, expected, found)


def qualified(node: Node) -> str | None:
    """``a.b.c`` as a name, if `node` is nothing but selections from a name."""
    parts: list[str] = []
    while isinstance(node, Select) and not node.test:
        parts.append(node.name)
        node = node.operand
    if not isinstance(node, Ident):
        return None
    return ".".join([node.name, *reversed(parts)])
