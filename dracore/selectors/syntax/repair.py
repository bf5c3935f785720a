"""Reads a text with ANTLR's own repairs: a token is passed over or thought of, else a rule is left."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dracore.selectors.depth import apart
from dracore.selectors.lexer import Token
from dracore.selectors.syntax import graph
from dracore.selectors.syntax.graph import EOF, NAMES, Part, Rule, State, number
from dracore.selectors.syntax.prediction import Exhausted, NoAlternative, Predictor

Fault = tuple[int, str]
"""Offset and message; an offset of -1 is no place."""
_RESERVED = re.compile("no viable alternative at input '.(true|false|null)'")
_ATTEMPTS, _SKIPPED, _DEEPEST, _STRIDE = 30, 512, 250, 20


class _Mismatch(Exception):
    """The token at hand is not among those that are expected here."""


class _GaveUp(Exception):
    """Too many repairs."""


def faults(
    source: str, tokens: Sequence[Token], unknown: Sequence[tuple[int, int]] = ()
) -> list[Fault] | None:
    """The faults of syntax, in the API server's words; None where they cannot be told.

    :param tokens: with one of kind ``end`` last.
    :param unknown: from where to where there are none.
    """
    reader = _Reader(source, tokens, unknown)
    try:
        reader.rule(graph.grammar(), 0, None)
    except _GaveUp:
        pass
    except (Exhausted, RecursionError):
        return None
    return reader.found


class _Reader:
    def __init__(self, source: str, tokens: Sequence[Token], unknown: Sequence[tuple[int, int]]) -> None:
        self._source = source
        self._unknown = unknown
        self._tokens = tokens
        self._kinds = [number(token.kind) for token in tokens]
        self._predictor = Predictor(self._kinds)
        self._at = 0
        self._stack: list[State] = []
        self._state: State
        self._levels: list[int] = []
        self._recovering = False
        self._last_at = -1
        self._last_states: set[State] = set()
        self._attempts = 0
        self._depth = 0
        self.found: list[Fault] = []

    # --- rules --------------------------------------------------------------------------------------------

    def rule(self, rule: Rule, level: int, follow: State | None) -> None:
        """Reads a rule that was called at a precedence, to go on at `follow`."""
        if follow is not None:
            self._stack.append(follow)
        self._levels.append(level)
        deeper = rule.name == "expr"
        self._depth += deeper
        if self._depth > _DEEPEST:
            raise Exhausted
        self._state = rule.start
        try:
            if deeper and self._depth % _STRIDE == 0:
                apart(lambda: self._read(rule.body))
            else:
                self._read(rule.body)
        except (_Mismatch, NoAlternative) as error:
            self._report(error)
            self._recover()
        self._depth -= deeper
        self._levels.pop()
        if follow is not None:
            self._stack.pop()
            self._state = follow

    def _read(self, part: Part) -> None:
        kind = part.__class__
        if kind is graph.Sequence:
            for each in part.parts:  # type: ignore[attr-defined]
                self._read(each)
        elif isinstance(part, graph.Token):
            self._match(part)
        elif isinstance(part, graph.Call):
            self._state = part.left
            self.rule(part.called, part.level, part.right)
        elif isinstance(part, graph.Choice):
            self._choice(part)
        elif isinstance(part, graph.Maybe):
            self._sync(part.left)
            if self._kinds[self._at] in graph.first(part.part.left):
                self._read(part.part)
        elif isinstance(part, graph.Many):
            self._many(part)
        elif isinstance(part, graph.Some):
            self._some(part)

    def _choice(self, part: graph.Choice) -> None:
        self._sync(part.left)
        if part.predicted:
            self._read(part.parts[self._choose(part.left) - 1])
            return
        for each in part.parts:
            if self._kinds[self._at] in graph.first(each.left):
                self._read(each)
                return
        raise NoAlternative(self._at, self._at)

    def _many(self, part: graph.Many) -> None:
        self._sync(part.left)
        while self._again(part, part.left):
            self._read(part.part)
            self._sync(part.back)

    def _some(self, part: graph.Some) -> None:
        self._sync(part.left)
        while True:
            self._read(part.part)
            self._sync(part.back)
            if not self._again(part, part.back):
                return

    def _again(self, part: graph.Many | graph.Some, decision: State) -> bool:
        if part.predicted:
            return self._choose(decision) == 1
        return self._kinds[self._at] in graph.first(part.part.left)

    def _choose(self, decision: State) -> int:
        return self._predictor.choose(decision, self._at, tuple(self._stack), self._levels[-1])

    # --- tokens -------------------------------------------------------------------------------------------

    def _match(self, part: graph.Token) -> None:
        self._state = part.left
        if self._kinds[self._at] in part.kinds:
            self._matched()
            self._consume()
            return
        self._attempt()
        if self._delete():
            self._consume()
        elif self._kinds[self._at] in graph.after(part.right, self._stack):
            if not self._recovering:
                self._recovering = True
                self._note(self._at, f"missing {_listed(self._expected())} at {self._shown(self._at)}")
        else:
            raise _Mismatch

    def _matched(self) -> None:
        self._recovering = False
        self._last_at, self._last_states = -1, set()

    def _consume(self) -> None:
        if self._kinds[self._at] != EOF:
            self._at += 1

    def _expected(self) -> set[int]:
        return graph.after(self._state, self._stack)

    # --- repairs ------------------------------------------------------------------------------------------

    def _sync(self, state: State) -> None:
        """At a choice: what cannot come next is passed over, or the rule is left."""
        self._state = state
        if self._recovering:
            return
        following = graph.first(state)
        if graph.EPSILON in following or self._kinds[self._at] in following:
            return
        if state.kind.endswith("loop back"):
            self._unwanted()
            self._skip(self._expected() | self._follows())
        elif not self._delete():
            raise _Mismatch

    def _delete(self) -> bool:
        """Passes over one token, where the one behind it is expected."""
        behind = self._kinds[min(self._at + 1, len(self._kinds) - 1)]
        if behind not in self._expected():
            return False
        self._unwanted()
        self._consume()
        self._matched()
        return True

    def _unwanted(self) -> None:
        if not self._recovering:
            self._recovering = True
            message = f"extraneous input {self._shown(self._at)} expecting {_listed(self._expected())}"
            self._note(self._at, message)

    def _report(self, error: _Mismatch | NoAlternative) -> None:
        if self._recovering:
            return
        self._recovering = True
        if isinstance(error, NoAlternative):
            start, last = self._tokens[error.start], self._tokens[error.at]
            text = self._text(start.pos, last.pos + (0 if last.kind == "end" else len(last.text)))
            shown = _quoted("<EOF>" if start.kind == "end" else text)
            message = f"no viable alternative at input {shown}"
            self._note(error.at, _RESERVED.sub(r"mismatched input '\1' expecting IDENTIFIER", message))
        else:
            message = f"mismatched input {self._shown(self._at)} expecting {_listed(self._expected())}"
            self._note(self._at, message)

    def _attempt(self) -> None:
        if self._attempts == _ATTEMPTS:
            self._note(self._at, f"error recovery attempt limit exceeded: {_ATTEMPTS}")
            raise _GaveUp
        self._attempts += 1

    def _recover(self) -> None:
        """Goes on at a token that may follow one of the rules that are being read."""
        self._attempt()
        if self._last_at == self._at and self._state in self._last_states:
            self._consume()
        self._last_at = self._at
        self._last_states.add(self._state)
        self._skip(self._follows(), bounded=True)

    def _follows(self) -> set[int]:
        found: set[int] = set()
        for follow in self._stack:
            found |= graph.first(follow)
        return found - {graph.EPSILON}

    def _skip(self, until: set[int], bounded: bool = False) -> None:
        skipped = 0
        while (kind := self._kinds[self._at]) != EOF and kind not in until:
            if bounded and skipped >= _SKIPPED:
                self.found.append((-1, f"error recovery token lookahead limit exceeded: {_SKIPPED}"))
                raise _GaveUp
            skipped += 1
            self._at += 1

    def _text(self, start: int, end: int) -> str:
        """A part of the source without what is no token."""
        text = ""
        for begin, stop in self._unknown:
            if start <= begin < end:
                text += self._source[start:begin]
                start = stop
        return text + self._source[start:end]

    # --- words --------------------------------------------------------------------------------------------

    def _note(self, at: int, message: str) -> None:
        self.found.append((self._tokens[at].pos, f"Syntax error: {message}"))

    def _shown(self, at: int) -> str:
        return _quoted(self._tokens[at].text)


def _quoted(text: str) -> str:
    text = text.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{text}'"


def _listed(kinds: set[int]) -> str:
    names = ["<EOF>" if kind == EOF else NAMES[kind - 1] for kind in sorted(kinds)]
    return names[0] if len(names) == 1 else "{" + ", ".join(names) + "}"
