"""A start after a crash or a reboot."""

import pytest
from prepare_harness import Call, GoneThing, StaysThing, Thing, World, problems

from dracore.errors import DeviceBusy, DeviceGone, EffectFailed
from dracore.model.effect import Absent, Unknown


def restart(world, engine, boot=None, **fields):
    """The process ends and another begins, in another boot where one is given."""
    engine.close()
    again = World(world.folder, boot=boot or world.boot, hooks=world.hooks, cluster=world.cluster, **fields)
    again.inventory = fields.get("inventory", world.inventory)
    engine = again.engine()
    done = engine.recover()
    return again, engine, done


@pytest.fixture
def started(world):
    engine = world.engine()
    engine.recover()
    return engine


class TestCdi:
    def test_files_that_are_gone_are_written_again(self, world, started):
        started.prepare(world.claim("c1", "dev-0"), Call())
        (path,) = (world.folder / "cdi").iterdir()
        content = path.read_bytes()
        path.unlink()
        world, engine, done = restart(world, started)
        assert done.rewritten == ["c1"]
        assert path.read_bytes() == content
        engine.close()

    def test_a_first_start_goes_on_where_they_cannot_be_listed(self, world):
        (world.folder / "cdi").write_text("")
        engine = world.engine()
        (failure,) = engine.recover().failures
        assert "cannot list" in str(failure)
        engine.close()

    def test_only_our_orphans_are_swept(self, world, started):
        started.prepare(world.claim("c1", "dev-0"), Call())
        cdi = world.folder / "cdi"
        uid = "0b5d4d6c-8d5f-4f26-9d6f-0a4a2c7f1e11"
        (cdi / f"dracore-test.example.com-{uid}.json").write_text("{}")
        foreign = [cdi / "k8s.test.example.com-claim_x.json", cdi / "nvidia.yaml"]
        for path in foreign:
            path.write_text("theirs")
        (world.plugin_folder / "claims" / "dead").mkdir(parents=True)
        (world.plugin_folder / "effects" / "0123").mkdir(parents=True)
        theirs = world.plugin_folder / "README"
        theirs.write_text("")
        world, engine, done = restart(world, started)
        assert sorted(done.swept) == sorted([f"dracore-test.example.com-{uid}.json", "dead", "0123"])
        assert all(path.exists() for path in (*foreign, theirs))
        assert "dracore-test.example.com-c1.json" in world.cdi_files()
        engine.close()


def test_a_start_without_its_hardware_leaves_what_it_cannot_undo_for_later(world, started):
    world.holds(Thing("a"))
    ref = world.claim("c1", "dev-0")
    started.prepare(ref, Call())
    world.hardware.fail("revert", "a")
    with pytest.raises(EffectFailed):
        started.unprepare(ref, Call())
    started.close()
    world.session_open = False
    engine = world.engine()
    done = engine.recover()
    assert len(done.failures) == 1
    assert engine.snapshot().claims[0].state == "releasing"
    world.session_open = True
    assert engine.drain() == []
    assert problems(world, engine) == []
    engine.close()


