"""The oracle's answers and its generator, which the cluster tier uses too."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "oracle"))


@pytest.fixture
def examples() -> Path:
    return Path(__file__).resolve().parent.parent.parent / "examples"
