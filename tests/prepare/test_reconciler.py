"""Claims that the kubelet never unprepares, and effects that somebody undid. Time is the test's."""

import pytest
from prepare_harness import Call, MendedThing, StaysThing, Thing, World, problems

from dracore.errors import ConfigError, EffectFailed, Unreachable
from dracore.prepare import Reconciler
from dracore.testing.waiting import until


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
    world.engine().close()  # a journal that was there before: nothing of a lost one is to be swept
    engine = world.engine(clock=clock)
    engine.recover()
    yield engine
    assert problems(world, engine) == []
    engine.close()


@pytest.fixture
def drifts():
    return []


@pytest.fixture
def reconciler(engine, drifts):
    return Reconciler(engine, on_drift=drifts.append)


@pytest.fixture
def claim(world, engine):
    world.holds(Thing("a"))
    ref = world.claim("c1", "dev-0")
    engine.prepare(ref, Call())
    return ref


def prepared(engine):
    return [claim.ref.uid for claim in engine.snapshot().claims]


class TestReleases:
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda w: w.cluster.pop("c1"), "gone"),
            (lambda w: w.change("c1", allocated=False, results=()), "not allocated"),
            (lambda w: w.change("c1", reserved_for=()), "reserved for nobody"),
            (lambda w: w.claim("c1", "dev-3"), "another allocation"),
        ],
    )
    def test_after_two_looks_90_seconds_apart(self, world, engine, reconciler, claim, clock, change, reason):
        assert reconciler.look() == 600
        change(world)
        assert reconciler.look() == 90
        clock.time += 89
        assert reconciler.look() == pytest.approx(1)
        assert prepared(engine) == ["c1"]
        clock.time += 1
        assert reconciler.look() == 600
        assert prepared(engine) == []
        assert world.hardware.things == {}
        assert world.cdi_files() == set()
        assert world.reports.counts["reconcile_releases_total"] == 1
        assert reason in world.reports.events[-1][1]

    def test_a_claim_of_the_same_name_with_another_uid_is_another_claim(
        self, world, engine, reconciler, claim, clock
    ):
        other = world.claim("c2", "dev-0")
        world.cluster["c1"] = world.cluster.pop("c2")
        reconciler.look()
        clock.time += 90
        reconciler.look()
        assert prepared(engine) == []
        assert other

    def test_a_claim_that_is_wanted_stays(self, engine, reconciler, claim, clock):
        for _ in range(3):
            assert reconciler.look() == 600
            clock.time += 600
        assert prepared(engine) == ["c1"]

    def test_a_claim_that_came_back_in_between_stays(self, world, engine, reconciler, claim, clock):
        kept = world.cluster.pop("c1")
        reconciler.look()
        world.cluster["c1"] = kept
        clock.time += 90
        assert reconciler.look() == 600
        del world.cluster["c1"]
        clock.time += 600
        assert reconciler.look() == 90  # the first look of a new pair
        assert prepared(engine) == ["c1"]

    def test_one_that_a_pod_still_uses_stays_until_it_does_not(self, world, engine, reconciler, claim, clock):
        world.pods = {"c1": ("default/web-0",)}
        del world.cluster["c1"]
        reconciler.look()
        clock.time += 90
        assert reconciler.look() == 90
        assert prepared(engine) == ["c1"]
        world.pods = {}
        clock.time += 90
        reconciler.look()
        assert prepared(engine) == []

    def test_a_claim_that_waits_is_released_too(self, world, engine, reconciler, clock):
        world.on("dra_prepare")(lambda ctx, device, result, config: ctx.wait(lambda: False, "it"))
        with pytest.raises(Exception, match="waits for it"):
            engine.prepare(world.claim("c1", "dev-0"), Call(5.02))
        del world.cluster["c1"]
        reconciler.look()
        clock.time += 90
        reconciler.look()
        assert prepared(engine) == []

    def test_one_that_somebody_is_at_is_passed_over(self, world, engine, reconciler, claim, clock):
        del world.cluster["c1"]
        reconciler.look()
        clock.time += 90
        lock = engine.kit.locks.claim("c1")
        assert lock.acquire(0)
        reconciler.look()
        assert prepared(engine) == ["c1"]
        lock.release()
        clock.time += 90
        reconciler.look()
        assert prepared(engine) == []

    def test_only_the_publisher_does_it(self, world, engine, claim, clock):
        del world.cluster["c1"]
        reconciler = Reconciler(engine, allowed=lambda: False)
        reconciler.look()
        clock.time += 1000
        reconciler.look()
        assert prepared(engine) == ["c1"]


