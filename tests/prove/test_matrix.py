"""The engine's own crash matrix: a seeded sample here, the whole in `make prove`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dracore.testing.crash.scenarios import SCENARIOS

HERE = Path(__file__).parent
SEED = os.environ.get("DRACORE_PROVE_SEED", "1")

ALL = ""
SAMPLE = {
    "drill": (1, ALL),
    "kill": (40, ALL),
    "twice": (12, "one claim one"),
    "peer": (80, ALL),
    "power": (6, "one claim one"),
    "ENOSPC": (100, ALL),
    "EIO": (100, ALL),
    "EROFS": (150, ALL),
    "timeout": (150, ALL),
    "defect": (100, ALL),
    "full": (100, ALL),
    "gone": (100, ALL),
}
"""Of each mode one in so many points, of scenarios with these words in their names."""


def matrix(*arguments, module="dracore.testing.crash", environment=None):
    return subprocess.run(
        [sys.executable, "-m", module, "--seed", SEED, *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        env={**os.environ, **(environment or {})},
    )


def test_the_scenarios_are_those_that_are_promised():
    assert len(SCENARIOS) >= 10
    assert len({story.name for story in SCENARIOS}) == len(SCENARIOS)


@pytest.mark.parametrize("mode", SAMPLE)
def test_nothing_is_lost_and_nothing_leaks(mode):
    every, word = SAMPLE[mode]
    done = matrix("--jobs", "1", "--mode", mode, "--every", str(every), "--only", word)
    last = done.stdout.splitlines()[-1] if done.stdout else done.stderr[-2000:]
    assert last.startswith(f"crash matrix: {sum(word in story.name for story in SCENARIOS)} scenarios, "), (
        last
    )
    assert last.endswith(" 0 violations"), done.stdout
    assert done.returncode == 0


MUTANTS = {
    "journal": "PRAGMA synchronous = OFF",
    "spec": "no fsync of spec files",
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_an_engine_without_its_fsyncs_fails(mutant):
    done = matrix(
        "--jobs",
        "1",
        "--mode",
        "power",
        "--only",
        "one claim one",
        mutant,
        module="mutant",
        environment={"PYTHONPATH": str(HERE)},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "VIOLATION" in done.stdout
    if mutant == "journal":
        # An effect whose intent was not on disk is on the node and nobody knows of it.
        assert "nothing-left: " in done.stdout
        assert "promise: the kubelet has an answer for claim c1, which is not in the journal" in done.stdout
    else:
        assert "stands under its name and is not whole" in done.stdout


def test_a_seed_chooses_the_points():
    one, two = (
        matrix("--jobs", "1", "--mode", "kill", "--every", "20", "--only", "one claim one") for _ in range(2)
    )
    assert one.stdout == two.stdout
