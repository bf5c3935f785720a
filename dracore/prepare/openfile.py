"""The journal's file while it is open: two connections, a guard, and whether it is still in its place."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from dracore.errors import JournalBusy, JournalError
from dracore.model.seam import Seam
from dracore.prepare import checksums, restore, storage
from dracore.prepare.ports import Clock

TRIES = 5
"""To put a journal back that somebody takes away again meanwhile."""
CACHE_KIB = 512
"""Page cache of one connection: a call touches a dozen pages of 4 KiB, the rest would stay for ever."""
WAL_LIMIT = 4 * 1024 * 1024
"""Bytes that the write-ahead log keeps after it has been emptied."""


class OpenFile:
    """What is open at `path`. The locks of its connections are :class:`~dracore.prepare.journal.Journal`'s.

    :param guard: the descriptor of ``journal.lock``.
    :param timeout: seconds that a connection waits for another process.
    """

    def __init__(
        self,
        path: Path,
        writer: sqlite3.Connection,
        reader: sqlite3.Connection,
        guard: int,
        *,
        timeout: float,
        seam: Seam,
        clock: Clock,
    ) -> None:
        self.path = path
        self.writer = writer
        self.reader = reader
        self._guard = guard
        self._timeout = timeout
        self._seam = seam
        self._clock = clock
        self._place = (0, 0)
        self._size = 0
        self._settle()

    def is_displaced(self) -> bool:
        """Whether the file was moved or deleted while it is open here.

        :raises sqlite3.DatabaseError: it is shorter than it was: SQLite never makes it so.
        """
        try:
            found = os.stat(self.path)
        except OSError:
            return True
        if (found.st_dev, found.st_ino) != self._place:
            return True
        if found.st_size < self._size:
            raise sqlite3.DatabaseError("it was cut off: the file is malformed now")
        self._size = found.st_size
        return False

    def put_back(self) -> restore.Restored:
        """Writes the file again in its place, and changes over to it.

        :raises JournalError: it cannot be put back now.
        """
        left = TRIES
        end = time.monotonic() + restore.PATIENCE
        while True:
            try:
                with restore.alone(self.path):
                    done = restore.put_back(
                        self.path,
                        self.writer,
                        self.reader,
                        clock=self._clock,
                        seam=self._seam,
                        wait=time.monotonic() < end,
                    )
                    self._change_over()
                return done
            except restore.NewerElsewhere:
                time.sleep(0.01)  # outside of the lock, which the other one needs
            except (sqlite3.Error, OSError, JournalError) as error:
                left -= 1
                if left and not (storage.is_busy(error) or isinstance(error, JournalBusy)):
                    continue  # somebody may be at the folder still
                text = error.what if isinstance(error, JournalError) else storage.text_of(error)
                raise JournalError(
                    "the journal was moved or deleted under the running process and cannot be put back "
                    f"({text})",
                    where=str(self.path),
                    fix="make its folder writable again; do not restart dracore before",
                ) from error

    def close(self, *, displaced: bool) -> None:
        if displaced:
            restore.close_lost(self.writer, self.reader)
        else:
            self.reader.close()
            self.writer.close()  # the last one: it empties the log into the database
        os.close(self._guard)

    def _settle(self) -> None:
        found = os.stat(self.path)
        self._place = (found.st_dev, found.st_ino)
        self._size = found.st_size

    def _change_over(self) -> None:
        """From the lost file to the one that is in its place; neither, where that is gone again."""
        guard = storage.open_guard(self.path.with_name("journal.lock"))
        opened: list[sqlite3.Connection] = []
        try:
            storage.mark_made(guard)
            place = os.stat(self.path)
            opened.append(connect(self.path, self._timeout, "rw"))
            opened[0].execute("PRAGMA journal_mode = WAL")
            checksums.install(opened[0])
            opened.append(connect_to_read(self.path, self._timeout))
            if not os.path.samestat(os.stat(self.path), place) or not restore.follows(opened[1], self.reader):
                raise JournalError("it is taken away again and again")
        except BaseException:
            restore.close_lost(*opened)
            os.close(guard)
            raise
        restore.supersede(self.writer)
        os.close(self._guard)
        restore.close_lost(self.writer, self.reader)
        self.writer, self.reader, self._guard = opened[0], opened[1], guard
        self._settle()


def connect(path: Path, timeout: float, mode: str = "rwc") -> sqlite3.Connection:
    """:param mode: ``rw`` makes no new file, ``ro`` changes none."""
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=timeout,
        cached_statements=256,
    )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return connection


def connect_to_read(path: Path, timeout: float) -> sqlite3.Connection:
    """One that cannot change the file, nor remove its log when it is closed."""
    connection = connect(path, timeout, "ro")
    # SQLite opens the log with the first query, by its name: now, while that is there.
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return connection
