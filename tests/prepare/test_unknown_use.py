"""A journal that was lost, or in part: what pods use is given to nobody else, and is released in the end."""

import sqlite3

import pytest
from prepare_harness import Call, Thing

from dracore.errors import DeviceBusy, SocketError
from dracore.prepare import Reconciler


class Clock:
    time = 1000.0

    def now(self):
        return self.time

    def monotonic(self):
        return self.time


def lose(world):
    for path in world.plugin_folder.glob("journal.db*"):
        path.unlink()


@pytest.fixture
def lost(world):
    """An engine whose journal was lost while a pod uses claim c1 with dev-0."""
    engine = world.engine()
    engine.prepare(world.claim("c1", "dev-0"), Call())
    engine.close()
    lose(world)
    world.clock = Clock()
    engine = world.engine(clock=world.clock)
    engine.recover()
    world.pods = {"c1": ["default/web-0"]}
    yield engine
    engine.close()


class TestLost:
    def test_a_device_in_use_is_refused_to_others(self, world, lost):
        with pytest.raises(DeviceBusy, match="device dev-0 is in use by a pod"):
            lost.prepare(world.claim("c2", "dev-0"), Call())
        assert lost.prepare(world.claim("c3", "dev-1"), Call())
        assert lost.prepare(world.claim("c4", "dev-0", admin=True), Call())

    def test_so_is_another_device_of_the_same_hardware(self, world, lost):
        world.device("dev-0", occupies={"slice/0": 1, "slice/1": 1})
        world.device("part", occupies={"slice/1": 1})
        with pytest.raises(DeviceBusy, match="device part is in use"):
            lost.prepare(world.claim("c2", "part"), Call())

    def test_its_own_claim_is_prepared_again(self, world, lost):
        assert lost.prepare(world.claim("c1", "dev-0"), Call())
        with pytest.raises(DeviceBusy, match="is prepared for claim name-of-c1"):
            lost.prepare(world.claim("c2", "dev-0"), Call())

    def test_one_more_share_of_it_is_in_nobodys_way(self, world, lost):
        assert lost.prepare(world.claim("c2", "dev-0", share="s2"), Call())

    def test_it_is_free_once_the_pod_has_ended(self, world, lost):
        world.pods = {}
        assert lost.prepare(world.claim("c2", "dev-0"), Call())

    def test_a_kubelet_that_does_not_say_is_doubt(self, world, lost):
        world.pods = SocketError("nobody answers")
        with pytest.raises(SocketError):
            lost.prepare(world.claim("c2", "dev-0"), Call())

    def test_but_not_where_nothing_is_missing(self, world):
        world.pods = SocketError("nobody answers")
        engine = world.engine()
        assert engine.prepare(world.claim("c2", "dev-0"), Call())
        engine.close()

    def test_after_the_sweep_nobody_is_asked(self, world, lost):
        world.pods = {}
        reconciler = Reconciler(lost)
        for _ in range(2):
            reconciler.look()
            world.clock.time += 90
        world.pods = SocketError("nobody answers")
        assert lost.prepare(world.claim("c2", "dev-0"), Call())


@pytest.fixture
def partly(world):
    """An engine whose journal has lost the claims' table and kept who holds what."""
    world.holds(Thing("mode"))
    engine = world.engine()
    for number in range(2):
        engine.prepare(world.claim(f"c{number}", f"dev-{number}"), Call())
    engine.close()
    path = world.plugin_folder / "journal.db"
    connection = sqlite3.connect(path)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'claims'").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    content = bytearray(path.read_bytes())
    content[(root - 1) * size : (root - 1) * size + 64] = b"\xff" * 64
    path.write_bytes(content)
    world.clock = Clock()
    engine = world.engine(clock=world.clock)
    engine.recover()
    yield engine
    engine.close()


def holders(engine):
    return [set(effect.holders) for effect in engine.snapshot().effects]


class TestPartly:
    def test_unprepare_releases_what_holders_say_without_a_record(self, world, partly):
        assert partly.snapshot().claims == ()
        assert [{"c0", "c1"} <= found for found in holders(partly)] == [True]
        partly.unprepare(world.claim("c0", "dev-0"), Call())
        assert [{"c0", "c1"} & found for found in holders(partly)] == [{"c1"}]
        partly.unprepare(world.claim("c1", "dev-1"), Call())
        # Whether those were all, the journal does not know: the kubelet does.
        assert set(world.hardware.things) == {"mode"}
        world.pods = {"c9": ["default/web-0"]}
        self.look_twice(world, partly)
        assert set(world.hardware.things) == {"mode"}
        world.pods = {}
        self.look_twice(world, partly)
        assert world.hardware.things == {}
        assert partly.snapshot().effects == ()

    def test_what_nobody_unprepares_is_released_too(self, world, partly):
        world.pods = {}
        self.look_twice(world, partly)
        assert world.hardware.things == {}
        assert partly.snapshot().effects == ()

    @staticmethod
    def look_twice(world, engine):
        reconciler = Reconciler(engine)
        for _ in range(2):
            reconciler.look()
            world.clock.time += 90
