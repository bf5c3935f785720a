"""The time of day jumps, back and forth: nothing waits longer or shorter for it, and times make sense."""

import threading
import time

import pytest
from prepare_harness import Call, Thing

from dracore.errors import Busy, LimitError, Waiting
from dracore.model.device import Taint
from dracore.prepare import Reconciler
from dracore.prepare.health import HealthTable


class Clock:
    """The two clocks of a machine, each moved on its own."""

    def __init__(self):
        self.day = 1_800_000_000.0
        self.steady = 1000.0

    def now(self):
        return self.day

    def monotonic(self):
        return self.steady


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def engine(world, clock):
    world.engine().close()
    engine = world.engine(clock=clock)
    engine.kit.journal._clock = clock
    engine.recover()
    yield engine
    engine.close()


JUMPS = [-86_400 * 365, -3600, -1, 3600, 86_400 * 365]


@pytest.mark.parametrize("jump", JUMPS)
def test_the_second_look_of_the_reconciler(world, engine, clock, jump):
    """90 s apart, whatever the time of day says."""
    engine.prepare(world.claim("c1", "dev-0"), Call())
    reconciler = Reconciler(engine)
    del world.cluster["c1"]
    assert reconciler.look() == 90
    clock.day += jump
    clock.steady += 89
    assert reconciler.look() == pytest.approx(1)
    assert engine.snapshot().claims
    clock.steady += 1
    reconciler.look()
    assert not engine.snapshot().claims


@pytest.mark.parametrize("jump", JUMPS)
def test_a_claim_goes_on_and_its_story_stays_in_order(world, engine, clock, jump):
    world.holds(Thing("a"), Thing("b", needs="a"))
    ref = world.claim("c1", "dev-0")
    world.hardware.fail("apply", "b")
    with pytest.raises(Exception, match="no to apply b"):
        engine.prepare(ref, Call())
    clock.day += jump
    engine.prepare(ref, Call())
    clock.day -= jump
    engine.unprepare(ref, Call())
    story = [entry.what for entry in engine.timeline("c1")]
    assert [what for what in story if what in ("error", "prepared", "released")][-2:] == [
        "prepared",
        "released",
    ]
    assert story.index("error") < story.index("prepared")
    assert world.hardware.things == {}
    assert world.hardware.violations == []


def test_a_merged_story_keeps_each_drivers_own_order():
    from dracore.node.status import merged
    from dracore.prepare.snapshot import Entry

    def story(*steps):
        return [Entry(at, what, "", "", "") for at, what in steps]

    entries = merged(
        {
            "one": story((100.0, "a"), (5000.0, "b"), (90.0, "c"), (110.0, "d")),  # set back by an hour
            "two": story((105.0, "x"), (5001.0, "y")),
        }
    )
    assert [(e["driver"], e["what"]) for e in entries] == [
        ("one", "a"),
        ("two", "x"),
        ("one", "b"),
        ("one", "c"),
        ("one", "d"),
        ("two", "y"),
    ]
    assert entries[3]["at"].startswith("1970-01-01T00:01:30"), "the time that was written down is told"


@pytest.mark.parametrize("jump", JUMPS)
def test_recovery_after_a_restart_at_another_time(world, engine, clock, jump):
    world.holds(Thing("a"))
    ref = world.claim("c1", "dev-0")
    engine.prepare(ref, Call())
    clock.day += jump
    again = world.engine(clock=clock)
    again.recover()
    assert [claim.state for claim in again.snapshot().claims] == ["prepared"]
    again.unprepare(ref, Call())
    assert world.hardware.things == {}
    again.close()