class TestDoubt:
    def test_an_api_error_releases_nothing_and_is_looked_at_again_with_backoff(
        self, world, engine, reconciler, claim, clock
    ):
        gone = world.claim("c0", "dev-1")
        world.hooks.clear()
        engine.prepare(gone, Call())
        del world.cluster["c0"]
        reconciler.look()
        world.cluster["c1"] = Unreachable("down")
        clock.time += 90
        assert [reconciler.look() for _ in range(6)] == [5, 10, 20, 40, 60, 60]
        assert "c1" in prepared(engine)

    def test_a_kubelet_that_does_not_answer_releases_nothing(self, world, engine, reconciler, claim, clock):
        world.pods = ConfigError("a socket file that nobody serves")
        del world.cluster["c1"]
        reconciler.look()
        clock.time += 90
        assert reconciler.look() == 5
        clock.time += 5
        assert reconciler.look() == 10
        assert prepared(engine) == ["c1"]
        world.pods = None
        assert reconciler.look() == 600
        assert prepared(engine) == []


class TestDrift:
    def test_it_is_reported_once_and_kept_for_status(self, world, engine, reconciler, claim, drifts, clock):
        world.hardware.unmake("a", None)
        assert len(reconciler.look_at_effects()) == 1
        assert len(reconciler.look_at_effects()) == 1
        (drift,) = drifts
        assert (drift.key, drift.holders, drift.devices) == ("thing/a", ("c1",), (("node-1", "dev-0"),))
        assert "undone by somebody" in drift.text
        assert engine.snapshot().effects[0].drift == drift.text
        assert [d.key for d in engine.drifts()] == ["thing/a"]
        # Nothing is changed under a running container.
        assert world.hardware.things == {}
        world.hardware.make("a", "on", "")
        reconciler.look_at_effects()
        world.hardware.unmake("a", None)
        engine.unprepare(claim, Call())

    def test_it_is_said_when_it_is_there_again(self, world, engine, reconciler, claim, drifts):
        with world.hardware.change() as state:
            kept = state["things"].pop("a")
        reconciler.look_at_effects()
        with world.hardware.change() as state:
            state["things"]["a"] = kept
        assert reconciler.look_at_effects() == []
        assert [bool(d.text) for d in drifts] == [True, False]
        assert engine.snapshot().effects[0].drift == ""

    def test_something_else_in_its_place_is_drift_until_it_is_gone(
        self, world, engine, reconciler, claim, drifts
    ):
        with world.hardware.change() as state:
            state["things"]["a"]["id"] = 99
        assert len(reconciler.look_at_effects()) == 1
        assert len(reconciler.look_at_effects()) == 1
        (drift,) = drifts
        assert "99" in drift.text
        assert engine.snapshot().effects[0].outcome["id"] == 1

    def test_another_claim_does_not_join_what_is_not_there(self, world, engine, reconciler, claim):
        world.hardware.unmake("a", None)
        reconciler.look_at_effects()
        with pytest.raises(EffectFailed, match="undone by somebody while claim name-of-c1 needs it"):
            engine.prepare(world.claim("c2", "dev-1"), Call())
        engine.unprepare(claim, Call())

    def test_what_may_be_repaired_is_by_a_full_prepare_of_all_its_claims(
        self, world, engine, reconciler, drifts
    ):
        world.holds(StaysThing("base"), MendedThing("a", needs="base"))
        refs = [world.claim("c1", "dev-0"), world.claim("c2", "dev-1")]
        for ref in refs:
            engine.prepare(ref, Call())
        world.calls.clear()
        world.hardware.unmake("a", None)
        assert reconciler.look_at_effects() == []
        assert world.calls == ["test.dra_prepare"] * 2
        assert world.hardware.log.count("make base=on") == 1
        assert set(world.hardware.things) == {"base", "a"}
        assert [c.state for c in engine.snapshot().claims] == ["prepared"] * 2
        assert drifts[-1].text == ""
        for ref in refs:
            engine.unprepare(ref, Call())
        assert world.hardware.violations == []

    def test_a_repair_that_fails_releases_nothing(self, world, engine, reconciler, drifts):
        world.holds(StaysThing("base"), MendedThing("a"))
        ref = world.claim("c1", "dev-0")
        engine.prepare(ref, Call())
        world.hardware.unmake("a", None)
        world.hardware.fail("apply", "a")
        assert len(reconciler.look_at_effects()) == 1
        (claim,) = engine.snapshot().claims
        assert claim.state == "waiting"
        assert "no to apply a" in claim.error
        assert set(world.hardware.things) == {"base"}
        assert world.cdi_files()
        engine.prepare(ref, Call())
        assert set(world.hardware.things) == {"base", "a"}


