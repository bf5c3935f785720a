"""The journal's tables and their version.

A MINOR step only adds tables or nullable columns, so that the instance before it works on; statements name
their columns. A newer MAJOR is refused.
"""

from __future__ import annotations

import functools
import sqlite3

from dracore.errors import JournalError, JournalTooNew
from dracore.prepare import checksums

MAJOR = 1
MINOR = 3
APPLICATION_ID = 0x64726131
"""Marks the file as a journal (``dra1``), so that no other SQLite file is taken for one."""

# What each MINOR brings. Never edited after a release; a new MINOR appends one entry.
STEPS: tuple[tuple[str, ...], ...] = (
    (
        # boot id, the counter behind attempts and the order of holds, what a repair left to do
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
        """CREATE TABLE claims (
            uid TEXT PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
            attempt INTEGER NOT NULL, digest TEXT NOT NULL, boot TEXT NOT NULL, response TEXT,
            awaited TEXT, error TEXT, since REAL NOT NULL) WITHOUT ROWID""",
        # Few claims are ever in another state: recovery finds them without reading the others.
        "CREATE INDEX claims_unsettled ON claims(state) WHERE state != 'prepared'",
        # One row a result. `boot`: the boot in which identity and occupies were true.
        """CREATE TABLE devices (
            uid TEXT NOT NULL, position INTEGER NOT NULL, request TEXT NOT NULL, pool TEXT NOT NULL,
            device TEXT NOT NULL, share TEXT NOT NULL, admin INTEGER NOT NULL, plugin TEXT NOT NULL,
            identity TEXT NOT NULL, description TEXT NOT NULL, occupies TEXT NOT NULL, boot TEXT NOT NULL,
            facts TEXT, status TEXT, metadata TEXT, PRIMARY KEY (uid, position)) WITHOUT ROWID""",
        # The overlap guard's index: who occupies a unit, without reading other units.
        """CREATE TABLE occupied (
            unit TEXT NOT NULL, shared INTEGER NOT NULL, pool TEXT NOT NULL, device TEXT NOT NULL,
            uid TEXT NOT NULL, position INTEGER NOT NULL, amount INTEGER NOT NULL,
            PRIMARY KEY (unit, shared, pool, device, uid, position)) WITHOUT ROWID""",
        # A CDI file without its common edits; `common` says in `texts` which ones those are.
        """CREATE TABLE specs (
            uid TEXT NOT NULL, name TEXT NOT NULL, content TEXT NOT NULL, common TEXT,
            PRIMARY KEY (uid, name)) WITHOUT ROWID""",
        # Common edits by their digest: one for all claims, since a driver's libraries are most of a file.
        "CREATE TABLE texts (digest TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE effects (
            key TEXT PRIMARY KEY, kind TEXT NOT NULL, params TEXT NOT NULL, before TEXT, outcome TEXT,
            state TEXT NOT NULL, seq INTEGER NOT NULL, distribution TEXT NOT NULL,
            may_defer INTEGER NOT NULL, error TEXT, drift TEXT, since REAL NOT NULL)""",
        "CREATE INDEX effects_pending ON effects(state) WHERE state != 'applied'",
        "CREATE INDEX effects_kind ON effects(kind)",
        """CREATE TABLE holders (
            key TEXT NOT NULL, holder TEXT NOT NULL, seq INTEGER NOT NULL,
            PRIMARY KEY (key, holder)) WITHOUT ROWID""",
        "CREATE INDEX holders_order ON holders(holder, seq)",
        """CREATE TABLE health (
            plugin TEXT NOT NULL, device TEXT NOT NULL, key TEXT NOT NULL, effect TEXT NOT NULL,
            value TEXT NOT NULL, time_added TEXT NOT NULL, message TEXT NOT NULL,
            PRIMARY KEY (plugin, device, key, effect)) WITHOUT ROWID""",
        """CREATE TABLE instances (
            id TEXT PRIMARY KEY, ordinal INTEGER NOT NULL, started REAL NOT NULL,
            registered INTEGER NOT NULL, pid INTEGER NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE timeline (
            id INTEGER PRIMARY KEY, at REAL NOT NULL, uid TEXT NOT NULL, what TEXT NOT NULL,
            kind TEXT NOT NULL, key TEXT NOT NULL, text TEXT NOT NULL)""",
    ),
    # Not written any more: the checksum of each row, below, is of all columns.
    ("ALTER TABLE effects ADD COLUMN sum INTEGER",),
    (
        # What a reboot does to an effect, and the boot in which it was made or seen: a start must be able to
        # tell where its plugin is not installed. Empty: an older version's.
        "ALTER TABLE effects ADD COLUMN reboot TEXT",
        "ALTER TABLE effects ADD COLUMN boot TEXT",
        # Of a claim that waits: the boot in which it was prepared, so that containers may run with it, and
        # the drift that it is to be repaired of.
        "ALTER TABLE claims ADD COLUMN ran TEXT",
        "ALTER TABLE claims ADD COLUMN repair TEXT",
    ),
    tuple(checksums.step()),
)


def version_of(connection: sqlite3.Connection, *, damaged: bool = False) -> tuple[int, int] | None:
    """MAJOR and MINOR of an open journal; None where it is empty.

    :param damaged: it may be: a newer MAJOR that is one of ours in all but a bit is none.
    :raises JournalError: a SQLite file that is no journal.
    :raises JournalTooNew: a newer MAJOR.
    :raises sqlite3.DatabaseError: a journal whose header is damaged.
    """
    number = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if number == 0 and not tables:
        return None
    if number < MAJOR * 1000 or connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        if {"claims", "effects", "holders", "meta"} <= tables:
            raise sqlite3.DatabaseError("the header of the file is malformed")
        raise JournalError(
            "the file is a SQLite database, but not a journal of dracore", fix="move that file away"
        )
    major, minor = divmod(number, 1000)
    if major > MAJOR:
        ours = (minor for minor in range(MINOR + 1) if (number ^ (MAJOR * 1000 + minor)).bit_count() == 1)
        if damaged and any(not altered(connection, (MAJOR, minor)) for minor in ours):
            raise sqlite3.DatabaseError("the version in the header of the file is malformed")
        raise JournalTooNew(
            f"the journal has version {major}.{minor} and this dracore reads {MAJOR}.x; nothing was changed",
            fix="run the newer dracore again, or let it release all claims of this node first",
        )
    return major, minor


def altered(connection: sqlite3.Connection, version: tuple[int, int]) -> str:
    """How the tables differ from those of their version; empty: they do not.

    Of a newer MINOR only what this one made is known.
    """
    made = _statements(min(version[1], MINOR))
    found = _schema_of(connection)
    for name, statement in made.items():
        there = found.get(name)
        if there is None or (version[1] <= MINOR and there != statement):
            return f"{' '.join(name)} is not what was made"
    return ""


@functools.cache
def _statements(minor: int) -> dict[tuple[str, str], str]:
    connection = sqlite3.connect(":memory:")
    try:
        for step in STEPS[: minor + 1]:
            for statement in step:
                connection.execute(statement)
        return _schema_of(connection)
    finally:
        connection.close()


def _schema_of(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """What was made by (type, name); SQLite keeps the text, and other versions of it other blanks."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema")
    return {(row[0], row[1]): f"{row[2]} {''.join((row[3] or '').split())}" for row in rows}


def bring_up(connection: sqlite3.Connection) -> bool:
    """Creates the tables, or adds what a later MINOR brought. Safe beside another process doing the same.

    Answers whether there was nothing.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = version_of(connection)
        have = found[1] if found else -1
        if have < MINOR:
            for step in STEPS[have + 1 :]:
                for statement in step:
                    connection.execute(statement)
            checksums.fill(connection)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {MAJOR * 1000 + MINOR}")
        connection.execute("COMMIT")
        return found is None
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
