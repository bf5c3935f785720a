"""Runs the crash matrix of the engine, or of a plugin.

    python -m dracore.testing.crash [--jobs 2] [--every 1] [--seed TEXT] [--mode kill ...] [--only WORD ...]
"""

from __future__ import annotations

import argparse
import base64
import json
import logging
import os
import pickle
import sys
from collections.abc import Sequence

import structlog

from dracore.testing.crash import things
from dracore.testing.crash.double import NodeDouble
from dracore.testing.crash.fork import shared_out, workplace
from dracore.testing.crash.matrix import MODES, Matrix, Mode, Row
from dracore.testing.crash.report import Report
from dracore.testing.crash.scenario import Scenario
from dracore.testing.crash.scenarios import SCENARIOS
from dracore.testing.crash.stand import Code, Subject

ENGINE = Subject("things", Code.of(things), Code.of(NodeDouble))
"""The engine itself, under a plugin that does what claims say."""
_COSTLY: Sequence[Mode] = ("twice", "peer", "kill")


def run(
    subject: Subject, stories: Sequence[Scenario], modes: Sequence[Mode], *, every: int, seed: str, jobs: int
) -> Report:
    """The matrix, shared out to `jobs` processes."""
    tasks = [(story, mode) for mode in sorted(modes, key=lambda m: m not in _COSTLY) for story in stories]
    _ = subject.plugins, subject.effects  # imported before any fork
    with workplace() as folder:

        def one(number: int) -> dict[str, object]:
            story, mode = tasks[number]
            row = Matrix(subject, folder / str(number), every=every, seed=seed).row(story, mode)
            return vars(row)

        rows = [Row(**answer) for answer in shared_out(len(tasks), jobs, one)]
    order = {name: place for place, name in enumerate(MODES)}
    rows.sort(key=lambda row: order[row.mode])
    return Report(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the report; 1 where it has violations."""
    parser = argparse.ArgumentParser(prog="python -m dracore.testing.crash", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="a seeded n-th of the points (1: all)")
    parser.add_argument("--seed", default="")
    parser.add_argument("--mode", action="append", choices=MODES)
    parser.add_argument("--only", action="append", help="scenarios whose names contain this")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    # What the engine logs of injected faults is no news here.
    logging.getLogger().addHandler(logging.NullHandler())
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    subject, stories = ENGINE, list(SCENARIOS)
    modes: Sequence[Mode] = chosen.mode or MODES
    if chosen.task:
        # From the pytest fixture, which starts this module in a process of its own.
        path, subject, stories, modes = pickle.loads(base64.b64decode(chosen.task))  # noqa: S301
        sys.path[:] = path
    if chosen.only:
        stories = [story for story in stories if any(word in story.name for word in chosen.only)]
    report = run(subject, stories, modes, every=chosen.every, seed=chosen.seed, jobs=chosen.jobs)
    if chosen.task:
        sys.stdout.write(json.dumps([vars(row) for row in report.rows]) + "\n")
    else:
        sys.stdout.write(f"{report}\n")
    sys.stdout.flush()
    os._exit(1 if report.violations and not chosen.task else 0)


if __name__ == "__main__":
    main()
