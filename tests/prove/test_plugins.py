"""The plugins that come with dracore under the crash matrix, each with a few lines."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from grounds import Interfaces, SimulatedGpus  # noqa: E402

from dracore.testing.crash import standard  # noqa: E402

EXAMPLE = HERE.parents[1] / "examples/plugins/nics"
WHOLE = bool(os.environ.get("DRACORE_PROVE"))


@pytest.mark.timeout(400)
def test_the_example(crash_matrix, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLE)
    report = crash_matrix(
        "nics",
        standard("eth0", "eth1"),
        ground=Interfaces,
        driver="nics.example.com",
        modes=("drill", "kill", "EIO", "power"),
        every=1 if WHOLE else 12,
    )
    assert report.summary().endswith(" 0 violations")
    assert sum(row.runs for row in report.rows) > 10


@pytest.mark.timeout(400)
def test_nvidia_gpus(crash_matrix):
    report = crash_matrix(
        "dracore_nvidia_gpu.plugin",
        standard("gpu-0", "gpu-1")[: 4 if WHOLE else 1],
        ground=SimulatedGpus,
        name="nvidia_gpu",
        modes=("drill", "kill"),  # each run renders a whole simulated node: a second or two
        every=4 if WHOLE else 20,
    )
    assert report.summary().endswith(" 0 violations")
    assert sum(row.runs for row in report.rows) >= 3
