"""A start beside an older instance that was stopped inside a commit: it waits, says so, and goes on."""

from __future__ import annotations

import signal
import subprocess
from typing import Any

import pytest

TOYS = "toys.example.com"


@pytest.fixture
def stopped(world: Any, stop_in_commit: Any) -> Any:
    """A process that holds the journal of an earlier run."""
    world.ready().kill()
    return stop_in_commit(TOYS)


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
    assert process.stop() == 0
    assert world.sockets() == []
    assert "Traceback" not in process.log.read_text()


def test_what_is_reloaded_meanwhile_holds_then(world: Any, stopped: subprocess.Popen[bytes]) -> None:
    process = world.process()
    world.until(lambda: process.said("waits for the journal"), "the line in the log", 60)
    world.configure(
        filter="device.attributes['toys.example.com'].index < 2",
        plugins={"toys": {"control": str(world.control), "color": "green"}},
    )
    world.until(lambda: process.said("reloaded"), "the reload", 30)
    stopped.send_signal(signal.SIGCONT)
    devices = world.until(
        lambda: (d := world.devices()) and d[0]["attributes"]["color"]["string"] == "green" and d, "them", 60
    )
    assert [device["name"] for device in devices] == ["toy-0", "toy-1"]


def test_one_that_runs_says_so_too(world: Any, stop_in_commit: Any) -> None:
    process = world.ready(world.configure(observe={"port": 0}))
    stopped = stop_in_commit(TOYS)
    world.claim("c", "toy-0")
    with pytest.raises(Exception, match="database is locked"):
        world.kubelet.run_pod("c", ["c"])
    assert "another process holds it" in "".join(process.degradations())
    code, text = process.page("/readyz")
    assert code == 503
    assert "another process holds it" in text
    assert process.page("/healthz") == (200, "ok\n")
    world.until(lambda: world.events("JournalBlocked"), "the event")
    stopped.send_signal(signal.SIGCONT)
    world.until(lambda: process.page("/readyz") == (200, "ok\n"), "the end of it")
    assert process.degradations() == []
    world.kubelet.run_pod("c", ["c"], retry_for=30)
