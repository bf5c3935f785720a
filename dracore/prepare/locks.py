"""Locks on claims and keys: between threads, and between the processes that share a plugin folder.

Order: first the claim's, then one key at a time, only for the length of one hold or release. A dead process
holds no lock. File names are hashes, so any key makes a valid one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from dracore.errors import Busy, JournalError

Sort: TypeAlias = Literal["claim", "key"]

_FIRST_LOOK, _LONGEST_LOOK = 0.002, 0.05
"""Seconds between two tries while another process holds a lock (there is no flock with a timeout)."""


def digest(name: str) -> str:
    """A claim's or key's name as part of a file name."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


class _Local:
    """The lock of one name between the threads of this process, with the number of its users."""

    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0


class Lock:
    """One claim's or key's lock, held or let go. Used by one thread."""

    def __init__(self, locks: Locks, sort: Sort, hashed: str) -> None:
        self._locks = locks
        self._name = f"{sort}-{hashed}.lock"
        self._local: _Local | None = None
        self._file = -1

    @property
    def held(self) -> bool:
        return self._file >= 0

    def acquire(self, timeout: float) -> bool:
        """Waits at most `timeout` seconds; 0 only tries."""
        assert not self.held
        end = time.monotonic() + timeout
        local = self._locks.enter(self._name)
        if not local.lock.acquire(timeout=max(0.0, timeout)):
            self._locks.leave(self._name)
            return False
        try:
            self._file = self._locks.lock_file(self._name, end)
        finally:
            if self._file < 0:
                local.lock.release()
                self._locks.leave(self._name)
        self._local = local
        return self._file >= 0

    def release(self) -> None:
        """Lets go; nothing happens where it is not held."""
        if not self.held:
            return
        file, self._file = self._file, -1
        # The file goes while it is locked: who waits for it sees that and opens a new one. So the folder
        # holds the locks that are held, and what dead processes left.
        with contextlib.suppress(OSError):
            os.unlink(self._locks.folder / self._name)
        # Explicitly: a descriptor that a forked child inherited would keep the lock.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
        os.close(file)
        assert self._local is not None
        self._local.lock.release()
        self._local = None
        self._locks.leave(self._name)


class Locks:
    """All locks of one plugin folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "locks"
        self._mutex = threading.Lock()
        self._locals: dict[str, _Local] = {}
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o750)

    def claim(self, uid: str) -> Lock:
        return Lock(self, "claim", digest(uid))

    def key(self, key: str) -> Lock:
        return Lock(self, "key", digest(key))

    def key_of(self, hashed: str) -> Lock:
        """The lock of the key that has this :func:`digest`."""
        return Lock(self, "key", hashed)

    @contextlib.contextmanager
    def taken(self, lock: Lock, timeout: float, what: Callable[[], str]) -> Iterator[Lock]:
        """`lock` for the length of a block.

        :param what: what to say when it does not come free in time.
        :raises Busy: it did not.
        """
        if not lock.acquire(timeout):
            raise Busy(what(), fix="the kubelet asks again")
        try:
            yield lock
        finally:
            lock.release()

    def sweep(self) -> int:
        """Removes lock files that nobody holds; answers how many."""
        removed = 0
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.folder):
                if not entry.name.startswith(("claim-", "key-")) or not entry.name.endswith(".lock"):
                    continue
                with self._mutex:
                    if entry.name in self._locals:
                        continue
                    with contextlib.suppress(OSError):
                        file = os.open(entry.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                        try:
                            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                            if os.fstat(file).st_nlink:
                                os.unlink(entry.path)
                                removed += 1
                        finally:
                            os.close(file)
        return removed

    # --- for Lock -----------------------------------------------------------------------------------

    def enter(self, name: str) -> _Local:
        with self._mutex:
            local = self._locals.get(name)
            if local is None:
                local = self._locals[name] = _Local()
            local.users += 1
            return local

    def leave(self, name: str) -> None:
        with self._mutex:
            local = self._locals[name]
            local.users -= 1
            if not local.users:
                del self._locals[name]

    def lock_file(self, name: str, end: float) -> int:
        """A locked descriptor, or -1 when `end` (monotonic) came first."""
        path = self.folder / name
        pause = _FIRST_LOOK
        while True:
            try:
                file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            except OSError as error:
                gone = error.errno == errno.ENOENT
                raise JournalError(
                    f"cannot lock: {error.strerror}",
                    where=str(path),
                    fix="the plugin folder was removed: restart the driver"
                    if gone
                    else "check space and permissions of that folder",
                ) from error
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file).st_nlink:
                    return file
                os.close(file)  # its last holder removed it: the name is another file now
            except BlockingIOError:
                os.close(file)
                left = end - time.monotonic()
                if left <= 0:
                    return -1
                time.sleep(min(pause, left))
                pause = min(pause * 2, _LONGEST_LOOK)
            except BaseException:
                os.close(file)
                raise
