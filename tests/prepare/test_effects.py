"""Effects: sharing, conflicts, order, deferral, plugins that hold, plugins that are not there any more."""

import threading

import pytest
from prepare_harness import (
    KINDS,
    Call,
    FileThing,
    LaterThing,
    OtherThing,
    RefusedThing,
    Thing,
    World,
    problems,
)

from dracore.errors import EffectConflict, EffectFailed, EffectRefused, PluginError


def holds_by_claim(world, **effects):
    """dra_prepare of claim `uid` holds ``effects[uid]``."""

    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        for effect in effects[ctx.claim.ref.uid]:
            ctx.hold(effect)
        return world.prepared(device)


class TestSharing:
    def test_equal_parameters_are_shared_and_the_last_release_reverts(self, world, engine):
        world.holds(Thing("mode", "fast"))
        refs = [world.claim(f"c{i}", f"dev-{i}") for i in range(3)]
        for ref in refs:
            engine.prepare(ref, Call())
        assert world.hardware.log == ["make mode=fast"]
        assert engine.snapshot().effects[0].holders == ("c0", "c1", "c2")
        for ref in refs:
            assert "mode" in world.hardware.things
            engine.unprepare(ref, Call())
        assert world.hardware.log == ["make mode=fast", "unmake mode"]

    def test_all_get_the_same_outcome(self, world, engine):
        outcomes = []

        @world.on("dra_prepare")
        def prepare(ctx, device, result, config):
            outcomes.append(ctx.hold(Thing("mode")))
            outcomes.append(ctx.hold(Thing("mode")))
            return world.prepared(device)

        engine.prepare(world.claim("c1", "dev-0"), Call())
        engine.prepare(world.claim("c2", "dev-1"), Call())
        # As the journal has it: the tuple came back as a list, the first time too.
        assert outcomes == [{"id": 1, "pair": [1, 2]}] * 4

    def test_from_many_threads_it_is_applied_once(self, world, engine):
        world.holds(Thing("mode"), Thing("label", needs="mode"))
        refs = [world.claim(f"c{i}", f"dev-{i}") for i in range(8)]
        for work in (engine.prepare, engine.unprepare):
            threads = [threading.Thread(target=work, args=(ref, Call())) for ref in refs]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        log = world.hardware.log
        assert log.count("make mode=on") == log.count("unmake mode") >= 1
        assert world.hardware.violations == []
        assert world.hardware.things == {}

    def test_other_parameters_conflict_and_name_the_holders(self, world, engine):
        holds_by_claim(world, c1=[Thing("mode", "fast")], c2=[Thing("mode", "slow")])
        engine.prepare(world.claim("c1", "dev-0"), Call())
        with pytest.raises(EffectConflict, match="held with other parameters by claim name-of-c1") as error:
            engine.prepare(world.claim("c2", "dev-1"), Call())
        assert "default" not in str(error.value)

    def test_another_kind_on_the_key_conflicts(self, world, engine):
        holds_by_claim(world, c1=[Thing("mode")], c2=[OtherThing("mode")])
        engine.prepare(world.claim("c1", "dev-0"), Call())
        with pytest.raises(EffectConflict, match=r"held by another effect, test\.thing, by claim name-of-c1"):
            engine.prepare(world.claim("c2", "dev-1"), Call())


class TestBefore:
    def test_what_stood_there_is_restored(self, world, engine):
        world.hardware.make("mode", "the administrator's", "")
        world.holds(Thing("mode", "ours"))
        ref = world.claim("c1", "dev-0")
        engine.prepare(ref, Call())
        assert world.hardware.things["mode"]["value"] == "ours"
        engine.unprepare(ref, Call())
        assert world.hardware.things["mode"]["value"] == "the administrator's"
        world.hardware.unmake("mode", None)

    def test_it_may_refuse(self, world, engine):
        world.holds(Thing("a"), RefusedThing("b"))
        with pytest.raises(EffectRefused, match="an administrator has b in use; free it"):
            engine.prepare(world.claim("c1", "dev-0"), Call())
        assert world.hardware.things == {}


