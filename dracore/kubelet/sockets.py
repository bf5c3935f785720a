"""A gRPC server on a unix socket whose file is ours to show, hide and show again.

The server binds a hidden name (a leading dot: the kubelet ignores it); the public name is a hard link to it.
So the public name appears only when the server answers, can be removed while running calls go on, and comes
back after somebody deleted it without a new server. gRPC unlinks what it bound: that is never a name that
another instance has taken over meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Literal, TypeAlias

import grpc
import structlog

from dracore.errors import SocketError
from dracore.kubelet import names

Liveness: TypeAlias = Literal["live", "dead", "absent"]

REBIND_GRACE = 60.0
"""Seconds for the calls of a server whose socket was removed; the kubelet waits for none that long."""

CONNECT_TIMEOUT = 1.0
"""Seconds; a unix socket accepts or refuses at once unless its backlog is full."""

ORPHAN_SECONDS = 60.0
"""Age at which a dead hidden socket without a public name is removed."""

_log = structlog.get_logger(__name__)


class SocketServer:
    """One gRPC server on one public path: `start` shows it, `hide` removes the name, `stop` ends it."""

    def __init__(
        self, path: Path, handlers: list[grpc.GenericRpcHandler], pool: Executor, *, what: str
    ) -> None:
        self.path = path
        self._hidden = path.with_name(names.hidden_name(path.name))
        self._handlers = handlers
        self._pool = pool
        self._what = what
        self._server: Any = None
        self._inode: tuple[int, int] | None = None
        self._shown = False

    def start(self) -> None:
        """Binds, serves and shows the socket.

        :raises SocketError: where the folder is missing or not writable, or another process serves here.
        """
        make_folder(self.path.parent, self._what)
        for path in (self.path, self._hidden):
            self._clear(path)
        self._bind()
        self.show()

    def _bind(self) -> None:
        server = grpc.server(self._pool)
        for handler in self._handlers:
            server.add_generic_rpc_handlers((handler,))
        try:
            server.add_insecure_port(f"unix:{self._hidden}")
        except RuntimeError as error:
            raise SocketError(
                "the socket cannot be bound", where=f"{self._what} {self.path}", fix="look at its folder"
            ) from error
        server.start()
        try:
            found = os.lstat(self._hidden)
        except OSError as error:
            server.stop(None)
            raise SocketError(
                f"the socket was removed while it was made: {error.strerror}",
                where=f"{self._what} {self.path}",
                fix="it is made again as soon as its folder stays",
            ) from error
        self._inode = (found.st_dev, found.st_ino)
        self._server = server

    def show(self) -> bool:
        """Makes the public name appear where it is missing; True where it was made now."""
        if self._server is None:
            return False
        self._shown = True
        try:
            os.link(self._hidden, self.path)
        except FileExistsError:
            return False
        except OSError as error:
            raise SocketError(
                f"the socket cannot be made: {error.strerror}",
                where=f"{self._what} {self.path}",
                fix="let dracore write to the folder",
            ) from error
        return True

    def missing(self) -> bool:
        """Whether somebody removed the public name."""
        return self._shown and not self.path.exists()

    def repair(self) -> bool:
        """Shows the socket again where somebody removed it; True where it had to.

        Where the whole folder was removed (``kubeadm reset``) and is there again, a new server is bound;
        calls that the old one has begun are answered.

        :raises SocketError: it cannot be made again now.
        """
        if not self.missing():
            return False
        if not os.path.lexists(self._hidden):
            if not self.path.parent.is_dir():
                raise SocketError(
                    f"the folder {self.path.parent} was removed",
                    where=f"{self._what} {self.path}",
                    fix="it is served again as soon as the kubelet has made the folder",
                )
            self._server.stop(REBIND_GRACE)  # closes its listener, and answers what it has begun
            self._bind()
        return self.show()

    def hide(self) -> None:
        """Removes the public name if it is still ours; running calls go on."""
        self._shown = False
        with contextlib.suppress(OSError):
            found = os.lstat(self.path)
            if (found.st_dev, found.st_ino) == self._inode:
                os.unlink(self.path)

    def stop(self, grace: float | None = None) -> None:
        """Hides the socket, refuses new calls, gives running ones `grace` seconds, and ends."""
        self.hide()
        if self._server is not None:
            self._server.stop(grace).wait()
            self._server = None
        with contextlib.suppress(OSError):
            os.unlink(self._hidden)

    def _clear(self, path: Path) -> None:
        """Removes what a dead process left at `path`."""
        if path.is_symlink() or (path.exists() and not path.is_socket()):
            raise SocketError(
                "something that is not a socket is in the way",
                where=f"{self._what} {path}",
                fix="remove it",
            )
        state = liveness(path)
        if state == "live":
            raise SocketError(
                "another process already serves this socket",
                where=f"{self._what} {path}",
                fix="stop it, or give each instance an --instance-id (the pod's uid)",
            )
        if state == "dead":
            path.unlink(missing_ok=True)


def liveness(path: Path) -> Liveness:
    """Whether somebody accepts connections at `path`. In doubt (a full backlog, no permission): live."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_TIMEOUT)
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return "absent"
        except OSError as error:
            return "dead" if error.errno in (errno.ECONNREFUSED, errno.ENOTSOCK) else "live"
    return "live"


def make_folder(folder: Path, what: str) -> None:
    """Makes `folder` with mode 0750 where it does not exist.

    :raises SocketError: where it cannot be made or written to.
    """
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise SocketError(
            f"the folder {folder} cannot be made: {error.strerror}",
            where=what,
            fix="make it and let dracore write to it, or configure another folder",
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SocketError(
            f"the folder {folder} is not writable for this user",
            where=what,
            fix="let dracore write to it, or configure another folder",
        )


def sweep(driver: str, registry: Path, data_dir: Path, own: names.SocketPaths) -> list[Path]:
    """Removes the sockets that dead instances of `driver` left behind; live ones and `own` stay.

    Registration sockets go first, so that the kubelet never meets one whose DRA socket is gone.
    """
    data = [path for path in _sockets(data_dir) if names.is_dra_name(path.name)]
    dead = [path for path in data if path != own.dra and liveness(path) == "dead"]
    doomed = [path for path in _sockets(registry) if names.is_registration_name(driver, path.name)]
    for path in dead:
        doomed += names.companions(driver, registry, path.name)
    removed: list[Path] = []
    for path in dict.fromkeys([*doomed, *dead]):
        if path in (own.registration, own.dra) or liveness(path) != "dead":
            continue
        with contextlib.suppress(OSError):
            path.unlink()
            removed.append(path)
            path.with_name(names.hidden_name(path.name)).unlink(missing_ok=True)
    for path in _sockets(data_dir):
        if path.name.startswith(".") and _is_orphan(path):
            path.unlink(missing_ok=True)
    if removed:
        _log.info("removed the sockets of dead instances", driver=driver, paths=[str(p) for p in removed])
    return removed


def _is_orphan(path: Path) -> bool:
    try:
        age = time.time() - path.lstat().st_mtime
    except OSError:
        return False
    return len(path.name) == names.HIDDEN_LENGTH and age > ORPHAN_SECONDS and liveness(path) == "dead"


def _sockets(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                Path(entry.path)
                for entry in entries
                if stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode)
            )
    except OSError:
        return []
