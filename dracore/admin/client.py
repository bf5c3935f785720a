"""Asks the running process; of several instances the youngest."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from dracore.errors import DracoreError, SocketError
from dracore.model.device import JSON

TIMEOUT = 30.0


def ask(path: Path, command: str, *, timeout: float = TIMEOUT) -> JSON:
    """The answer of the process that serves `path`.

    :raises SocketError: nobody answers there.
    :raises DracoreError: the process answered with an error.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout)
            client.connect(str(path))
            client.sendall(f"{command}\n".encode())
            client.shutdown(socket.SHUT_WR)
            with client.makefile("rb") as answer:
                content = json.loads(answer.read())
    except PermissionError as error:
        raise SocketError(
            "only the user that runs the driver may ask", where=str(path), fix="run this as that user (root)"
        ) from error
    except (OSError, ValueError) as error:
        raise SocketError(
            f"no dracore answers here ({_plain(error)})",
            where=str(path),
            fix="check that `dracore run` is up, or name its socket with --socket",
        ) from error
    if "error" in content:
        raise DracoreError(content["error"], where=str(path))
    return content["ok"]


def ask_youngest(base: Path, command: str = "status", *, timeout: float = TIMEOUT) -> JSON:
    """Of all instances that serve a status socket beside `base`, the answer of the latest started.

    :raises SocketError: none answers.
    """
    answers: list[tuple[float, str, Path]] = []
    failures: list[DracoreError] = []
    for path in _instances(base):
        try:
            found = ask(path, "instance", timeout=timeout)
            # Seconds since the boot: the time of day may have been set back between two starts.
            answers.append((found.get("uptime", 0.0), found["started"], path))
        except DracoreError as error:
            failures.append(error)
    if not answers:
        raise failures[0]
    return ask(max(answers)[2], command, timeout=timeout)


def _instances(base: Path) -> list[Path]:
    others = sorted(base.parent.glob(f"{base.stem}-*{base.suffix}")) if base.parent.is_dir() else []
    found = [path for path in (base, *others) if path.is_socket()]
    return found or [base]


def _plain(error: BaseException) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "its answer is no JSON"
