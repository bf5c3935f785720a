"""The process that :func:`dracore.testing.crash.kit.crash_matrix` starts: a task on stdin, rows on stdout."""

from __future__ import annotations

import json
import pickle
import sys

from dracore.testing.crash.fork import die_with
from dracore.testing.crash.running import run


def main() -> None:
    source = sys.stdin.buffer
    sys.path[:] = pickle.load(source)  # noqa: S301 - our own parent wrote it
    parent, subject, stories, modes, every, jobs = pickle.load(source)  # noqa: S301
    die_with(parent)
    report = run(subject, stories, modes, every=every, jobs=jobs)
    sys.stdout.write(json.dumps([vars(row) for row in report.rows]))


if __name__ == "__main__":
    main()
