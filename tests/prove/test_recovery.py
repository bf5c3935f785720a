"""Long lives: recovery with many claims, and many claims through one process. Figures: bench/recovery.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHOLE = bool(os.environ.get("DRACORE_PROVE"))
CLAIMS, SOAK = (5000, 10000) if WHOLE else (200, 600)


@pytest.mark.timeout(600)
def test_recovery_and_soak(tmp_path):
    folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else str(tmp_path)
    options = ["--claims", str(CLAIMS), "--soak", str(SOAK), "--folder", folder]
    done = subprocess.run(
        [sys.executable, "-m", "bench.recovery", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=590,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    print(done.stdout)
    soak = found["soak"]
    assert soak["more_descriptors"] == 0
    assert soak["memory_growth_mib"] <= 2
    assert soak["largest_journal_mib"] <= 32
    assert soak["timeline_entries"] <= 20_000
    assert found["recovery"]["claims"] == CLAIMS
