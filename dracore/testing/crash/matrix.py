"""The crash matrix: every point of a scenario, every way to die or fail there, and what must hold after."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from dracore.testing.crash import drill, peer, power, rules, stopped
from dracore.testing.crash.fork import Ended, emptied, forked
from dracore.testing.crash.outside import Outside
from dracore.testing.crash.play import Player
from dracore.testing.crash.points import Fault, Points
from dracore.testing.crash.scenario import Restart, Scenario
from dracore.testing.crash.stand import Subject, start
from dracore.testing.crash.state import state_of

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
    "full",
    "gone",
]
"""``drill``: probe and revert are tried around every change. ``kill``: SIGKILL at the point. ``twice``: and
again at every point of the recovery. ``peer``: another instance that was up goes on. ``stop``: SIGSTOP;
another instance starts and takes over, then the stopped one goes on. ``power``: the node loses power; folders
are rebuilt from what was fsynced. The others are faults, see :data:`points.Fault`."""
MODES: tuple[Mode, ...] = get_args(Mode)
BETWEEN_LINES: frozenset[Mode] = frozenset({"kill", "twice", "power", "ENOSPC"})
"""Modes that are also tried between the lines of effects: a death there, and an error there, whichever it is.
(Who is stopped there has the key's lock, as at the points around it.)"""


@dataclass
class Row:
    """One scenario under one mode."""

    scenario: str
    mode: Mode
    points: int = 0
    runs: int = 0
    violations: list[str] = field(default_factory=list)


class Matrix:
    """Runs scenarios of one subject in forked children.

    :param folder: for the runs; in memory is fastest.
    :param every: 1: all points; n: a seeded n-th of them.
    """

    def __init__(self, subject: Subject, folder: Path, *, every: int = 1, seed: str = "") -> None:
        self.subject = subject
        self.folder = folder
        self.every = every
        self.seed = seed
        self._out = folder / "answer.json"
        folder.mkdir(parents=True, exist_ok=True)

    def points(self, story: Scenario, mode: Mode) -> list[str]:
        """What a scenario passes under a mode, as far as it is tried at its points."""
        run = self._fresh("run")
        dry = self._forked(lambda: _dry(self.subject, run, story, mode))
        return [] if dry.failed or not _fits(story, mode) else list(dry.answer[0])

    def row(self, story: Scenario, mode: Mode, numbers: Sequence[int] | None = None) -> Row:
        """One scenario under one mode.

        :param numbers: of the points to try; None: every so-manieth.
        """
        row = Row(story.name, mode)
        if not _fits(story, mode):
            return row
        if mode == "power":
            self._power(story, row)
            return row
        run = self._fresh("run")
        dry = self._forked(lambda: _dry(self.subject, run, story, mode))
        if dry.failed:
            row.violations.append(f"survives: {story.name} without any fault: {dry.failed}")
            return row
        seen, before, found = dry.answer
        if mode == "drill":
            row.points, row.runs, row.violations = len(seen), 1, list(dict.fromkeys(found))
            return row
        row.points = len(seen)
        states: set[str] = set()
        for number in self._chosen(story, mode, len(seen)) if numbers is None else numbers:
            for text in self._at(story, mode, number, seen[number], before, row, states):
                row.violations.append(f"{mode} at {number} {seen[number]}: {text}")
        return row

    def _chosen(self, story: Scenario, mode: Mode, count: int) -> list[int]:
        if self.every <= 1:
            return list(range(count))
        chance = random.Random(f"{story.name} {mode} {self.seed}")
        return sorted(chance.sample(range(count), -(-count // self.every)))

    def _at(
        self, story: Scenario, mode: Mode, number: int, point: str, before: Any, row: Row, states: set[str]
    ) -> Iterator[str]:
        folder = self._fresh("run")
        row.runs += 1
        if mode in ("kill", "twice"):
            yield from self._die(folder, story, number)
            if mode == "kill":
                yield from self._findings(self._forked(lambda: _recovered(self.subject, folder, before)))
                return
            state = self._forked(lambda: state_of(folder)).answer
            row.runs -= 1
            if state not in states:
                states.add(state)
                yield from self._again(folder, before, row)
        elif mode == "peer":
            # Next to each other lie points at which all is the same: one comes so, one otherwise.
            yield from peer.with_peer(
                self.subject, folder, story, number, before, self._out, undone=self._turn(number)
            )
        elif mode == "stop":
            ways = [(self._turn(number), self._turn(number // 2))]
            if point.startswith("wait."):  # it has no lock here: whatever comes may come
                ways = [(False, False), (False, True), (True, False)]
            row.runs += len(ways) - 1
            for release, dies in ways:
                yield from stopped.beside(
                    self.subject,
                    self._fresh("run"),
                    story,
                    number,
                    before,
                    self._out,
                    release=release,
                    dies=dies,
                )
        else:
            yield from self._findings(
                self._forked(lambda: _fault(self.subject, folder, story, number, mode, before))
            )

    def _turn(self, number: int) -> bool:
        return bool((number + len(self.seed)) % 2)

    def _die(self, folder: Path, story: Scenario, number: int) -> Iterator[str]:
        ended = self._forked(lambda: _play(self.subject, folder, story, number))
        if not ended.killed:
            yield f"the point was not passed again ({ended.failed or 'the run came to its end'})"

    def _again(self, folder: Path, before: Any, row: Row) -> Iterator[str]:
        """A second death, at each point of the recovery from the first."""
        saved = self.folder / "saved"
        shutil.rmtree(saved, ignore_errors=True)
        shutil.copytree(folder, saved)
        second = 0
        while True:
            shutil.rmtree(folder)
            shutil.copytree(saved, folder)
            ended = self._forked(lambda second=second: _recover(self.subject, folder, second))
            if not ended.killed:
                if ended.failed:
                    yield f"survives: the recovery: {ended.failed}"
                return
            row.runs += 1
            found = self._findings(self._forked(lambda: _recovered(self.subject, folder, before)))
            yield from (f"and at point {second} of the recovery: {text}" for text in found)
            second += 1

    def _power(self, story: Scenario, row: Row) -> None:
        images = self._fresh("images")
        folder = self._fresh("run")
        ended = self._forked(lambda: power.record(self.subject, folder, story, images))
        if ended.failed:
            row.violations.append(f"survives: {story.name} without any fault: {ended.failed}")
            return
        seen, before, cuts = ended.answer
        row.points = len(seen)
        for number in self._chosen(story, "power", len(cuts)):
            name, point = cuts[number]
            row.runs += 1
            found = self._findings(
                self._forked(lambda name=name: power.after_cut(self.subject, images / name, before))
            )
            row.violations += [f"power cut at {point} ({name}): {text}" for text in found]

    def _fresh(self, name: str) -> Path:
        return emptied(self.folder / name)

    def _forked(self, work: Any) -> Ended:
        return forked(work, self._out)

    def _findings(self, ended: Ended) -> Sequence[str]:
        if ended.killed or ended.failed:
            return [f"survives: the process ended: {ended.failed or 'killed'}"]
        found: list[str] = ended.answer
        return found


def _fits(story: Scenario, mode: Mode) -> bool:
    """Across a reboot no other instance is up."""
    return mode not in ("peer", "stop") or not any(isinstance(s, Restart) and s.boot for s in story.steps)


# --- what happens in the children -------------------------------------------------------------------------


def _points(subject: Subject, mode: Mode, target: int = -1, fault: Fault = "none") -> Points:
    return Points(target, fault, sources=subject.sources() if mode in BETWEEN_LINES else ())


def _dry(subject: Subject, folder: Path, story: Scenario, mode: Mode) -> Any:
    """The points of a scenario, and what the ground is like before it."""
    drilled = mode == "drill"
    points = _points(subject, mode)
    if mode == "peer":
        start(subject, folder, Points()).engine.close()
    player = Player(subject, folder, points, story)
    ground = subject.ground.load()(folder / "node")
    ground.folder.mkdir(parents=True, exist_ok=True)
    ground.arrange()
    before = ground.observe()
    found: list[str] = []
    player.open()
    if drilled:
        drill.watch(player, points, found)
        points.watch(Outside(folder, found.append))
    if drilled:

        def between() -> None:
            passed = len(points.seen)
            found.extend(rules.check(player.stand, settled=False, swept=False))
            del points.seen[passed:]  # those of the check's own probes

        player.play(between)
        found += rules.untouched(player.stand, before)
        seen = list(points.seen)
        found += rules.go_on(player.stand, before, swept=False, undisturbed=True)
        return seen, before, found
    player.play()
    return points.seen, before, found


def _play(subject: Subject, folder: Path, story: Scenario, number: int) -> Any:
    points = _points(subject, "kill", number, "kill")
    Player(subject, folder, points, story).open().play()
    return points.seen


def _recover(subject: Subject, folder: Path, number: int) -> None:
    start(subject, folder, _points(subject, "kill", number, "kill"))


def _recovered(subject: Subject, folder: Path, before: Any) -> list[str]:
    """A new process after a death: all is as it must be, then the kubelet goes on."""
    stand = start(subject, folder, Points())
    stand.ground.heal()
    stand.engine.drain()
    found = [f"after recovery, {text}" for text in rules.check(stand) + rules.untouched(stand, before)]
    return found + rules.go_on(stand, before)


def _fault(
    subject: Subject, folder: Path, story: Scenario, number: int, mode: Mode, before: Any
) -> list[str]:
    """The process goes on after the fault, without a restart."""
    points = _points(subject, mode, number, mode)  # type: ignore[arg-type]  # the rest are faults
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
    return found + [f"after a restart, {text}" for text in rules.check(again)]