def test_files_of_a_lost_journal_are_swept_when_no_pod_uses_them(world, clock):
    uids = [f"0b5d4d6c-8d5f-4f26-9d6f-0a4a2c7f1e1{i}" for i in range(2)]
    engine = world.engine(clock=clock)
    for i, uid in enumerate(uids):
        engine.prepare(world.claim(uid, f"dev-{i}"), Call())
    engine.close()
    for path in world.plugin_folder.glob("journal.db*"):
        path.unlink()
    engine = world.engine(clock=clock)
    engine.recover()
    reconciler = Reconciler(engine)
    world.pods = {uids[1]: ("default/web-0",)}
    assert reconciler.look() == 90
    assert len(world.cdi_files()) == 2
    clock.time += 90
    reconciler.look()
    assert world.cdi_files() == {f"dracore-test.example.com-{uids[1]}.json"}
    world.pods = {}
    clock.time += 90
    assert reconciler.look() == 600
    assert world.cdi_files() == set()
    engine.close()


def test_the_thread_looks_at_start_on_demand_and_reverts_what_is_left(world):

    from dracore.prepare.timings import Timings

    engine = world.engine()
    engine.recover()
    world.holds(Thing("a"))
    ref = world.claim("c1", "dev-0")
    engine.prepare(ref, Call())
    world.hardware.fail("revert", "a", times=2)
    with pytest.raises(EffectFailed):
        engine.unprepare(ref, Call())
    reconciler = Reconciler(engine, timings=Timings(confirm=0.1, first_retry=0.05, idle=0.05))
    reconciler.start()

    until(lambda: not engine.snapshot().claims)
    engine.prepare(ref, Call())
    del world.cluster["c1"]
    reconciler.kick()
    until(lambda: not engine.snapshot().claims)
    reconciler.stop()
    assert problems(world, engine) == []
    engine.close()
    assert World


def test_who_is_released_without_the_kubelet_is_told(world, engine, claim, clock):
    told = []
    reconciler = Reconciler(engine, on_release=lambda: told.append(prepared(engine)))
    del world.cluster["c1"]
    reconciler.look()
    assert told == []
    clock.time += 90
    world.hardware.fail("revert", "a")
    reconciler.look()
    assert told == [], "not yet: its release failed"
    engine.drain()
    other = world.claim("c2", "dev-1")
    engine.prepare(other, Call())
    del world.cluster["c2"]
    reconciler.look()
    clock.time += 90
    reconciler.look()
    assert told == [[]], "after the release, once"


class TestOnDemand:
    @pytest.fixture
    def running(self, world):
        from dracore.prepare.timings import Timings

        engine = world.engine()
        engine.recover()
        made = []

        def start(**fields):
            made.append(Reconciler(engine, timings=Timings(interval=1000, idle=1000), **fields))
            made[-1].start()
            return engine, made[-1]

        yield start
        for reconciler in made:
            reconciler.stop()
        engine.close()

    def test_it_answers_when_the_look_is_done(self, world, running):
        engine, reconciler = running()
        world.holds(Thing("a"))
        engine.prepare(world.claim("c1", "dev-0"), Call())
        world.hardware.unmake("a", None)
        assert reconciler.look_now(20)
        assert "undone by somebody" in engine.snapshot().effects[0].drift
        assert [reason for reason, _ in world.reports.events] == ["EffectDrifted"]
        assert world.reports.counts["drift_total"] == 1

    def test_where_another_instance_does_it(self, running):
        _, reconciler = running(allowed=lambda: False)
        assert not reconciler.look_now(20)

    def test_a_journal_that_cannot_be_read_is_said_once_and_tried_with_backoff(self, world, caplog):
        """It used to spin, with a traceback each time."""
        import threading

        from dracore.errors import JournalError
        from dracore.prepare.timings import Timings

        class Noted(threading.Event):
            waits = []

            def wait(self, timeout=None):
                self.waits.append(round(timeout))
                if len(self.waits) == 6:
                    enough.set()
                    return super().wait(20)
                return False

        def allowed():
            raise JournalError("it is malformed", fix="restart")

        enough = threading.Event()
        engine = world.engine()
        object.__setattr__(engine.kit, "pending", Noted())
        reconciler = Reconciler(engine, allowed=allowed, timings=Timings(idle=1000))
        reconciler.start()
        assert enough.wait(20)
        reconciler.stop()
        assert Noted.waits == [5, 10, 20, 40, 60, 60]
        assert len([r for r in caplog.records if "nothing can be reconciled" in r.getMessage()]) == 1
        assert not [r for r in caplog.records if r.exc_info]
        engine.close()
