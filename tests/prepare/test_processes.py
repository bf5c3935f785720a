"""Two driver processes on one plugin folder; one of them is killed or stopped in the middle."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prepare_harness import Call, Thing, World, problems

from dracore.errors import Busy

HERE = Path(__file__).parent


@pytest.fixture
def other(tmp_path):
    """Starts the other process and returns when it is at the point."""
    processes = []

    def start(point, what="prepare"):
        process = subprocess.Popen(
            [sys.executable, str(HERE / "engine_child.py"), str(tmp_path), point, what],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent.parent}"},
        )
        processes.append(process)
        assert process.stdout.readline().strip() in ("there", "done")
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def here(tmp_path):
    world = World(tmp_path)
    world.holds(Thing("a"), Thing("b", needs="a"))
    return world


MIDDLES = [
    "effect.apply.before test.thing thing/a",
    "effect.apply.after test.thing thing/b",
    "journal.commit.after effect.outcome thing/a",
    "cdi.rename.before",
]


@pytest.mark.parametrize("point", MIDDLES)
def test_what_a_live_process_is_at_is_passed_over_and_undone_when_it_dies(here, other, point):
    process = other(point)
    engine = here.engine()
    before = here.hardware.things
    files = here.cdi_files()
    engine.recover()
    assert engine.drain() == []
    assert here.hardware.things == before
    assert files <= here.cdi_files()
    ref = here.claim("c1", "dev-0")
    with pytest.raises(Busy, match="another call is still working on this claim"):
        engine.prepare(ref, Call(2.1))
    with pytest.raises(Busy):
        engine.unprepare(ref, Call(2.1))

    process.send_signal(signal.SIGKILL)
    process.wait()

    engine.recover()
    assert problems(here, engine) == []
    assert len(engine.prepare(ref, Call())) == 1
    assert problems(here, engine) == []
    engine.unprepare(ref, Call())
    assert here.hardware.things == {}
    engine.close()


def test_a_stopped_process_that_goes_on_does_no_harm(here, other):
    process = other("journal.begin.before effect.intent thing/b")
    process.send_signal(signal.SIGSTOP)
    engine = here.engine()
    engine.recover()
    with pytest.raises(Busy):
        engine.prepare(here.claim("c1", "dev-0"), Call(2.1))
    # Other claims that need none of its keys are not held up.
    here.on("dra_prepare")(lambda ctx, device, result, config: here.prepared(device))
    engine.prepare(here.claim("c2", "dev-1"), Call())
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.wait()
    engine.drain()
    assert problems(here, engine) == []
    assert [c.ref.uid for c in engine.snapshot().claims] == ["c2"]
    engine.close()


def test_what_one_process_prepared_the_other_answers_and_releases(here, other):
    process = other("never")
    engine = here.engine()
    engine.recover()
    ref = here.claim("c1", "dev-0")
    (result,) = engine.prepare(ref, Call())
    assert result.device == "dev-0"
    assert here.calls == []  # no hook ran here
    engine.unprepare(ref, Call())
    assert here.hardware.things == {}
    assert process.poll() is None
    engine.close()


def test_an_unprepare_that_dies_is_finished_by_the_other(here, other):
    process = other("never")
    process.kill()
    process.wait()
    process = other("effect.revert.after test.thing thing/b", "unprepare")
    process.kill()
    process.wait()
    engine = here.engine()
    done = engine.recover()
    assert done.released == ["c1"]
    assert here.hardware.things == {}
    engine.close()


def test_an_intent_of_a_dead_process_is_reverted_before_the_key_is_used_again(here, other):
    """Never adopted, not even by a claim that asks for just the same and comes before any recovery."""
    other("effect.apply.before test.thing thing/a").kill()
    engine = here.engine()
    here.on("dra_prepare")(lambda ctx, device, result, config: ctx.hold(Thing("a")) and here.prepared(device))
    # The dead process's lock is free once it is reaped; until then the key is waited for.
    engine.prepare(here.claim("c2", "dev-1"), Call())
    engine.drain()
    assert problems(here, engine) == []
    assert [e.holders for e in engine.snapshot().effects] == [("c2",)]
    assert set(here.hardware.things) == {"a"}
    engine.close()


def test_what_a_dead_process_has_half_reverted_is_not_shared(here, other):
    process = other("never")
    process.kill()
    process.wait()
    process = other("effect.revert.after test.thing thing/b", "unprepare")
    process.kill()
    process.wait()
    engine = here.engine()

    @here.on("dra_prepare")
    def prepare(ctx, device, result, config):
        ctx.hold(Thing("a"))
        ctx.hold(Thing("b", needs="a"))
        return here.prepared(device)

    engine.prepare(here.claim("c2", "dev-1"), Call())
    assert here.hardware.log.count("make b=on") == 2
    engine.drain()
    assert problems(here, engine) == []
    assert set(here.hardware.things) == {"a", "b"}
    engine.close()
