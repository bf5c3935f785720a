"""Prepare and unprepare: answers, records, CDI files, failures."""

import threading

import pytest
from prepare_harness import DRIVER, POOL, Call, Thing

from dracore.errors import (
    Busy,
    CdiError,
    ClaimError,
    DeviceBusy,
    DeviceGone,
    EffectFailed,
    PluginError,
    Superseded,
    Unreachable,
)
from dracore.model.claim import Claim, ClaimRef, Result
from dracore.model.edits import ContainerEdits
from dracore.model.prepared import Prepared
from dracore.prepare.ports import Group


def test_a_claim_is_prepared_and_released(world, engine):
    world.holds(Thing("mode"), Thing("instance", needs="mode"))
    ref = world.claim("c1", "dev-0")

    (result,) = engine.prepare(ref, Call())

    assert (result.requests, result.pool, result.device) == (("r0",), POOL, "dev-0")
    assert result.cdi_ids == (f"k8s.{DRIVER}/claim=c1-dev-0",)
    assert set(world.hardware.things) == {"mode", "instance"}
    assert world.cdi_files() == {f"dracore-{DRIVER}-c1.json"}
    (claim,) = engine.snapshot().claims
    assert (claim.ref, claim.state) == (ref, "prepared")
    assert [e.key for e in claim.effects] == ["thing/mode", "thing/instance"]

    engine.unprepare(ref, Call())

    assert world.hardware.things == {}
    assert world.hardware.log == ["make mode=on", "make instance=on", "unmake instance", "unmake mode"]
    assert world.cdi_files() == set()
    assert engine.snapshot().claims == ()
    assert engine.snapshot().effects == ()


def test_the_same_prepare_again_gives_the_same_answer_and_runs_no_hook(world, engine):
    world.holds(Thing("mode"))
    ref = world.claim("c1", "dev-0", "dev-1")
    first = engine.prepare(ref, Call())
    world.calls.clear()
    assert engine.prepare(ref, Call()) == first
    assert world.calls == []


@pytest.mark.parametrize("damage", ["gone", "differs"])
def test_a_cdi_file_that_is_gone_or_differs_is_written_again(world, engine, damage):
    ref = world.claim("c1", "dev-0")
    engine.prepare(ref, Call())
    (path,) = (world.folder / "cdi").iterdir()
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_text("{}")
    engine.prepare(ref, Call())
    assert path.read_bytes() == content


def test_unprepare_of_an_unknown_claim_is_a_success(engine):
    engine.unprepare(ClaimRef("nobody", "default", "x"), Call())


def test_a_claim_without_results_of_this_driver_is_answered_with_nothing(world, engine):
    assert engine.prepare(world.claim("c1"), Call()) == ()
    assert engine.snapshot().claims == ()


@pytest.mark.parametrize("uid", ["../../etc", "", "a/b", ".", "x" * 200])
def test_a_uid_that_is_no_uid_is_refused(engine, uid):
    with pytest.raises(ClaimError, match="cannot be the uid"):
        engine.prepare(ClaimRef(uid, "default", "x"), Call())
    with pytest.raises(ClaimError, match="cannot be the uid"):
        engine.unprepare(ClaimRef(uid, "default", "x"), Call())


