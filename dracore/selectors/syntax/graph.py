"""The grammar of the CEL specification as the graph that ANTLR makes of it: a transition network."""

from __future__ import annotations

import itertools
from functools import cache

EOF, EPSILON = -1, -2
# In the order in which the grammar names its tokens, which is that of the lists of expected ones.
_OPERATORS = "== != in < <= >= > && || [ ] { } ( ) . , - ! ? : + * / % true false null"
_OTHERS = "WHITESPACE COMMENT NUM_FLOAT NUM_INT NUM_UINT STRING BYTES IDENTIFIER ESC_IDENTIFIER"
NAMES = (*(f"'{word}'" for word in _OPERATORS.split()), *_OTHERS.split())
_KINDS = {
    **{name.strip("'"): number for number, name in enumerate(NAMES, 1)},
    "end": EOF,
    "double": 31,
    "int": 32,
    "uint": 33,
    "string": 34,
    "bytes": 35,
    "ident": 36,
    "escaped": 37,
}


def number(kind: str) -> int:
    """The number of a token of our lexer."""
    return _KINDS[kind]


class State:
    """A node of the graph; `kind` decides how a parser that stands here gets in step again."""

    __slots__ = ("decision", "epsilon", "first", "kind", "rule", "tokens", "wanted")

    def __init__(self, rule: Rule, kind: str = "") -> None:
        self.rule = rule
        self.kind = kind
        self.epsilon: list[Edge] = []
        """Edges that read nothing, in order."""
        self.wanted: frozenset[int] = frozenset()
        """The tokens that lead on to `tokens`."""
        self.tokens: State | None = None
        self.decision = False
        self.first: frozenset[int] | None = None


class Edge:
    """Reads nothing: plain, into a rule and back to `follow`, or only at a precedence of at most `level`."""

    __slots__ = ("follow", "level", "target")

    def __init__(self, target: State, follow: State | None = None, level: int | None = None) -> None:
        self.target = target
        self.follow = follow
        self.level = level


class Rule:
    """A rule from `start` to `stop`; its `body` is what a parser does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.start = State(self, "rule start")
        self.stop = State(self, "rule stop")
        self.body: Part


class Part:
    """Something that a rule is made of, between two states."""

    left: State
    right: State

    def end_at(self, join: State) -> None:
        """Leads to where alternatives meet; what ends there leads there at once, as ANTLR makes it."""
        self.right.epsilon.append(Edge(join))


class Token(Part):
    """One of several tokens. `single` ones are matched by name, sets by what they contain."""

    def __init__(self, rule: Rule, kinds: str) -> None:
        self.kinds = frozenset(map(number, kinds.split()))
        self.left, self.right = State(rule), State(rule)
        self.left.wanted, self.left.tokens = self.kinds, self.right

    def end_at(self, join: State) -> None:
        self.left.tokens = self.right = join


class Call(Part):
    """Another rule, with the precedence that its operators need."""

    def __init__(self, rule: Rule, called: Rule, level: int = 0) -> None:
        self.called, self.level = called, level
        self.left, self.right = State(rule), State(rule)
        self._back = Edge(self.right)
        self.left.epsilon.append(Edge(called.start, self.right))
        called.stop.epsilon.append(self._back)

    def end_at(self, join: State) -> None:
        self.left.epsilon[0].follow = self._back.target = self.right = join


class Sequence(Part):
    """One after the other."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self.left, self.right = parts[0].left, parts[-1].right
        for one, other in itertools.pairwise(parts):
            one.right.epsilon.append(Edge(other.left))

    def end_at(self, join: State) -> None:
        self.parts[-1].end_at(join)
        self.right = self.parts[-1].right


class Guard(Part):
    """Goes on only where the operators around bind less tightly than `level`."""

    def __init__(self, rule: Rule, level: int) -> None:
        self.level = level
        self.left, self.right = State(rule), State(rule)
        self.left.epsilon.append(Edge(self.right, level=level))


