"""The journal: what the driver has done to the node and for whom.

SQLite (WAL, synchronous=FULL) in the driver's plugin folder. Only sqlite3 opens its files: closing any other
descriptor on them would drop SQLite's locks. No transaction is open while anything else happens: a piece of
work runs from its begin to its commit without leaving the database.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from dracore.errors import DracoreError, JournalError
from dracore.model.seam import Seam, no_seam
from dracore.prepare import salvage, schema
from dracore.prepare.ports import Clock, Reports, Silent, SystemClock
from dracore.prepare.transaction import Tx

T = TypeVar("T")

FILE = "journal.db"
BUSY_TIMEOUT = 5.0
"""Seconds that a commit waits for another process's; theirs take milliseconds."""
WAL_LIMIT = 4 * 1024 * 1024
"""Bytes that the write-ahead log keeps after it has been emptied."""


class _Work(Generic[T]):
    """One piece of work waiting for its commit."""

    __slots__ = ("detail", "done", "error", "result", "run")

    def __init__(self, run: Callable[[Tx], T], detail: str) -> None:
        self.run = run
        self.detail = detail
        self.done = False
        self.result: T | None = None
        self.error: BaseException | None = None


class Journal:
    """One driver's journal. Thread-safe.

    Writers queue: the thread that gets the writer's lock commits the work of all that wait with one fsync
    (measured: half the time of a connection for each thread). Readers have a connection of their own and
    never wait for an fsync.
    """

    def __init__(
        self,
        writer: sqlite3.Connection,
        reader: sqlite3.Connection,
        guard: int,
        path: Path,
        *,
        seam: Seam,
        clock: Clock,
        salvaged: salvage.Salvaged | None,
        fresh: bool,
    ) -> None:
        self.path = path
        self.salvaged = salvaged
        """What was saved of a damaged journal, when this one replaced it."""
        self.fresh = fresh
        """No journal was there, or a damaged one: claims may be on the node that it does not know."""
        self._writer = writer
        self._reader = reader
        self._guard = guard
        self._seam = seam
        self._clock = clock
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._queue: deque[_Work[Any]] = deque()
        self._pid = os.getpid()
        self._closed = False
        found = path.stat()
        self._place = (found.st_dev, found.st_ino)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        seam: Seam = no_seam,
        clock: Clock = SystemClock(),  # noqa: B008 - no state
        reports: Reports = Silent(),  # noqa: B008 - no state
    ) -> Journal:
        """Opens or makes the journal in `folder`.

        A damaged file is set aside under a new name, what can be read of it is taken over, and `reports`
        tells so; the engine then asks the node itself (``probe``).

        :raises JournalTooNew: a newer MAJOR wrote it; nothing was changed.
        :raises JournalError: it cannot be read or written here, or another running instance has the damaged
            file open.
        """
        path = folder / FILE
        saved = None
        guard = -1
        try:
            _make_folder(folder)
            guard = _open_guard(folder / "journal.lock")
            fresh = not path.exists() or path.stat().st_size == 0
            damage = None if fresh else _look(path)
            if damage:
                aside = _set_aside(path, guard, damage, clock)
                saved = salvage.read(aside, damage)
                fresh = True
            writer = _connect(path)
            try:
                writer.execute("PRAGMA journal_mode = WAL")
                schema.bring_up(writer)
                if saved:
                    salvage.write(writer, saved)
                _sync_folder(folder)
                reader = _connect(path)
            except BaseException:
                writer.close()
                raise
        except BaseException as error:
            if guard >= 0:
                os.close(guard)
            if isinstance(error, DracoreError):
                error.where = error.where or str(path)
                raise
            if isinstance(error, (sqlite3.Error, OSError)):
                raise _cannot("open", path, error) from error
            raise
        if saved:
            reports.event("JournalDamaged", saved.summary())
            reports.count("journal_damaged_total")
        return cls(writer, reader, guard, path, seam=seam, clock=clock, salvaged=saved, fresh=fresh)

    def displaced(self) -> bool:
        """Whether the file is not in its place any more: it was moved or deleted while it is open here."""
        try:
            found = self.path.stat()
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != self._place

    def close(self) -> None:
        """Closes the files. A process that is killed instead loses nothing."""
        if self._closed or os.getpid() != self._pid:
            return
        with self._writing, self._reading:
            self._closed = True
            self._reader.close()
            self._writer.close()
            os.close(self._guard)

    # --- work ---------------------------------------------------------------------------------------

    def write(self, detail: str, run: Callable[[Tx], T]) -> T:
        """Runs `run` in an immediate transaction; when this returns, its changes survive a power cut.

        `run` reads and writes the database through its argument and does nothing else; it may run twice
        (only one of them is committed). What it raises undoes it and comes through.

        :param detail: what the commit is about, for the seam.
        :raises JournalError: nothing of it was committed, as far as can be known.
        """
        self._check()
        work = _Work(run, detail)
        self._pass("journal.begin.before", detail)
        self._queue.append(work)
        with self._writing:
            if not work.done:
                batch = []
                while self._queue:
                    batch.append(self._queue.popleft())
                self._commit(batch)
        if work.error is not None:
            raise work.error
        self._pass("journal.commit.after", detail)
        return work.result  # type: ignore[return-value]

    def read(self, run: Callable[[Tx], T]) -> T:
        """Runs `run`, which only reads, on what is committed now."""
        self._check()
        with self._reading:
            try:
                return run(Tx(self._reader, self._clock))
            except sqlite3.Error as error:
                raise _cannot("read", self.path, error) from error

    def _commit(self, batch: list[_Work[Any]]) -> None:
        try:
            self._run_together(batch)
        except BaseException as error:  # noqa: BLE001 - handed to the thread whose work it is
            if len(batch) > 1:
                # Whatever it was, it must not be another claim's failure: each alone.
                for work in batch:
                    work.error = None
                    self._commit([work])
                return
            batch[0].error = error if not isinstance(error, (sqlite3.Error, OSError)) else None
            if batch[0].error is None:
                batch[0].error = _cannot("write", self.path, error)
                batch[0].error.__cause__ = error
        for work in batch:
            work.done = True

    def _run_together(self, batch: list[_Work[Any]]) -> None:
        connection = self._writer
        if self._closed:
            raise JournalError("the journal is closed", where=str(self.path))
        connection.execute("BEGIN IMMEDIATE")
        try:
            tx = Tx(connection, self._clock)
            for work in batch:
                if len(batch) == 1:
                    work.result = work.run(tx)
                else:
                    self._run_one(tx, work)
            for work in batch:
                if work.error is None:
                    self._seam("journal.commit.before", work.detail)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise

    def _run_one(self, tx: Tx, work: _Work[Any]) -> None:
        tx.execute("SAVEPOINT one")
        try:
            work.result = work.run(tx)
        except sqlite3.Error:
            raise  # SQLite may have undone the whole transaction: the caller runs each alone
        except Exception as error:  # noqa: BLE001 - it is handed to the thread whose work it is
            work.error = error
            tx.execute("ROLLBACK TO one")
        tx.execute("RELEASE one")

    def _pass(self, point: str, detail: str) -> None:
        """The seam; a fault there comes as the journal's own errors do."""
        try:
            self._seam(point, detail)
        except OSError as error:
            raise _cannot("write", self.path, error) from error

    def _check(self) -> None:
        # A forked child would share file offsets and locks with its parent.
        if os.getpid() != self._pid:
            raise JournalError(
                "a forked child must not use the journal", where=str(self.path), fix="start a new process"
            )
        if self._closed:
            raise JournalError("the journal is closed", where=str(self.path))


