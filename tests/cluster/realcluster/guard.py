"""Cleans up after a test run that was killed: containers and namespaces outlive their starter otherwise.

Started beside a cluster with its standard input open; when that closes, the starter is gone, in whatever way,
and what is still there of the cluster is removed. After an orderly end it finds nothing to do.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from .network import namespaces, pids_in, remove
from .process import kill_all


def clean(name: str, folder: Path) -> None:
    """Ends every process of the cluster `name`, and removes its network and its state."""
    for namespace in namespaces(name):
        kill_all(partial(pids_in, namespace))
    remove(name)
    shutil.rmtree(folder, ignore_errors=True)


class Guard:
    """The watching process."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", f"{__package__}.guard", self.name, str(self.folder)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).resolve().parent.parent,
            start_new_session=True,
        )

    def stop(self) -> None:
        """Lets it clean what is left, and waits for that."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(60)


if __name__ == "__main__":
    sys.stdin.buffer.read()
    clean(sys.argv[1], Path(sys.argv[2]))
