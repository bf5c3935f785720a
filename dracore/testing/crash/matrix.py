"""The crash matrix: every point of a scenario, every way to die or fail there, and what must hold after."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from dracore.testing.crash import children, power
from dracore.testing.crash.children import Mode
from dracore.testing.crash.fork import Ended, Helper, emptied, forked
from dracore.testing.crash.peer import Peer
from dracore.testing.crash.scenario import Restart, Scenario
from dracore.testing.crash.snapshots import Snapshots
from dracore.testing.crash.stand import Subject
from dracore.testing.crash.state import state_of
from dracore.testing.crash.stopped import Successor

MODES: tuple[Mode, ...] = get_args(Mode)
KILLED = 16
"""Of so many points that leave something else each, at one the process is really killed; of the others, what
it would leave is taken from one run up to the end."""


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
        self._run = folder / "run"  # always: files may name the folder that they lie in
        self._out = folder / "child"
        self._store = folder / "store"
        self._story: Scenario
        self._helper = Helper(self._work, folder / "helper")

    def points(self, story: Scenario, mode: Mode) -> list[str]:
        """What a scenario passes under a mode, as far as it is tried at its points."""
        self._begin()
        dry = self._alone(lambda: children.dry(self.subject, self._run, story, mode))
        return [] if dry.failed or not _fits(story, mode) else list(dry.answer[0])

    def row(self, story: Scenario, mode: Mode, numbers: Sequence[int] | None = None) -> Row:
        """One scenario under one mode.

        :param numbers: of the points to try; None: every so-manieth.
        """
        row = Row(story.name, mode)
        if not _fits(story, mode):
            return row
        self._begin()
        self._story = story
        try:
            if mode == "drill":
                self._drill(story, row)
            elif mode == "power":
                self._power(story, row)
            elif mode in ("kill", "twice"):
                self._deaths(story, row, numbers)
            else:
                self._faults(story, row, numbers)
        finally:
            self._helper.end()
        return row

    # --- the modes --------------------------------------------------------------------------------------

    def _drill(self, story: Scenario, row: Row) -> None:
        ended = self._alone(lambda: children.drilled(self.subject, self._run, story))
        if self._whole(ended, row):
            seen, _, row.violations = ended.answer
            row.points, row.runs = len(seen), 1

    def _deaths(self, story: Scenario, row: Row, numbers: Sequence[int] | None) -> None:
        dry = self._alone(lambda: children.record(self.subject, self._run, story, self._store))
        if not self._whole(dry, row):
            return
        seen, before, left = dry.answer
        row.points = len(seen)
        first = {name: number for number, name in reversed(list(enumerate(left)))}
        chosen = sorted(first.values()) if numbers is None else list(numbers)
        if numbers is None and self.every > 1:
            chosen = self._some(chosen, story, row.mode)
        again: set[str] = set()
        for number in chosen:
            place = f"{row.mode} at {number} {seen[number]}"
            if row.mode == "twice":
                row.violations += [
                    f"{place}: {text}" for text in self._twice(left[number], before, row, again)
                ]
                continue
            row.runs += 1
            really = numbers is not None or self._seeded(story, number)
            found = list(self._killed(story, number, left[number]) if really else ())
            found += self._judged({"do": "recovered", "at": left[number], "before": before})
            row.violations += [f"{place}: {text}" for text in found]

    def _killed(self, story: Scenario, number: int, left: str) -> list[str]:
        """What a real death leaves must be what was noted as left; that of this run is judged."""
        emptied(self._run)
        ended = self._alone(lambda: children.play(self.subject, self._run, story, number))
        if not ended.killed:
            return [f"the point was not passed again ({ended.failed or 'the run came to its end'})"]
        real = self._alone(lambda: state_of(self._run)).answer
        noted = self._helper.ask({"do": "state", "at": left}).answer
        return [] if real == noted else ["a real death leaves something else than was noted"]

    def _twice(self, left: str, before: Any, row: Row, known: set[str]) -> Iterator[str]:
        """A second death, at each point of the recovery from the first; what leaves the same counts once."""
        if not self._news(left, known):
            return
        ended = self._helper.ask({"do": "record", "at": left})
        if ended.failed or ended.killed:
            yield f"survives: the recovery: {ended.failed or 'killed'}"
            return
        for second, (point, name) in enumerate(zip(*ended.answer, strict=True)):
            if self._news(name, known):
                row.runs += 1
                for text in self._judged({"do": "recovered", "at": name, "before": before}):
                    yield f"and at point {second} of the recovery, {point}: {text}"

    def _news(self, name: str, known: set[str]) -> bool:
        """Whether nothing was like this yet."""
        if name in known:
            return False
        state = self._helper.ask({"do": "state", "at": name}).answer
        new = state is None or state not in known
        known |= {name, state}
        return new

    def _faults(self, story: Scenario, row: Row, numbers: Sequence[int] | None) -> None:
        mode = row.mode
        dry = self._alone(lambda: children.dry(self.subject, self._run, story, mode))
        if not self._whole(dry, row):
            return
        seen, before = dry.answer
        places = children.tried(mode, seen)
        row.points = len(places)
        chosen = self._some(places, story, mode) if numbers is None else numbers
        peer = Peer(self.subject, self._run, self._out)
        successor = Successor(self.subject, self._run, self._out)
        for number in chosen:
            row.runs += 1
            found: Sequence[str]
            if mode == "peer":
                # Next to each other lie points at which all is the same: one comes so, one otherwise.
                found = peer.beside(story, number, before, undone=self._turn(number))
            elif mode == "stop":
                ways = [(self._turn(number), self._turn(number // 2))]
                if seen[number].startswith("wait."):  # it has no lock here: whatever comes may come
                    ways = [(False, False), (False, True), (True, False)]
                row.runs += len(ways) - 1
                found = [
                    text
                    for release, dies in ways
                    for text in successor.beside(story, number, before, release=release, dies=dies)
                ]
            else:
                found = self._judged({"do": "fault", "number": number, "mode": mode, "before": before})
            row.violations += [f"{mode} at {number} {seen[number]}: {text}" for text in found]
        peer.end()
        successor.end()

    def _power(self, story: Scenario, row: Row) -> None:
        ended = self._alone(lambda: power.record(self.subject, self._run, story, self._store))
        if not self._whole(ended, row):
            return
        seen, before, cuts = ended.answer
        row.points = len(seen)
        for number in self._some(list(range(len(cuts))), story, "power"):
            name, way, point = cuts[number]
            row.runs += 1
            found = self._judged({"do": "power", "at": name, "before": before})
            row.violations += [f"power cut at {point} ({way}): {text}" for text in found]

    # --- which points -----------------------------------------------------------------------------------

    def _some(self, numbers: Sequence[int], story: Scenario, mode: Mode) -> list[int]:
        if self.every <= 1:
            return list(numbers)
        chance = random.Random(f"{story.name} {mode} {self.seed}")
        return sorted(chance.sample(list(numbers), -(-len(numbers) // self.every)))

    def _seeded(self, story: Scenario, number: int) -> bool:
        return random.Random(f"{story.name} {number} {self.seed}").random() < 1 / KILLED

    def _turn(self, number: int) -> bool:
        return bool((number + len(self.seed)) % 2)

    # --- children ---------------------------------------------------------------------------------------

    def _begin(self) -> None:
        emptied(self.folder)
        self._store.mkdir()
        self._run.mkdir()

    def _alone(self, work: Callable[[], Any]) -> Ended:
        return forked(work, self._out)

    def _judged(self, question: dict[str, Any]) -> Sequence[str]:
        """What one run finds. What is found after other runs in one process is asked again in one of its own,
        whose words are told; what it does not find again is told all the same."""
        found = self._findings(self._helper.ask(question))
        if not found:
            return []
        again = self._findings(self._alone(lambda: self._work(question)))
        return again or [f"{text} (once, and not again in a process of its own)" for text in found]

    def _findings(self, ended: Ended) -> Sequence[str]:
        """Of a run that answers a list of them."""
        if ended.killed or ended.failed:
            return [f"survives: the process ended: {ended.failed or 'killed'}"]
        found: list[str] = ended.answer
        return found

    def _work(self, question: dict[str, Any]) -> Any:
        """In a child: one run, in a folder that begins anew or with what a death has left."""
        do, before = question["do"], question.get("before")
        if do == "fault":
            number, mode = question["number"], question["mode"]
            return children.fault(self.subject, emptied(self._run), self._story, number, mode, before)
        folder = Snapshots(self._run, self._store).lay_out(question["at"])
        if do == "recovered":
            return children.recovered(self.subject, folder, before)
        if do == "power":
            return power.after_cut(self.subject, folder, before)
        if do == "record":
            return children.record_recovery(self.subject, folder, self._store)
        return state_of(folder)

    def _whole(self, ended: Ended, row: Row) -> bool:
        """Whether the run without any fault came to its end."""
        if ended.failed or ended.killed:
            row.violations.append(f"survives: {row.scenario} without any fault: {ended.failed or 'killed'}")
            return False
        if ended.answer[1] is None:
            row.violations.append(
                "outside: observe() of the ground answers None, so nothing would be compared"
            )
            return False
        return True


def _fits(story: Scenario, mode: Mode) -> bool:
    """Across a reboot no other instance is up."""
    return mode not in children.BESIDE or not any(isinstance(s, Restart) and s.boot for s in story.steps)
