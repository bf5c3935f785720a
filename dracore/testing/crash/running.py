"""The whole matrix, shared out to processes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence

import structlog

from dracore.testing.crash.fork import shared_out, workplace
from dracore.testing.crash.matrix import MODES, Matrix, Mode, Row
from dracore.testing.crash.report import Report
from dracore.testing.crash.scenario import Scenario
from dracore.testing.crash.stand import Subject

_COSTLY: Sequence[Mode] = ("twice", "peer", "kill")
THINNED: Mapping[Mode, int] = {"EIO": 2, "EROFS": 3, "timeout": 3, "defect": 3, "gone": 3, "twice": 4}
"""Modes of which a run of the whole takes every so-manieth point, by seed: the engine treats these errors
alike, and ``twice`` is a product. All others take every point."""


def run(
    subject: Subject,
    stories: Sequence[Scenario],
    modes: Sequence[Mode],
    *,
    every: int = 1,
    seed: str = "",
    jobs: int = 1,
    thin: bool = False,
    verbose: bool = False,
) -> Report:
    """Every scenario under every mode. This process must have no threads, and never have opened SQLite."""
    quiet()
    tasks = [(story, mode) for mode in sorted(modes, key=lambda m: m not in _COSTLY) for story in stories]
    _ = subject.plugins, subject.effects  # imported before any fork
    with workplace() as folder:

        def one(number: int) -> dict[str, object]:
            story, mode = tasks[number]
            each = every * THINNED.get(mode, 1) if thin else every
            row = Matrix(subject, folder / str(number), every=each, seed=seed).row(story, mode)
            if verbose:
                sys.stderr.write(f"{mode}: {story.name}: {row.runs} runs, {len(row.violations)} violations\n")
            return vars(row)

        rows = [Row(**answer) for answer in shared_out(len(tasks), jobs, one)]
    order = {name: place for place, name in enumerate(MODES)}
    rows.sort(key=lambda row: order[row.mode])
    return Report(rows)


def quiet() -> None:
    """What the engine logs of injected faults is no news."""
    logging.getLogger().addHandler(logging.NullHandler())
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