class TestOrderAcrossClaims:
    def test_a_pending_revert_is_finished_by_who_needs_the_key(self, world, engine):
        holds_by_claim(world, c1=[Thing("a"), Thing("b", needs="a")], c2=[Thing("b", "else")])
        c1 = world.claim("c1", "dev-0")
        engine.prepare(c1, Call())
        world.hardware.fail("revert", "b")
        with pytest.raises(EffectFailed):
            engine.unprepare(c1, Call())
        engine.prepare(world.claim("c2", "dev-1"), Call())
        assert world.hardware.things["b"]["value"] == "else"
        engine.unprepare(c1, Call())
        assert set(world.hardware.things) == {"b"}

    def test_while_it_still_fails_the_other_claim_is_told(self, world, engine):
        world.holds(Thing("a"))
        c1 = world.claim("c1", "dev-0")
        engine.prepare(c1, Call())
        world.hardware.fail("revert", "a", times=2)
        with pytest.raises(EffectFailed):
            engine.unprepare(c1, Call())
        with pytest.raises(EffectFailed, match=r"cannot undo test\.thing thing/a"):
            engine.prepare(world.claim("c2", "dev-1"), Call())
        engine.unprepare(c1, Call())

    def test_what_a_releasing_claim_has_not_reached_yet_can_be_shared(self, world, engine):
        holds_by_claim(world, c1=[Thing("mode"), Thing("x", needs="mode")], c2=[Thing("mode")])
        c1 = world.claim("c1", "dev-0")
        engine.prepare(c1, Call())
        world.hardware.fail("revert", "x")
        with pytest.raises(EffectFailed):
            engine.unprepare(c1, Call())
        engine.prepare(world.claim("c2", "dev-1"), Call())
        engine.unprepare(c1, Call())
        assert set(world.hardware.things) == {"mode"}


class TestDeferrable:
    def test_unprepare_does_not_wait_for_it(self, world, engine):
        world.holds(Thing("a"), LaterThing("label"), Thing("b", needs="a"))
        ref = world.claim("c1", "dev-0")
        engine.prepare(ref, Call())
        world.hardware.fail("revert", "label")
        engine.unprepare(ref, Call())
        assert set(world.hardware.things) == {"label"}
        assert engine.snapshot().claims == ()
        assert engine.kit.pending.is_set()
        (failure,) = engine.drain()
        assert "no to revert label" in str(failure)
        (effect,) = engine.snapshot().effects
        assert (effect.state, effect.holders) == ("reverting", ())
        assert engine.drain() == []
        assert world.hardware.things == {}

    def test_a_claim_that_needs_the_key_meanwhile_finishes_it(self, world, engine):
        world.holds(LaterThing("label"))
        ref = world.claim("c1", "dev-0")
        engine.prepare(ref, Call())
        engine.unprepare(ref, Call())
        engine.prepare(world.claim("c2", "dev-1"), Call())
        assert world.hardware.log == ["make label=on", "unmake label", "make label=on"]


class TestUnknownKinds:
    def test_a_kind_that_is_not_registered_is_refused_before_it_is_applied(self, world, engine):
        del world.kinds["test.thing"]
        world.holds(Thing("a"))
        with pytest.raises(PluginError, match="name Thing in dra_effects"):
            engine.prepare(world.claim("c1", "dev-0"), Call())
        assert world.hardware.log == []

    def test_a_plugin_that_is_not_installed_is_named_by_its_distribution(self, world, engine):
        world.holds(Thing("a"))
        ref = world.claim("c1", "dev-0")
        engine.prepare(ref, Call())
        world.kinds.clear()
        with pytest.raises(PluginError, match="install dracore-test-plugin again"):
            engine.unprepare(ref, Call())
        world.kinds |= KINDS
        engine.unprepare(ref, Call())
        assert world.hardware.things == {}

    def test_a_disabled_plugin_drains(self, world, engine):
        world.holds(Thing("a"))
        ref = world.claim("c1", "dev-0")
        engine.prepare(ref, Call())
        world.enabled, world.inventory = [], {}
        engine.unprepare(ref, Call())
        assert world.hardware.things == {}

    def test_parameters_of_another_version(self, world, engine):
        """A later version has a new parameter with a default, an earlier one does not know it."""
        world.holds(Thing("a", "fast"))
        ref = world.claim("c1", "dev-0")
        engine.prepare(ref, Call())
        engine.kit.journal.write(
            "test",
            lambda tx: tx.execute('UPDATE effects SET params = \'{"name":"a","value":"fast","newer":1}\''),
        )
        engine.prepare(world.claim("c2", "dev-1"), Call())
        assert engine.snapshot().effects[0].holders == ("c1", "c2")


