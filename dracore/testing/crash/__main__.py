"""Runs the crash matrix of the engine.

python -m dracore.testing.crash [--jobs 2] [--every 1 | --sample] [--seed TEXT] [--mode MODE] [--only WORD]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dracore.testing.crash import things
from dracore.testing.crash.double import NodeDouble
from dracore.testing.crash.matrix import MODES
from dracore.testing.crash.running import run
from dracore.testing.crash.scenarios import PROMISED, SCENARIOS
from dracore.testing.crash.stand import Code, Subject

ENGINE = Subject("things", Code.of(things), Code.of(NodeDouble))
"""The engine itself, under a plugin that does what claims say."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the report; 1 where it has violations."""
    parser = argparse.ArgumentParser(prog="python -m dracore.testing.crash", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="a seeded n-th of the points (1: all)")
    parser.add_argument("--seed", default="")
    parser.add_argument(
        "--thin",
        action="store_true",
        help="of scenarios that nobody asked for, fewer points of modes that are alike",
    )
    parser.add_argument("--sample", action="store_true", help="one seeded point of every kind")
    parser.add_argument("--mode", action="append", choices=MODES)
    parser.add_argument("--only", action="append", help="scenarios whose names contain this")
    chosen = parser.parse_args(arguments)
    stories = [s for s in SCENARIOS if not chosen.only or any(word in s.name for word in chosen.only)]
    report = run(
        ENGINE,
        stories,
        chosen.mode or MODES,
        every=chosen.every,
        seed=chosen.seed,
        jobs=chosen.jobs,
        thin=[story.name for story in stories if story.name not in PROMISED] if chosen.thin else (),
        sample=chosen.sample,
        verbose=True,
    )
    sys.stdout.write(f"{report}\n")
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
