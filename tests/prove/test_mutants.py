"""The proof proven: every engine with a defect is found by the matrix, under the rule that it breaks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from mutants import MUTANTS  # noqa: E402

from dracore.testing.crash import RULES  # noqa: E402

WHOLE = bool(os.environ.get("DRACORE_PROVE"))
QUICK = [name for name, mutant in MUTANTS.items() if mutant.mode == "drill"]


def find(name):
    mutant = MUTANTS[name]
    options = ["--jobs", "1", "--mode", mutant.mode, "--only", mutant.only]
    return subprocess.run(
        [sys.executable, "-m", "mutants", name, *options],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "PYTHONPATH": str(HERE)},
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", MUTANTS if WHOLE else QUICK[:: len(QUICK) // 3])
def test_an_engine_with_a_defect_is_found(name):
    done = find(name)
    assert done.returncode == 1, done.stdout + done.stderr[-2000:]
    rule = MUTANTS[name].rule
    assert rule in RULES
    found = [line for line in done.stdout.splitlines() if line.startswith("VIOLATION")]
    assert any(re.search(rf"\b{rule}: ", line) for line in found), found