class Choice(Part):
    """One of several. `predicted` ones need more than a token to tell."""

    def __init__(self, rule: Rule, parts: list[Part], predicted: bool = True) -> None:
        self.parts, self.predicted = parts, predicted
        self.left, self.right = State(rule, "block start"), State(rule)
        for part in parts:
            self.left.epsilon.append(Edge(part.left))
            part.end_at(self.right)


class Maybe(Part):
    """Once or not at all; one token tells."""

    def __init__(self, rule: Rule, part: Part) -> None:
        self.part = part
        self.left, self.right = State(rule, "block start"), State(rule)
        self.left.epsilon += [Edge(part.left), Edge(self.right)]
        part.end_at(self.right)


class Many(Part):
    """As often as it comes, or not at all."""

    def __init__(self, rule: Rule, part: Part, predicted: bool = False, by_level: bool = False) -> None:
        self.part, self.predicted = part, predicted
        self.left, self.right = State(rule, "star loop entry"), State(rule)
        self.left.decision = by_level
        start, self.back = State(rule, "star block start"), State(rule, "star loop back")
        self.left.epsilon += [Edge(start), Edge(self.right)]
        start.epsilon.append(Edge(part.left))
        part.end_at(self.back)
        self.back.epsilon.append(Edge(self.left))


class Some(Part):
    """Once or oftener."""

    def __init__(self, rule: Rule, part: Part, predicted: bool = False) -> None:
        self.part, self.predicted = part, predicted
        self.left, self.right = State(rule, "plus block start"), State(rule)
        self.back = State(rule, "plus loop back")
        self.left.epsilon.append(Edge(part.left))
        part.end_at(self.back)
        self.back.epsilon += [Edge(self.left), Edge(self.right)]


def first(state: State) -> frozenset[int]:
    """The tokens that may come next, and EPSILON where the rule may end first."""
    if state.first is None:
        found: set[int] = set()
        _first(state, found, set(), ())
        state.first = frozenset(found)
    return state.first


def after(state: State, stack: list[State]) -> set[int]:
    """As :func:`first`, but where the rule may end, what follows where it was called."""
    found = set(first(state))
    for follow in reversed(stack):
        if EPSILON not in found:
            return found
        found.discard(EPSILON)
        found |= first(follow)
    if EPSILON in found:
        found.discard(EPSILON)
        found.add(EOF)
    return found


def _first(state: State, found: set[int], seen: set[State], calls: tuple[State, ...]) -> None:
    if state in seen:
        return
    seen.add(state)
    if state.kind == "rule stop":
        if calls:  # no rule is empty, so this is never reached
            _first(calls[-1], found, seen, calls[:-1])
        else:
            found.add(EPSILON)
        return
    found |= state.wanted
    for edge in state.epsilon:
        if edge.follow is not None:
            _first(edge.target, found, seen, (*calls, edge.follow))
        else:
            _first(edge.target, found, seen, calls)


