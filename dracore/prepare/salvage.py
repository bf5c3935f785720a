"""A damaged journal: what can still be read of it, and what must be said about the rest.

Nothing that was read is trusted to be whole. Claims come back as waiting (their next prepare runs all hooks
again, unprepare and the reconciler release them), effects are probed on the node before they count.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dracore.prepare import checksums
from dracore.prepare.schema import STEPS
from dracore.prepare.storage import Damage

UNKNOWN = "unknown"
"""Holds what a damaged journal knew, beside those who are known, until no pod can be using it."""

_TABLES = {
    "meta": ("name",),
    "claims": ("uid",),
    "devices": ("uid", "position"),
    "occupied": ("unit", "shared", "pool", "device", "uid", "position"),
    "specs": ("uid", "name"),
    "effects": ("key",),
    "holders": ("key", "holder"),
    "health": ("plugin", "device", "key", "effect"),
}


@dataclass
class Salvaged:
    """Rows out of a damaged journal.

    :param aside: where the damaged file lies now.
    :param damage: what SQLite says about it.
    :param incomplete: tables of which rows may be missing.
    :param left: effects that are left on the node: nobody holds them any more as far as can be read, or what
        would undo them is not what was written.
    """

    aside: Path
    damage: str
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    incomplete: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """One line for an event."""
        claims, effects = len(self.rows.get("claims", ())), len(self.rows.get("effects", ()))
        text = (
            f"the journal was damaged ({self.damage}) and is set aside as {self.aside.name}; "
            f"{claims} claims and {effects} effects could be read and are checked on the node"
        )
        if self.incomplete:
            text += "; rows may be missing from: " + ", ".join(self.incomplete)
        if self.left:
            text += "; left on the node: " + ", ".join(self.left)
        return text


def read(aside: Path, damage: Damage) -> Salvaged:
    """Reads what SQLite still gives, from both ends of each table."""
    saved = Salvaged(aside, damage.text)
    _give_it_a_page(aside)
    try:
        connection = sqlite3.connect(aside)
    except sqlite3.Error:
        saved.incomplete = list(_TABLES)
        return saved
    connection.row_factory = sqlite3.Row
    try:
        for table, keys in _TABLES.items():
            found: dict[tuple[Any, ...], dict[str, Any]] = {}
            whole = False
            for direction in ("ASC", "DESC"):
                order = ", ".join(f"{key} {direction}" for key in keys)
                whole = _collect(connection, f"SELECT * FROM {table} ORDER BY {order}", keys, found)  # noqa: S608
                if whole:
                    break
            else:
                _collect(connection, f"SELECT * FROM {table} NOT INDEXED", keys, found)  # noqa: S608
            saved.rows[table] = list(found.values())
            if not whole or damage.tail:
                saved.incomplete.append(table)
    finally:
        with contextlib.suppress(sqlite3.Error):
            connection.close()
    _drop_altered(saved)
    _drop_unknown(saved)
    _drop_unheld(saved)
    return saved


def write(connection: sqlite3.Connection, saved: Salvaged) -> None:
    """Puts the rows into a new journal."""
    columns = _columns()
    connection.execute("BEGIN IMMEDIATE")
    try:
        for table, rows in saved.rows.items():
            for row in rows:
                known = {name: value for name, value in row.items() if name in columns[table]}
                names, marks = ", ".join(known), ", ".join("?" * len(known))
                with contextlib.suppress(sqlite3.IntegrityError):  # a row that lost a needed value
                    connection.execute(
                        f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})",  # noqa: S608
                        tuple(known.values()),
                    )
        if {"claims", "holders"} & set(saved.incomplete):
            # Whoever else holds them is not known, and what was half done may have been finished in a commit
            # that cannot be read: nothing of it must be undone under a running container.
            connection.execute("UPDATE effects SET state = 'applied'")
            connection.execute("UPDATE claims SET state = 'prepared'")
            connection.execute(
                "INSERT OR IGNORE INTO holders (key, holder, seq) SELECT key, ?, seq FROM effects", (UNKNOWN,)
            )
        connection.execute(
            "UPDATE claims SET state = 'waiting', ran = boot,"
            " awaited = 'its next prepare: the journal was damaged' WHERE state = 'prepared'"
        )
        # A counter that was lost must not give numbers again that rows still carry.
        highest = connection.execute(
            "SELECT max(coalesce((SELECT max(attempt) FROM claims), 0),"
            " coalesce((SELECT max(seq) FROM effects), 0), coalesce((SELECT max(seq) FROM holders), 0),"
            " coalesce((SELECT value FROM meta WHERE name = 'counter'), 0)) + 1000"
        ).fetchone()[0]
        connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('counter', ?)", (highest,))
        connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('salvaged', 1)")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def mark_unswept(connection: sqlite3.Connection, *, anew: bool) -> bool:
    """Whether things may be on the node that the journal does not know; remembered over restarts."""
    if anew:
        connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('unswept', 1)")
    return connection.execute("SELECT 1 FROM meta WHERE name = 'unswept'").fetchone() is not None


def _collect(
    connection: sqlite3.Connection,
    query: str,
    keys: tuple[str, ...],
    found: dict[tuple[Any, ...], dict[str, Any]],
) -> bool:
    """Adds rows until SQLite gives up; answers whether it reached the end."""
    try:
        for row in _each(connection, query):
            found.setdefault(tuple(row[key] for key in keys), row)
    except (sqlite3.Error, UnicodeDecodeError):
        return False
    return True


def _each(connection: sqlite3.Connection, query: str) -> Iterator[dict[str, Any]]:
    for row in connection.execute(query):
        yield dict(row)


def _give_it_a_page(aside: Path) -> None:
    """SQLite throws the log of an empty database away; of one with a page it takes what the log has."""
    log = Path(f"{aside}-wal")
    if log.exists() and (not aside.exists() or not aside.stat().st_size):
        with log.open("rb") as file:
            size = int.from_bytes(file.read(12)[8:], "big")
        with aside.open("ab") as file:
            file.truncate(size if 512 <= size <= 65_536 else 4096)


def _drop_altered(saved: Salvaged) -> None:
    """Rows that are not what was written. To undo an effect by one could change something else."""
    for table, rows in saved.rows.items():
        kept = [row for row in rows if checksums.is_whole(table, row)]
        if len(kept) == len(rows):
            continue
        saved.rows[table] = kept
        if table == "effects":
            saved.left += [f"{row['kind']} {row['key']}" for row in rows if row not in kept]
        elif table not in saved.incomplete:
            saved.incomplete.append(table)


def _drop_unknown(saved: Salvaged) -> None:
    """Holders that are nobody: somebody else's name stood there."""
    claims = {row["uid"] for row in saved.rows.get("claims", ())}
    keys = {row["key"] for row in saved.rows.get("effects", ())}
    rows = saved.rows.get("holders", [])
    known = [row for row in rows if row["key"] in keys and _is_known(row, claims)]
    saved.rows["holders"] = known
    if len(known) < len(rows) and "holders" not in saved.incomplete:
        saved.incomplete.append("holders")


def _is_known(row: dict[str, Any], claims: set[Any]) -> bool:
    """Whether somebody holds by that name: a claim, also one whose record is lost, or a plugin."""
    return row.get("whole") is not None or row["holder"] in claims or str(row["holder"]).startswith("plugin:")


def _drop_unheld(saved: Salvaged) -> None:
    """An effect whose holders may merely be unreadable must not be reverted under a running container."""
    if "holders" not in saved.incomplete and "claims" not in saved.incomplete:
        return
    held = {row["key"] for row in saved.rows.get("holders", ())}
    kept = []
    for row in saved.rows.get("effects", ()):
        if row["key"] in held:
            kept.append(row)
        else:
            saved.left.append(f"{row['kind']} {row['key']}")
    saved.rows["effects"] = kept


def _columns() -> dict[str, set[str]]:
    """The columns of each table, as this version makes them."""
    connection = sqlite3.connect(":memory:")
    try:
        for step in STEPS:
            for statement in step:
                connection.execute(statement)
        return {
            table: {row[1] for row in connection.execute(f"PRAGMA table_info({table})")} for table in _TABLES
        }
    finally:
        connection.close()
