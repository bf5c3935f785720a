"""The journal: what the driver has done to the node and for whom.

SQLite (WAL, synchronous=FULL) in the driver's plugin folder. Only sqlite3 opens its files: closing any other
descriptor on them would drop SQLite's locks. No transaction is open while anything else happens: a piece of
work runs from its begin to its commit without leaving the database.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from dracore.errors import DracoreError, JournalError
from dracore.model.seam import Seam, no_seam
from dracore.prepare import checksums, openfile, restore, salvage, schema, storage
from dracore.prepare.openfile import OpenFile
from dracore.prepare.ports import Clock, Reports, Silent, SystemClock
from dracore.prepare.storage import cannot
from dracore.prepare.transaction import Tx

T = TypeVar("T")

FILE = "journal.db"
BUSY_TIMEOUT = 5.0
"""Seconds that a commit waits for another process's; theirs take milliseconds."""
IMPATIENT = 0.2
"""The same after a wait that was in vain, until one succeeds: the waits of one call must not add up."""


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
        file: OpenFile,
        *,
        seam: Seam,
        clock: Clock,
        reports: Reports,
        salvaged: salvage.Salvaged | None,
        fresh: bool,
        lost: bool,
    ) -> None:
        self.path = file.path
        self.salvaged = salvaged
        """What was saved of a damaged journal, when this one replaced it."""
        self.fresh = fresh
        """No journal was there, or a damaged one: claims may be on the node that it does not know. Until
        :meth:`swept`, also over restarts."""
        self.lost = lost
        """No journal was there, although one had been made here."""
        self.problem = ""
        """Why it cannot be used now: it is damaged, or not in its place and cannot be put back."""
        self.blocked = ""
        """Who keeps this process from writing; nothing is wrong with the journal."""
        self._file = file
        self._seam = seam
        self._clock = clock
        self._reports = reports
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._queue: deque[_Work[Any]] = deque()
        self._pid = os.getpid()
        self._closed = False
        self._impatient = False
        self._damaged = False

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
            storage.make_folder(folder)
            storage.check_access(path)
            guard = storage.open_guard(folder / "journal.lock")
            damage = storage.damage_of(path, guard)
            if damage:
                aside = storage.set_aside(path, guard, damage.text, clock)
                saved = salvage.read(aside, damage)
            writer = openfile.connect(path, BUSY_TIMEOUT)
            try:
                writer.execute("PRAGMA journal_mode = WAL")
                empty = schema.bring_up(writer)
                checksums.install(writer)
                if saved:
                    salvage.write(writer, saved)
                restore.mark(writer)
                lost = empty and saved is None and storage.was_made(guard)
                fresh = salvage.mark_unswept(writer, anew=lost or saved is not None) or empty
                storage.sync_folder(folder)
                reader = openfile.connect_to_read(path, BUSY_TIMEOUT)
            except BaseException:
                writer.close()
                raise
            storage.mark_made(guard)
            file = OpenFile(path, writer, reader, guard, timeout=BUSY_TIMEOUT, seam=seam, clock=clock)
        except BaseException as error:
            if guard >= 0:
                os.close(guard)
            if isinstance(error, DracoreError):
                error.where = error.where or str(path)
                raise
            if isinstance(error, (sqlite3.Error, OSError)):
                raise cannot("open", path, error) from error
            raise
        if saved:
            reports.event("JournalDamaged", saved.summary())
            reports.count("journal_damaged_total")
        return cls(
            file,
            seam=seam,
            clock=clock,
            reports=reports,
            salvaged=saved,
            fresh=fresh,
            lost=lost,
        )

    def look(self) -> str:
        """Puts the file back where somebody moved or deleted it; answers what is wrong with it still.

        Every commit looks first; this is for the time in between, to be called every second: a process that
        is killed now must not take with it what only its open file knows.
        """
        with self._writing:
            if not self._closed and not self._damaged:
                if self.blocked:
                    with contextlib.suppress(sqlite3.Error, JournalError):
                        self._begin().execute("ROLLBACK")
                try:
                    if self._is_displaced():
                        self._put_back()
                    self.problem = ""
                except JournalError as error:
                    self._cannot_go_on(error, "JournalDisplaced")
        return self.problem

    def unswept(self) -> None:
        """Things were found on the node that this journal does not know; remembered until :meth:`swept`."""
        if not self.read(lambda tx: tx.meta("unswept")):
            self.write("meta.unswept", lambda tx: tx.set_meta("unswept", 1))
        self.fresh = True

    def swept(self) -> None:
        """Nothing is on the node any more that this journal does not know."""
        if self.fresh:
            self.write("meta.swept", lambda tx: tx.execute("DELETE FROM meta WHERE name = 'unswept'"))
            self.fresh = False

    def close(self) -> None:
        """Closes the files. A process that is killed instead loses nothing."""
        if self._closed or os.getpid() != self._pid:
            return
        with self._writing, self._reading:
            self._closed = True
            displaced = True
            with contextlib.suppress(JournalError):
                displaced = self._is_displaced()
            self._file.close(displaced=displaced)

    @property
    def damaged(self) -> bool:
        """Whether :attr:`problem` is a damage, which a restart sets aside. Where the file cannot be put back,
        a restart would lose it."""
        return self._damaged

    # --- work ---------------------------------------------------------------------------------------

    def write(self, detail: str, run: Callable[[Tx], T]) -> T:
        """Runs `run` in an immediate transaction; when this returns, its changes survive a power cut.

        `run` reads and writes the database through its argument and does nothing else; it may run twice
        (only one of them is committed). What it raises undoes it and comes through.

        :param detail: what the commit is about, for the seam.
        :raises JournalError: nothing of it was committed, as far as can be known.
        """
        self._check()
        if self._damaged:
            raise JournalError(self.problem, where=str(self.path))
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
        """Runs `run`, which only reads, on what is committed now: on one state, however often it asks."""
        self._check()
        with self._reading:
            try:
                reader = self._file.reader
                reader.execute("BEGIN")
                try:
                    return run(Tx(reader, self._clock))
                finally:
                    if reader.in_transaction:
                        reader.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise self._failed("read", error) from error

    def _commit(self, batch: list[_Work[Any]]) -> None:
        try:
            self._run_together(batch)
        except BaseException as error:  # noqa: BLE001 - handed to the thread whose work it is
            if len(batch) > 1 and not storage.is_busy(error):
                # Whatever it was, it must not be another claim's failure: each alone.
                for work in batch:
                    work.error = None
                    self._commit([work])
                return
            for work in batch:
                work.error = error
                if isinstance(error, (sqlite3.Error, OSError)):
                    work.error = self._failed("write", error)
                    work.error.__cause__ = error
        for work in batch:
            work.done = True

    def _run_together(self, batch: list[_Work[Any]]) -> None:
        if self._closed:
            raise JournalError("the journal is closed", where=str(self.path))
        connection = self._begin()
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

    def _begin(self) -> sqlite3.Connection:
        """Begins a transaction on the file that is in the journal's place."""
        while True:
            try:
                self._file.writer.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if storage.is_busy(error) and not self._impatient:
                    self._be_patient(False)
                    self.blocked = str(cannot("write", self.path, error))
                    self._reports.event("JournalBlocked", self.blocked)
                raise
            if self._impatient:
                self._be_patient(True)
                self.blocked = ""
            try:
                # After the lock: who puts the file back holds it meanwhile.
                if not self._is_displaced():
                    return self._file.writer
            except BaseException:
                self._file.writer.execute("ROLLBACK")
                raise
            self._file.writer.execute("ROLLBACK")
            self._put_back()

    def _be_patient(self, patient: bool) -> None:
        self._impatient = not patient
        seconds = BUSY_TIMEOUT if patient else IMPATIENT
        self._file.writer.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

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
            raise cannot("write", self.path, error) from error

    def _check(self) -> None:
        # A forked child would share file offsets and locks with its parent.
        if os.getpid() != self._pid:
            raise JournalError(
                "a forked child must not use the journal", where=str(self.path), fix="start a new process"
            )
        if self._closed:
            raise JournalError("the journal is closed", where=str(self.path))

    # --- the file in its place ----------------------------------------------------------------------

    def _is_displaced(self) -> bool:
        """:raises JournalError: it is not whole any more."""
        try:
            return self._file.is_displaced()
        except sqlite3.DatabaseError as error:
            raise self._failed("use", error) from error

    def _put_back(self) -> None:
        """:raises JournalError: it cannot be put back now."""
        try:
            with self._reading:
                done = self._file.put_back()
        except JournalError as error:
            self._cannot_go_on(error, "JournalDisplaced")
            raise
        self._impatient = False
        self.blocked = self.problem = ""
        if done.written:
            text = "the journal was moved or deleted under the running process; it is written again, whole"
            if done.aside:
                text += f"; what lay in its place is {done.aside.name} now"
            self._reports.event("JournalRestored", text)
            self._reports.count("journal_restored_total")

    def _failed(self, verb: str, error: sqlite3.Error | OSError) -> JournalError:
        """What is said of a failure; a damage is said once to everybody, and nothing is written any more."""
        failure = cannot(verb, self.path, error)
        if storage.is_damage(error):
            if not self._damaged:
                self._reports.count("journal_damaged_total")
            self._damaged = True
            text = f"the journal was damaged while it is open ({error})"
            self._cannot_go_on(JournalError(text, fix=failure.fix), "JournalDamaged")
        return failure

    def _cannot_go_on(self, error: JournalError, reason: str) -> None:
        text = f"{error.what}; {error.fix}" if error.fix else error.what
        if text != self.problem:
            self.problem = text
            self._reports.event(reason, text)