@cache
def grammar() -> Rule:
    """The rule ``start``, and all that it leads to."""
    names = (
        *("start", "expr", "or", "and", "relation", "calc", "unary", "member", "primary", "exprs"),
        *("list", "fields", "field", "entries", "name", "optional", "literal"),
    )
    rules = {name: Rule(name) for name in names}

    def define(name: str, *parts: Part) -> None:
        rule = rules[name]
        rule.body = Sequence(list(parts)) if len(parts) > 1 else parts[0]
        rule.start.epsilon.append(Edge(rule.body.left))
        rule.body.right.epsilon.append(Edge(rule.stop))

    class In:
        """Makes parts of one rule."""

        def __init__(self, name: str) -> None:
            self.rule = rules[name]

        def t(self, kinds: str) -> Token:
            return Token(self.rule, kinds)

        def r(self, name: str, level: int = 0) -> Call:
            return Call(self.rule, rules[name], level)

        def all(self, *parts: Part) -> Sequence:
            return Sequence(list(parts))

        def maybe(self, *parts: Part) -> Maybe:
            return Maybe(self.rule, parts[0] if len(parts) == 1 else Sequence(list(parts)))

        def either(self, *parts: Part) -> Choice:
            return Choice(self.rule, list(parts))

    x = In("start")
    define("start", x.r("expr"), x.t("end"))
    x = In("expr")
    define("expr", x.r("or"), x.maybe(x.t("?"), x.r("or"), x.t(":"), x.r("expr")))
    x = In("or")
    define("or", x.r("and"), Many(x.rule, x.all(x.t("||"), x.r("and"))))
    x = In("and")
    define("and", x.r("relation"), Many(x.rule, x.all(x.t("&&"), x.r("relation"))))
    x = In("relation")
    operators = x.all(Guard(x.rule, 1), x.t("== != in < <= >= >"), x.r("relation", 2))
    define("relation", x.r("calc"), Many(x.rule, operators, predicted=True, by_level=True))
    x = In("calc")
    operator = x.either(
        x.all(Guard(x.rule, 2), x.t("* / %"), x.r("calc", 3)),
        x.all(Guard(x.rule, 1), x.t("+ -"), x.r("calc", 2)),
    )
    define("calc", x.r("unary"), Many(x.rule, operator, predicted=True, by_level=True))
    x = In("unary")
    define(
        "unary",
        x.either(
            x.r("member"),
            x.all(Some(x.rule, x.t("!")), x.r("member")),
            x.all(Some(x.rule, x.t("-"), predicted=True), x.r("member")),
        ),
    )
    x = In("member")
    operator = x.either(
        x.all(Guard(x.rule, 3), x.t("."), x.maybe(x.t("?")), x.r("name")),
        x.all(Guard(x.rule, 2), x.t("."), x.t("ident"), x.t("("), x.maybe(x.r("exprs")), x.t(")")),
        x.all(Guard(x.rule, 1), x.t("["), x.maybe(x.t("?")), x.r("expr"), x.t("]")),
    )
    define("member", x.r("primary"), Many(x.rule, operator, predicted=True, by_level=True))
    x = In("primary")
    define(
        "primary",
        x.either(
            x.all(x.maybe(x.t(".")), x.t("ident")),
            x.all(x.maybe(x.t(".")), x.t("ident"), x.t("("), x.maybe(x.r("exprs")), x.t(")")),
            x.all(x.t("("), x.r("expr"), x.t(")")),
            x.all(x.t("["), x.maybe(x.r("list")), x.maybe(x.t(",")), x.t("]")),
            x.all(x.t("{"), x.maybe(x.r("entries")), x.maybe(x.t(",")), x.t("}")),
            x.all(
                x.maybe(x.t(".")),
                x.t("ident"),
                Many(x.rule, x.all(x.t("."), x.t("ident"))),
                *(x.t("{"), x.maybe(x.r("fields")), x.maybe(x.t(",")), x.t("}")),
            ),
            x.r("literal"),
        ),
    )
    x = In("exprs")
    define("exprs", x.r("expr"), Many(x.rule, x.all(x.t(","), x.r("expr"))))
    x = In("list")
    define("list", x.r("optional"), Many(x.rule, x.all(x.t(","), x.r("optional")), predicted=True))
    x = In("fields")
    more = x.all(x.t(","), x.r("field"), x.t(":"), x.r("expr"))
    define("fields", x.r("field"), x.t(":"), x.r("expr"), Many(x.rule, more, predicted=True))
    x = In("field")
    define("field", x.maybe(x.t("?")), x.r("name"))
    x = In("entries")
    more = x.all(x.t(","), x.r("optional"), x.t(":"), x.r("expr"))
    define("entries", x.r("optional"), x.t(":"), x.r("expr"), Many(x.rule, more, predicted=True))
    x = In("name")
    define("name", Choice(x.rule, [x.t("ident"), x.t("escaped")], predicted=False))
    x = In("optional")
    define("optional", x.maybe(x.t("?")), x.r("expr"))
    x = In("literal")
    kinds = ("uint", "string", "bytes", "true", "false", "null")
    signed = [x.all(x.maybe(x.t("-")), x.t(kind)) for kind in ("int", "double")]
    uint, *others = (x.t(kind) for kind in kinds)
    define("literal", x.either(signed[0], uint, signed[1], *others))
    return rules["start"]
