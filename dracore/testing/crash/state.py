"""Whether two moments of a run are the same: some deaths leave the same, and some calls change nothing."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

_TABLES = ("claims", "devices", "specs", "effects", "holders")
_PASSING = {"since", "attempt", "seq"}
"""Columns that differ from run to run."""


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
        connection = sqlite3.connect(database)
        try:
            for table in _TABLES:
                names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
                columns = ", ".join(name for name in names if name not in _PASSING)
                if columns:
                    rows = connection.execute(f"SELECT {columns} FROM {table}").fetchall()  # noqa: S608
                    content.update(repr(sorted(rows, key=repr)).encode())
            boot = "SELECT name, value FROM meta WHERE name IN ('boot', 'salvaged') ORDER BY name"
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").fetchone():
                content.update(repr(connection.execute(boot).fetchall()).encode())
        finally:
            connection.close()
    return content.hexdigest()
