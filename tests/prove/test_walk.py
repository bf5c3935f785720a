"""Random sequences of calls, deaths, faults and reboots: a short seeded walk here, 2,000 in `make prove`."""

from __future__ import annotations

import os
import random
import subprocess
import sys

from dracore.testing.crash import walk
from dracore.testing.crash.scenario import Handover, Prepare, Restart, Unprepare

SEED = int(os.environ.get("DRACORE_PROVE_SEED", "1"))


def test_a_short_walk():
    options = ["--seeds", "1", "--operations", "60", "--jobs", "1", "--first", str(1000 * SEED)]
    done = subprocess.run(
        [sys.executable, "-m", "dracore.testing.crash.walk", *options],
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.stdout.splitlines()[-1:] == ["random walk: 1 seeds, 60 operations, 0 violations"], (
        done.stdout + done.stderr[-2000:]
    )


def test_the_same_seed_gives_the_same_operations_of_every_sort():
    one, two = (walk.steps(random.Random("x"), 400) for _ in range(2))
    assert one == two
    sorts = {type(step) for step in one}
    assert {Prepare, Unprepare, Restart, Handover} <= sorts
    assert len(sorts) == 16


def test_a_walk_finds_an_engine_that_forgets(tmp_path):
    """A mutant that reports effects as reverted without reverting them."""
    code = (
        "import sys\n"
        "from dracore.prepare.effects.reverting import Reverting\n"
        "Reverting._revert = lambda self, effect, key, *rest: None\n"
        "from dracore.testing.crash.walk import main\n"
        "sys.exit(main(['--seeds', '1', '--operations', '40', '--jobs', '1']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=110)
    assert done.returncode == 1, done.stdout + done.stderr[-2000:]
    assert "nothing-left" in done.stdout
