"""Effects that raise what ends a thread: their claim fails, and nothing else does."""

import asyncio

import pytest
from prepare_harness import Call, Thing

from dracore.errors import DracoreError, EffectFailed
from dracore.prepare import Reconciler
from dracore.prepare.timings import Timings

KILLERS = [SystemExit, asyncio.CancelledError, GeneratorExit]


@pytest.fixture(params=KILLERS, ids=lambda kind: kind.__name__)
def bad(request, world):
    """An effect whose step `world.node` raises it."""

    class Bad(Thing):
        kind = "test.bad"

        def _step(self, name):
            if world.node == name:
                raise request.param(1)

        def before(self, node):
            self._step("before")
            return super().before(node)

        def apply(self, node, before):
            answer = super().apply(node, before)
            self._step("apply")
            return answer

        def revert(self, node, before, outcome):
            self._step("revert")
            super().revert(node, before, outcome)

        def probe(self, node):
            self._step("probe")
            return super().probe(node)

        def preview(self):
            self._step("preview")
            return "bad"

        @classmethod
        def decode(cls, params):
            if world.node == "decode":
                raise request.param(1)
            return super().decode(params)

    world.kinds["test.bad"] = Bad
    world.holds(Bad("mode"))
    return request.param.__name__


@pytest.mark.parametrize("step", ["before", "apply"])
def test_prepare_fails_and_leaves_nothing(world, engine, bad, step):
    world.node = step
    with pytest.raises(DracoreError, match=bad):
        engine.prepare(world.claim("c1", "dev-0"), Call())
    assert world.hardware.things == {}
    assert engine.snapshot().claims == ()


def test_a_preview_is_missed_by_nobody(world, engine, bad):
    world.node = "preview"
    assert engine.prepare(world.claim("c1", "dev-0"), Call())


@pytest.mark.parametrize("step", ["revert", "decode"])
def test_unprepare_fails_and_is_done_later(world, engine, bad, step):
    ref = world.claim("c1", "dev-0")
    engine.prepare(ref, Call())
    world.node = step
    with pytest.raises(DracoreError, match=bad):
        engine.unprepare(ref, Call())
    assert all(bad in str(error) for error in engine.drain())
    world.node = ""
    engine.unprepare(ref, Call())
    assert world.hardware.things == {}


@pytest.mark.parametrize("step", ["probe", "decode"])
def test_a_start_after_a_reboot_is_no_crash_loop(world, bad, step):
    ref = world.claim("c1", "dev-0")
    engine = world.engine()
    engine.recover()
    engine.prepare(ref, Call())
    engine.close()
    world.boot, world.node = "boot-2", step
    engine = world.engine()
    engine.recover()
    assert [claim.state for claim in engine.snapshot().claims] == ["waiting"]
    world.node = ""
    engine.prepare(ref, Call())
    engine.close()


def test_a_revert_at_the_start_is_no_crash_loop(world, bad):
    ref = world.claim("c1", "dev-0")
    engine = world.engine()
    engine.recover()
    engine.prepare(ref, Call())
    world.node = "revert"
    with pytest.raises(EffectFailed):
        engine.unprepare(ref, Call())
    engine.close()
    engine = world.engine()
    assert engine.recover().failures
    engine.close()


def test_the_reconciler_lives_on(world, engine, bad):
    engine.prepare(world.claim("c1", "dev-0"), Call())
    world.node = "probe"
    reconciler = Reconciler(engine, timings=Timings(interval=0.01, idle=0.01))
    reconciler.start()
    try:
        for _ in range(3):
            assert reconciler.look_now(10)
    finally:
        world.node = ""
        reconciler.stop()


def test_the_reconciler_lives_on_whatever_a_port_raises(world, engine, monkeypatch):
    def gone(driver):
        raise SystemExit(1)

    engine.prepare(world.claim("c1", "dev-0"), Call())
    world.cluster.clear()
    reconciler = Reconciler(engine, timings=Timings(interval=0.01, idle=0.01, confirm=0.0, first_retry=0.01))
    monkeypatch.setattr(engine.kit.pods, "users", gone)
    reconciler.start()
    try:
        for _ in range(2):
            assert reconciler.look_now(10)
        monkeypatch.undo()
        for _ in range(2):
            assert reconciler.look_now(10)
        assert engine.records() == []
    finally:
        reconciler.stop()


@pytest.mark.parametrize("kind", KILLERS, ids=lambda kind: kind.__name__)
def test_a_wait_that_ends_so_is_undone_under_its_lock(world, engine, kind):
    looks = []

    def look():
        looks.append(1)
        if len(looks) > 2:
            raise kind(1)
        return False

    @world.on("dra_prepare")
    def _prepare(ctx, device, result, config):
        ctx.hold(Thing("mode"))
        try:
            ctx.wait(look, "godot")
        except BaseException as error:  # as the program's caller of hooks does
            assert not engine.kit.locks.claim("c1").acquire(0), "somebody could take the claim"
            raise EffectFailed(type(error).__name__) from error

    with pytest.raises(EffectFailed, match=kind.__name__):
        engine.prepare(world.claim("c1", "dev-0"), Call())
    assert world.hardware.things == {}
