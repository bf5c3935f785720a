"""A plugin's new version gives an effect another key: one thing must not be held twice."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
from prepare_harness import Call, Thing, World, problems

from dracore.errors import EffectConflict


@dataclass(frozen=True)
class Renamed(Thing):
    """The next version of `Thing`."""

    kind: ClassVar[str] = Thing.kind

    @property
    def key(self) -> str:
        return f"v2/{self.name}"


@pytest.fixture
def upgraded(world):
    world.holds(Thing("a"))
    engine = world.engine()
    engine.recover()
    world.first = world.claim("c1", "dev-0")
    engine.prepare(world.first, Call())
    engine.close()
    world = World(world.folder, cluster=world.cluster)
    world.first = world.claim("c1", "dev-0")
    world.kinds[Thing.kind] = Renamed
    return world


def test_what_is_held_under_the_old_key_is_refused_under_the_new_one_until_it_is_released(upgraded):
    engine = upgraded.engine()
    engine.recover()
    upgraded.holds(Renamed("a"))
    second = upgraded.claim("c2", "dev-1")
    for _ in range(2):
        with pytest.raises(EffectConflict, match="held as thing/a by claim name-of-c1"):
            engine.prepare(second, Call())
    assert set(upgraded.hardware.things) == {"a"}
    engine.unprepare(upgraded.first, Call())
    assert upgraded.hardware.things == {}
    engine.prepare(second, Call())
    assert [e.key for e in engine.snapshot().effects] == ["v2/a"]
    engine.unprepare(second, Call())
    assert problems(upgraded, engine) == []
    engine.close()


def test_other_things_of_the_kind_are_free(upgraded):
    engine = upgraded.engine()
    engine.recover()
    upgraded.holds(Renamed("b"))
    engine.prepare(upgraded.claim("c2", "dev-1"), Call())
    assert {e.key for e in engine.snapshot().effects} == {"thing/a", "v2/b"}
    assert problems(upgraded, engine) == []
    engine.close()
