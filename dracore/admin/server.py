"""Answers questions on a unix socket: one line asks, one line of JSON answers.

``ping`` gives ``"pong"``, the other commands are given by the composition root; a word after the command is
its argument. An answer is ``{"ok": ...}`` or ``{"error": "text"}``. Only the user that runs the driver may
connect.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from dracore.errors import DracoreError, SocketError
from dracore.model.device import JSON

LINE_LIMIT = 4096
CLIENT_SECONDS = 30.0

_log = structlog.get_logger(__name__)


class AdminServer:
    """Serves `commands` at `path`.

    :param commands: name to what is answered (JSON); called in a thread of its own for each connection, with
        the argument where the asker gives one.
    """

    def __init__(self, path: Path, commands: Mapping[str, Callable[..., JSON]]) -> None:
        self.path = path.absolute()
        self._commands: dict[str, Callable[..., JSON]] = {"ping": lambda: "pong", **commands}
        self._socket: socket.socket | None = None
        self._inode = (0, 0)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listens; a socket that a dead process left is replaced.

        :raises SocketError: where the folder cannot be used or a live process serves this path.
        """
        try:
            self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            if self.path.is_socket() and is_served(self.path):
                raise SocketError(
                    "another process already serves this socket",
                    where=f"status socket {self.path}",
                    fix="stop it, or give each instance an --instance-id (the pod's uid)",
                )
            if self.path.exists() and not self.path.is_socket():
                raise SocketError(
                    "something that is not a socket is in the way",
                    where=f"status socket {self.path}",
                    fix="remove it",
                )
            self._socket = self._listen()
        except OSError as error:
            raise SocketError(
                f"the socket cannot be made: {error.strerror or error}",
                where=f"status socket {self.path}",
                fix="set host.statusSocket to a path in a folder that this user may write to",
            ) from error
        self._thread = threading.Thread(target=self._run, args=(self._socket,), name="status", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # close() alone would leave accept() blocked.
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(OSError):
            found = os.lstat(self.path)
            if (found.st_dev, found.st_ino) == self._inode:
                self.path.unlink()

    def _listen(self) -> socket.socket:
        # Bound beside and renamed: nobody can connect before the mode is right.
        beside = self.path.with_name(f".{self.path.name[:20]}.{os.getpid()}")
        beside.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(beside))
            os.chmod(beside, 0o600)
            listener.listen(16)
            os.rename(beside, self.path)
            found = os.lstat(self.path)
        except OSError:
            listener.close()
            beside.unlink(missing_ok=True)
            raise
        self._inode = (found.st_dev, found.st_ino)
        return listener

    def _run(self, listener: socket.socket) -> None:
        while not self._stop.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="status-client", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(CLIENT_SECONDS)
            with client.makefile("rb") as lines:
                command = lines.readline(LINE_LIMIT).decode("utf-8", "replace").strip()
            client.sendall(json.dumps(self._answer(command), separators=(",", ":")).encode() + b"\n")

    def _answer(self, line: str) -> JSON:
        command, _, argument = line.partition(" ")
        handle = self._commands.get(command)
        if handle is None:
            return {"error": f"unknown command {command!r}; known: {', '.join(sorted(self._commands))}"}
        try:
            return {"ok": handle(argument) if argument else handle()}
        except DracoreError as error:
            return {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - the asker is told, the process lives on
            _log.exception("a question on the status socket failed", command=command)
            return {"error": f"internal error: {type(error).__name__}: {error}"}


def is_served(path: Path) -> bool:
    """Whether somebody accepts connections at `path`; in doubt True."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True
