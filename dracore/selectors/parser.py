"""Tokens to a syntax tree: the grammar of the CEL specification with optional syntax and quoted fields.

Written by hand for exact positions, the API server's nesting limits, and speed (docs/decisions).
"""

from __future__ import annotations

from collections.abc import Collection

from dracore.selectors.depth import STRIDE, apart
from dracore.selectors.faults import CompileError, Issue, Issues, Position
from dracore.selectors.lexer import RESERVED, Token, tokens, value
from dracore.selectors.macros import MACROS, MacroError
from dracore.selectors.tree import Call, Ident, ListNode, Literal, MapNode, Message, Node, Select

NESTING_LIMIT = 250
"""Of expressions inside each other, and of operators and selections."""

_BINARY = {
    "||": (1, "_||_"),
    "&&": (2, "_&&_"),
    **dict.fromkeys(("<", "<=", ">=", ">", "==", "!="), (3, "")),
    "in": (3, "@in"),
    "+": (4, ""),
    "-": (4, ""),
    "*": (5, ""),
    "/": (5, ""),
    "%": (5, ""),
}
_LITERALS = frozenset({"int", "uint", "double", "string", "bytes"})
_WORDS = {"true": True, "false": False, "null": None}
_STARTS = frozenset({"[", "{", "(", ".", "-", "!", "true", "false", "null", "ident", *_LITERALS})
_EXPECTED = (
    "'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', "
    "NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER"
)
_AFTER_OPTIONAL = _EXPECTED.replace("'!', ", "'!', '?', ")


class _SyntaxError(Exception):
    """Parsing ends at the first fault of syntax."""

    def __init__(self, pos: int, message: str) -> None:
        super().__init__(message)
        self.pos = pos
        self.message = message


class _TooDeepError(Exception):
    """A nesting limit is passed; it has no place."""


def parse(source: str, libraries: Collection[str]) -> tuple[Node, set[str]]:
    """The tree of `source`, macros of `libraries` expanded, and the libraries whose macros it uses.

    :raises CompileError: with every fault of the lexer and the first of the grammar.
    """
    issues = Issues(source)
    parser = _Parser(source, issues, libraries)
    try:
        root = parser.whole()
    except _SyntaxError as error:
        from dracore.selectors.syntax import faults

        for pos, message in faults(source, parser.tokens, parser.unknown) or [(error.pos, error.message)]:
            issues.report(pos, message)
    except _TooDeepError as error:
        detail = f"compilation failed: ERROR: <input>:-1:0: {error}"
        raise CompileError(source, detail, (Issue(Position(0, 0), str(error)),)) from None
    if issues:
        raise CompileError(source, f"compilation failed: {issues.render()}", issues.sorted())
    return root, parser.used


