"""Waiting for what others bring about: the lock is let go, the next call takes over, the first follows."""

import threading

import pytest
from prepare_harness import Call, Thing, World, problems

from dracore.errors import EffectFailed, PluginError, Superseded, Waiting
from dracore.model.claim import ClaimRef
from dracore.testing.waiting import until


class Waiter:
    """A plugin that holds `a`, waits, holds `b`."""

    def __init__(self, world, *, catches=False):
        self.ready = threading.Event()
        self.polled = threading.Event()
        self.runs = 0

        @world.on("dra_prepare")
        def prepare(ctx, device, result, config):
            self.runs += 1
            ctx.hold(Thing("a"))
            try:
                ctx.wait(self.poll, "the daemon of dev-0")
            except Waiting:
                if not catches:
                    raise
            ctx.hold(Thing("b", needs="a"))
            return world.prepared(device)

    def poll(self):
        self.polled.set()
        return self.ready.is_set()


def in_background(function, *arguments):
    box = {}

    def run():
        try:
            box["answer"] = function(*arguments)
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    return thread, box


def state(engine):
    claims = engine.snapshot().claims
    return claims[0].state if claims else None


def test_what_is_true_at_once_costs_no_commit(world, engine):
    world.on("dra_prepare")(
        lambda ctx, device, result, config: ctx.wait(lambda: 7, "x") and world.prepared(device)
    )
    commits = []
    world.seam = lambda point, detail="": commits.append(detail) if point == "journal.commit.before" else None
    engine.prepare(world.claim("c1", "dev-0"), Call())
    assert commits == ["claim.prepared c1"]


def test_it_goes_on_when_it_comes_about(world, engine):
    waiter = Waiter(world)
    thread, box = in_background(engine.prepare, world.claim("c1", "dev-0"), Call())
    until(lambda: state(engine) == "waiting")
    assert engine.snapshot().claims[0].awaited == "the daemon of dev-0"
    waiter.ready.set()
    thread.join()
    assert box["answer"][0].device == "dev-0"
    assert waiter.runs == 1


def test_unmet_it_is_an_error_that_names_it_and_holds_stay(world, engine):
    waiter = Waiter(world)
    ref = world.claim("c1", "dev-0")
    with pytest.raises(Waiting, match="waits for the daemon of dev-0"):
        engine.prepare(ref, Call(5.05))
    assert set(world.hardware.things) == {"a"}
    assert state(engine) == "waiting"
    waiter.ready.set()
    engine.prepare(ref, Call())
    assert world.hardware.log == ["make a=on", "make b=on"]


def test_a_hook_that_swallows_the_wait_changes_nothing_more(world, engine):
    waiter = Waiter(world, catches=True)
    ref = world.claim("c1", "dev-0")
    with pytest.raises(Waiting):
        engine.prepare(ref, Call(5.05))
    assert set(world.hardware.things) == {"a"}
    waiter.ready.set()
    engine.prepare(ref, Call())


def test_holds_that_are_not_repeated_are_released(world, engine):
    first = [True]
    ready = threading.Event()

    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        ctx.hold(Thing("a"))
        if first[0]:
            first[0] = False
            ctx.hold(Thing("x", needs="a"))
            ctx.hold(Thing("y", needs="x"))
        ctx.wait(ready.is_set, "it")
        return world.prepared(device)

    ref = world.claim("c1", "dev-0")
    with pytest.raises(Waiting):
        engine.prepare(ref, Call(5.05))
    ready.set()
    engine.prepare(ref, Call())
    assert set(world.hardware.things) == {"a"}
    assert world.hardware.violations == []


def test_the_next_prepare_takes_over_and_the_first_gives_its_answer(world, engine):
    waiter = Waiter(world)
    ref = world.claim("c1", "dev-0")
    first, box = in_background(engine.prepare, ref, Call())
    until(lambda: state(engine) == "waiting")
    waiter.polled.clear()
    second, other = in_background(engine.prepare, ref, Call())
    until(lambda: waiter.runs == 2)
    waiter.ready.set()
    first.join()
    second.join()
    assert box["answer"] == other["answer"]
    assert world.hardware.log == ["make a=on", "make b=on"]  # never twice


def test_the_overtaken_one_says_at_its_deadline_what_is_awaited(world, engine):
    waiter = Waiter(world)
    ref = world.claim("c1", "dev-0")
    first, box = in_background(engine.prepare, ref, Call(6.5))
    until(lambda: state(engine) == "waiting")
    second, other = in_background(engine.prepare, ref, Call(20))
    until(lambda: waiter.runs == 2)
    first.join()
    assert isinstance(box["error"], Waiting)
    assert "the daemon of dev-0" in str(box["error"])
    waiter.ready.set()
    second.join()
    assert other["answer"]