class TestReboot:
    @pytest.fixture
    def prepared(self, world, started):
        @world.on("dra_prepare")
        def prepare(ctx, device, result, config):
            for sort in (GoneThing, StaysThing, Thing):
                ctx.hold(sort(f"{device.name}-{sort.kind[5:]}"))
            return world.prepared(device)

        world.ref = world.claim("c1", "dev-0")
        world.first = started.prepare(world.ref, Call())
        world.hardware.reboot(survives=["dev-0-stays"])
        for path in (world.folder / "cdi").iterdir():
            path.unlink()
        return started

    def test_records_wait_for_their_next_prepare_and_only_what_survived_is_held(self, world, prepared):
        world, engine, _ = restart(world, prepared, boot="boot-2")
        (claim,) = engine.snapshot().claims
        assert claim.state == "waiting"
        assert [e.key for e in claim.effects] == ["thing/dev-0-stays"]
        assert problems(world, engine) == []
        engine.close()

    def test_prepare_builds_them_again_under_the_same_ids(self, world, prepared):
        ref, first = world.ref, world.first
        world, engine, _ = restart(world, prepared, boot="boot-2")
        assert engine.prepare(ref, Call()) == first
        assert set(world.hardware.things) == {"dev-0-gone", "dev-0-stays", "dev-0-thing"}
        assert world.hardware.log.count("make dev-0-stays=on") == 1
        assert problems(world, engine) == []
        engine.unprepare(ref, Call())
        assert world.hardware.things == {}
        engine.close()

    def test_unprepare_needs_no_prepare(self, world, prepared):
        ref = world.ref
        world, engine, _ = restart(world, prepared, boot="boot-2", inventory={})
        engine.unprepare(ref, Call())
        assert world.hardware.things == {}
        assert engine.snapshot().claims == ()
        engine.close()

    def test_other_hardware_under_the_name_is_refused_every_time(self, world, prepared):
        ref = world.ref
        world.device("dev-0", identity="uuid-new", description="gadget")
        world, engine, _ = restart(world, prepared, boot="boot-2")
        for _ in range(2):
            with pytest.raises(DeviceGone, match="other hardware since the reboot: gadget, and was widget"):
                engine.prepare(ref, Call())
        assert engine.snapshot().claims[0].state == "waiting"
        engine.unprepare(ref, Call())
        engine.close()

    def test_the_same_sort_of_hardware_under_the_name_is_taken(self, world, prepared):
        ref = world.ref
        world.device("dev-0", identity="uuid-new")
        world, engine, _ = restart(world, prepared, boot="boot-2")
        engine.prepare(ref, Call())
        text = next((world.folder / "cdi").iterdir()).read_text()
        assert "uuid-new" in text
        engine.close()

    def test_an_effect_that_cannot_be_looked_at_fails_the_prepare_and_is_kept(
        self, world, prepared, monkeypatch
    ):
        ref = world.ref
        monkeypatch.setattr(Thing, "probe", lambda self, node: Unknown("the driver is loading"))
        world, engine, _ = restart(world, prepared, boot="boot-2")
        with pytest.raises(EffectFailed, match="the driver is loading"):
            engine.prepare(ref, Call())
        monkeypatch.setattr(Thing, "probe", lambda self, node: Absent())
        engine.prepare(ref, Call())
        engine.close()


def test_devices_that_swapped_their_names_do_not_stand_in_each_others_way(world, started):
    refs = [world.claim("c0", "dev-0"), world.claim("c1", "dev-1")]
    for ref in refs:
        started.prepare(ref, Call())
    world.device("dev-0", identity="uuid-dev-1")
    world.device("dev-1", identity="uuid-dev-0")
    world, engine, _ = restart(world, started, boot="boot-2")
    for ref in refs:
        engine.prepare(ref, Call())
    with pytest.raises(DeviceBusy):
        engine.prepare(world.claim("c2", "dev-0"), Call())
    assert problems(world, engine) == []
    engine.close()


def test_within_a_boot_the_identity_decides(world, started):
    """A claim that waits goes on with its hardware, whatever that is called now."""
    ready = []
    seen = []

    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        seen.append((device.name, device.identity))
        ctx.wait(lambda: ready, "it")
        return world.prepared(device)

    ref = world.claim("c1", "dev-0")
    with pytest.raises(Exception, match="waits for it"):
        started.prepare(ref, Call(5.02))
    world.device("dev-0", identity="uuid-other")
    world.device("dev-9", identity="uuid-dev-0")
    ready.append(1)
    started.prepare(ref, Call())
    assert seen[-1] == ("dev-9", "uuid-dev-0")
    started.unprepare(ref, Call())
    ready.clear()
    with pytest.raises(Exception, match="waits for it"):
        started.prepare(ref, Call(5.02))
    world.device("dev-0", identity="uuid-third")
    with pytest.raises(DeviceGone):
        started.prepare(ref, Call())
    assert started.snapshot().claims[0].state == "waiting"
    started.close()


def test_a_start_that_does_not_know_the_boot_before_forgets_nothing(world, started):
    world.holds(GoneThing("a"))
    started.prepare(world.claim("c1", "dev-0"), Call())
    started.kit.journal.write("test", lambda tx: tx.execute("DELETE FROM meta WHERE name = 'boot'"))
    world, engine, _ = restart(world, started)
    assert problems(world, engine) == []
    assert set(world.hardware.things) == {"a"}
    engine.close()
