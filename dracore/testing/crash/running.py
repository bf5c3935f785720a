"""The whole matrix, shared out to processes."""

from __future__ import annotations

import gc
import logging
import sqlite3
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from dracore.cdi import Cdi
from dracore.prepare import schema
from dracore.testing.crash import sampling
from dracore.testing.crash.children import Mode, passes
from dracore.testing.crash.fork import shared_out, workplace
from dracore.testing.crash.matrix import MODES, Matrix, Row
from dracore.testing.crash.points import Points
from dracore.testing.crash.report import Report
from dracore.testing.crash.scenario import Scenario
from dracore.testing.crash.stand import Stand, Subject

_COSTLY: Sequence[Mode] = ("stop", "peer", "full", "gone")
THINNED: Mapping[Mode, int] = {
    "peer": 6,
    "stop": 3,
    "ENOSPC": 12,
    "EIO": 12,
    "EROFS": 12,
    "timeout": 12,
    "defect": 12,
    "exit": 6,
    "full": 6,
    "gone": 6,
}
"""Modes of which thinned scenarios take every so-manieth point, by seed: the engine treats these errors
alike, and what ``peer`` dies at ``stop`` stops at. All others take every point."""


def run(
    subject: Subject,
    stories: Sequence[Scenario],
    modes: Sequence[Mode],
    *,
    every: int = 1,
    seed: str = "",
    jobs: int = 1,
    thin: Collection[str] = (),
    sample: bool = False,
    verbose: bool = False,
) -> Report:
    """Every scenario under every mode. This process must have no threads, and never have opened SQLite.

    :param thin: names of scenarios that take a part of modes that are alike (:data:`THINNED`).
    :param sample: one seeded point of every kind (:mod:`dracore.testing.crash.sampling`).
    """
    quiet()
    warm(subject)
    gc.freeze()  # what a child collects would be copied first
    modes = sorted(modes, key=lambda mode: mode not in _COSTLY)
    with workplace() as folder:

        def matrix(number: int, every: int) -> Matrix:
            return Matrix(subject, folder / str(number), every=every, seed=seed)

        if sample:
            grouped = [mode for mode in modes if mode in sampling.GROUPED]
            alike = {
                mode: next(other for other in grouped if passes(other) == passes(mode)) for mode in grouped
            }
            asked = [(story, mode) for mode in dict.fromkeys(alike.values()) for story in stories]
            found = shared_out(len(asked), jobs, lambda n: matrix(n, 1).points(*asked[n]))
            points = {(s.name, mode): passed for (s, mode), passed in zip(asked, found, strict=True)}
            seen = {(s.name, mode): points[s.name, alike[mode]] for s in stories for mode in grouped}
            tasks = _sampled(stories, modes, sampling.choose(seen, seed), seed)
        else:
            tasks = [
                _Task(story, mode, every * (THINNED.get(mode, 1) if story.name in thin else 1))
                for mode in modes
                for story in stories
            ]

        def one(number: int) -> dict[str, object]:
            task = tasks[number]
            row = matrix(number, task.every).row(task.story, task.mode, task.numbers)
            if verbose:
                text = f"{row.mode}: {row.scenario}: {row.runs} runs, {len(row.violations)} violations\n"
                sys.stderr.write(text)
            return vars(row)

        rows = [Row(**answer) for answer in shared_out(len(tasks), jobs, one)]
    order = {name: place for place, name in enumerate(MODES)}
    rows.sort(key=lambda row: order[row.mode])
    return Report(rows)


@dataclass(frozen=True)
class _Task:
    story: Scenario
    mode: Mode
    every: int = 1
    numbers: Sequence[int] | None = None
    """The points; None: every so-manieth."""


def _sampled(
    stories: Sequence[Scenario],
    modes: Sequence[Mode],
    chosen: Mapping[sampling.Place, Sequence[int]],
    seed: str,
) -> list[_Task]:
    tasks = []
    for mode in modes:
        if mode in sampling.GROUPED:
            places = [(story, chosen.get((story.name, mode))) for story in stories]
            tasks += [_Task(story, mode, numbers=numbers) for story, numbers in places if numbers]
        else:
            names = sampling.some([story.name for story in stories], mode, seed)
            every = sampling.OTHERS[mode][1]
            tasks += [_Task(story, mode, every) for story in stories if story.name in names]
    return tasks


def warm(subject: Subject) -> None:
    """Does before any fork what every child would do again: imports, patterns, models, the schema's text."""
    _ = subject.plugins, subject.effects
    with workplace() as folder:
        with suppress(Exception):  # said of the first run
            Stand(subject, folder, Points())
        Cdi(folder, subject.driver_name)
    connection = sqlite3.connect(":memory:")  # closed before any fork, and of no file
    schema.altered(connection, (schema.MAJOR, schema.MINOR))
    connection.close()


def quiet() -> None:
    """What the engine logs of injected faults is no news."""
    logging.getLogger().addHandler(logging.NullHandler())
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
