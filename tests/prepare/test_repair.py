"""Repairs that fail, or do not live to their end: the drift stays known, nothing is taken from running pods,
and it is tried again. Time is the test's."""

import os
import signal
import sqlite3

import pytest
from prepare_harness import Call, MendedThing, StaysThing, Thing, World, problems

from dracore.errors import DracoreError, EffectFailed, Superseded, Waiting
from dracore.prepare import Reconciler


@pytest.fixture
def running(world):
    """A claim that holds `base` and `mode`, prepared; a pod runs with it. Somebody has undone `mode`."""
    world.holds(Thing("base"), MendedThing("mode", needs="base"))
    world.ref = world.claim("c1", "dev-0")
    world.engine().close()  # a journal that was there before: nothing of a lost one is to be swept
    engine = world.engine()
    engine.recover()
    world.first = engine.prepare(world.ref, Call())
    world.pods = {"c1": ("default/web-0",)}
    world.hardware.unmake("mode", None)
    yield engine
    engine.close()


@pytest.fixture
def broken(world, running):
    """Its repair has failed."""
    world.hardware.fail("apply", "mode", times=1000)
    world.drifts = []
    world.reconciler = Reconciler(running, on_drift=world.drifts.append)
    assert [drift.key for drift in world.reconciler.look_at_effects()] == ["thing/mode"]
    return running


def is_kept(world, engine):
    """What the pod runs with is there, and the drift is known."""
    (claim,) = engine.snapshot().claims
    (drift,) = engine.drifts()
    assert claim.state == "waiting"
    assert claim.awaited == "a repair: test.mended thing/mode was undone by somebody"
    assert (drift.kind, drift.key, drift.holders) == ("test.mended", "thing/mode", ("c1",))
    assert drift.devices == (("node-1", "dev-0"),)
    assert "undone by somebody" in drift.text
    assert set(world.hardware.things) == {"base"}
    assert world.cdi_files() == {"dracore-test.example.com-c1.json"}


def is_mended(world, engine):
    (claim,) = engine.snapshot().claims
    assert (claim.state, claim.error) == ("prepared", "")
    assert engine.drifts() == []
    assert set(world.hardware.things) == {"base", "mode"}
    assert world.hardware.log.count("make base=on") == 1
    assert engine.prepare(world.ref, Call()) == world.first
    assert problems(world, engine) == []


def test_one_that_fails_is_tried_again_until_it_succeeds(world, broken):
    is_kept(world, broken)
    assert [drift.key for drift in world.reconciler.look_at_effects()] == ["thing/mode"]
    is_kept(world, broken)
    assert [reason for reason, _ in world.reports.events] == ["EffectDrifted", "RepairFailed"]  # once
    world.hardware.fail("apply", "mode", times=0)
    assert world.reconciler.look_at_effects() == []
    assert [bool(drift.text) for drift in world.drifts] == [True, False]
    is_mended(world, broken)


def test_the_next_look_comes_sooner_until_it_succeeds(world, broken):
    assert [world.reconciler.look() for _ in range(5)] == [5, 10, 20, 40, 60]
    world.hardware.fail("apply", "mode", times=0)
    assert world.reconciler.look() == 600
    assert world.reconciler.look() == 600


def test_a_prepare_for_a_second_pod_that_fails_takes_nothing_from_the_first(world, broken):
    for _ in range(2):
        with pytest.raises(EffectFailed):
            broken.prepare(world.ref, Call())
        is_kept(world, broken)
    world.hardware.fail("apply", "mode", times=0)
    assert broken.prepare(world.ref, Call()) == world.first
    is_mended(world, broken)


def test_nor_does_one_that_is_refused_before_it_begins(world, broken):
    world.on("dra_validate")(lambda ctx, configs: 1 / 0)
    with pytest.raises(DracoreError):
        broken.prepare(world.ref, Call())
    is_kept(world, broken)


def test_nor_does_one_that_waits(world, broken):
    ready = []

    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        ctx.hold(Thing("base"))
        ctx.wait(lambda: ready, "a daemon")
        ctx.hold(MendedThing("mode", needs="base"))
        return world.prepared(device)

    with pytest.raises(Waiting):
        broken.prepare(world.ref, Call(5.05))
    assert broken.snapshot().claims[0].awaited == "a daemon"
    assert [drift.key for drift in broken.drifts()] == ["thing/mode"]
    ready.append(1)
    with pytest.raises(EffectFailed):
        broken.prepare(world.ref, Call())
    is_kept(world, broken)
    world.hardware.fail("apply", "mode", times=0)
    assert world.reconciler.look_at_effects() == []
    is_mended(world, broken)


def test_nor_does_one_whose_answer_cannot_be_written(world, running):
    """It fails after its commit: the claim was prepared already, and is not any more."""
    world.drifts = []
    reconciler = Reconciler(running, on_drift=world.drifts.append)

    def seam(point, detail=""):
        if point == "journal.commit.before" and detail.startswith("claim.prepared"):
            world.seam = full
        world.passed = point

    def full(point, detail=""):
        if point.startswith(("file.", "cdi.")):
            world.seam = lambda point, detail="": None
            raise OSError(28, "No space left on device")

    (world.folder / "cdi" / "dracore-test.example.com-c1.json").unlink()
    world.seam = seam
    assert len(reconciler.look_at_effects()) == 1
    (claim,) = running.snapshot().claims
    assert (claim.state, "No space" in claim.error) == ("waiting", True)
    assert set(world.hardware.things) == {"base", "mode"}
    assert reconciler.look_at_effects() == []
    is_mended(world, running)