class TestRefusals:
    """Nothing is changed, and the error says why."""

    def test_a_claim_that_is_gone(self, world, engine):
        ref = world.claim("c1", "dev-0")
        del world.cluster["c1"]
        with pytest.raises(ClaimError, match="not there any more"):
            engine.prepare(ref, Call())

    def test_a_claim_that_was_replaced(self, world, engine):
        ref = world.claim("c1", "dev-0")
        world.change("c1", ref=ClaimRef("c2", ref.namespace, ref.name))
        with pytest.raises(ClaimError, match="replaced by another"):
            engine.prepare(ref, Call())

    def test_a_claim_that_is_not_allocated(self, world, engine):
        ref = world.claim("c1", "dev-0")
        world.change("c1", allocated=False)
        with pytest.raises(ClaimError, match="not allocated"):
            engine.prepare(ref, Call())

    def test_an_api_server_that_does_not_answer(self, world, engine):
        ref = world.claim("c1", "dev-0")
        world.cluster["c1"] = Unreachable("no answer")
        with pytest.raises(Unreachable):
            engine.prepare(ref, Call())

    def test_a_device_that_is_gone(self, world, engine):
        with pytest.raises(DeviceGone, match="dev-99"):
            engine.prepare(world.claim("c1", "dev-99"), Call())

    def test_a_device_before_discovery_has_answered(self, world, engine):
        world.is_ready = False
        with pytest.raises(ClaimError, match="discovery has not answered"):
            engine.prepare(world.claim("c1", "dev-99"), Call())

    def test_validation_runs_before_anything_changes(self, world, engine):
        world.holds(Thing("mode"))

        @world.on("dra_validate")
        def validate(ctx, configs):
            assert configs == {"r0": {"x": 1}}
            raise ClaimError("not like this")

        with pytest.raises(ClaimError, match="not like this"):
            engine.prepare(world.claim("c1", "dev-0", config={"x": 1}), Call())
        assert world.hardware.log == []

    def test_validation_must_not_change_the_node(self, world, engine):
        world.on("dra_validate")(lambda ctx, configs: ctx.hold(Thing("mode")))
        with pytest.raises(PluginError, match="must not change the node"):
            engine.prepare(world.claim("c1", "dev-0"), Call())

    def test_a_caller_that_has_gone(self, world, engine):
        world.holds(Thing("mode"))
        with pytest.raises(Superseded):
            engine.prepare(world.claim("c1", "dev-0"), Call(alive=lambda: False))
        assert world.hardware.log == []

    def test_no_text_names_a_namespace(self, world, engine):
        ref = world.claim("c1", "dev-0")
        del world.cluster["c1"]
        with pytest.raises(ClaimError) as error:
            engine.prepare(ref, Call())
        assert "default" not in str(error.value)
        assert len(error.value.for_event()) <= 200


class TestFailures:
    """What a claim holds is released in reverse order before the error returns."""

    @pytest.fixture(autouse=True)
    def effects(self, world):
        world.holds(Thing("a"), Thing("b", needs="a"), Thing("c", needs="b"))

    def nothing_is_left(self, world, engine):
        assert world.hardware.things == {}
        assert world.hardware.violations == []
        assert engine.snapshot() == type(engine.snapshot())((), ())
        assert world.cdi_files() == set()

    @pytest.mark.parametrize("step", ["before", "apply", "half"])
    @pytest.mark.parametrize("thing", ["a", "b", "c"])
    def test_of_an_effect(self, world, engine, step, thing):
        world.hardware.fail(step, thing)
        with pytest.raises(EffectFailed, match=f"no to {step} {thing}"):
            engine.prepare(world.claim("c1", "dev-0"), Call())
        self.nothing_is_left(world, engine)

    def test_of_a_hook_after_its_effects(self, world, engine):
        @world.on("dra_prepare")
        def prepare(ctx, device, result, config):
            ctx.hold(Thing("a"))
            (ctx.claim_dir / "f").write_text("x")
            raise ValueError("a bug")

        with pytest.raises(PluginError, match="ValueError: a bug"):
            engine.prepare(world.claim("c1", "dev-0"), Call())
        self.nothing_is_left(world, engine)
        assert not (world.plugin_folder / "claims" / "c1").exists()

    @pytest.mark.parametrize("answer", [None, "edits"])
    def test_of_a_hook_that_answers_something_else(self, world, engine, answer):
        world.on("dra_prepare")(lambda ctx, device, result, config: answer)
        with pytest.raises(PluginError, match="must answer Prepared"):
            engine.prepare(world.claim("c1", "dev-0"), Call())

    def test_of_the_cdi_file(self, world, engine):
        (world.folder / "cdi").write_text("not a folder")
        with pytest.raises(CdiError):
            engine.prepare(world.claim("c1", "dev-0"), Call())
        assert world.hardware.things == {}
        (world.folder / "cdi").unlink()
        engine.drain()
        self.nothing_is_left(world, engine)

    def test_a_failing_revert_stops_the_order_and_is_tried_again(self, world, engine):
        ref = world.claim("c1", "dev-0")
        engine.prepare(ref, Call())
        world.hardware.fail("revert", "b", times=2)
        for _ in range(2):
            with pytest.raises(EffectFailed, match=r"cannot undo test.thing thing/b: .* no to revert b"):
                engine.unprepare(ref, Call())
            assert set(world.hardware.things) == {"a", "b"}
        (claim,) = engine.snapshot().claims
        assert claim.state == "releasing"
        assert "no to revert b" in claim.error
        engine.unprepare(ref, Call())
        self.nothing_is_left(world, engine)

    def test_a_rollback_that_fails_is_finished_by_the_next_prepare(self, world, engine):
        ref = world.claim("c1", "dev-0")
        world.hardware.fail("apply", "c")
        world.hardware.fail("revert", "b")
        with pytest.raises(EffectFailed, match="no to apply c"):
            engine.prepare(ref, Call())
        assert set(world.hardware.things) == {"a", "b"}
        assert engine.snapshot().claims[0].state == "releasing"
        assert len(engine.prepare(ref, Call())) == 1
        assert set(world.hardware.things) == {"a", "b", "c"}
        assert world.hardware.log.count("make a=on") == 2

    def test_one_claims_failure_never_touches_another(self, world, engine):
        @world.on("dra_prepare")
        def prepare(ctx, device, result, config):
            ctx.hold(Thing(device.name))
            if ctx.claim.ref.uid == "bad":
                raise ValueError("bad")
            return world.prepared(device)

        good, bad = world.claim("good", "dev-0"), world.claim("bad", "dev-1")
        engine.prepare(good, Call())
        with pytest.raises(PluginError):
            engine.prepare(bad, Call())
        assert [c.ref.uid for c in engine.snapshot().claims] == ["good"]
        assert set(world.hardware.things) == {"dev-0"}


