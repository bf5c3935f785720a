from __future__ import annotations

from pathlib import Path

import pytest

from dracore.cdi import Cdi


class Seen:
    """A seam that writes down what passes, and fails where it is told to."""

    def __init__(self) -> None:
        self.points: list[tuple[str, str]] = []
        self.fail_at = ""

    def __call__(self, point: str, detail: str = "") -> None:
        self.points.append((point, Path(detail).name))
        if point == self.fail_at:
            raise KeyboardInterrupt(point)


@pytest.fixture
def seam() -> Seen:
    return Seen()


@pytest.fixture
def cdi(tmp_path: Path, seam: Seen) -> Cdi:
    return Cdi(tmp_path / "cdi", "gpu.example.com", seam)
