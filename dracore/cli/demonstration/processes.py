"""The demo's processes: an embedded API server, the node plugin, a fake kubelet. All of them end with it,
also when it is killed."""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from dracore.cli.demonstration.interrupts import Interrupts
from dracore.errors import DracoreError

START_SECONDS = 20.0
ROOM = 30
"""Longest path of the folder for temporary files: sockets below it may have 107 bytes in all."""

KEPT_LOG = 2000
"""Characters of a process's log that an error shows."""


PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl


def _end_with_parent() -> None:
    """SIGTERM for this process when the demo dies, however it dies (prctl(2))."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A process whose output goes to a file; `says` reads lines of its standard output instead."""

    def __init__(self, name: str, arguments: list[str], log: Path, *, talks: bool = False) -> None:
        self.name = name
        self._log = log
        self._unread = b""
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else errors,
                stderr=errors,
                # Not in our group: Ctrl-C is ours to handle, in order.
                start_new_session=True,
                preexec_fn=_end_with_parent,  # safe: the demo has one thread
            )

    def line(self, timeout: float) -> str:
        """The next line that the process says.

        :raises DracoreError: it ended, or said nothing in time.
        """
        out: IO[bytes] | None = self.process.stdout
        assert out is not None
        deadline = time.monotonic() + timeout
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            ready = select.select([out], [], [], max(0.0, left))[0] if left > 0 else []
            data = os.read(out.fileno(), 65536) if ready else b""
            if not data:
                raise DracoreError(
                    f"the {self.name} {'ended' if ready else 'did not answer'}:\n{self.tail()}"
                )
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def alive(self) -> bool:
        return self.process.poll() is None

    def tail(self) -> str:
        return self._log.read_text(errors="replace")[-KEPT_LOG:]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self, timeout: float = 10.0) -> int:
        """SIGTERM, and SIGKILL where that does not help."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            status = self.process.returncode
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        return status


def _place() -> str | None:
    """Where the folder lies: the usual place, unless its path leaves no room for sockets below it."""
    return None if len(tempfile.gettempdir()) <= ROOM else "/tmp"  # noqa: S108 - mkdtemp makes it safe


class World:
    """A cluster of one node, in a folder that goes when the demo ends."""

    def __init__(self, node: str, interrupts: Interrupts) -> None:
        self.node = node
        self._interrupts = interrupts
        self.folder = Path(tempfile.mkdtemp(prefix="dracore-demo-", dir=_place()))
        self.cdi = self.folder / "cdi"
        self.status_socket = self.folder / "status.sock"
        self.config = self.folder / "node.yaml"
        self._children: list[Child] = []
        self.api: Child
        self.kubelet: Child
        self.plugin: Child
        self.url = ""

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in reversed(self._children):
            child.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_api(self) -> None:
        self.api = self._child(
            "API server",
            ["dracore.testing.apiserver", "--kubeconfig", str(self.folder / "kubeconfig")],
            talks=True,
        )
        self.url = self.api.line(START_SECONDS).strip()

    def start_kubelet(self) -> None:
        root = ["--root", str(self.folder / "k"), "--node", self.node]
        self.kubelet = self._child(
            "kubelet", ["dracore.testing.kubelet", *root, "--server", self.url], talks=True
        )
        self._answer(START_SECONDS)

    def write_config(self) -> None:
        content = {
            "apiVersion": "dracore.dev/v1alpha1",
            "kind": "NodeConfiguration",
            "node": self.node,
            "plugins": {"nvidia_gpu": {}},
            "kube": {"kubeconfig": str(self.folder / "kubeconfig")},
            "kubelet": {"rootDir": str(self.folder / "k")},
            "cdi": {"dir": str(self.cdi)},
            "host": {"statusSocket": str(self.status_socket)},
            "simulation": {"node": self.node, "stateDir": str(self.folder / "sim")},
        }
        self.config.write_text(json.dumps(content))  # JSON is YAML

    def start_plugin(self) -> None:
        self.plugin = self._child("node plugin", ["dracore.cli", "run", "--config", str(self.config)])

    def ask_kubelet(self, timeout: float = 60.0, **command: Any) -> dict[str, Any]:
        """One command to the fake kubelet and its answer.

        :raises DracoreError: it answered with an error.
        """
        self.kubelet.say(json.dumps(command))
        return self._answer(timeout)

    def until(self, condition: Callable[[], Any], what: str, timeout: float = START_SECONDS) -> Any:
        """The condition's answer, once it is true.

        :raises DracoreError: it did not come true, or the node plugin ended.
        """
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            self._interrupts.check()
            if not self.plugin.alive():
                raise DracoreError(f"the node plugin ended:\n{self.plugin.tail()}")
            if time.monotonic() > deadline:
                raise DracoreError(f"{what} did not happen in {timeout:g} s:\n{self.plugin.tail()}")
            time.sleep(0.05)
        return value

    def _child(self, name: str, arguments: list[str], *, talks: bool = False) -> Child:
        child = Child(name, arguments, self.folder / f"{name.replace(' ', '-')}.log", talks=talks)
        self._children.append(child)
        return child

    def _answer(self, timeout: float) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.kubelet.line(timeout))
        if not answer["ok"]:
            raise DracoreError(str(answer["error"]))
        return answer