class TestHooks:
    def test_their_order_and_what_they_see(self, world, engine):
        world.enabled = ["test", "sharer"]
        seen = []
        world.groups = [Group("Split", "sharer", {"n": 2}, (0, 1))]
        world.on("dra_validate")(lambda ctx, configs: seen.append(f"validate {ctx.plugin}"))
        world.on("dra_validate", "sharer")(lambda ctx, configs: seen.append(f"validate {ctx.plugin}"))

        @world.on("dra_prepare_claim")
        def whole(ctx, devices):
            seen.append("claim " + ",".join(d.name for d in devices))
            return Prepared(ContainerEdits(env={"WIDE": "1"}), facts={"partition": 7})

        @world.on("dra_prepare")
        def one(ctx, device, result, config):
            seen.append(f"{device.name} {ctx.facts()['partition']}")
            return Prepared(ContainerEdits(env={device.name: "x"}), facts={"uuid": f"MIG-{device.name}"})

        @world.on("dra_share", "sharer")
        def share(ctx, strategy, params, devices):
            assert ctx.facts("test") == {"partition": 7}
            seen.append(f"{strategy} {params} " + ",".join(d.prepared.facts["uuid"] for d in devices))
            return Prepared(ContainerEdits(env={"SHARED": "1"}))

        engine.prepare(world.claim("c1", "dev-0", "dev-1", "dev-2"), Call())

        assert seen == [
            "validate test",
            "validate sharer",
            "claim dev-0,dev-1,dev-2",
            "dev-0 7",
            "dev-1 7",
            "dev-2 7",
            "Split {'n': 2} MIG-dev-0,MIG-dev-1",
        ]
        text = next((world.folder / "cdi").iterdir()).read_text()
        assert text.count("WIDE=1") == 3
        assert text.count("SHARED=1") == 2
        devices = engine.snapshot().claims[0].devices
        assert [d.facts for d in devices] == [{"uuid": f"MIG-dev-{i}"} for i in range(3)]

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (5, "int; it must answer Prepared"),
            (Prepared({"env": {}}), "edits of type dict; it must be ContainerEdits"),
            (Prepared(common=None), "common of type NoneType; it must be ContainerEdits"),
            (Prepared(facts={"a": {1, 2}}), "facts that are not JSON: .*set is not JSON"),
            (Prepared(status={"a": float("nan")}), "status that are not JSON"),
            (Prepared(metadata={"a": object()}), "metadata that are not JSON"),
        ],
    )
    def test_an_answer_that_is_none_names_plugin_and_hook(self, world, engine, answer, message):
        world.holds(Thing("a"))

        @world.on("dra_prepare")
        def prepare(ctx, device, result, config):
            ctx.hold(Thing("a"))
            return answer

        with pytest.raises(PluginError, match=f"plugin test, hook dra_prepare: answered .*{message}"):
            engine.prepare(world.claim("c1", "dev-0"), Call())
        assert not world.hardware.things
        assert engine.snapshot().claims == ()

    def test_the_claim_folder_is_made_when_asked_for_and_removed_with_the_claim(self, world, engine):
        ref = world.claim("c1", "dev-0")
        folders = []

        @world.on("dra_prepare")
        def prepare(ctx, device, result, config):
            assert not (world.plugin_folder / "claims").exists()
            folders.append(ctx.claim_dir)
            (ctx.claim_dir / "config").write_text("x")
            return world.prepared(device)

        engine.prepare(ref, Call())
        assert (folders[0] / "config").exists()
        engine.unprepare(ref, Call())
        assert not folders[0].exists()

    def test_requests_are_told_without_their_sub_request(self, world, engine):
        ref = ClaimRef("c1", "default", "c")
        world.cluster["c1"] = Claim(
            ref, True, (Result("gpu/small", DRIVER, POOL, "dev-0", share_id="s-1"),), (), ("p",)
        )
        (result,) = engine.prepare(ref, Call())
        assert (result.requests, result.share_id) == (("gpu",), "s-1")
        assert result.cdi_ids == (f"k8s.{DRIVER}/claim=c1-dev-0-s-1",)


