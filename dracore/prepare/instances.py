"""Two instances on one plugin folder (a rolling update): who publishes and reconciles.

The youngest does: the latest start among those whose lock is held and to whom the kubelet has said
``plugin_registered``. An older one finishes its write and lets go; a stopped one is passed over after 10 s.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dracore.errors import DracoreError, JournalError
from dracore.model.seam import Seam, no_seam
from dracore.prepare.journal import Journal
from dracore.prepare.ports import Clock, Reports, Silent, SystemClock
from dracore.prepare.storage import is_locked
from dracore.prepare.transaction import Tx

LOOK = 1.0
"""Seconds between two looks at the table."""
TAKE_OVER = 10.0
"""Seconds that the youngest waits for a holder of ``publisher.lock`` that does not let go."""
START_TIMEOUT = 2.0
"""Seconds that a start waits for an earlier process of the same id to end."""
ONLY = "only"
"""The id of an instance that was given none."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Instance:
    """One row of the table."""

    id: str
    ordinal: int
    """The order of starts: a number of the journal, so that a clock that jumps back changes nothing."""
    started: float
    registered: bool
    pid: int


class Instances:
    """This process among those that serve the folder.

    :param instance: its id (``--instance-id``, a pod's uid); empty: the only one.
    :param on_change: told from the instances' own thread when :meth:`is_publisher` turns.
    """

    def __init__(
        self,
        journal: Journal,
        folder: Path,
        instance: str,
        *,
        clock: Clock = SystemClock(),  # noqa: B008 - no state
        seam: Seam = no_seam,
        reports: Reports = Silent(),  # noqa: B008 - no state
        on_change: Callable[[bool], None] = lambda _: None,
        look: float = LOOK,
        take_over: float = TAKE_OVER,
    ) -> None:
        self.id = instance or ONLY
        if not _ID.fullmatch(self.id):
            raise JournalError(f"{instance!r} cannot be an instance id", fix="use a pod's uid")
        self._journal = journal
        self._folder = folder
        self._clock = clock
        self._seam = seam
        self._reports = reports
        self._on_change = on_change
        self._look = look
        self._take_over = take_over
        self._file = -1
        self._publisher = -1
        self._forced = False
        self._youngest_since: float | None = None
        self._was_publisher = False
        self._mutex = threading.RLock()
        self._marking = threading.Lock()
        self._unmarked: bool | None = None
        """What the kubelet has said and the journal does not know yet."""
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # --- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Takes this id's lock and writes the start into the journal.

        :raises JournalError: a live process of the same id serves the folder.
        """
        self._file = self._lock_own(time.monotonic() + START_TIMEOUT)

        def begin(tx: Tx) -> None:
            tx.execute(
                "INSERT OR REPLACE INTO instances (id, ordinal, started, registered, pid)"
                " VALUES (?, ?, ?, 0, ?)",
                (self.id, tx.number(), tx.now(), os.getpid()),
            )

        self._journal.write(f"instance.start {self.id}", begin)
        self._forget_dead()
        self._thread = threading.Thread(target=self._run, name="instances", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Lets go of everything: the next instance goes on at once."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._mutex:
            self._let_go()
            if self._file >= 0:
                with contextlib.suppress(DracoreError):
                    self._journal.write(
                        f"instance.stop {self.id}",
                        lambda tx: tx.execute("DELETE FROM instances WHERE id = ?", (self.id,)),
                    )
                with contextlib.suppress(OSError):
                    os.unlink(self._path(self.id))
                _unlock(self._file)
                self._file = -1

    def mark_registered(self, registered: bool = True) -> None:
        """The kubelet has said ``plugin_registered`` to this instance (or has lost it again).

        :raises JournalError: it could not be written down; it is tried again every second.
        """
        with self._marking:
            self._unmarked = registered
            self._mark()

    def _mark(self) -> None:
        if self._unmarked is None:
            return
        mark = (int(self._unmarked), self.id)
        self._journal.write(
            f"instance.registered {self.id}",
            lambda tx: tx.execute("UPDATE instances SET registered = ? WHERE id = ?", mark),
        )
        self._unmarked = None
        self._wake.set()

    # --- asking -------------------------------------------------------------------------------------

    def is_publisher(self) -> bool:
        """Whether this instance may write slices and reconcile now. Reads the table each time.

        Asked before every write and reconcile step, and after every conflict.
        """
        with self._mutex:
            if self._file < 0:
                return False
            if not self._am_youngest():
                return False
            if self._publisher < 0:
                self._try_publisher()
            return self._publisher >= 0 or self._forced

    @staticmethod
    def any_alive(folder: Path) -> bool:
        """Whether a process serves the driver of `folder`: its lock is held."""
        return any(is_locked(path) for path in folder.glob("instance-*.lock"))

    def all(self) -> list[Instance]:
        """The instances in the table, the youngest first; dead ones may be among them."""
        rows = self._journal.read(
            lambda tx: tx.rows(
                "SELECT id, ordinal, started, registered, pid FROM instances ORDER BY ordinal DESC"
            )
        )
        return [Instance(i, ordinal, at, bool(registered), pid) for i, ordinal, at, registered, pid in rows]

    def _am_youngest(self) -> bool:
        for instance in self.all():
            if instance.id == self.id:
                return instance.registered
            if instance.registered and self._lives(instance.id):
                return False
        return False

    # --- the loop -----------------------------------------------------------------------------------

    def _run(self) -> None:
        said = ""
        while not self._stopping.is_set():
            try:
                self._journal.look()
                with self._mutex:
                    self._keep_locks()
                    self._step()
                with self._marking:
                    self._mark()
                said = ""
            except Exception as error:  # noqa: BLE001
                # A journal that cannot be read now: whoever asks is_publisher() hears of it.
                if not isinstance(error, DracoreError):
                    _log.exception("looking at the instances failed")
                elif str(error) != said:
                    said = str(error)
                    _log.error("it is not known which instance publishes: %s", said)
            self._wake.wait(self._look)
            self._wake.clear()

    def _step(self) -> None:
        if not self._am_youngest():
            self._youngest_since = None
            self._let_go()
        else:
            now = self._clock.monotonic()
            if self._youngest_since is None:
                self._youngest_since = now
            if self._publisher < 0:
                self._try_publisher()
            if self._publisher < 0 and not self._forced and now - self._youngest_since >= self._take_over:
                self._forced = True
                self._reports.event(
                    "PublisherTakenOver",
                    "an older instance of this driver does not let go of publishing; "
                    "this one publishes all the same",
                )
        publisher = self._publisher >= 0 or self._forced
        if publisher != self._was_publisher:
            self._was_publisher = publisher
            self._on_change(publisher)

    def _keep_locks(self) -> None:
        """Locks on files that somebody removed are seen by nobody else: they are taken anew."""
        if self._publisher >= 0 and not _is_at(self._publisher, self._folder / "publisher.lock"):
            self._let_go()
        if self._file >= 0 and not _is_at(self._file, self._path(self.id)):
            file = self._lock_own(time.monotonic())
            os.close(self._file)
            self._file = file

    def _try_publisher(self) -> None:
        file = os.open(self._folder / "publisher.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return
        self._publisher = file
        self._forced = False
        self._seam("lock.publisher.taken", self.id)

    def _let_go(self) -> None:
        self._forced = False
        if self._publisher >= 0:
            _unlock(self._publisher)
            self._publisher = -1
            self._seam("lock.publisher.released", self.id)

    # --- who lives ----------------------------------------------------------------------------------

    def _path(self, instance: str) -> Path:
        return self._folder / f"instance-{instance}.lock"

    def _lock_own(self, end: float) -> int:
        path = self._path(self.id)
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file).st_nlink:
                    return file
            except BlockingIOError:
                # Perhaps another instance that looks whether we live, for an instant.
                if time.monotonic() >= end:
                    os.close(file)
                    raise JournalError(
                        f"another process serves this driver here as instance {self.id}",
                        where=str(path),
                        fix="stop it, or start this one with --instance-id",
                    ) from None
                time.sleep(0.05)
            os.close(file)

    def _lives(self, instance: str) -> bool:
        """Whether the process of an instance is there: it holds its lock for life."""
        return is_locked(self._path(instance))

    def _forget_dead(self) -> None:
        """Rows and lock files of processes that were killed."""
        for instance in self.all():
            if instance.id == self.id or self._lives(instance.id):
                continue

            def forget(tx: Tx, dead: Instance = instance) -> None:
                tx.execute("DELETE FROM instances WHERE id = ? AND ordinal = ?", (dead.id, dead.ordinal))

            self._journal.write(f"instance.forget {instance.id}", forget)
            with contextlib.suppress(OSError):
                file = os.open(self._path(instance.id), os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if os.fstat(file).st_nlink:  # else the path is a new process's file already
                        os.unlink(self._path(instance.id))
                finally:
                    os.close(file)


def _is_at(file: int, path: Path) -> bool:
    """Whether an open file is the one of that name."""
    try:
        there = path.stat()
    except OSError:
        return False
    return os.path.samestat(os.fstat(file), there)


def _unlock(file: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_UN)
    os.close(file)
