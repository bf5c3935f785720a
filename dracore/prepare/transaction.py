"""What a piece of work on the journal is given: the database, the time, a counter, the timeline."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from dracore.errors import writable
from dracore.model.device import JSON
from dracore.prepare.ports import Clock

TIMELINE_LIMIT = 20_000
"""Entries that the timeline keeps over all claims."""
TIMELINE_SPARE = 100
"""Entries that it may have beyond: making room for each alone would touch another page with each commit."""
TEXT_LIMIT = 500
"""Characters of one entry."""


class Tx:
    """The journal inside one transaction (or one read)."""

    __slots__ = ("_clock", "_connection")

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def execute(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    def row(self, statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row, or None."""
        row: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
        return row

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, values).fetchall()

    def now(self) -> float:
        return self._clock.now()

    def number(self) -> int:
        """The next number of the journal: never given twice, whoever asks, whatever was deleted since."""
        rows = self.rows(
            "INSERT INTO meta (name, value) VALUES ('counter', 1)"
            " ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value"
        )
        return int(rows[0][0])

    def meta(self, name: str) -> Any:
        row = self.row("SELECT value FROM meta WHERE name = ?", (name,))
        return row[0] if row else None

    def set_meta(self, name: str, value: Any) -> None:
        self.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))

    def note(self, uid: str, what: str, text: str = "", *, kind: str = "", key: str = "") -> None:
        """One entry of the timeline; now and then the oldest ones make room."""
        cursor = self.execute(
            "INSERT INTO timeline (at, uid, what, kind, key, text) VALUES (?, ?, ?, ?, ?, ?)",
            (self.now(), uid, what, kind, key, writable(text)[:TEXT_LIMIT]),
        )
        number = cursor.lastrowid or 0
        if number % TIMELINE_SPARE == 0:
            self.execute("DELETE FROM timeline WHERE id <= ?", (number - TIMELINE_LIMIT,))


_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
# Made once: json.dumps makes one for each call, which takes longer than small values do.


def encode(value: JSON) -> str:
    """JSON text, the same for equal values.

    :raises TypeError: a value that JSON does not have.
    """
    return _encoder.encode(value)


def decode(text: str | None) -> JSON:
    """:raises sqlite3.DatabaseError: it is not JSON: not what was written."""
    try:
        return None if text is None else json.loads(text)
    except (TypeError, ValueError) as error:
        raise sqlite3.DatabaseError(f"a row is malformed: {error}") from error