class TestPlugins:
    def test_a_plugin_holds_over_restarts_and_claims(self, world):
        world.holds(Thing("mode"), Thing("x", needs="mode"))
        engine = world.engine()
        with engine.starting("test") as ctx:
            assert ctx.hold(Thing("mode"))["id"] == 1
        engine.recover()
        ref = world.claim("c1", "dev-0")
        engine.prepare(ref, Call())
        assert engine.snapshot().effects[0].holders == ("plugin:test", "c1")
        engine.unprepare(ref, Call())
        assert set(world.hardware.things) == {"mode"}
        engine.close()
        engine = world.engine()
        with engine.starting("test") as ctx:
            assert ctx.hold(Thing("mode"))["id"] == 1
        engine.recover()
        assert problems(world, engine) == []
        engine.close()

    def test_what_it_does_not_hold_again_is_released(self, world, engine):
        with engine.starting("test") as ctx:
            ctx.hold(Thing("old"))
        with engine.starting("test") as ctx:
            ctx.hold(Thing("new"))
        assert set(world.hardware.things) == {"old", "new"}
        assert engine.settled("test") is True
        assert set(world.hardware.things) == {"new"}
        assert engine.settled("test") is False

    def test_what_it_holds_while_it_discovers_is_not_made_again_at_each_start(self, world):
        for _ in range(2):
            engine = world.engine()
            with engine.starting("test") as ctx:
                ctx.hold(Thing("mode"))
            engine.context("test").hold(Thing("net"))  # in dra_discover
            assert engine.settled("test") is False
            engine.recover()
            assert problems(world, engine) == []
            engine.close()
        assert world.hardware.log == ["make mode=on", "make net=on"]

    def test_a_label_that_changes_is_released_and_held_anew(self, world, engine):
        ctx = engine.context("test")
        ctx.hold(Thing("label", "clique-1"))
        with pytest.raises(EffectConflict, match="by plugin test"):
            ctx.hold(Thing("label", "clique-2"))
        ctx.release(Thing("label", "clique-2"))
        assert world.hardware.things == {}
        ctx.hold(Thing("label", "clique-2"))
        assert world.hardware.things["label"]["value"] == "clique-2"
        ctx.release(Thing("other"))  # not held: nothing
        assert engine.snapshot().effects[0].holders == ("plugin:test",)

    def test_what_a_claim_holds_is_not_the_plugins_to_release(self, world, engine):
        world.holds(Thing("mode"))
        ref = world.claim("c1", "dev-0")
        engine.prepare(ref, Call())
        engine.context("test").release(Thing("mode"))
        assert engine.snapshot().effects[0].holders == ("c1",)

        @world.on("dra_prepare")
        def prepare(ctx, device, result, config):
            ctx.release(Thing("mode"))

        with pytest.raises(PluginError, match="what a claim holds is released when it ends"):
            engine.prepare(world.claim("c2", "dev-1"), Call())
        assert set(world.hardware.things) == {"mode"}

    def test_a_start_that_fails_releases_nothing(self, world, engine):
        with engine.starting("test") as ctx:
            ctx.hold(Thing("old"))
        with pytest.raises(ValueError, match="no hardware"), engine.starting("test"):
            raise ValueError("no hardware")
        assert engine.settled("test") is False
        assert set(world.hardware.things) == {"old"}

    def test_one_that_is_disabled_lets_go_at_the_next_start(self, world):
        engine = world.engine()
        with engine.starting("test") as ctx:
            ctx.hold(Thing("mode"))
        engine.close()
        world.enabled = ["other"]
        engine = world.engine()
        engine.recover()
        assert world.hardware.things == {}
        engine.close()

    def test_conflicts_name_the_plugin(self, world, engine):
        with engine.starting("test") as ctx:
            ctx.hold(Thing("mode", "static"))
        world.holds(Thing("mode", "dynamic"))
        with pytest.raises(EffectConflict, match="by plugin test"):
            engine.prepare(world.claim("c1", "dev-0"), Call())

    def test_discovery_sees_what_is_held(self, world, engine):
        world.holds(Thing("mode"), OtherThing("x"))
        engine.prepare(world.claim("c1", "dev-0"), Call())
        (held,) = engine.context("test").held(Thing)
        assert (held.effect, held.holders) == (Thing("mode"), ("c1",))
        assert [h.effect for h in engine.context("test").held("test.other")] == [OtherThing("x")]
        assert len(engine.held()) == 2


def test_an_effect_has_a_folder_of_its_own_until_it_is_reverted(world, engine):
    world.holds(FileThing("daemon"))
    refs = [world.claim("c1", "dev-0"), world.claim("c2", "dev-1")]
    for ref in refs:
        engine.prepare(ref, Call())
    folders = list((world.plugin_folder / "effects").iterdir())
    engine.unprepare(refs[0], Call())
    assert [(f / "config").read_text() for f in folders] == ["daemon"]
    engine.unprepare(refs[1], Call())
    assert not folders[0].exists()


def test_an_effect_whose_answer_is_no_json_is_undone(world, engine):
    class Odd(Thing):
        kind = "test.odd"

        def apply(self, node, before):
            super().apply(node, before)
            return {1, 2}

    world.kinds["test.odd"] = Odd
    world.holds(Odd("a"))
    with pytest.raises(EffectFailed, match="TypeError"):
        engine.prepare(world.claim("c1", "dev-0"), Call())
    assert world.hardware.things == {}
    assert isinstance(world, World)