def test_unprepare_ends_it(world, engine):
    Waiter(world)
    ref = world.claim("c1", "dev-0")
    thread, box = in_background(engine.prepare, ref, Call())
    until(lambda: state(engine) == "waiting")
    engine.unprepare(ref, Call())
    assert world.hardware.things == {}
    thread.join()
    assert isinstance(box["error"], Superseded)
    assert world.hardware.things == {}


def test_a_claim_that_was_released_and_begun_anew_is_not_taken_for_the_old_attempt(world, engine):
    """Attempt numbers are never given twice."""
    waiter = Waiter(world)
    ref = world.claim("c1", "dev-0")
    first, box = in_background(engine.prepare, ref, Call())
    until(lambda: state(engine) == "waiting")
    engine.unprepare(ref, Call())
    second, other = in_background(engine.prepare, ref, Call())
    until(lambda: waiter.runs == 2 or "error" in box)
    waiter.ready.set()
    first.join()
    second.join()
    assert other["answer"]
    assert world.hardware.log.count("make b=on") == 1


def test_a_caller_that_goes_away_ends_it_and_changes_nothing(world, engine):
    waiter = Waiter(world)
    there = threading.Event()
    there.set()
    ref = world.claim("c1", "dev-0")
    thread, box = in_background(engine.prepare, ref, Call(alive=there.is_set))
    until(lambda: state(engine) == "waiting")
    there.clear()
    waiter.ready.set()
    thread.join()
    assert isinstance(box["error"], Waiting)
    assert "b" not in world.hardware.things
    engine.prepare(ref, Call())


def test_a_predicate_that_fails_fails_the_prepare(world, engine):
    polls = []

    def predicate():
        polls.append(1)
        if len(polls) > 2:
            raise ValueError("the daemon died")

    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        ctx.hold(Thing("a"))
        ctx.wait(predicate, "the daemon")

    with pytest.raises(PluginError, match="the daemon died"):
        engine.prepare(world.claim("c1", "dev-0"), Call())
    assert world.hardware.things == {}


def test_the_end_of_the_process_ends_waits_at_once(world, engine):
    Waiter(world)
    thread, box = in_background(engine.prepare, world.claim("c1", "dev-0"), Call(1000))
    until(lambda: state(engine) == "waiting")
    engine.interrupt()
    thread.join(20)
    assert isinstance(box["error"], Waiting)


def test_it_survives_a_restart(world, tmp_path):
    waiter = Waiter(world)
    ref = world.claim("c1", "dev-0")
    engine = world.engine()
    with pytest.raises(Waiting):
        engine.prepare(ref, Call(5.05))
    engine.close()
    engine = world.engine()
    engine.recover()
    assert state(engine) == "waiting"
    assert set(world.hardware.things) == {"a"}
    waiter.ready.set()
    engine.prepare(ref, Call())
    assert problems(world, engine) == []
    engine.close()


def test_a_long_effect_does_not_hold_up_claims_that_do_not_need_its_key(world, engine):
    inside, go = threading.Event(), threading.Event()

    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        if device.name == "dev-0":
            ctx.hold(Thing("slow"))
        return world.prepared(device)

    def seam(point, detail=""):
        if point == "effect.apply.before" and detail.endswith("slow"):
            inside.set()
            go.wait(20)

    world.seam = seam
    thread, box = in_background(engine.prepare, world.claim("c1", "dev-0"), Call())
    inside.wait(20)
    engine.prepare(world.claim("c2", "dev-1"), Call())
    # The same claim again: told before its deadline that another call is at it.
    with pytest.raises(Exception, match="still working on this claim"):
        engine.prepare(ClaimRef("c1", "default", "name-of-c1"), Call(2.2))
    go.set()
    thread.join()
    assert box["answer"]
    world.seam = lambda point, detail="": None


def test_an_awaited_key_that_does_not_come_free_names_who_has_it(world, engine):
    inside, go = threading.Event(), threading.Event()
    world.holds(Thing("slow"))

    def seam(point, detail=""):
        if point == "effect.apply.before" and not inside.is_set():
            inside.set()
            go.wait(20)

    world.seam = seam
    thread, _ = in_background(engine.prepare, world.claim("c1", "dev-0"), Call())
    inside.wait(20)
    with pytest.raises(Exception, match="thing/slow is being changed for claim name-of-c1"):
        engine.prepare(world.claim("c2", "dev-1"), Call(2.2))
    go.set()
    thread.join()
    engine.prepare(world.claim("c2", "dev-1"), Call())
    assert engine.snapshot().effects[0].holders == ("c1", "c2")


def test_a_failure_after_a_wait_rolls_back(world, engine):
    waiter = Waiter(world)
    world.hardware.fail("apply", "b")
    thread, box = in_background(engine.prepare, world.claim("c1", "dev-0"), Call())
    until(lambda: state(engine) == "waiting")
    waiter.ready.set()
    thread.join()
    assert isinstance(box["error"], EffectFailed)
    assert world.hardware.things == {}
    assert isinstance(world, World)
