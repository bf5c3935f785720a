"""The kit that authors get: it passes a right plugin and says of a wrong one which rule it breaks."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from dracore.testing.crash import RULES, standard  # noqa: E402
from dracore.testing.crash.matrix import MODES  # noqa: E402

WHOLE = bool(os.environ.get("DRACORE_PROVE"))

QUICK = ("drill", "kill")
"""The modes that find these defects soonest."""


def lanes(name):
    return importlib.import_module(f"lanes_{name}"), importlib.import_module("wrong_effects").Folder


@pytest.mark.timeout(400)
@pytest.mark.parametrize("story", standard("lane-0", "lane-1")[:: 1 if WHOLE else 3], ids=str)
def test_a_right_plugin_passes(crash_matrix, story):
    plugin, ground = lanes("right")
    modes = ("drill", "kill", "EIO", "power", "twice")
    report = crash_matrix(plugin, story, ground=ground, every=1 if WHOLE else 40, modes=modes)
    assert report.violations == []
    assert report.summary().startswith("crash matrix: 1 scenarios, ")
    assert [row.mode for row in report.rows if row.runs] == sorted(modes, key=MODES.index)


def findings(crash_matrix, name, *modes):
    plugin, ground = lanes(name)
    with pytest.raises(AssertionError) as caught:
        crash_matrix(plugin, standard("lane-0")[0], ground=ground, modes=modes)
    text = str(caught.value)
    return [line for line in text.splitlines() if line.startswith("VIOLATION")]


class TestAnEffectThat:
    def test_cannot_be_reverted_twice(self, crash_matrix):
        found = findings(crash_matrix, "not_twice", "drill")
        assert any(
            "revert-again: lanes.not_twice lane/lane-0: revert, called again raises FileNotFoundError" in line
            for line in found
        ), found
        assert all("revert-again" in line for line in found)

    def test_cannot_be_reverted_twice_is_found_by_the_deaths_alone(self, crash_matrix):
        found = findings(crash_matrix, "not_twice", "kill")
        assert any(
            "again: unprepare of claim c1 says: cannot undo lanes.not_twice" in line for line in found
        ) or (any("finished: lanes.not_twice lane/lane-0 is left reverting" in line for line in found)), found

    def test_has_a_probe_that_lies(self, crash_matrix):
        found = findings(crash_matrix, "lies", "drill", "kill")
        assert any(
            "probe-truth: lanes.lies lane/lane-0: probe says Absent just after apply" in line
            for line in found
        ), found
        assert any("present: lanes.lies lane/lane-0" in line for line in found), found

    def test_is_left_half_made(self, crash_matrix):
        found = findings(crash_matrix, "half", "drill", "kill")
        assert any(
            "effect.apply.line" in line
            and "nothing-left: nothing is held and the node is not as it was: +lane-0.address='10.0.0.1'"
            in line
            for line in found
        ), found


def test_every_rule_that_is_broken_has_a_name(crash_matrix):
    for name in ("not_twice", "lies", "half"):
        for line in findings(crash_matrix, name, *QUICK):
            assert any(f"{rule}: " in line for rule in RULES), line
