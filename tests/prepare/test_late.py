"""A context that a hook has kept, used after the end of its attempt: it makes nothing any more."""

import threading

import pytest
from prepare_harness import Call, Thing, World, problems

from dracore.errors import DracoreError


@pytest.fixture
def kept(world):
    """Contexts that dra_prepare has kept; it holds `a`."""
    contexts = []

    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        contexts.append(ctx)
        ctx.hold(Thing("a"))
        return world.prepared(device)

    return contexts


@pytest.mark.parametrize("end", ["prepared", "unprepared", "failed", "prepared anew"])
def test_after_the_end(world, engine, kept, end):
    ref = world.claim("c1", "dev-0")
    if end == "failed":
        world.hardware.fail("apply", "a")
        with pytest.raises(DracoreError):
            engine.prepare(ref, Call())
    else:
        engine.prepare(ref, Call())
    if end.startswith("unprepared"):
        engine.unprepare(ref, Call())
    if end == "prepared anew":
        engine.unprepare(ref, Call())
        engine.prepare(ref, Call())
    things = world.hardware.things
    uses = [lambda c: c.hold(Thing("late")), lambda c: c.wait(lambda: False, "x"), lambda c: c.claim_dir]
    for use in uses:
        with pytest.raises(DracoreError, match="has ended"):
            use(kept[0])
    assert world.hardware.things == things
    assert not (world.plugin_folder / "claims" / "c1").exists()


def test_a_hold_that_is_under_way_when_its_claim_is_rolled_back(world, engine):
    """A hook's own thread, between its look at the attempt and its commit."""
    inside, go, box = threading.Event(), threading.Event(), []

    class Slow(Thing):
        kind = "test.slow"

        def before(self, node):
            inside.set()
            go.wait(20)

    world.kinds[Slow.kind] = Slow

    def late(ctx):
        try:
            ctx.hold(Slow("late"))
        except DracoreError as error:
            box.append(error)

    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        ctx.hold(Thing("a"))
        world.thread = threading.Thread(target=late, args=(ctx,))
        world.thread.start()
        inside.wait(20)
        raise OSError("it fails")

    with pytest.raises(DracoreError, match="it fails"):
        engine.prepare(world.claim("c1", "dev-0"), Call())
    go.set()
    world.thread.join()
    assert box
    assert world.hardware.things == {}


class Stranger:
    """Holds without a record."""

    name = "c0"

    def joining(self, tx):
        pass

    def joined(self, value):
        pass


def test_what_a_claim_that_nobody_knows_holds_is_released_at_the_next_start(world):
    """As an earlier version left it."""
    world.holds(Thing("a"))
    engine = world.engine()
    engine.recover()
    engine.prepare(world.claim("c1", "dev-0"), Call())

    for name in ("a", "b"):
        engine.effects.hold(Thing(name), Stranger(), lambda: 30.0)
    engine.close()
    engine = World(world.folder).engine()
    engine.recover()
    assert set(world.hardware.things) == {"a"}
    assert engine.snapshot().effects[0].holders == ("c1",)
    assert problems(world, engine) == []
    engine.close()
