"""A journal that somebody moved or deleted while it is open: it is written again from what is open.

SQLite goes on with a file that has no name any more; what is committed there ends with the process. So each
commit begins with a look whether the file is in its place (:class:`Journal`), and this puts it back.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dracore.errors import JournalBusy
from dracore.model.seam import Seam
from dracore.prepare import storage
from dracore.prepare.ports import Clock

PATIENCE = 5.0
"""Seconds to wait for another instance that is at the same work."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done.

    :param written: by this process; else another instance had done it already.
    :param aside: where a file that somebody had put in the journal's place lies now.
    """

    written: bool
    aside: Path | None = None


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Nobody else puts `path` back, or changes over to what was put back, meanwhile.

    SQLite opens a log by its name: whoever opens a file that is taken away at this moment must not find the
    log of the next one there. The lock is on the folder's own folder: it must outlive what is deleted.

    :raises JournalBusy: another instance has not finished after :data:`PATIENCE`.
    """
    storage.make_folder(path.parent)
    place = path.parent.parent
    end = time.monotonic() + PATIENCE
    while True:
        lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), os.stat(place)):
                break
        except BlockingIOError:
            if time.monotonic() >= end:
                os.close(lock)
                raise JournalBusy("another instance does not finish to put the journal back") from None
            time.sleep(0.01)
        except OSError:
            os.close(lock)
            raise
        os.close(lock)
    try:
        yield
    finally:
        os.close(lock)


class NewerElsewhere(Exception):
    """Another instance went on to a newer file, which is not in its place either: it puts that back."""


def put_back(
    path: Path,
    writer: sqlite3.Connection,
    reader: sqlite3.Connection,
    *,
    clock: Clock,
    seam: Seam,
    wait: bool = False,
) -> Restored:
    """Makes `path` hold what the open journal holds, whole or not at all.

    Instances that have a lost file open do it one after the other (:func:`alone`): the second finds that the
    first has. None of them commits meanwhile: the lost file is locked, and each looks at its name after that.

    :param wait: not from a file that another instance has gone on from: what it knows is not all.
    :raises NewerElsewhere: only with `wait`.
    :raises sqlite3.Error: as OSError: it cannot be done now.
    """
    writer.execute("BEGIN IMMEDIATE")
    try:
        mine = _lineage(reader)
        theirs = _lineage_at(path)
        if theirs and theirs[0] == mine[0] and theirs[1] > mine[1]:
            return Restored(written=False)
        if wait and _is_superseded(writer):
            raise NewerElsewhere
        aside = None
        if os.path.lexists(path):
            aside = storage.rename_all(path, "found", clock)
        else:
            # Of a lost file; to a new one they would be poison.
            for ending in ("-journal", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{path}{ending}")
        seam("journal.restore.before", str(path))
        _copy(reader, path, (mine[0], mine[1] + 1))
        seam("journal.restore.after", str(path))
        return Restored(written=True, aside=aside)
    finally:
        writer.execute("ROLLBACK")


def supersede(writer: sqlite3.Connection) -> None:
    """Notes in a lost file that this instance goes on from a newer one, which will have commits of its own.

    Whoever has the lost one open still must not put back that.
    """
    with contextlib.suppress(sqlite3.Error):
        writer.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('superseded', 1)")


def follows(new: sqlite3.Connection, old: sqlite3.Connection) -> bool:
    """Whether one is the other's journal, put back."""
    (name, times), (before, then) = _lineage(new), _lineage(old)
    return name == before and times > then


def close_lost(*connections: sqlite3.Connection) -> None:
    """Closes connections to a file that is not in its place.

    Whoever closes a database last removes its log by name, and here another database has that name. Newer
    SQLite looks whether the file was moved; with any, the reader cannot (it may not write), so it goes last.

    :param connections: the writer, then the reader.
    """
    for connection in connections:
        with contextlib.suppress(sqlite3.Error):
            connection.close()


def mark(connection: sqlite3.Connection) -> None:
    """Gives a new journal a name of its own, so that its copies are known as such."""
    connection.execute(
        "INSERT OR IGNORE INTO meta (name, value) VALUES ('lineage', ?)", (os.urandom(8).hex(),)
    )


def _copy(reader: sqlite3.Connection, path: Path, lineage: tuple[str, int]) -> None:
    beside = path.with_name(f".{path.name}.new")
    for ending in ("", "-journal", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{beside}{ending}")
    made = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    os.close(made)
    target = sqlite3.connect(beside, isolation_level=None)
    try:
        target.execute("PRAGMA synchronous = FULL")
        reader.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # all of it in one file
        target.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('restored', ?)", (lineage[1],))
        target.execute("DELETE FROM meta WHERE name = 'superseded'")
    finally:
        target.close()
    os.rename(beside, path)
    storage.sync_folder(path.parent)


def _lineage(connection: sqlite3.Connection) -> tuple[str, int]:
    rows = dict(connection.execute("SELECT name, value FROM meta WHERE name IN ('lineage', 'restored')"))
    return str(rows.get("lineage", "")), int(rows.get("restored", 0))


def _is_superseded(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT 1 FROM meta WHERE name = 'superseded'").fetchall())


def _lineage_at(path: Path) -> tuple[str, int] | None:
    if not path.is_file():
        return None
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=1.0)
        try:
            return _lineage(connection)
        finally:
            connection.close()
    except (sqlite3.Error, ValueError):
        return None  # no journal, or no whole one
