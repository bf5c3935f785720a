"""Locks on claims and keys: between threads, and between the processes that share a plugin folder.

Order: first the claim's, then one key at a time, only for the length of one hold or release. A dead process
holds no lock.

Each name has one byte of one file, found by its hash, and the lock is an open-file-description lock on that
byte: nothing is created or removed for a claim, and unlike a process's own record locks it belongs to the one
descriptor that took it, so that two engines of one process exclude each other too. That two names meet at one
byte (of 2**62) would only make one wait for the other.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from dracore.errors import Busy, JournalError
from dracore.model.seam import Seam, no_seam

Sort: TypeAlias = Literal["claim", "key"]

FILE = "claims.lock"
"""In the plugin folder; always empty."""

_FIRST_LOOK, _LONGEST_LOOK = 0.002, 0.05
"""Seconds between two tries while another process holds a lock (there is no such lock with a timeout)."""
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


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
        self._name = f"{sort}-{hashed}"
        self._local: _Local | None = None
        self._file = -1
        self.waited = False
        """Whether :meth:`Locks.taken` had to wait for it."""

    @property
    def held(self) -> bool:
        return self._file >= 0

    def acquire(self, timeout: float) -> bool:
        """Waits at most `timeout` seconds; 0 only tries.

        :raises JournalError: the plugin folder cannot be used.
        """
        assert not self.held
        end = time.monotonic() + timeout
        local = self._locks.enter(self._name)
        if not local.lock.acquire(timeout=max(0.0, timeout)):
            self._locks.leave(self._name)
            return False
        try:
            self._file = self._locks.lock_byte(self._name, end)
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
        # Explicitly: a descriptor that a forked child inherited would keep the lock.
        with contextlib.suppress(OSError):
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, _record(fcntl.F_UNLCK, 0, 0))
        os.close(file)
        assert self._local is not None
        self._local.lock.release()
        self._local = None
        self._locks.leave(self._name)


class Locks:
    """All locks of one plugin folder."""

    def __init__(self, folder: Path, seam: Seam = no_seam) -> None:
        self._path = str(folder / FILE)
        self._seam = seam
        self._mutex = threading.Lock()
        self._locals: dict[str, _Local] = {}

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
        lock.waited = not lock.acquire(0)
        if lock.waited and not lock.acquire(timeout):
            raise Busy(what(), fix="the kubelet asks again")
        try:
            yield lock
        finally:
            lock.release()

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

    def lock_byte(self, name: str, end: float) -> int:
        """A descriptor that has the name's byte locked, or -1 when `end` (monotonic) came first."""
        file = self._open()
        record = _record(fcntl.F_WRLCK, _byte_of(name), 1)
        pause = _FIRST_LOOK
        try:
            while True:
                try:
                    fcntl.fcntl(file, fcntl.F_OFD_SETLK, record)
                    return file
                except OSError as error:
                    if error.errno not in (errno.EAGAIN, errno.EACCES):
                        raise self._cannot(error) from error
                left = end - time.monotonic()
                if left <= 0:
                    os.close(file)
                    return -1
                time.sleep(min(pause, left))
                pause = min(pause * 2, _LONGEST_LOOK)
        except BaseException:
            os.close(file)
            raise

    def _open(self) -> int:
        # By its name each time: who finds it removed makes it anew, and others find that one.
        try:
            with contextlib.suppress(FileNotFoundError):
                return os.open(self._path, _FLAGS, 0o600)
            # Somebody removed the plugin folder; between the threads of this process all is as it was.
            os.makedirs(os.path.dirname(self._path), mode=0o750, exist_ok=True)
            self._seam("lock.create.before", self._path)
            file = os.open(self._path, _FLAGS, 0o600)
            try:
                self._seam("lock.create.after", self._path)
            except BaseException:
                os.close(file)
                raise
            return file
        except OSError as error:
            raise self._cannot(error) from error

    def _cannot(self, error: OSError) -> JournalError:
        return JournalError(
            f"cannot lock: {error.strerror}",
            where=self._path,
            fix="check space and permissions of that folder",
        )


def _byte_of(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 2


def _record(sort: int, start: int, length: int) -> bytes:
    """``struct flock``: type, whence, start, length (0: to the end), pid (0 for such a lock)."""
    return struct.pack("hhqqi4x", sort, os.SEEK_SET, start, length, 0)
