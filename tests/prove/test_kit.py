"""The kit that authors get: it passes a right plugin and says of a wrong one which rule it breaks."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from wrong_effects import Blind, Folder, Silent, Unsaid  # noqa: E402

from dracore.testing.crash import RULES, NodeDouble, standard  # noqa: E402
from dracore.testing.crash import crash_matrix as run  # noqa: E402
from dracore.testing.crash.children import BESIDE  # noqa: E402
from dracore.testing.crash.matrix import MODES  # noqa: E402

WHOLE = bool(os.environ.get("DRACORE_PROVE"))


@pytest.fixture(scope="session")
def lanes(tmp_path_factory):
    """Makes plugins: modules that another process finds too."""
    folder = tmp_path_factory.mktemp("lanes")

    def make(what):
        name = f"lanes_{hashlib.sha256(what.encode()).hexdigest()[:8]}"
        if not (folder / f"{name}.py").exists():
            hooks = "{name: getattr(plugin, name) for name in dir(plugin) if name[:4] == 'dra_'}"
            text = f"from wrong_effects import *\n\nplugin = {what}\nglobals().update({hooks})\n"
            (folder / f"{name}.py").write_text(text)
        return name

    sys.path.insert(0, str(folder))
    yield make
    sys.path.remove(str(folder))


def said_of(plugin, stories=None, *, ground=Folder, modes=("drill",), **more):
    """What the kit says of a wrong plugin."""
    with pytest.raises(AssertionError) as caught:
        run(plugin, stories or standard("lane-0")[0], ground=ground, modes=modes, **more)
    return [line for line in str(caught.value).splitlines() if line.startswith("VIOLATION")]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("story", standard("lane-0", "lane-1")[:: 1 if WHOLE else 4], ids=str)
def test_a_right_plugin_passes(crash_matrix, story, lanes):
    modes = ("drill", "kill", "stop", "EIO", "power", *(("twice",) if WHOLE else ()))
    report = crash_matrix(lanes("Plugin(Lane)"), story, ground=Folder, every=1 if WHOLE else 40, modes=modes)
    assert report.violations == []
    assert report.summary().startswith("crash matrix: 1 scenarios, ")
    reboots = any(getattr(step, "boot", False) for step in story.steps)  # then nobody stands beside
    expected = [mode for mode in MODES if mode in modes and not (reboots and mode in BESIDE)]
    assert [row.mode for row in report.rows if row.runs] == expected


@pytest.fixture(scope="session")
def findings(lanes):
    """What the kit says of a wrong effect under drill and deaths, asked once of each."""
    known = {}

    def find(name):
        if name not in known:
            known[name] = said_of(lanes(f"Plugin({name})"), modes=("drill", "kill"))
        return known[name]

    return find


class TestAnEffectThat:
    def test_cannot_be_reverted_twice(self, findings):
        found = findings("NotTwice")
        what = "revert-again: lanes.not_twice lane/lane-0: revert, called again raises FileNotFoundError"
        assert any(what in line for line in found), found

    def test_cannot_be_reverted_twice_is_found_by_the_deaths_alone(self, findings):
        found = [line for line in findings("NotTwice") if ": kill at " in line]
        what = (
            "again: unprepare of claim c1 says: ",
            "finished: lanes.not_twice lane/lane-0 is left reverting",
        )
        assert any(text in line for line in found for text in what), found

    def test_has_a_probe_that_lies(self, findings):
        found = findings("Lies")
        what = "probe-truth: lanes.lies lane/lane-0: probe says Absent just after apply"
        assert any(what in line for line in found), found
        assert any("present: lanes.lies lane/lane-0" in line for line in found), found

    def test_is_left_half_made(self, findings):
        found = [line for line in findings("Half") if "effect.apply.line" in line]
        what = "nothing-left: nothing is held and the node is not as it was: +lane-0.address='10.0.0.1'"
        assert any(what in line for line in found), found


@pytest.mark.parametrize(
    ("plugin", "what"),
    {
        "Plugin(Outside)": "outside: lanes.outside lane/lane-0 writes ",
        "Plugin(Always)": "probe-truth: lanes.always lane/lane-0: probe says Present before apply",
        "Plugin(OneKey)": "again: prepare of claim c2, with nothing in its way, says: ",
        "Plugin(NeverSure)": "probe-truth: lanes.never_sure lane/lane-0: probe says Unknown just after apply",
        "Plugin(OnceOnly)": "again: prepare of claim c1, with nothing in its way, says: ",
        "Plugin(Refuses)": "prepare of claim c1, with nothing in its way, says: plugin ",
        "Plugin(Exits)": "probe-truth: lanes.exits lane/lane-0: probe raises SystemExit(3); it must answer",
        "Plugin(Cancels)": "revert-unmade: lanes.cancels lane/lane-0: revert, where apply never came, raises "
        "CancelledError",
        "Plugin(Interrupts)": "without any fault: KeyboardInterrupt",
        "Plugin(None, prepares=0)": "again: prepare of claim c1, with nothing in its way, says: ",
        "Plugin(None, prepares=2)": "again: prepare of claim c1, with nothing in its way, says: ",
        "Plugin(None, variable='')": "same: claim c1 was prepared anew with the same devices and outcomes",
    }.items(),
)
def test_a_drill_finds_what_no_death_shows(plugin, what, lanes):
    found = said_of(lanes(plugin), standard("lane-0", "lane-1"))
    assert any(what in line for line in found), found


def test_a_plugin_that_stops_preparing_is_found_without_a_drill_too(lanes):
    found = said_of(lanes("Plugin(None, prepares=1)"), modes=("EIO",), every=30)
    assert any("EIO at " in line and "prepare of claim c1" in line for line in found), found


def test_a_device_that_is_not_there_is_no_proof(lanes):
    found = said_of(lanes("Plugin(Lane)"), standard("lane-9")[0])
    assert any(
        "again: prepare of claim c1, with nothing in its way, says: device lane-9 " in line for line in found
    )


def test_a_wrong_order_is_found_by_the_node_double(lanes):
    found = said_of(lanes("Slots(None)"), ground=NodeDouble)
    assert any("order: slot was made without shell, which it needs" in line for line in found), found


@pytest.mark.parametrize(
    ("ground", "what"),
    [
        (Silent, "outside: observe() of the ground answers None, so nothing would be compared"),
        (Blind, "outside: lanes.lane: apply changes nothing that observe() of the ground tells of"),
        (Unsaid, "Unsaid has no observe(): nothing would be compared"),
    ],
)
def test_a_ground_that_sees_nothing_is_no_proof(ground, what, lanes):
    found = said_of(lanes("Plugin(Lane)"), ground=ground)
    assert any(what in line for line in found), found


def test_settings_that_do_not_fit_are_said_with_the_ground_that_gives_them(lanes):
    (found,) = said_of(lanes("Picky(Lane)"), ground=NodeDouble)
    assert "the driver does not start any more: ValidationError: " in found
    assert "(its settings are what NodeDouble.settings() answers)" in found


def test_a_matrix_that_takes_too_long_says_what_to_do(lanes):
    with pytest.raises(AssertionError, match=r"not done after 0 s: give it more time \(seconds=\)"):
        run(lanes("Plugin(Lane)"), standard("lane-0")[0], ground=Folder, seconds=0.01)


def test_every_rule_that_is_broken_has_a_name(findings):
    for name in ("NotTwice", "Lies", "Half"):
        for line in findings(name):
            assert any(f"{rule}: " in line for rule in RULES), line


def test_the_kit_is_at_hand_in_one_import():
    import dracore.testing as kit

    assert all(getattr(kit, name) is not None for name in kit.__all__)
    assert kit.crash_matrix is run
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kit.nothing  # noqa: B018
