"""A start beside an older instance that was stopped inside a commit: it waits, says so, and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TOYS = "toys.example.com"

LOCKER = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
os.kill(os.getpid(), signal.SIGSTOP)
"""


@pytest.fixture
def stopped(world: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the journal of an earlier run, and stands still."""
    world.ready().kill()
    path = Path(world.kubelet.plugins_dir) / TOYS / "journal.db"
    child = subprocess.Popen([sys.executable, "-c", LOCKER, str(path)])
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    yield child
    child.kill()
    child.wait()


def test_pods_are_told_and_start_once_it_goes_on(world: Any, stopped: subprocess.Popen[bytes]) -> None:
    process = world.process()
    world.until(lambda: process.said("waits for the journal"), "the line in the log", 60)
    world.claim("c", "toy-0")
    world.until(lambda: process.said("registered with the kubelet"), "the registration", 30)

    def is_told() -> bool:
        with pytest.raises(Exception, match=r"NodePrepareResources|database is locked") as raised:
            world.kubelet.run_pod("c", ["c"])
        return "database is locked" in str(raised.value)  # the kubelet lets go of the older one meanwhile

    world.until(is_told, "the reason", 30)
    assert process.child.poll() is None
    assert world.held() == []
    stopped.send_signal(signal.SIGCONT)
    world.kubelet.run_pod("c", ["c"], retry_for=60)
    assert world.held() == ["toy-0"]
    world.until(lambda: process.status()["drivers"][0]["registered"], "the registration, in the status", 30)


def test_it_ends_when_it_is_told_to(world: Any, stopped: subprocess.Popen[bytes]) -> None:
    process = world.process()
    world.until(lambda: process.said("waits for the journal"), "the line in the log", 60)
    process.child.send_signal(signal.SIGTERM)
    assert process.child.wait(30) == 1
    assert "Traceback" not in process.log.read_text()
