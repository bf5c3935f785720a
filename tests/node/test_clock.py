"""The time of day of a running node plugin jumps: of the real process, its libraries included."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dracore.admin.client import ask

TOYS = "toys.example.com"


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that moves the time of day; the monotonic clock goes on as it does."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is here")
    built = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", built, source, "-ldl"], check=True)
    return built


@pytest.fixture
def offset(world: Any, shim: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that says by how much; only processes started from now on look at it."""
    file = Path(world.folder / "offset")
    file.write_text("0")
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    monkeypatch.setenv("DAY_OFFSET", str(file))
    return file


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_claims_go_on_while_the_clock_jumps(world: Any, offset: Path, jump: int) -> None:
    process = world.ready(world.configure(observe={"port": 0}))
    with world.preparing("c", "toy-0") as pod:
        offset.write_text(str(jump))
        world.go_on()
        assert pod.result(30)
    world.claim("d", "toy-1")
    world.kubelet.run_pod("d", ["d"])
    assert ask(process.status_socket, "reconcile") == {TOYS: True}
    status = process.status()
    assert {claim["state"] for claim in status["claims"]} == {"prepared"}
    assert status["problems"] == status["drivers"][0]["degradations"] == []
    uid = world.api.get("resourceclaims", "c", "default")["metadata"]["uid"]
    story = ask(process.status_socket, f"timeline {uid}")["entries"]
    assert [entry["what"] for entry in story] == ["preparing", "apply", "applied", "prepared"]
    apart = datetime.fromisoformat(story[-1]["at"]) - datetime.fromisoformat(story[0]["at"])
    assert abs(apart.total_seconds() - jump) < 600, "the shim works: the story tells the time of day"
    # Slices are repaired, a killed process recovers, another takes over, all at the other time.
    (item,) = world.slices()
    world.api.delete("resourceslices", item["metadata"]["name"])
    world.until(world.slices, "the repair")
    process.kill()
    offset.write_text(str(-jump))
    process = world.ready()
    assert {claim["name"] for claim in process.status()["claims"]} == {"c", "d"}
    world.kubelet.delete_pod("c", retry_for=20)
    world.kubelet.delete_pod("d", retry_for=20)
    assert (world.held(), world.specs()) == ([], {})
    assert process.stop() == 0


def test_the_younger_of_two_instances_is_asked_although_its_clock_is_behind(world: Any, offset: Path) -> None:
    offset.write_text("86400")
    world.ready(None, "old")
    offset.write_text("0")
    new = world.process(None, "new")
    world.until(new.registered, "the second")
    from dracore.admin.client import ask_youngest

    answer = ask_youngest(world.folder / "status.sock")
    assert answer["instance"]["id"] == "new"
    assert datetime.fromisoformat(answer["instance"]["started"]) < datetime.now(UTC).replace(year=9000)
    assert os.environ["DAY_OFFSET"]
    world.until(lambda: new.status()["drivers"][0]["publishes"], "the handover")
