"""A claim that is wanted again while the reconciler is about to release it. Time is the test's."""

import threading

import pytest
from prepare_harness import Call, Thing, problems

from dracore.errors import Unreachable
from dracore.prepare import Reconciler


class Clock:
    def __init__(self):
        self.time = 1000.0

    def now(self):
        return self.time

    def monotonic(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def engine(world, clock):
    world.engine().close()
    engine = world.engine(clock=clock)
    engine.recover()
    yield engine
    assert problems(world, engine) == []
    engine.close()


@pytest.fixture
def unwanted(world, engine, clock):
    """A claim that one look has found reserved for nobody; the next one would release it."""
    world.pods = {}
    world.holds(Thing("a"))
    world.ref = world.claim("c1", "dev-0")
    engine.prepare(world.ref, Call())
    world.change("c1", reserved_for=())
    reconciler = Reconciler(engine)
    assert reconciler.look() == 90
    clock.time += 90
    return reconciler


def is_whole(world, engine):
    return [c.ref.uid for c in engine.snapshot().claims] == ["c1"] and set(world.hardware.things) == {"a"}


def come_again(world, engine):
    """A pod reserves the claim, and the kubelet has it prepared: all is there, nothing changes."""
    world.change("c1", reserved_for=("pod-2",))
    assert engine.prepare(world.ref, Call())


def test_while_another_claim_is_asked_about(world, engine, unwanted):
    engine.prepare(world.claim("c2", "dev-1"), Call())
    get, came = world.get, []

    def asked(ref, timeout):
        if ref.uid == "c2" and not came:
            came.append(1)
            come_again(world, engine)
        return get(ref, timeout)

    world.get = asked
    unwanted.look()
    assert came
    assert {c.ref.uid for c in engine.snapshot().claims} == {"c1", "c2"}
    assert set(world.hardware.things) == {"a"}
    assert world.reports.events == []


def test_while_the_kubelet_is_asked_who_uses_it(world, engine, unwanted):
    came = []

    def users(driver):
        if not came:
            came.append(1)
            come_again(world, engine)
        return {}

    world.users = users
    unwanted.look()
    assert came
    assert is_whole(world, engine)


def test_a_prepare_that_comes_while_it_is_released_finds_it_gone_and_begins_anew(world, engine, unwanted):
    """The last question is asked under the claim's lock: the Prepare waits for it."""
    box = []
    thread = threading.Thread(target=lambda: box.append(engine.prepare(world.ref, Call())))
    users = world.users

    def asked(driver):
        lock = engine.kit.locks.claim("c1")
        if lock.acquire(0):
            lock.release()
        else:
            thread.start()
        return users(driver)

    world.users = asked
    unwanted.look()
    thread.join()
    assert box
    assert is_whole(world, engine)
    assert world.hardware.log == ["make a=on", "unmake a", "make a=on"]


@pytest.mark.parametrize("deaf", ["api", "kubelet"])
def test_doubt_at_the_last_moment_releases_nothing(world, engine, unwanted, deaf):
    asked = {"api": 0, "kubelet": 0}
    get, users = world.get, world.users

    def api(ref, timeout):
        asked["api"] += 1
        if deaf == "api" and asked["api"] == 2:
            raise Unreachable("down")
        return get(ref, timeout)

    def kubelet(driver):
        asked["kubelet"] += 1
        if deaf == "kubelet" and asked["kubelet"] == 2:
            raise Unreachable("down")
        return users(driver)

    world.get, world.users = api, kubelet
    assert unwanted.look() == 5
    assert is_whole(world, engine)
    assert world.reports.events == []
    unwanted.look()
    assert engine.snapshot().claims == ()


def test_a_look_at_an_earlier_life_does_not_count_for_the_next(world, engine, unwanted, clock):
    engine.unprepare(world.ref, Call())
    come_again(world, engine)
    world.change("c1", reserved_for=())
    assert unwanted.look() == 90
    assert is_whole(world, engine)
    clock.time += 90
    unwanted.look()
    assert engine.snapshot().claims == ()
