"""The engine's own crash matrix: a seeded sample here, the whole in `make prove`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dracore.testing.crash import sampling
from dracore.testing.crash.matrix import MODES
from dracore.testing.crash.scenarios import PROMISED, SCENARIOS

HERE = Path(__file__).parent
SEED = os.environ.get("DRACORE_PROVE_SEED", "1")
WHOLE = bool(os.environ.get("DRACORE_PROVE"))

SAMPLE = {
    "deaths": ("drill", "kill", "twice", "power"),
    "instances": ("peer", "stop"),
    "errors": ("ENOSPC", "EIO", "EROFS", "timeout", "defect", "exit"),
    "others": ("full", "gone"),
}
"""Modes that are sampled together: every kind of point comes once in each of the groups of `sampling`."""


def matrix(*arguments, module="dracore.testing.crash", environment=None):
    return subprocess.run(
        [sys.executable, "-m", module, "--seed", SEED, *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, **(environment or {})},
    )


def test_the_scenarios_are_those_that_are_promised():
    assert len(SCENARIOS) >= 20
    assert len({story.name for story in SCENARIOS}) == len(SCENARIOS)
    assert len(PROMISED) == 10
    assert {story.name for story in SCENARIOS} >= PROMISED


@pytest.mark.timeout(300)
@pytest.mark.skipif(WHOLE, reason="the whole of it has just run")
@pytest.mark.parametrize("group", SAMPLE)
def test_nothing_is_lost_and_nothing_leaks(group):
    modes = [text for mode in SAMPLE[group] for text in ("--mode", mode)]
    done = matrix("--jobs", "1", "--sample", *modes)
    last = done.stdout.splitlines()[-1] if done.stdout else done.stderr[-2000:]
    assert re.fullmatch(r"crash matrix: [1-9]\d* scenarios, \d+ points, [1-9]\d* runs, 0 violations", last), (
        done.stdout
    )
    assert done.returncode == 0


def test_a_sample_passes_over_no_mode():
    assert sorted(mode for group in SAMPLE.values() for mode in group) == sorted(MODES)
    assert {*sampling.GROUPED, *sampling.OTHERS} == set(MODES)


def test_a_sample_has_every_kind_of_point_under_every_group_of_modes():
    stories = {
        "one": ["journal.commit.after effect.intent a", "cdi.rename.before /x", "api.get.before c1"],
        "two": ["journal.commit.after effect.intent b", "journal.commit.after effect.gone b"],
    }
    seen = {(name, mode): points for name, points in stories.items() for mode in sampling.GROUPED}
    chosen = sampling.choose(seen, "1")
    for group in sampling.GROUPS:
        kinds = [
            sampling.kind_of(seen[place][number])
            for place, numbers in chosen.items()
            if place[1] in group
            for number in numbers
        ]
        assert sorted(kinds) == [
            "api.get.before",
            "cdi.rename.before",
            "journal.commit.after effect.gone",
            "journal.commit.after effect.intent",
        ]


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
        matrix("--jobs", "1", "--mode", "kill", "--every", "20", "--only", "one claim one d")
        for _ in range(2)
    )
    assert one.stdout == two.stdout
