"""Processes with a log file, started and ended by pid, and waiting for conditions."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class Timeout(AssertionError):
    """A condition did not come true in time; the text names it and what was seen last."""


def wait_for(what: str, condition: Callable[[], T], timeout: float, every: float = 0.2) -> T:
    """The first true value of `condition`. An AssertionError inside it counts as "not yet".

    Raises Timeout after `timeout` seconds, with the last value or assertion in its text.
    """
    deadline = time.monotonic() + timeout
    seen: object
    while True:
        try:
            value = condition()
            if value:
                return value
            seen = value
        except AssertionError as error:
            seen = error
        if time.monotonic() >= deadline:
            raise Timeout(f"not within {timeout:g} s: {what}; last seen: {str(seen)[:2000]}")
        time.sleep(every)


def stays_true(what: str, condition: Callable[[], object], seconds: float, every: float = 1.0) -> None:
    """Fails as soon as `condition` is false, and returns after `seconds` of it being true."""
    started = time.monotonic()
    while (passed := time.monotonic() - started) < seconds:
        assert condition(), f"no longer true after {passed:.0f} s of {seconds:g} s: {what}"
        time.sleep(min(every, seconds))


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


class Component:
    """One program: what runs, its log, and its end. Restartable."""

    def __init__(
        self, name: str, command: list[str], log: Path, environment: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = command
        self.log = log
        self.environment = environment
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was never started"
        return self.process.pid

    def start(self) -> None:
        assert not self.running, f"{self.name} is running already"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C reaches the test run alone, which then ends the rest in order.
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )

    def check_running(self) -> None:
        """Fails at once, with the end of its log, when the program has ended by itself."""
        if not self.running:
            code = self.process.returncode if self.process else None
            raise RuntimeError(f"{self.name} ended with code {code}:\n{tail(self.log, 20)}")

    def wait_ready(self, condition: Callable[[], object], timeout: float = 60.0) -> None:
        def ready() -> object:
            self.check_running()
            return condition()

        wait_for(f"{self.name} is ready (log {self.log})", ready, timeout, every=0.1)

    def stop(self, grace: float = 10.0) -> int | None:
        """SIGTERM, and SIGKILL after `grace` seconds. The exit code, None when it was never started."""
        if self.process is None:
            return None
        if self.running:
            self.process.terminate()
            try:
                self.process.wait(grace)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def kill(self) -> None:
        """SIGKILL, and waits until the process is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def tail(path: Path, lines: int, offset: int = 0) -> str:
    """The last lines of a log behind byte `offset`; long lines are cut."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(offset, size - 64 * 1024))
            text = file.read().decode(errors="replace")
    except OSError as error:
        return f"({error})"
    return "\n".join(line[:600] for line in text.splitlines()[-lines:])


def kill_all(pids: Callable[[], list[int]], timeout: float = 20.0) -> None:
    """SIGKILLs what `pids` lists until it lists nothing: a killed parent may have had one more child."""
    deadline = time.monotonic() + timeout
    while left := [pid for pid in pids() if alive(pid)]:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes survive SIGKILL: {left}")
        time.sleep(0.05)
