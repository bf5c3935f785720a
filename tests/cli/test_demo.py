"""The demo: every step is as it should be, and nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from dracore.cli.demonstration.interrupts import Interrupts
from dracore.cli.demonstration.steps import Demonstration
from dracore.cli.demonstration.story import JsonStory
from dracore.testing.waiting import until

STEPS = ["start", "devices", "claim-any", "claim-memory", "kill", "claim-numa", "release", "summary"]


def run(dracore: Any, node: str, folder: Path, *more: str) -> tuple[int, str, str]:
    done = dracore("demo", "--node", node, "--fast", *more, env={"TMPDIR": str(folder)})
    return done.returncode, done.stdout, done.stderr


def gone(pid: int) -> bool:
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True


def all_gone(pids: dict[str, int]) -> None:
    until(lambda: all(map(gone, pids.values())), f"the end of {pids}")


def test_dgx_h100(dracore: Any, folder: Path) -> None:
    code, out, err = run(dracore, "dgx-h100", folder, "--json")
    assert (code, err) == (0, "")
    steps = {step["step"]: step for step in map(json.loads, out.splitlines())}
    assert list(steps) == STEPS
    assert all(step["ok"] for step in steps.values())
    assert not any("skipped" in step for step in steps.values())
    assert steps["summary"] == {
        "step": "summary",
        "ok": True,
        "claims": 3,
        "prepared": 3,
        "released": 3,
        "leaked": 0,
    }
    assert len(steps["devices"]["devices"]) == 8
    claims = [steps[name] for name in ("claim-any", "claim-memory", "claim-numa")]
    landed = [device["device"] for claim in claims for device in claim["devices"]]
    assert len(landed) == len(set(landed)) == 4, "no device twice"
    assert {claim["claim"]["name"] for claim in claims} == {"any-gpu", "large-memory", "same-numa"}
    numa = {device["device"]: device["numaNode"] for device in steps["devices"]["devices"]}
    assert len({numa[device["device"]] for device in steps["claim-numa"]["devices"]}) == 1
    for claim in claims:
        nodes = claim["container"]["deviceNodes"]
        minors = {device["device"].removeprefix("gpu-") for device in claim["devices"]}
        assert {path for path in nodes if path[len("/dev/nvidia") :].isdigit()} == {
            f"/dev/nvidia{minor}" for minor in minors
        }
        assert claim["container"]["env"]["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert steps["kill"]["unchanged"] == {"claims": True, "cdi": True, "slices": True, "answers": True}
    assert steps["kill"]["killed"] == steps["start"]["pids"]["plugin"] != steps["kill"]["restarted"]
    pids = [*steps["start"]["pids"].values(), steps["kill"]["restarted"]]
    assert all(map(gone, pids)), "no process is left"
    assert list(folder.iterdir()) == [], "no folder is left"


@pytest.mark.parametrize(
    ("node", "skipped"),
    [("single-t4", {"claim-memory", "claim-numa"}), ("gb10", {"claim-memory", "claim-numa"})],
)
def test_a_node_that_cannot_meet_a_claim_says_why(
    dracore: Any, folder: Path, node: str, skipped: set[str]
) -> None:
    code, out, err = run(dracore, node, folder, "--json")
    assert (code, err) == (0, "")
    steps = {step["step"]: step for step in map(json.loads, out.splitlines())}
    assert {name for name, step in steps.items() if "skipped" in step} == skipped
    assert all(steps[name]["ok"] and steps[name]["skipped"] for name in skipped)
    assert steps["summary"] == {
        "step": "summary",
        "ok": True,
        "claims": 3,
        "prepared": 1,
        "released": 1,
        "leaked": 0,
    }


def test_for_people(dracore: Any, folder: Path) -> None:
    code, out, _ = run(dracore, "dgx-a100-80", folder)
    assert code == 0
    assert "NVIDIA A100-SXM4-80GB" in out
    assert out.splitlines()[-1].endswith("all is released, nothing is left on the node")
    assert "✗" not in out


def test_a_node_that_nobody_knows(dracore: Any, folder: Path) -> None:
    code, out, _ = run(dracore, "dgx-z9", folder, "--json")
    assert code == 1
    start, summary = map(json.loads, out.splitlines())
    assert (start["step"], start["ok"]) == ("start", False)
    assert "no simulated node and no file is called dgx-z9; known nodes: " in start["error"]
    assert (summary["step"], summary["ok"]) == ("summary", False)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "dracore.cli", "demo", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
        # A shell's background job, or nohup, hands down that the signal is ignored.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    assert child.stdout is not None
    start = json.loads(child.stdout.readline())
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Traceback" not in err
    all_gone(start["pids"])
    assert list(folder.iterdir()) == []


def test_killed_its_processes_end_too(folder: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "dracore.cli", "demo", "--json"],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    assert child.stdout is not None
    start = json.loads(child.stdout.readline())
    child.kill()
    child.communicate(timeout=60)
    all_gone(start["pids"])


def test_a_signal_that_python_drops_ends_the_demo_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a handler raises inside a finalizer is only printed; imports run finalizers all the time."""
    dropped: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: dropped.append(unraisable.exc_type))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    class Finalized:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    class Watched(JsonStory):
        def step(self, step: dict[str, Any], lines: list[str]) -> None:
            steps.append(step["step"])
            Finalized()

    steps: list[str] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    interrupts = Interrupts()
    interrupts.install()
    try:
        with pytest.raises(KeyboardInterrupt):
            Demonstration("single-t4", Watched(), interrupts).run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert dropped == [KeyboardInterrupt]
    assert steps == ["start"]
    assert list(folder.iterdir()) == []
