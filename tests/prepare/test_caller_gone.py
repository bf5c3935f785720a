"""The kubelet gives up while its call waits for a key that another claim has: nothing more is changed."""

import threading

import pytest
from prepare_harness import Call, Thing

from dracore.errors import DracoreError, Superseded
from dracore.testing.waiting import until


@pytest.fixture
def slow(world):
    """An effect that two claims share; the first one's apply goes on until `go`."""

    class Slow(Thing):
        kind = "test.slow"

        def apply(self, node, before):
            inside.set()
            go.wait(20)
            return super().apply(node, before)

    world.kinds[Slow.kind] = Slow
    inside, go = threading.Event(), threading.Event()
    world.inside, world.go = inside, go
    return Slow


def in_background(function, *arguments):
    box = {}

    def run():
        try:
            box["answer"] = function(*arguments)
        except DracoreError as error:
            box["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    return thread, box


@pytest.mark.parametrize("holds_something", [False, True])
def test_while_it_waits_for_a_key(world, engine, slow, holds_something):
    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        if device.name == "dev-1" and holds_something:
            ctx.hold(Thing("first"))
        ctx.hold(slow("shared"))
        if device.name == "dev-1":
            ctx.hold(Thing("mine"))
        return world.prepared(device)

    first, one = in_background(engine.prepare, world.claim("c1", "dev-0"), Call())
    world.inside.wait(20)
    there = threading.Event()
    there.set()
    waiting = threading.Event()
    key = engine.kit.locks.key("thing/shared")
    taken = engine.kit.locks.taken

    def told(lock, *arguments):
        if lock._name == key._name:
            waiting.set()
        return taken(lock, *arguments)

    engine.kit.locks.taken = told
    ref = world.claim("c2", "dev-1")
    second, two = in_background(engine.prepare, ref, Call(30, there.is_set))
    waiting.wait(20)
    until(lambda: engine.kit.locks._locals[key._name].users == 2)  # it has tried, and waits
    there.clear()
    world.go.set()
    first.join()
    second.join()
    assert one["answer"]
    assert isinstance(two["error"], Superseded)
    # What it has goes to the retry; without anything there is no record.
    assert set(world.hardware.things) == {"shared", *(["first"] if holds_something else [])}
    states = {c.ref.uid: c.state for c in engine.snapshot().claims}
    assert states == {"c1": "prepared", **({"c2": "waiting"} if holds_something else {})}
    assert engine.prepare(ref, Call())
    assert world.hardware.log.count("make first=on") == holds_something
    assert set(world.hardware.things) >= {"shared", "mine"}


def test_a_hold_that_need_not_wait_is_finished_for_the_retry(world, engine):
    """Else a prepare that takes longer than the kubelet waits would never come to its end."""
    there = threading.Event()
    there.set()

    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        ctx.hold(Thing("a"))
        there.clear()
        ctx.hold(Thing("b"))
        return world.prepared(device)

    assert engine.prepare(world.claim("c1", "dev-0"), Call(30, there.is_set))
    assert set(world.hardware.things) == {"a", "b"}
