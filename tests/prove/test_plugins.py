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
from dracore.testing.crash.matrix import MODES  # noqa: E402

ALL = tuple(mode for mode in MODES if mode != "twice")
"""All that are not a product; the matrix of the engine itself has that too."""
EXAMPLE = HERE.parents[1] / "examples/plugins/nics"
WHOLE = bool(os.environ.get("DRACORE_PROVE"))


@pytest.mark.timeout(600)
def test_the_example(crash_matrix, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLE)
    report = crash_matrix(
        "nics",
        standard("eth0", "eth1"),
        ground=Interfaces,
        driver="nics.example.com",
        modes=ALL if WHOLE else ("drill", "kill", "stop", "EIO"),
        every=3 if WHOLE else 20,  # it has no effects: what it passes, the engine's own matrix takes whole
    )
    assert report.summary().endswith(" 0 violations")
    assert sum(row.runs for row in report.rows) > 10


OTHERS = tuple(mode for mode in ALL if mode not in ("drill", "kill", "power"))
"""Each run renders a whole simulated node, so of these `make prove` takes a part. A power cut would copy it
at every point."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("modes", "every"), [(("drill", "kill"), 1), (OTHERS, 10)] if WHOLE else [(("drill", "kill"), 20)]
)
def test_nvidia_gpus(crash_matrix, modes, every):
    report = crash_matrix(
        "dracore_nvidia_gpu.plugin",
        standard("gpu-0", "gpu-1")[: 4 if WHOLE else 2],
        ground=SimulatedGpus,
        name="nvidia_gpu",
        modes=modes,
        every=every,
    )
    assert report.summary().endswith(" 0 violations")
    assert sum(row.runs for row in report.rows) >= 3
