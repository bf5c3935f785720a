"""Faults of expressions: what does not compile, with its place, and what fails while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from dracore.errors import SelectorError

SHOWN = 100
"""No more faults of one expression are shown."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Line and column, both from 1, as the API server counts them (characters, not bytes)."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong with an expression."""

    position: Position
    message: str


class CompileError(SelectorError):
    """An expression does not compile. `detail` is the API server's text, `position` where it begins."""

    def __init__(self, text: str, detail: str, issues: tuple[Issue, ...] = ()) -> None:
        first = issues[0] if issues and issues[0].position.line > 0 else None
        place = f" at line {first.position.line}, column {first.position.column}" if first else ""
        super().__init__(
            f"not valid{place}: {first.message if first else detail}", where=f"selector {short(text)}"
        )
        self.detail = detail
        self.issues = issues
        self.position = first.position if first else None


class Fault(Exception):
    """An error value of CEL: it spoils what needs the value, and ``&&`` and ``||`` may absorb it.

    `key` is the missing key where that is the reason.
    """

    def __init__(self, message: str, key: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.key = key
        self.cost: int | None = None
        """What the evaluation had cost when it failed."""


class Stopped(Exception):
    """The evaluation went over its cost limit; nothing absorbs this."""


class Crash(Stopped):
    """Where the API server's library stops with an internal error that nothing absorbs."""


class Issues:
    """Collects what is wrong with one source text."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._lines = source.split("\n")
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)
        self._found: list[Issue] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def report(self, offset: int, message: str) -> None:
        """Notes a fault at an offset."""
        self._found.append(Issue(self._position(offset), message))

    def sorted(self) -> tuple[Issue, ...]:
        """In the order of the source; those at one place in the order of finding."""
        return tuple(sorted(self._found, key=lambda issue: issue.position))

    def render(self) -> str:
        """All of it, each with its line and a caret below, as the API server writes it."""
        found = self.sorted()
        texts = [self._show(issue) for issue in found[:SHOWN]]
        if len(found) > SHOWN:
            texts.append(f"{len(found) - SHOWN} more errors were truncated")
        return "\n".join(texts)

    def _position(self, offset: int) -> Position:
        if offset < 0:
            return Position(-1, 0)
        if not self._source:
            return Position(1, 0)
        low, high = 0, len(self._lines) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._starts[middle] <= offset:
                low = middle
            else:
                high = middle - 1
        return Position(low + 1, offset - self._starts[low] + 1)

    def _show(self, issue: Issue) -> str:
        where = issue.position
        head = f"ERROR: <input>:{where.line}:{where.column}: {issue.message}"
        if not self._source or where.line < 0:
            return head
        line = self._lines[where.line - 1].replace("\t", " ")
        dots = "".join(map(_dot, line[: where.column - 1]))
        under = line[where.column - 1 : where.column]
        caret = "\N{FULLWIDTH CIRCUMFLEX ACCENT}" if under and ord(under) > 127 else "^"
        return f"{head}\n | {line}\n | {dots}{caret}"


def _dot(character: str) -> str:
    return "\N{FULLWIDTH FULL STOP}" if ord(character) > 127 else "."


def short(text: str) -> str:
    """An expression in one line, quoted, at most 80 characters."""
    line = " ".join(text[:400].split())
    return repr(line if len(line) <= 80 and len(text) <= 400 else line[:79] + "…")