# --- opening ----------------------------------------------------------------------------------------------


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT, cached_statements=256
    )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _look(path: Path) -> str:
    """Looks at an existing file without changing it; answers what is wrong with its content, or nothing.

    :raises JournalTooNew: as :func:`schema.version_of`.
    """
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT)
    try:
        if schema.version_of(connection) is None:
            return ""
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        return "" if found == "ok" else str(found)
    except sqlite3.OperationalError as error:
        # Locked, not permitted, no space: says nothing about the content.
        if "malformed" not in str(error):
            raise
        return str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        connection.close()


def _set_aside(path: Path, guard: int, damage: str, clock: Clock) -> Path:
    """Renames the files of a damaged journal; they keep belonging together."""
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JournalError(
            f"the journal is damaged ({damage}) and another instance has it open",
            fix="stop the other instance of this driver; the next start sets the file aside",
        ) from None
    number = int(clock.now())
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    # The database last: while it is there under its old name, a crash in between begins again.
    for ending in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{ending}", f"{aside}{ending}")
    _sync_folder(path.parent)
    fcntl.flock(guard, fcntl.LOCK_SH)
    return aside


def _open_guard(path: Path) -> int:
    """A shared lock for life: nobody sets a journal aside that another has open."""
    guard = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_SH)
    except BaseException:
        os.close(guard)
        raise
    return guard


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, mode=0o750, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cannot(verb: str, path: Path, error: BaseException) -> JournalError:
    text = getattr(error, "strerror", None) or str(error)
    if "locked" in text:
        fix = "another process holds it; look for a stopped instance of this driver"
    elif "malformed" in text or "not a database" in text:
        fix = "restart the driver: it sets a damaged journal aside and reads what it can"
    else:
        fix = "check space, permissions and health of that folder"
    return JournalError(f"cannot {verb} the journal: {text}", where=str(path), fix=fix)
