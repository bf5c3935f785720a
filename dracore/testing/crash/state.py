"""Whether two moments of a run are the same: some deaths leave the same, and some calls change nothing."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

_TABLES = ("claims", "devices", "occupied", "specs", "effects")
_PASSING = {"since", "attempt", "seq", "sum", "whole"}
"""Columns that differ from run to run: times, numbers, and checksums of these."""


def state_of(folder: Path) -> str:
    """A digest of what is on the node and in the journal of a run, without times and numbers."""
    content = hashlib.sha256()
    disk = folder / "disk"
    for file in sorted(disk.rglob("*")):
        if file.is_file() and "journal" not in file.name and not file.name.endswith(".lock"):
            content.update(f"{file.relative_to(disk)} {file.stat().st_size}\n".encode())
    for name in ("node/node.json", "cluster.json"):
        if (folder / name).exists():
            content.update((folder / name).read_bytes())
    database = disk / "plugin" / "journal.db"
    if database.exists():
        # To read only: what closes a journal last would write its log into it.
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            for table in _TABLES:
                names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
                columns = ", ".join(name for name in names if name not in _PASSING)
                if columns:
                    rows = connection.execute(f"SELECT {columns} FROM {table}").fetchall()  # noqa: S608
                    content.update(repr(sorted(rows, key=repr)).encode())
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'holders'").fetchone():
                order = "SELECT holder, key FROM holders ORDER BY holder, seq"
                content.update(repr(connection.execute(order).fetchall()).encode())
            boot = "SELECT name, value FROM meta WHERE name IN ('boot', 'salvaged') ORDER BY name"
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").fetchone():
                content.update(repr(connection.execute(boot).fetchall()).encode())
        finally:
            connection.close()
    return content.hexdigest()
