"""What happens in the children of the matrix: a scenario is played, recorded, recovered from, and judged."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

from dracore.errors import DracoreError
from dracore.testing.crash import drill, rules
from dracore.testing.crash.outside import Outside
from dracore.testing.crash.play import Player
from dracore.testing.crash.points import Fault, Points
from dracore.testing.crash.scenario import Scenario, Step
from dracore.testing.crash.snapshots import Snapshots
from dracore.testing.crash.stand import Stand, Subject, start

Mode: TypeAlias = Literal[
    "drill",
    "kill",
    "twice",
    "peer",
    "stop",
    "power",
    "ENOSPC",
    "EIO",
    "EROFS",
    "timeout",
    "defect",
    "exit",
    "full",
    "gone",
]
"""``drill``: probe and revert are tried around every change. ``kill``: SIGKILL at the point. ``twice``: and
again at every point of the recovery. ``peer``: another instance that was up goes on. ``stop``: SIGSTOP;
another instance starts and takes over, then the stopped one goes on. ``power``: the node loses power; folders
are rebuilt from what was fsynced. The others are faults, see :data:`points.Fault`."""
BESIDE: frozenset[Mode] = frozenset({"peer", "stop"})
"""Modes with another instance on the node. Across a reboot there is none."""
BETWEEN_LINES: frozenset[Mode] = frozenset({"kill", "twice", "power", "ENOSPC", "exit"})
"""Modes that are also tried between the lines of effects: a death there, and an error there, whichever it is.
(Who is stopped there has the key's lock, as at the points around it.) ``exit`` is tried nowhere else: only a
plugin's code raises such things."""


def passes(mode: Mode) -> tuple[bool, bool, bool]:
    """What decides which points a scenario passes under a mode: where it is the same, they are."""
    return mode in BETWEEN_LINES, mode == "peer", mode in BESIDE


def points_of(subject: Subject, mode: Mode, target: int = -1, fault: Fault = "none") -> Points:
    return Points(target, fault, sources=subject.sources() if mode in BETWEEN_LINES else ())


def tried(mode: Mode, points: Sequence[str]) -> list[int]:
    """The numbers of the points that a mode is tried at."""
    return [n for n, point in enumerate(points) if mode != "exit" or ".line " in point]


def untouched_ground(subject: Subject, folder: Path) -> Any:
    """What the ground is like before anything has happened on it."""
    ground = subject.ground.load()(folder / "node")
    ground.folder.mkdir(parents=True, exist_ok=True)
    ground.arrange()
    return ground.observe()


@contextmanager
def ended(*stands: Stand) -> Iterator[None]:
    """Ends drivers after what is done with them: the next run of this process is of the same plugin."""
    try:
        yield
    finally:
        sys.settrace(None)
        for stand in stands:
            stand.stop()


def dry(subject: Subject, folder: Path, story: Scenario, mode: Mode) -> Any:
    """The points of a scenario, and what the ground is like before it."""
    points = points_of(subject, mode)
    if mode == "peer":
        start(subject, folder, Points()).engine.close()
    before = untouched_ground(subject, folder)
    Player(subject, folder, points, story).open().play()
    return points.seen, before


def drilled(subject: Subject, folder: Path, story: Scenario) -> Any:
    """Likewise without faults, with what the drill finds."""
    points = points_of(subject, "drill")
    before = untouched_ground(subject, folder)
    found: list[str] = []
    player = Player(subject, folder, points, story).open()
    drilling = drill.watch(player, points, found)
    points.watch(Outside(folder, found.append))

    def between(step: Step, error: DracoreError | None) -> None:
        passed = len(points.seen)
        found.extend(rules.answered(player.stand, step, error))
        found.extend(rules.check(player.stand, settled=False, swept=False))
        del points.seen[passed:]  # those of the check's own probes

    player.play(between)
    found += rules.untouched(player.stand, before)
    seen = list(points.seen)
    found += rules.go_on(player.stand, before, swept=False)
    found += drilling.unseen()
    return seen, before, list(dict.fromkeys(found))


def record(subject: Subject, folder: Path, story: Scenario, store: Path) -> Any:
    """Likewise of a run up to its end, with what a death at each point would leave (:mod:`snapshots`)."""
    points = points_of(subject, "kill")
    before = untouched_ground(subject, folder)
    left: list[str] = []
    snapshots = Snapshots(folder, store)
    points.watch(lambda point, detail: left.append(snapshots.take()))
    Player(subject, folder, points, story).open().play()
    return points.seen, before, left


def record_recovery(subject: Subject, folder: Path, store: Path) -> Any:
    """Likewise of a start after a death."""
    points = points_of(subject, "kill")
    left: list[str] = []
    snapshots = Snapshots(folder, store)
    points.watch(lambda point, detail: left.append(snapshots.take()))
    with ended(start(subject, folder, points)):
        return points.seen, left


def play(subject: Subject, folder: Path, story: Scenario, number: int) -> Any:
    points = points_of(subject, "kill", number, "kill")
    Player(subject, folder, points, story).open().play()
    return points.seen


def recovered(subject: Subject, folder: Path, before: Any) -> list[str]:
    """A new process after a death: all is as it must be, then the kubelet goes on."""
    stand = start(subject, folder, Points())
    with ended(stand):
        stand.ground.heal()
        stand.engine.drain()
        found = [f"after recovery, {text}" for text in rules.check(stand) + rules.untouched(stand, before)]
        return found + rules.go_on(stand, before)


def fault(subject: Subject, folder: Path, story: Scenario, number: int, mode: Mode, before: Any) -> list[str]:
    """The process goes on after the fault, without a restart."""
    points = points_of(subject, mode, number, mode)  # type: ignore[arg-type]  # the rest are faults
    player = Player(subject, folder, points, story).open()
    player.play()
    stand = player.stand
    points.calm()
    stand.ground.heal()
    stand.engine.drain()
    found = [f"without a restart, {text}" for text in rules.check(stand, swept=False)]
    found += [f"without a restart, {text}" for text in rules.untouched(stand, before)]
    found += rules.go_on(stand, before, swept=False)
    player.close()
    again = start(subject, folder, Points())
    with ended(again):
        return found + [f"after a restart, {text}" for text in rules.check(again)]
