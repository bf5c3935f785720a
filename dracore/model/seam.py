"""The one seam that every boundary of a prepare passes: journal, effects, files, API, replies.

In production nothing listens. The test kit enumerates the points of a scenario, dies or fails at each, and
rebuilds folders from what the seam saw fsynced (power cuts).
"""

from __future__ import annotations

from typing import Protocol


class Seam(Protocol):
    """Called at each boundary. May raise (a fault) or never return (a kill)."""

    def __call__(self, point: str, detail: str = "") -> None:
        """`point` is ``area.step.when``: ``journal.commit.before``, ``effect.apply.after``,
        ``cdi.rename.before``, ``file.fsync.after``; `detail` names what (a kind and key, a path, a claim).
        """
        ...


def no_seam(point: str, detail: str = "") -> None:
    """The seam in production: nothing listens."""
