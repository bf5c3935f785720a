"""SIGKILL and faults at every boundary of small scenarios: afterwards nothing is lost and nothing leaks."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from crash_child import SCENARIOS  # noqa: E402

EVERY = int(os.environ.get("DRACORE_CRASH_EVERY", "8"))
"""1: every point (some minutes); n: a seeded n-th of them."""


@pytest.fixture
def folder(tmp_path):
    """In memory where that can be had: SIGKILL loses nothing of the page cache, and fsync costs nothing."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


def run(folder, name, mode):
    environment = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent.parent}"}
    done = subprocess.run(
        [sys.executable, str(HERE / "crash_child.py"), str(folder), name, mode, str(EVERY)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["violations"] == [], "\n".join(answer["violations"][:20]) + done.stderr[-2000:]
    return answer


def enough(answer):
    """A sample of a size that says something; all of them where all were asked for."""
    assert answer["points"] > 15
    assert answer["runs"] == answer["points"] if EVERY == 1 else answer["runs"] > 0


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_every_point(folder, name):
    answer = run(folder, name, "kill")
    enough(answer)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_fault_at_every_point(folder, name):
    answer = run(folder, name, "fail")
    enough(answer)


def test_killed_again_at_every_point_of_the_recovery(folder):
    answer = run(folder, "one claim one device", "kill-recovery")
    assert answer["runs"] > 50 / EVERY
