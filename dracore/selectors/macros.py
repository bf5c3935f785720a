"""Macros: calls that are other expressions in short, expanded while parsing (CEL specification, Macros)."""

from __future__ import annotations

from collections.abc import Callable

from dracore.selectors.tree import Call, Fold, Ident, ListNode, Literal, MapNode, Message, Node, Select, walk

ACCU = "@result"
_OLD_ACCU = "__result__"
_UNUSED = "#unused"
_SORTED = "@__sortBy_input__"

Expander = Callable[[int, Node | None, list[Node]], "Node | None"]


class MacroError(Exception):
    """A macro is used wrongly, at an offset."""

    def __init__(self, pos: int, message: str) -> None:
        super().__init__(message)
        self.pos = pos
        self.message = message


def _name(node: Node, message: str) -> str:
    if not isinstance(node, Ident):
        raise MacroError(node.pos, message)
    return node.name


def _variable(node: Node, message: str = "argument must be a simple name") -> str:
    name = _name(node, message)
    if name in (ACCU, _OLD_ACCU):
        raise MacroError(node.pos, "iteration variable overwrites accumulator variable")
    return name


def _variables(args: list[Node], two: bool) -> tuple[str, str]:
    if not two:
        return _variable(args[0]), ""
    message = "argument must be a simple name"
    first, second = _name(args[0], message), _name(args[1], message)
    if first == second:
        raise MacroError(args[1].pos, f"duplicate variable name: {first}")
    return _variable(args[0]), _variable(args[1])


def _has(pos: int, target: Node | None, args: list[Node]) -> Node:
    tested = args[0]
    if not isinstance(tested, Select) or tested.test:
        raise MacroError(tested.pos, "invalid argument to has() macro")
    return Select(pos, tested.operand, tested.name, test=True)


def _quantifier(kind: str, two: bool) -> Expander:
    def expand(pos: int, target: Node | None, args: list[Node]) -> Node:
        assert target is not None
        var, var2 = _variables(args, two)
        body = args[-1]

        def accu() -> Node:
            return Ident(pos, ACCU)

        init: Node
        if kind == "all":
            init = Literal(pos, True)
            condition: Node = Call(pos, "@not_strictly_false", [accu()])
            step: Node = Call(pos, "_&&_", [accu(), body])
            result: Node = accu()
        elif kind == "exists":
            init = Literal(pos, False)
            condition = Call(pos, "@not_strictly_false", [Call(pos, "!_", [accu()])])
            step = Call(pos, "_||_", [accu(), body])
            result = accu()
        else:
            init = Literal(pos, 0)
            condition = Literal(pos, True)
            step = Call(pos, "_?_:_", [body, Call(pos, "_+_", [accu(), Literal(pos, 1)]), accu()])
            result = Call(pos, "_==_", [accu(), Literal(pos, 1)])
        return Fold(pos, target, var, var2, ACCU, init, condition, step, result)

    return expand


def _collect(pos: int, target: Node, var: str, var2: str, init: Node, step: Node, guard: Node | None) -> Node:
    if guard is not None:
        step = Call(pos, "_?_:_", [guard, step, Ident(pos, ACCU)])
    return Fold(pos, target, var, var2, ACCU, init, Literal(pos, True), step, Ident(pos, ACCU))


def _map(pos: int, target: Node | None, args: list[Node]) -> Node:
    assert target is not None
    var = _variable(args[0], "argument is not an identifier")
    step = Call(pos, "_+_", [Ident(pos, ACCU), ListNode(pos, [args[-1]])])
    return _collect(pos, target, var, "", ListNode(pos, []), step, args[1] if len(args) == 3 else None)


def _filter(pos: int, target: Node | None, args: list[Node]) -> Node:
    assert target is not None
    var = _variable(args[0], "argument is not an identifier")
    step = Call(pos, "_+_", [Ident(pos, ACCU), ListNode(pos, [args[0]])])
    return _collect(pos, target, var, "", ListNode(pos, []), step, args[1])


