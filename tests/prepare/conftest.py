"""Makes the harness importable (also by child processes, which get its folder) and gives a world a test."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from prepare_harness import World, problems


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def engine(world):
    """A recovered engine; at the end of the test, nothing may be wrong with node, journal and files."""
    engine = world.engine()
    engine.recover()
    yield engine
    try:
        assert problems(world, engine, pending_ok=getattr(world, "pending_ok", False)) == []
    finally:
        engine.close()