class TestGuard:
    """A device prepared for one claim is refused to another by what it is."""

    def test_by_identity(self, world, engine):
        engine.prepare(world.claim("c1", "dev-0"), Call())
        with pytest.raises(DeviceBusy, match="prepared for claim name-of-c1"):
            engine.prepare(world.claim("c2", "dev-0"), Call())

    def test_by_what_it_occupies(self, world, engine):
        world.device("whole", occupies={"gpu/slice-0": 1, "gpu/slice-1": 1})
        world.device("half", occupies={"gpu/slice-1": 1})
        world.device("other-half", occupies={"gpu/slice-0": 1})
        engine.prepare(world.claim("c1", "half"), Call())
        with pytest.raises(DeviceBusy, match="half, which is the same hardware"):
            engine.prepare(world.claim("c2", "whole"), Call())
        engine.prepare(world.claim("c3", "other-half"), Call())

    def test_within_one_claim(self, world, engine):
        world.device("twin", identity="uuid-dev-0")
        with pytest.raises(DeviceBusy, match="same hardware"):
            engine.prepare(world.claim("c1", "dev-0", "twin"), Call())

    def test_shares_of_one_device_count_once(self, world, engine):
        engine.prepare(world.claim("c1", "dev-0", share="a"), Call())
        engine.prepare(world.claim("c2", "dev-0", share="b"), Call())
        with pytest.raises(DeviceBusy):
            engine.prepare(world.claim("c3", "dev-0"), Call())
        for device in ("aaa", "zzz"):
            world.device(device, identity="uuid-dev-0")
            with pytest.raises(DeviceBusy):
                engine.prepare(world.claim("c4", device, share="c"), Call())

    def test_it_is_free_once_the_claim_is_released(self, world, engine):
        ref = world.claim("c1", "dev-0")
        engine.prepare(ref, Call())
        engine.unprepare(ref, Call())
        engine.prepare(world.claim("c2", "dev-0"), Call())

    def test_a_claim_that_is_still_being_released_keeps_it(self, world, engine):
        world.holds(Thing("a"))
        ref = world.claim("c1", "dev-0")
        engine.prepare(ref, Call())
        world.hardware.fail("revert", "a")
        with pytest.raises(EffectFailed):
            engine.unprepare(ref, Call())
        with pytest.raises(DeviceBusy):
            engine.prepare(world.claim("c2", "dev-0"), Call())
        engine.unprepare(ref, Call())

    def test_only_one_of_many_at_once_gets_it(self, world, engine):
        refs = [world.claim(f"c{i}", "dev-0") for i in range(12)]
        outcomes = []

        def prepare(ref):
            try:
                engine.prepare(ref, Call())
                outcomes.append("prepared")
            except DeviceBusy:
                outcomes.append("busy")

        threads = [threading.Thread(target=prepare, args=(ref,)) for ref in refs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["busy"] * 11 + ["prepared"]


class TestAdmin:
    def test_it_sees_a_device_in_use_and_disturbs_nothing(self, world, engine):
        @world.on("dra_prepare")
        def prepare(ctx, device, result, config):
            outcome = ctx.hold(Thing("partition"))
            return world.prepared(device, PARTITION=str(outcome["id"]))

        user, admin = world.claim("c1", "dev-0"), world.claim("c2", "dev-0", admin=True)
        engine.prepare(user, Call())
        engine.prepare(admin, Call())
        assert world.hardware.log == ["make partition=on"]
        assert engine.snapshot().effects[0].holders == ("c1",)
        engine.unprepare(admin, Call())
        assert set(world.hardware.things) == {"partition"}

    def test_a_partition_that_does_not_exist_is_refused_with_that_reason(self, world, engine):
        world.holds(Thing("partition"))
        with pytest.raises(ClaimError, match="would have to be made first"):
            engine.prepare(world.claim("c1", "dev-0", admin=True), Call())
        assert world.hardware.log == []

    def test_what_its_claim_asks_for_is_not_applied(self, world, engine):
        configs = []
        world.groups = [Group("Split", "test", {}, (0,))]

        @world.on("dra_prepare")
        def prepare(ctx, device, result, config):
            configs.append(config)
            return world.prepared(device)

        world.on("dra_share")(lambda **_: pytest.fail("an admin's device is not shared"))
        world.on("dra_prepare_claim")(lambda **_: pytest.fail("there is nothing to do for the claim"))
        engine.prepare(world.claim("c1", "dev-0", config={"sharing": "x"}, admin=True), Call())
        assert configs == [None]

    def test_it_occupies_nothing(self, world, engine):
        engine.prepare(world.claim("c1", "dev-0", admin=True), Call())
        engine.prepare(world.claim("c2", "dev-0"), Call())


class TestAnotherAllocation:
    def test_the_old_record_is_released_first(self, world, engine):
        @world.on("dra_prepare")
        def prepare(ctx, device, result, config):
            ctx.hold(Thing(device.name))
            return world.prepared(device)

        ref = world.claim("c1", "dev-0")
        engine.prepare(ref, Call())
        world.claim("c1", "dev-1")
        (result,) = engine.prepare(ref, Call())
        assert result.device == "dev-1"
        assert set(world.hardware.things) == {"dev-1"}

    def test_it_is_refused_while_a_pod_uses_the_old_devices(self, world, engine):
        ref = world.claim("c1", "dev-0")
        engine.prepare(ref, Call())
        world.claim("c1", "dev-1")
        world.pods = {"c1": ("default/web-0",)}
        with pytest.raises(ClaimError, match="while pod web-0 still uses") as error:
            engine.prepare(ref, Call())
        assert "default" not in str(error.value)
        assert engine.snapshot().claims[0].devices[0].device == "dev-0"

    def test_doubt_releases_nothing(self, world, engine):
        ref = world.claim("c1", "dev-0")
        engine.prepare(ref, Call())
        world.claim("c1", "dev-1")
        world.pods = Unreachable("the kubelet does not answer")
        with pytest.raises(Unreachable):
            engine.prepare(ref, Call())
        assert engine.snapshot().claims[0].devices[0].device == "dev-0"

    def test_another_config_is_another_allocation(self, world, engine):
        ref = world.claim("c1", "dev-0", config={"a": 1})
        engine.prepare(ref, Call())
        world.calls.clear()
        world.on("dra_prepare")(
            lambda ctx, device, result, config: world.prepared(device, A=str(config["a"]))
        )
        world.claim("c1", "dev-0", config={"a": 2})
        engine.prepare(ref, Call())
        assert world.calls == ["test.dra_prepare"]


def test_the_49th_prepare_is_told_at_once_that_the_node_is_busy(world, engine):
    inside, go = threading.Barrier(49), threading.Event()

    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        inside.wait(20)
        go.wait(20)
        return world.prepared(device)

    for i in range(50):
        world.device(f"d{i}")
    refs = [world.claim(f"c{i}", f"d{i}") for i in range(50)]
    threads = [threading.Thread(target=engine.prepare, args=(ref, Call())) for ref in refs[:48]]
    for thread in threads:
        thread.start()
    inside.wait(20)
    with pytest.raises(Busy, match="busy"):
        engine.prepare(refs[49], Call())
    engine.unprepare(refs[49], Call())  # never waits for a place
    go.set()
    for thread in threads:
        thread.join()
    world.on("dra_prepare")(lambda ctx, device, result, config: world.prepared(device))
    engine.prepare(refs[49], Call())
    assert len(engine.snapshot().claims) == 49


def test_a_claim_without_effects_needs_one_commit_each_way(world, engine):
    commits = []
    world.seam = lambda point, detail="": commits.append(detail) if point == "journal.commit.before" else None
    ref = world.claim("c1", "dev-0")
    engine.prepare(ref, Call())
    assert commits == ["claim.prepared c1"]
    commits.clear()
    engine.prepare(ref, Call())
    assert commits == []
    engine.unprepare(ref, Call())
    assert commits == ["claim.released c1"]


def test_the_timeline_tells_what_happened_to_a_claim(world, engine):
    ref = world.claim("c1", "dev-0")
    world.holds(Thing("a"), Thing("b"))
    world.hardware.fail("apply", "b")
    with pytest.raises(EffectFailed):
        engine.prepare(ref, Call())
    what = [(entry.what, entry.key) for entry in engine.timeline("c1")]
    assert what == [
        ("preparing", ""),
        ("apply", "thing/a"),
        ("applied", "thing/a"),
        ("apply", "thing/b"),
        ("error", "thing/b"),
        ("reverted", "thing/b"),
        ("error", ""),
        ("releasing", ""),
        ("revert", "thing/a"),
        ("reverted", "thing/a"),
        ("released", ""),
        ("error", ""),
    ]
    times = [entry.at for entry in engine.timeline("c1")]
    assert times == sorted(times)
