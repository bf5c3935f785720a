"""The matrix as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dracore.testing.crash.matrix import Row

LONGEST = 60
"""Violations that are printed of one row."""


@dataclass(frozen=True)
class Report:
    rows: Sequence[Row]

    @property
    def violations(self) -> list[str]:
        return [f"{row.scenario}: {text}" for row in self.rows for text in row.violations]

    def summary(self) -> str:
        """``crash matrix: N scenarios, N points, N runs, N violations``."""
        points = {row.scenario: 0 for row in self.rows}
        for row in self.rows:
            points[row.scenario] = max(points[row.scenario], row.points)
        runs = sum(row.runs for row in self.rows)
        return (
            f"crash matrix: {len(points)} scenarios, {sum(points.values())} points, {runs} runs, "
            f"{len(self.violations)} violations"
        )

    def __str__(self) -> str:
        modes = list(dict.fromkeys(row.mode for row in self.rows))
        names = list(dict.fromkeys(row.scenario for row in self.rows))
        cells = {(row.scenario, row.mode): row for row in self.rows}
        widest = max(len(name) for name in names)
        lines = [f"{'scenario':{widest}}  points  violations  " + "  ".join(f"{mode:>7}" for mode in modes)]
        for name in names:
            own = [row for row in self.rows if row.scenario == name]
            runs = "  ".join(
                f"{cells[name, mode].runs:>7}" if (name, mode) in cells else " " * 7 for mode in modes
            )
            points, bad = max(row.points for row in own), sum(len(row.violations) for row in own)
            lines.append(f"{name:{widest}}  {points:>6}  {bad:>10}  {runs}")
        for row in self.rows:
            lines += [f"VIOLATION {row.scenario}: {text}" for text in row.violations[:LONGEST]]
            if len(row.violations) > LONGEST:
                lines.append(
                    f"... and {len(row.violations) - LONGEST} more of {row.scenario} under {row.mode}"
                )
        return "\n".join([*lines, self.summary()])