class _Parser:
    def __init__(self, source: str, issues: Issues, libraries: Collection[str]) -> None:
        self.tokens, self.unknown = tokens(source, issues)
        self._tokens = self.tokens + self.tokens[-1:] * 2  # so that looking ahead needs no care
        self._issues = issues
        self._libraries = libraries
        self._at = 0
        self._next = self._tokens[0]
        self._nested = 0
        self._depths: dict[int, int] = {}
        self._keep: list[Node] = []
        self.used: set[str] = set()

    def whole(self) -> Node:
        root = self._expression()
        if self._next.kind != "end":
            self._unexpected("<EOF>", self._tokens[self._at + 1].kind == "end")
        return root

    # --- tokens -------------------------------------------------------------------------------------------

    def _take(self) -> Token:
        token = self._next
        self._at += 1
        self._next = self._tokens[self._at] if self._at < len(self._tokens) else token
        return token

    def _accept(self, kind: str) -> Token | None:
        return self._take() if self._next.kind == kind else None

    def _expect(self, kind: str, wanted: str = "") -> Token:
        if self._next.kind == kind:
            return self._take()
        token, after = self._next, self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        if token.kind != "end" and after.kind == kind:
            return self._unexpected(wanted or f"'{kind}'", True)
        if not wanted and kind in ")]" and self._may_follow(token):
            self._fail(token, f"missing '{kind}' at '{token.text}'")
        return self._unexpected(wanted or f"'{kind}'", False)

    def _may_follow(self, token: Token) -> bool:
        """Whether a token could stand where a bracket that is missing would just have been closed."""
        if token.kind == "end":
            return self._nested <= 2
        return token.kind in _BINARY or token.kind in (".", "[", "?")

    def _unexpected(self, expected: str, extra: bool) -> Token:
        word = "extraneous" if extra else "mismatched"
        return self._fail(self._next, f"{word} input '{self._next.text}' expecting {expected}")

    def _fail(self, token: Token, message: str) -> Token:
        raise _SyntaxError(token.pos, f"Syntax error: {message}")

    # --- depth --------------------------------------------------------------------------------------------

    def _deep(self, node: Node, *below: Node, counted: bool = True) -> Node:
        depths = self._depths
        depth = max((depths.get(id(each), 0) for each in below), default=0) + counted
        if depth:
            if depth > NESTING_LIMIT:
                raise _TooDeepError("max recursion depth exceeded")
            depths[id(node)] = depth
            self._keep.append(node)  # while it lives, no other node has its id
        return node

    # --- grammar ------------------------------------------------------------------------------------------

    def _expression(self) -> Node:
        """``or ? or : expression``"""
        self._nested += 1
        if self._nested > NESTING_LIMIT:
            raise _TooDeepError(f"expression recursion limit exceeded: {NESTING_LIMIT}")
        node = apart(lambda: self._binary(1)) if self._nested % STRIDE == 0 else self._binary(1)
        if self._next.kind == "?":
            pos = self._take().pos
            first = self._binary(1)
            self._expect(":", "':'")
            second = self._expression()
            node = self._deep(Call(pos, "_?_:_", [node, first, second]), *(node, first, second))
        self._nested -= 1
        return node

    def _binary(self, lowest: int) -> Node:
        """Operators that bind at least as tightly as `lowest`; all group to the left."""
        left = self._operand()
        while (found := _BINARY.get(self._next.kind)) is not None and found[0] >= lowest:
            level, name = found
            if level <= 2:
                left = self._logic(left, level, name)
                continue
            token = self._take()
            right = self._binary(level + 1)
            left = self._deep(Call(token.pos, name or f"_{token.kind}_", [left, right]), left, right)
        return left

    def _logic(self, first: Node, level: int, name: str) -> Node:
        """A chain of ``&&`` or ``||`` becomes a balanced tree, as the API server's does."""
        terms, places, kind = [first], list[int](), self._next.kind
        while self._next.kind == kind:
            places.append(self._take().pos)
            terms.append(self._binary(level + 1))
        return self._deep(_balanced(name, terms, places, 0, len(places) - 1), *terms, counted=False)

    def _operand(self) -> Node:
        """Prefix operators, a primary, and what follows it: selections, calls, indices."""
        kind = self._next.kind
        prefix = ""
        if kind == "!" or (kind == "-" and self._tokens[self._at + 1].kind not in ("int", "double")):
            prefix, first, count = kind, self._next.pos, 0
            while self._accept(prefix):
                count += 1
            prefix = prefix if count % 2 else ""
            if self._next.kind in ("!", "-") and not self._is_signed():
                after = self._tokens[self._at + 1] if prefix != "-" else self._next
                if prefix == "-":
                    self._fail(after, f"no viable alternative at input '-{after.text}'")
                self._fail(after, f"no viable alternative at input '{self._next.text}{after.text}'")
        node = self._primary()
        while True:
            kind = self._next.kind
            if kind == ".":
                node = self._selection(node)
            elif kind == "[":
                pos = self._take().pos
                optional = self._accept("?") is not None
                if self._next.kind not in _STARTS:
                    self._not_a_start(_EXPECTED if optional else _AFTER_OPTIONAL)
                index = self._expression()
                self._expect("]")
                name = "_[?_]" if optional else "_[_]"
                node = self._deep(Call(pos, name, [node, index]), node, index)
            else:
                break
        if prefix:
            node = self._deep(Call(first, f"{prefix}_", [node]), node, counted=False)
        return node

    def _is_signed(self) -> bool:
        return self._next.kind == "-" and self._tokens[self._at + 1].kind in ("int", "double")

    def _selection(self, node: Node) -> Node:
        dot = self._take()
        optional = self._accept("?") is not None
        token = self._next
        if token.kind not in ("ident", "escaped"):
            if token.kind in _WORDS and not optional:
                self._fail(token, f"mismatched input '{token.text}' expecting IDENTIFIER")
            self._fail(
                token, f"no viable alternative at input '.{token.text if token.kind != 'end' else ''}'"
            )
        self._take()
        name = token.text.strip("`")
        if optional:
            return self._deep(Call(dot.pos, "_?._", [node, Literal(token.pos, name)]), node)
        if token.kind == "ident" and self._next.kind == "(":
            pos, args = self._take().pos, list[Node]()
            self._arguments(args)
            return self._expand(pos, token.text, args, node)
        return self._deep(Select(dot.pos, node, name), node)

    def _arguments(self, into: list[Node]) -> None:
        if self._accept(")"):
            return
        if self._next.kind not in _STARTS:
            self._not_a_start(_EXPECTED.replace("'(', ", "'(', ')', "))
        while True:
            into.append(self._expression())
            if not self._accept(","):
                break
            if self._next.kind not in _STARTS:
                self._not_a_start()
        self._expect(")")

    def _expand(self, pos: int, name: str, args: list[Node], target: Node | None) -> Node:
        below = args if target is None else [target, *args]
        macro = MACROS.get((name, len(args), target is not None))
        if macro is not None and macro[0] in self._libraries:
            try:
                node = macro[1](pos, target, args)
            except MacroError as error:
                self._issues.report(error.pos, error.message)
                return self._deep(Literal(error.pos, None), *below, counted=target is not None)
            if node is not None:
                self.used.add(macro[0])
                return self._deep(node, *below, counted=target is not None)
        return self._deep(Call(pos, name, args, target), *below, counted=target is not None)

    def _primary(self) -> Node:
        token = self._next
        kind = token.kind
        if kind == "ident":
            return self._named(token)
        if kind in _LITERALS or kind == "-":
            sign = self._take().text if kind == "-" else ""
            try:
                return Literal(token.pos, value(self._take(), sign))
            except ValueError as error:
                self._issues.report(token.pos, str(error))
                return Literal(token.pos, None)
        if kind in _WORDS:
            return Literal(self._take().pos, _WORDS[kind])
        if kind == "(":
            self._take()
            node = self._expression()
            self._expect(")")
            return node
        if kind == "[":
            return self._list()
        if kind == "{":
            return self._map()
        if kind == "." and self._tokens[self._at + 1].kind == "ident":
            self._take()
            return self._named(self._next, leading=True)
        self._not_a_start()
        raise AssertionError

    def _not_a_start(self, expected: str = _EXPECTED) -> None:
        token = self._next
        if token.kind == ".":
            after = self._tokens[min(self._at + 1, len(self._tokens) - 1)]
            shown = "" if after.kind == "end" else after.text
            self._fail(after, f"no viable alternative at input '.{shown}'")
        follows = self._tokens[min(self._at + 1, len(self._tokens) - 1)].kind
        self._unexpected("{" + expected + "}", token.kind != "end" and follows in _STARTS)

    def _named(self, token: Token, leading: bool = False) -> Node:
        name = "." + token.text if leading else token.text
        pos = token.pos - 1 if leading else token.pos
        message = self._message(name)
        if message is not None:
            return message
        self._take()
        if token.text in RESERVED:
            self._issues.report(pos, f"reserved identifier: {token.text}")
        if self._next.kind == "(":
            at, args = self._take().pos, list[Node]()
            self._arguments(args)
            return self._expand(at, name, args, None)
        return Ident(token.pos, name)

    def _message(self, name: str) -> Node | None:
        """``a.b.C{field: value}``, which is told from a selection only by its brace."""
        at, tokens_ = self._at, self._tokens
        while tokens_[at + 1].kind == "." and tokens_[at + 2].kind == "ident":
            at += 2
            name += f".{tokens_[at].text}"
        if tokens_[at + 1].kind != "{":
            return None
        self._at = at
        self._take()
        brace = self._take()
        fields: list[tuple[int, str, Node, bool]] = []
        self._accept(",") if self._tokens[self._at + 1].kind == "}" else None
        while self._next.kind != "}":
            optional = self._accept("?") is not None
            if self._next.kind not in ("ident", "escaped"):
                self._unexpected("{'}', ','}", False)
            field = self._take()
            colon = self._expect(":", "':'")
            fields.append((colon.pos, field.text.strip("`"), self._expression(), optional))
            if not self._accept(","):
                break
        self._expect("}", "{'}', ','}")
        below = [each for _, _, each, _ in fields]
        return self._deep(Message(brace.pos, name, fields), *below, counted=False)

    def _list(self) -> Node:
        pos = self._take().pos
        elements: list[Node] = []
        optional: set[int] = set()
        self._accept(",") if self._tokens[self._at + 1].kind == "]" else None
        while self._next.kind != "]":
            if self._accept("?"):
                optional.add(len(elements))
            elements.append(self._expression())
            if not self._accept(","):
                break
        self._expect("]", "{']', ','}")
        return self._deep(ListNode(pos, elements, frozenset(optional)), *elements, counted=False)

    def _map(self) -> Node:
        pos = self._take().pos
        entries: list[tuple[Node, Node, bool]] = []
        self._accept(",") if self._tokens[self._at + 1].kind == "}" else None
        while self._next.kind != "}":
            optional = self._accept("?") is not None
            key = self._expression()
            self._expect(":", "':'")
            entries.append((key, self._expression(), optional))
            if not self._accept(","):
                break
        self._expect("}", "{'}', ','}")
        below = [each for key, content, _ in entries for each in (key, content)]
        return self._deep(MapNode(pos, entries), *below, counted=False)


def _balanced(name: str, terms: list[Node], places: list[int], low: int, high: int) -> Node:
    middle = (low + high + 1) // 2
    left = terms[middle] if middle == low else _balanced(name, terms, places, low, middle - 1)
    right = terms[middle + 1] if middle == high else _balanced(name, terms, places, middle + 1, high)
    return Call(places[middle], name, [left, right])
