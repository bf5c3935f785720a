"""Processes of the bench, and what the kernel tells of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType


class Process:
    """A child that is ended when the block ends; its output goes to a file."""

    def __init__(self, arguments: Sequence[str | Path], log: Path, env: dict[str, str] | None = None) -> None:
        self.log = log
        self.started = time.monotonic()
        with open(log, "ab") as out:
            self.child = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                stdout=out,
                stderr=out,
                env={**os.environ, **(env or {})},
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.child.terminate()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def until(self, ready: Callable[[], bool], what: str, limit: float = 60) -> float:
        """Seconds from the process's start until `ready`."""
        while not ready():
            if self.child.poll() is not None or time.monotonic() - self.started > limit:
                tail = self.log.read_text(errors="replace")[-3000:]
                raise SystemExit(f"bench: {what} did not come (exit status {self.child.poll()}):\n{tail}")
            time.sleep(0.005)
        return time.monotonic() - self.started

    @property
    def resident_mib(self) -> float:
        """Resident memory now (VmRSS)."""
        for line in Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    @property
    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.child.pid}/fd"))