class TestTaints:
    def test_the_first_time_is_kept_over_later_reports(self, engine):
        table = HealthTable(engine.kit.journal)
        first = Taint("a.example.com/sick", "NoExecute", "", "2026-01-01T10:00:00Z")
        table.store("p", "dev-0", first)
        later = Taint("a.example.com/sick", "NoExecute", "", "2026-01-01T11:00:00Z")
        assert table.store("p", "dev-0", later) == first

    def test_a_time_that_has_not_come_yet_gives_way(self, engine):
        """Else a pod that tolerates the taint for 60 s would stay for as long as the clock was wrong."""
        table = HealthTable(engine.kit.journal)
        table.store("p", "dev-0", Taint("a.example.com/sick", "NoExecute", "", "2030-01-01T10:00:00Z"))
        now = Taint("a.example.com/sick", "NoExecute", "", "2026-01-01T10:00:00Z")
        assert table.store("p", "dev-0", now) == now
        assert [stored.taint for stored in table.all()] == [now]
        assert table.store("p", "dev-0", Taint(now.key, now.effect, "", "2026-01-01T10:00:30Z")) == now

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("", ""),
            ("Bad Key", ""),
            ("a/b/c", ""),
            ("-x", ""),
            ("a" * 64, ""),
            ("ok", "no good"),
            ("ok", "-"),
        ],
    )
    def test_one_that_could_not_be_published_is_not_kept(self, engine, key, value):
        table = HealthTable(engine.kit.journal)
        with pytest.raises(LimitError, match="could not be published"):
            table.store("p", "dev-0", Taint(key, "NoExecute", value, "2026-01-01T10:00:00Z"))
        assert table.all() == []
        # One that an earlier version kept does not withhold its device for ever.
        engine.kit.journal.write(
            "test",
            lambda tx: tx.execute(
                "INSERT INTO health (plugin, device, key, effect, value, time_added, message)"
                " VALUES ('p', 'dev-0', ?, 'NoExecute', ?, '', '')",
                (key, value),
            ),
        )
        assert table.all() == []


class Deadline:
    """A call whose time is the test's: what is left of the kubelet's 45 seconds."""

    def __init__(self, clock):
        self.clock = clock
        self.end = clock.monotonic() + 45

    def time_left(self):
        return max(0.0, self.end - self.clock.monotonic())

    def alive(self):
        return True


class Instant(threading.Event):
    """Waiting takes no time, but the clock goes on by it."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.longest = 0.0

    def wait(self, timeout=None):
        assert timeout is not None, "a wait without an end"
        self.clock.steady += timeout
        self.longest = max(self.longest, timeout)
        return self.is_set()


class TestWithin45Seconds:
    def test_what_others_bring_about(self, world, engine, clock):
        """The answer names what is awaited, 5 s before the kubelet gives up, and the next call the same."""
        object.__setattr__(engine.kit, "closing", Instant(clock))
        world.on("dra_prepare")(
            lambda ctx, device, result, config: ctx.wait(lambda: False, "the daemon of x")
        )
        ref = world.claim("c1", "dev-0")
        for _ in range(3):
            began = clock.steady
            with pytest.raises(Waiting, match="waits for the daemon of x"):
                engine.prepare(ref, Deadline(clock))
            assert 39 <= clock.steady - began <= 40.5
            clock.steady += 5
        engine.unprepare(ref, Call())

    def test_a_lock_is_waited_for_no_longer_than_the_call_has(self, world, engine, clock, monkeypatch):
        """Asked of the lock itself: how long each of them would be waited for."""
        from dracore.prepare.locks import Lock

        asked = []
        acquire = Lock.acquire

        def note(lock, timeout):
            asked.append(timeout)
            return acquire(lock, 0)

        world.holds(Thing("a"))
        ref = world.claim("c1", "dev-0")
        engine.prepare(ref, Call())
        monkeypatch.setattr(Lock, "acquire", note)
        busy_claim, busy_key = engine.kit.locks.claim("c1"), engine.kit.locks.key("thing/a")
        assert acquire(busy_claim, 0)
        for action in (engine.prepare, engine.unprepare):
            with pytest.raises(Busy, match="another call is still working on this claim"):
                action(ref, Deadline(clock))
        busy_claim.release()
        assert acquire(busy_key, 0)
        with pytest.raises(Busy, match="thing/a is being changed for claim name-of-c1"):
            engine.prepare(world.claim("c2", "dev-1"), Deadline(clock))
        with pytest.raises(Busy, match="thing/a is being changed for claim name-of-c1"):
            engine.unprepare(ref, Deadline(clock))
        busy_key.release()
        assert asked
        assert max(asked) <= 43
        monkeypatch.setattr(Lock, "acquire", acquire)
        engine.unprepare(ref, Call())
        assert time.monotonic() > 0
