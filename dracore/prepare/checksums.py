"""A checksum in each row: SQLite has none, and a bit that flips on a disk must not become an answer.

It is taken of the columns as they are stored, by triggers of each connection that writes (TEMP, so no other
one sees them): no statement can forget it. An older version that writes to the same journal knows nothing of
it: its new rows have none, and where it changes a row, a trigger in the journal takes the checksum away.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Summed:
    """A table with checksums.

    :param key: its primary key.
    :param columns: what the checksum is of. Never edited after a release: a newer MINOR that wants columns
        of its own covered brings another checksum.
    :param json: columns that hold JSON text.
    """

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    json: tuple[str, ...] = ()


def _summed(table: str, key: str, columns: str, json: str = "") -> Summed:
    return Summed(table, tuple(key.split()), tuple(columns.split()), tuple(json.split()))


TABLES = (
    _summed("meta", "name", "name value"),
    _summed(
        "claims",
        "uid",
        "uid namespace name state attempt digest boot response awaited error since ran repair",
        "response",
    ),
    _summed(
        "devices",
        "uid position",
        "uid position request pool device share admin plugin identity description occupies boot facts status"
        " metadata",
        "occupies facts status metadata",
    ),
    _summed(
        "occupied", "unit shared pool device uid position", "unit shared pool device uid position amount"
    ),
    _summed("specs", "uid name", "uid name content common"),
    _summed("texts", "digest", "digest content"),
    _summed(
        "effects",
        "key",
        "key kind params before outcome state seq distribution may_defer error drift since reboot boot",
        "params before outcome",
    ),
    _summed("holders", "key holder", "key holder seq"),
    _summed("health", "plugin device key effect", "plugin device key effect value time_added message"),
    _summed("instances", "id", "id ordinal started registered pid"),
    _summed("timeline", "id", "id at uid what kind key text"),
)
_BY_NAME = {summed.table: summed for summed in TABLES}


def step() -> Iterator[str]:
    """The statements that bring the checksums into a journal."""
    for t in TABLES:
        yield f"ALTER TABLE {t.table} ADD COLUMN whole INTEGER"
        new, old = (", ".join(f"{side}.{column}" for column in t.columns) for side in ("NEW", "OLD"))
        # Setting the checksum itself fires nothing. What install() makes may fire before or after this.
        yield (
            f"CREATE TRIGGER {t.table}_altered AFTER UPDATE OF {', '.join(t.columns)} ON {t.table}"  # noqa: S608
            f" WHEN OLD.whole NOT NULL AND NEW.whole IS OLD.whole AND ({new}) IS NOT ({old}) BEGIN"
            f" UPDATE {t.table} SET whole = NULL WHERE {_is_new(t)} AND whole IS OLD.whole; END"
        )


def fill(connection: sqlite3.Connection) -> None:
    """Gives rows of an older version their checksums."""
    connection.create_function("row_sum", -1, row_sum, deterministic=True)
    for t in TABLES:
        connection.execute(
            f"UPDATE {t.table} SET whole = row_sum({', '.join(t.columns)}) WHERE whole IS NULL"  # noqa: S608
        )


def install(connection: sqlite3.Connection) -> None:
    """From here on, `connection` gives a checksum to each row that it writes."""
    connection.create_function("row_sum", -1, row_sum, deterministic=True)
    for t in TABLES:
        new = ", ".join(f"NEW.{column}" for column in t.columns)
        work = f"BEGIN UPDATE {t.table} SET whole = row_sum({new}) WHERE {_is_new(t)}; END"  # noqa: S608
        for name, event in (("inserted", "INSERT"), ("updated", f"UPDATE OF {', '.join(t.columns)}")):
            connection.execute(f"CREATE TEMP TRIGGER {t.table}_{name} AFTER {event} ON main.{t.table} {work}")


def row_sum(*values: Any) -> int:
    """Of the values of a row as they are stored, in the order of the table's columns."""
    return zlib.crc32("\0".join([v if type(v) is str else repr(v) for v in values]).encode())


def altered(connection: sqlite3.Connection) -> str:
    """The first row that is not what was written, in words; empty: there is none.

    :raises sqlite3.DatabaseError: one that cannot even be read.
    """
    for t in TABLES:
        there = [row[1] for row in connection.execute(f"PRAGMA table_info({t.table})")]
        columns = [column for column in t.columns if column in there]
        last = "whole" if "whole" in there else "NULL"
        for row in connection.execute(f"SELECT {', '.join(columns)}, {last} FROM {t.table}"):  # noqa: S608
            if row[-1] is None or row_sum(*row[:-1]) != row[-1]:
                values = dict(zip((*columns, "whole"), row, strict=True))
                if not is_whole(t.table, values):
                    return f"{t.table} {' '.join(str(values[key]) for key in t.key)} is not what was written"
    return ""


def is_whole(table: str, row: Mapping[str, Any]) -> bool:
    """Whether a row is as it was written, as far as can be told of one without a checksum."""
    t = _BY_NAME[table]
    if row.get("whole") is not None:
        return bool(row_sum(*(row.get(column) for column in t.columns)) == row["whole"])
    try:
        for column in t.json:
            if row.get(column) is not None:
                json.loads(row[column])
    except (TypeError, ValueError):
        return False
    return True


def _is_new(t: Summed) -> str:
    return " AND ".join(f"{key} = NEW.{key}" for key in t.key)
