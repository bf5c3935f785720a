"""A seeded random walk: long sequences of calls, deaths, faults and reboots, with the rules after each leg.

python -m dracore.testing.crash.walk [--seeds 20] [--operations 100] [--jobs 2] [--first 0]
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from dracore.testing.crash import rules
from dracore.testing.crash.__main__ import ENGINE
from dracore.testing.crash.fork import forked, shared_out, workplace
from dracore.testing.crash.play import Player
from dracore.testing.crash.points import Fault, Points
from dracore.testing.crash.running import quiet
from dracore.testing.crash.scenario import (
    Ask,
    Containers,
    Delete,
    Drain,
    Fail,
    Handover,
    Late,
    Look,
    Outage,
    Prepare,
    Reallocate,
    Reconcile,
    Recreate,
    Restart,
    Scenario,
    Set,
    Step,
    TurnClock,
    Unprepare,
)
from dracore.testing.crash.scenarios import NEARLY_NO_TIME, plan
from dracore.testing.crash.stand import Subject, start

CLAIMS = ("c1", "c2", "c3", "c4", "c5")
FAULTS: tuple[Fault, ...] = ("kill", "kill", "kill", "EIO", "ENOSPC", "defect", "full", "gone")


def steps(chance: random.Random, count: int) -> list[Step]:
    """Operations as they might come, most of them prepare and unprepare."""
    uids = list(CLAIMS)
    return [_step(chance, uids) for _ in range(count)]


def _step(chance: random.Random, uids: list[str]) -> Step:
    """The next one; `uids` are those of all claims so far."""
    uid = chance.choice(uids)
    number = chance.random()
    if number < 0.40:
        return Prepare(uid, NEARLY_NO_TIME)
    if number < 0.65:
        return Unprepare(uid)
    if number < 0.75:
        return Reallocate(uid, ask(chance))
    if number < 0.80:
        return Fail(chance.choice(("apply", "half", "revert")), chance.choice(("mode", "dev-0", "dev-1")))
    if number < 0.83:
        uids.append(f"c{len(uids) + 1}")
        return Recreate(uids[-1], uid, ask(chance))
    of: Literal["api", "kubelet"] = chance.choice(("api", "kubelet"))
    rest: list[Step] = [
        Drain(),
        Reconcile(),
        Look(chance.choice((0.0, 90.0))),
        Late(uid),
        TurnClock(chance.choice((-3600.0, 3600.0))),
        Containers(uid),
        Containers(uid, run=False),
        Outage(of, over=chance.random() < 0.8),
        Outage(of, over=True),
        Restart(),
        Restart(boot=True),
        Delete(uid),
        Set("ready"),
        Handover(),
        Handover(back=True),
        Handover(end=True),
    ]
    return chance.choice(rest)


def ask(chance: random.Random) -> Ask:
    """An allocation; other claims may want the same devices and effects."""
    devices = tuple(chance.sample([f"dev-{i}" for i in range(5)], chance.choice((1, 1, 2))))
    kind = chance.choice(("thing", "fleeting", "probed", "pair", "later"))
    hold = [f"{kind} {{device}}"]
    if kind != "later" and chance.random() < 0.5:  # a deferred revert comes in no order
        hold = ["thing mode", f"{kind} {{device}} mode"]
    awaits = "ready" if chance.random() < 0.2 else ""
    return Ask(
        devices, plan(*hold, awaits=awaits, folder=chance.random() < 0.3), admin=chance.random() < 0.05
    )


def walk(subject: Subject, folder: Path, seed: int, operations: int) -> list[str]:
    """One walk; answers what broke a rule, with the leg in which it did."""
    chance = random.Random(f"walk {seed}")
    story = Scenario(f"walk {seed}", {uid: ask(chance) for uid in CLAIMS})
    todo = steps(chance, operations)
    out = folder / "answer.json"
    home = folder / "run"
    home.mkdir(parents=True)
    found: list[str] = []
    position = 0
    while position < len(todo):
        leg = todo[position : position + chance.randint(2, 12)]
        fault: Fault = chance.choice(FAULTS) if chance.random() < 0.8 else "none"
        points = Points(chance.randrange(len(leg) * 30), fault, sources=subject.sources())
        ended = forked(partial(_leg, subject, home, story, leg, points), out)
        place = f"walk {seed}, operations {position}-{position + len(leg) - 1}, {fault} at {points.target}"
        if ended.killed:
            ended = forked(lambda: _restarted(subject, home), out)
        found += [f"{place}: {text}" for text in ([ended.failed] if ended.failed else ended.answer)]
        position += len(leg)
    ended = forked(lambda: _end(subject, home), out)
    found += [f"walk {seed}, the end: {text}" for text in ([ended.failed] if ended.failed else ended.answer)]
    return found


def _leg(subject: Subject, folder: Path, story: Scenario, leg: Sequence[Step], points: Points) -> list[str]:
    """Some operations in one process, with a fault among them."""
    player = Player(subject, folder, points, Scenario(story.name, story.claims, tuple(leg))).open()
    player.play()
    points.calm()
    stand = player.stand
    stand.ground.heal()
    stand.engine.drain()
    return rules.check(stand, swept=False)


def _restarted(subject: Subject, folder: Path) -> list[str]:
    stand = start(subject, folder, Points())
    stand.ground.heal()
    stand.engine.drain()
    return rules.check(stand)


def _end(subject: Subject, folder: Path) -> list[str]:
    found = _restarted(subject, folder)
    before: Any = {}
    return found + rules.go_on(start(subject, folder, Points()), before)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what was found; 1 where it is anything."""
    parser = argparse.ArgumentParser(prog="python -m dracore.testing.crash.walk", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--operations", type=int, default=100, help="of each seed")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args(arguments)
    quiet()
    _ = ENGINE.plugins, ENGINE.effects  # imported before any fork
    with workplace() as folder:

        def one(number: int) -> list[str]:
            seed = chosen.first + number
            return walk(ENGINE, folder / str(seed), seed, chosen.operations)

        found = [text for answer in shared_out(chosen.seeds, chosen.jobs, one) for text in answer]
    for text in found[:50]:
        sys.stdout.write(f"VIOLATION {text}\n")
    total = chosen.seeds * chosen.operations
    sys.stdout.write(f"random walk: {chosen.seeds} seeds, {total} operations, {len(found)} violations\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
