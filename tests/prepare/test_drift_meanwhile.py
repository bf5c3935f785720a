"""An administrator undoes an effect of a claim that is not prepared yet: it does not end prepared without."""

import threading

import pytest
from prepare_harness import Call, Thing, problems

from dracore.errors import DracoreError, EffectFailed, Waiting
from dracore.prepare import Reconciler
from dracore.testing.waiting import until


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


@pytest.fixture
def drifts():
    return []


@pytest.fixture
def look(engine, drifts):
    return Reconciler(engine, on_drift=drifts.append).look_at_effects


def whole(world, engine, ref):
    assert engine.prepare(ref, Call())
    assert set(world.hardware.things) == {"mode", "inst"}
    assert problems(world, engine) == []


@pytest.fixture
def waiting(world, engine):
    """A claim that holds `mode` and waits; `world.ready` lets it hold `inst`."""
    world.ready = threading.Event()

    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        ctx.hold(Thing("mode"))
        ctx.wait(world.ready.is_set, "a daemon")
        ctx.hold(Thing("inst"))
        return world.prepared(device)

    world.ref = world.claim("c1", "dev-0")
    thread, box = in_background(engine.prepare, world.ref, Call())
    until(lambda: engine.snapshot().claims and engine.snapshot().claims[0].state == "waiting")
    return thread, box


def test_while_it_waits(world, engine, look, drifts, waiting):
    thread, box = waiting
    world.hardware.unmake("mode", None)
    look()
    assert [reason for reason, _ in world.reports.events] == ["EffectDrifted"]
    assert world.reports.counts["drift_total"] == 1
    assert drifts == []  # nothing is kept: no container runs on it, and the hooks run again
    world.ready.set()
    thread.join()
    assert isinstance(box["error"], Waiting)  # at once, not at its deadline
    assert "its next prepare: test.thing thing/mode was undone by somebody" in str(box["error"])
    assert world.hardware.things == {}
    whole(world, engine, world.ref)


def test_while_it_waits_something_else_comes_in_its_place(world, engine, look, waiting):
    thread, box = waiting
    with world.hardware.change() as state:
        state["things"]["mode"]["id"] = 99
    look()
    look()
    world.ready.set()
    thread.join()
    assert isinstance(box["error"], Waiting)
    assert "thing/mode has changed" in str(box["error"])
    whole(world, engine, world.ref)
    assert engine.snapshot().effects[0].outcome["id"] == 99


def test_while_it_waits_and_another_claim_makes_it_again(world, engine, waiting):
    """What looks then is the hold of the other, which was told that the effect had changed."""
    thread, box = waiting
    world.hardware.unmake("mode", None)
    engine.mark_drift("thing/mode", "it is said to be gone")
    world.on("dra_prepare")(
        lambda ctx, device, result, config: ctx.hold(Thing("mode")) and world.prepared(device)
    )
    other = world.claim("c2", "dev-1")
    engine.prepare(other, Call())
    world.ready.set()
    thread.join()
    assert isinstance(box["error"], Waiting)
    engine.prepare(world.ref, Call())
    assert engine.snapshot().effects[0].holders == ("c2", "c1")
    engine.unprepare(other, Call())
    assert set(world.hardware.things) == {"mode"}


def test_while_it_is_being_prepared(world, engine, look, drifts):
    class Slow(Thing):
        kind = "test.slow"

        def apply(self, node, before):
            inside.set()
            go.wait(20)
            return super().apply(node, before)

    inside, go = threading.Event(), threading.Event()
    world.kinds[Slow.kind] = Slow
    world.holds(Thing("mode"), Slow("inst"))
    ref = world.claim("c1", "dev-0")
    thread, box = in_background(engine.prepare, ref, Call())
    inside.wait(20)
    world.hardware.unmake("mode", None)
    assert [drift.key for drift in look()] == ["thing/mode"]
    assert [drift.key for drift in drifts] == ["thing/mode"]
    go.set()
    thread.join()
    assert isinstance(box["error"], EffectFailed)
    assert "thing/mode was undone by somebody while the claim was being prepared" in str(box["error"])
    assert world.hardware.things == {}
    whole(world, engine, ref)


def test_claims_that_begin_at_once_after_a_reboot_do_not_stand_in_each_others_way(world):
    """Each finds in the journal that the other, which is being prepared, holds what the reboot took."""
    world.holds(Thing("mode"))
    refs = [world.claim(f"c{i}", f"dev-{i}") for i in range(2)]
    engine = world.engine()
    engine.recover()
    for ref in refs:
        engine.prepare(ref, Call())
    engine.close()
    world.boot = "boot-2"
    world.hardware.reboot()
    world.session_open = False  # so that the start cannot tell what is there
    engine = world.engine()
    engine.recover()
    world.session_open = True
    both = threading.Barrier(2)

    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        both.wait(20)
        ctx.hold(Thing("mode"))
        return world.prepared(device)

    calls = [in_background(engine.prepare, ref, Call()) for ref in refs]
    for thread, _ in calls:
        thread.join()
    assert all("answer" in box for _, box in calls)
    assert problems(world, engine) == []
    engine.close()