@pytest.mark.parametrize("first", ["the repair fails", "both at once"])
def test_it_makes_nothing_again_that_may_not_be_under_a_running_container(world, running, first):
    """A repair is a full prepare: it would make good `base`, too, of which the plugin does not say so."""
    reconciler = Reconciler(running)
    if first == "the repair fails":
        world.hardware.fail("apply", "mode")
        reconciler.look_at_effects()
    world.hardware.unmake("base", None)
    for _ in range(3):
        keys = {drift.key for drift in reconciler.look_at_effects()}
        assert keys == {"thing/base", "thing/mode"} == {drift.key for drift in running.drifts()}
        assert world.hardware.things == {}
    # The next full prepare that the kubelet asks for does.
    if first == "both at once":
        running.unprepare(world.ref, Call())
    assert running.prepare(world.ref, Call()) == world.first
    assert set(world.hardware.things) == {"base", "mode"}
    assert reconciler.look_at_effects() == [] == running.drifts()


def test_unprepare_ends_it(world, broken):
    broken.unprepare(world.ref, Call())
    assert broken.drifts() == []
    assert world.hardware.things == {}
    assert world.reconciler.look_at_effects() == []
    assert world.reconciler.look() == 600
    assert problems(world, broken) == []


def restart(world, engine, **fields):
    engine.close()
    again = World(world.folder, hooks=world.hooks, cluster=world.cluster, pods=world.pods, **fields)
    again.ref, again.first = world.ref, world.first
    engine = again.engine()
    engine.recover()
    return again, engine


@pytest.mark.parametrize("died", ["before the repair", "after it failed"])
def test_after_a_restart_it_is_tried_again(world, running, died):
    world.hardware.fail("apply", "mode", times=died == "after it failed")
    drift = running.mark_drift("thing/mode", "test.mended thing/mode was undone by somebody")
    record = running.suspend("c1", drift.text, kind=drift.kind, key=drift.key)
    if died == "after it failed":
        with pytest.raises(EffectFailed):
            running.repair(record.ref, Call())
    world, engine = restart(world, running)
    is_kept(world, engine)
    assert Reconciler(engine).look_at_effects() == []
    is_mended(world, engine)
    engine.close()


def test_a_repair_that_is_killed_keeps_what_is_held(world, running):
    child = os.fork()
    if not child:
        engine = world.engine()

        def die(point, detail=""):
            if point == "effect.apply.after":
                os.kill(os.getpid(), signal.SIGKILL)

        world.seam = die
        Reconciler(engine).look_at_effects()
        os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    world, engine = restart(world, running)
    is_kept(world, engine)
    assert Reconciler(engine).look_at_effects() == []
    is_mended(world, engine)
    engine.close()


def test_after_a_reboot_no_pod_runs_with_it_and_a_failure_releases(world, broken):
    world.hardware.reboot()
    world, engine = restart(world, broken, boot="boot-2")
    assert engine.drifts() == []
    (claim,) = engine.snapshot().claims
    assert claim.awaited == "its next prepare: the node was rebooted"
    assert Reconciler(engine).look_at_effects() == []
    with pytest.raises(Superseded):
        engine.repair(world.ref, Call())
    with pytest.raises(EffectFailed):
        engine.prepare(world.ref, Call())
    assert (engine.snapshot().claims, world.hardware.things) == ((), {})
    engine.close()


def test_a_claim_whose_own_repair_fails_still_holds_what_anothers_has_made_again(world):
    """Else the other's release would take it from under the first one's pod."""
    world.holds(MendedThing("mode"))
    refs = [world.claim(f"c{i}", f"dev-{i}") for i in range(2)]
    engine = world.engine()
    engine.recover()
    for ref in refs:
        engine.prepare(ref, Call())
    world.hardware.unmake("mode", None)

    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        if ctx.claim.ref.uid == "c1":
            raise OSError("not now")
        ctx.hold(MendedThing("mode"))
        return world.prepared(device)

    reconciler = Reconciler(engine)
    assert len(reconciler.look_at_effects()) == 1
    assert [drift.holders for drift in engine.drifts()] == [("c1",)]
    engine.unprepare(refs[0], Call())
    assert set(world.hardware.things) == {"mode"}
    world.holds(MendedThing("mode"))
    assert reconciler.look_at_effects() == []
    assert problems(world, engine) == []
    engine.close()


def test_a_claim_out_of_a_damaged_journal_keeps_what_its_pod_may_run_with(world):
    world.holds(StaysThing("base"), Thing("mode"))
    ref = world.claim("c1", "dev-0")
    engine = world.engine()
    engine.recover()
    engine.prepare(ref, Call())
    engine.close()
    path = world.plugin_folder / "journal.db"
    connection = sqlite3.connect(path)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'timeline'").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 64)
    engine = world.engine()
    engine.recover()
    assert [reason for reason, _ in world.reports.events] == ["JournalDamaged"]
    assert engine.snapshot().claims[0].state == "waiting"
    world.holds(StaysThing("base"), Thing("mode"), Thing("more"))
    world.hardware.fail("apply", "more")
    with pytest.raises(EffectFailed):
        engine.prepare(ref, Call())
    assert engine.snapshot().claims[0].state == "waiting"
    assert set(world.hardware.things) == {"base", "mode"}
    assert world.cdi_files()
    engine.prepare(ref, Call())
    assert engine.snapshot().claims[0].state == "prepared"
    engine.close()