def _transform(kind: str) -> Expander:
    def expand(pos: int, target: Node | None, args: list[Node]) -> Node:
        assert target is not None
        var, var2 = _variables(args, two=True)
        init: Node = MapNode(pos, [])
        if kind == "list":
            init = ListNode(pos, [])
            step = Call(pos, "_+_", [Ident(pos, ACCU), ListNode(pos, [args[-1]])])
        elif kind == "map":
            step = Call(pos, "cel.@mapInsert", [Ident(pos, ACCU), Ident(pos, var), args[-1]])
        else:
            step = Call(pos, "cel.@mapInsert", [Ident(pos, ACCU), args[-1]])
        return _collect(pos, target, var, var2, init, step, args[2] if len(args) == 4 else None)

    return expand


def _let(pos: int, name: str, value: Node, body: Node) -> Fold:
    return Fold(pos, ListNode(pos, []), _UNUSED, "", name, value, Literal(pos, False), Ident(pos, name), body)


def _bind(pos: int, target: Node | None, args: list[Node]) -> Node | None:
    if not isinstance(target, Ident) or target.name != "cel":
        return None
    name = _name(args[0], "cel.bind() variable names must be simple identifiers")
    return _let(pos, name, args[1], args[2])


def _opt_map(flat: bool) -> Expander:
    def expand(pos: int, target: Node | None, args: list[Node]) -> Node:
        assert target is not None
        macro = "optFlatMap" if flat else "optMap"
        name = _name(args[0], f"{macro}() variable name must be a simple identifier")
        for node in walk(target):
            if isinstance(node, Message):  # it is copied, and the places of fields are not
                node.fields = [(pos, *rest) for _, *rest in node.fields]  # type: ignore[misc]
        body: Node = _let(pos, name, Call(pos, "value", [], target), args[1])
        if not flat:
            body = Call(pos, "optional.of", [body])
        present = Call(pos, "hasValue", [], target)
        return Call(pos, "_?_:_", [present, body, Call(pos, "optional.none", [])])

    return expand


def _sort_by(pos: int, target: Node | None, args: list[Node]) -> Node:
    assert target is not None
    if not isinstance(target, ListNode | Select | Ident | Fold | Call):
        raise MacroError(
            target.pos,
            "sortBy can only be applied to a list, identifier, comprehension, call or select expression",
        )
    keys = _map(pos, Ident(pos, _SORTED), args)
    return _let(pos, _SORTED, target, Call(pos, "@sortByAssociatedKeys", [keys], Ident(pos, _SORTED)))


MACROS: dict[tuple[str, int, bool], tuple[str, Expander]] = {
    ("has", 1, False): ("standard", _has),
    ("all", 2, True): ("standard", _quantifier("all", two=False)),
    ("exists", 2, True): ("standard", _quantifier("exists", two=False)),
    ("exists_one", 2, True): ("standard", _quantifier("one", two=False)),
    ("map", 2, True): ("standard", _map),
    ("map", 3, True): ("standard", _map),
    ("filter", 2, True): ("standard", _filter),
    ("optMap", 2, True): ("optionals", _opt_map(flat=False)),
    ("optFlatMap", 2, True): ("optionals", _opt_map(flat=True)),
    ("bind", 3, True): ("bindings", _bind),
    ("all", 3, True): ("comprehensions", _quantifier("all", two=True)),
    ("exists", 3, True): ("comprehensions", _quantifier("exists", two=True)),
    ("existsOne", 3, True): ("comprehensions", _quantifier("one", two=True)),
    ("exists_one", 3, True): ("comprehensions", _quantifier("one", two=True)),
    ("transformList", 3, True): ("comprehensions", _transform("list")),
    ("transformList", 4, True): ("comprehensions", _transform("list")),
    ("transformMap", 3, True): ("comprehensions", _transform("map")),
    ("transformMap", 4, True): ("comprehensions", _transform("map")),
    ("transformMapEntry", 3, True): ("comprehensions", _transform("entry")),
    ("transformMapEntry", 4, True): ("comprehensions", _transform("entry")),
    ("sortBy", 2, True): ("extended lists", _sort_by),
}
"""Name, number of arguments and whether it is a member -> the library it belongs to, and how it expands."""
