"""What an expression reads of a device: a fixed set of names, or anything."""

from __future__ import annotations

from dracore.selectors.tree import Call, Fold, Ident, Literal, Node, Select

DRIVER = ""
"""Stands for the driver's own domain, where the expression says ``device.driver``."""
Read = tuple[str, str, str]
"""``attributes`` or ``capacity``, domain and name."""
_Symbol = tuple[str, ...]
_OTHER: _Symbol = ()


class _Whole(Exception):
    """The device, its attributes or a domain is used as a value: anything may be read."""


def reads(tree: Node) -> frozenset[Read] | None:
    """The names that the expression can read beside the driver and whether the device is shared.

    None where it runs over names, or indexes with something that is not constant.
    """
    found: set[Read] = set()
    try:
        _visit(tree, {}, found)
    except (_Whole, RecursionError):
        return None
    return frozenset(found)


def _visit(node: Node, scope: dict[str, _Symbol], found: set[Read]) -> None:
    if _symbol(node, scope, found) != _OTHER:
        raise _Whole


def _symbol(node: Node, scope: dict[str, _Symbol], found: set[Read]) -> _Symbol:
    """``("device",)``, ``("part", which)``, ``("domain", which, domain)``, or nothing that leads further."""
    if isinstance(node, Ident):
        name = node.name.lstrip(".")
        return scope.get(name, ("device",) if name == "device" else _OTHER)
    if isinstance(node, Select):
        return _step(_symbol(node.operand, scope, found), node.name, found)
    if isinstance(node, Call) and node.name in ("_[_]", "_[?_]", "_?._"):
        base = _symbol(node.args[0], scope, found)
        key = node.args[1]
        if isinstance(key, Literal) and isinstance(key.value, str):
            return _step(base, key.value, found)
        _visit(key, scope, found)
        if base and base[0] == "part" and isinstance(key, Select) and key.name == "driver":
            return ("domain", base[1], DRIVER)
        if base:
            raise _Whole
        return _OTHER
    if isinstance(node, Call) and node.name == "@in" and isinstance(node.args[0], Literal):
        base = _symbol(node.args[1], scope, found)
        if base and base[0] == "domain":
            return _step(base, str(node.args[0].value), found)
        if base:
            raise _Whole
        return _OTHER
    if isinstance(node, Fold):
        return _fold(node, scope, found)
    for child in node.children():
        _visit(child, scope, found)
    return _OTHER


def _step(base: _Symbol, name: str, found: set[Read]) -> _Symbol:
    if not base:
        return _OTHER
    if base[0] == "device":
        return ("part", name) if name in ("attributes", "capacity") else _OTHER
    if base[0] == "part":
        return ("domain", base[1], name)
    found.add((base[1], base[2], name))
    return _OTHER


def _fold(node: Fold, scope: dict[str, _Symbol], found: set[Read]) -> _Symbol:
    if node.is_bind():
        bound = _symbol(node.accu, scope, found)
        return _symbol(node.result, {**scope, node.accu_name: bound}, found)
    _visit(node.range, scope, found)
    _visit(node.accu, scope, found)
    inner = {**scope, node.var: _OTHER, node.accu_name: _OTHER}
    if node.var2:
        inner[node.var2] = _OTHER
    for child in (node.condition, node.step, node.result):
        _visit(child, inner, found)
    return _OTHER
