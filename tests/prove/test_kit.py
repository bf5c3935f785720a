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
from dracore.testing.crash import crash_matrix as run  # noqa: E402
from dracore.testing.crash.matrix import MODES  # noqa: E402

WHOLE = bool(os.environ.get("DRACORE_PROVE"))


def lanes(name):
    return importlib.import_module(f"lanes_{name}"), importlib.import_module("wrong_effects").Folder


@pytest.mark.timeout(400)
@pytest.mark.parametrize("story", standard("lane-0", "lane-1")[:: 1 if WHOLE else 4], ids=str)
def test_a_right_plugin_passes(crash_matrix, story):
    plugin, ground = lanes("right")
    modes = ("drill", "kill", "stop", "EIO", "power", *(("twice",) if WHOLE else ()))
    report = crash_matrix(plugin, story, ground=ground, every=1 if WHOLE else 40, modes=modes)
    assert report.violations == []
    assert report.summary().startswith("crash matrix: 1 scenarios, ")
    assert [row.mode for row in report.rows if row.runs] == sorted(modes, key=MODES.index)


@pytest.fixture(scope="session")
def findings():
    """What the kit says of a wrong plugin, asked once of each."""
    known = {}

    def find(name):
        if name not in known:
            plugin, ground = lanes(name)
            with pytest.raises(AssertionError) as caught:
                run(plugin, standard("lane-0")[0], ground=ground, modes=("drill", "kill"))
            known[name] = [line for line in str(caught.value).splitlines() if line.startswith("VIOLATION")]
        return known[name]

    return find


class TestAnEffectThat:
    def test_cannot_be_reverted_twice(self, findings):
        found = findings("not_twice")
        what = "revert-again: lanes.not_twice lane/lane-0: revert, called again raises FileNotFoundError"
        assert any(what in line for line in found), found

    def test_cannot_be_reverted_twice_is_found_by_the_deaths_alone(self, findings):
        found = [line for line in findings("not_twice") if ": kill at " in line]
        what = (
            "again: unprepare of claim c1 says: ",
            "finished: lanes.not_twice lane/lane-0 is left reverting",
        )
        assert any(text in line for line in found for text in what), found

    def test_has_a_probe_that_lies(self, findings):
        found = findings("lies")
        what = "probe-truth: lanes.lies lane/lane-0: probe says Absent just after apply"
        assert any(what in line for line in found), found
        assert any("present: lanes.lies lane/lane-0" in line for line in found), found

    def test_is_left_half_made(self, findings):
        found = [line for line in findings("half") if "effect.apply.line" in line]
        what = "nothing-left: nothing is held and the node is not as it was: +lane-0.address='10.0.0.1'"
        assert any(what in line for line in found), found


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("outside", "outside: lanes.outside lane/lane-0 writes "),
        (
            "always",
            "probe-truth: lanes.always lane/lane-0: probe says Present before apply, which then changes",
        ),
        ("one_key", "again: prepare of claim c2, with nothing in its way, says: "),
    ],
)
def test_a_drill_finds_what_no_death_shows(name, what):
    plugin, ground = lanes(name)
    with pytest.raises(AssertionError) as caught:
        run(plugin, standard("lane-0", "lane-1"), ground=ground, modes=("drill",))
    assert what in str(caught.value)


def test_every_rule_that_is_broken_has_a_name(findings):
    for name in ("not_twice", "lies", "half"):
        for line in findings(name):
            assert any(f"{rule}: " in line for rule in RULES), line


def test_the_kit_is_at_hand_in_one_import():
    import dracore.testing as kit

    assert all(getattr(kit, name) is not None for name in kit.__all__)
    assert kit.crash_matrix is run
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kit.nothing  # noqa: B018
