"""Text that is no UTF-8, as file names of a node may be: told, kept, and in nobody's way."""

import os
import sqlite3

import pytest
from prepare_harness import DRIVER, Call, Thing

from dracore.errors import DracoreError, writable
from dracore.kubelet.dra import DraService
from dracore.kubelet.wire import dra_v1_pb2 as wire
from dracore.model.edits import ContainerEdits
from dracore.model.prepared import Prepared
from dracore.observe.metrics import Metrics

NAME = os.fsdecode(b"/sys/x\xff")
"""What Python makes of a file name that is no UTF-8: a lone surrogate."""


class Grpc:
    def time_remaining(self):
        return 30.0

    def is_active(self):
        return True


def ask(engine, *refs):
    """One RPC for several claims; their errors by uid."""
    service = DraService(DRIVER, engine, Metrics())
    details = type("D", (), {"method": f"/{wire.DESCRIPTOR.package}.DRAPlugin/NodePrepareResources"})()
    details.invocation_metadata = ()
    (handler,) = filter(None, (h.service(details) for h in service.handlers()))
    request = wire.NodePrepareResourcesRequest()
    for ref in refs:
        request.claims.add(uid=ref.uid, namespace=ref.namespace, name=ref.name)
    answer = handler.unary_unary(request, Grpc())
    service.close()
    answer.SerializeToString()
    return {uid: entry.error for uid, entry in answer.claims.items()}


def test_it_is_written_out():
    assert writable("plain") == "plain"
    assert writable("größer") == "größer"
    assert writable(NAME) == "/sys/x\\udcff"


def test_a_hook_that_says_it_fails_its_claim_alone_and_is_undone(world, engine):
    @world.on("dra_prepare")
    def _prepare(ctx, device, result, config):
        if device.name == "dev-0":
            ctx.hold(Thing("mode"))
            raise ValueError(f"bad link {NAME}")
        return world.prepared(device)

    bad, good = world.claim("bad", "dev-0"), world.claim("good", "dev-1")
    errors = ask(engine, good, bad)
    assert errors["good"] == ""
    assert "bad link /sys/x\\udcff" in errors["bad"]
    assert world.hardware.things == {}, "released before the error returned"
    assert [claim.ref.uid for claim in engine.snapshot().claims] == ["good"]
    assert any("/sys/x\\udcff" in entry.text for entry in engine.timeline("bad"))


def test_a_revert_that_says_it_is_remembered_with_it(world, engine):
    class Stuck(Thing):
        kind = "test.stuck"

        def revert(self, node, before, outcome):
            if not world.is_ready:
                raise OSError(f"cannot unlink {NAME}")
            super().revert(node, before, outcome)

    world.kinds["test.stuck"] = Stuck
    world.holds(Stuck("mode"))
    ref = world.claim("c1", "dev-0")
    engine.prepare(ref, Call())
    world.is_ready = False
    with pytest.raises(DracoreError, match=r"cannot unlink /sys/x\\udcff"):
        engine.unprepare(ref, Call())
    now = engine.snapshot()
    assert "\\udcff" in now.effects[0].error
    assert "\\udcff" in now.claims[0].error
    world.is_ready = True
    engine.unprepare(ref, Call())
    assert world.hardware.things == {}


def test_a_container_that_would_get_it_is_refused(world, engine):
    @world.on("dra_prepare")
    def _prepare(ctx, device, result, config):
        ctx.hold(Thing("mode"))
        return Prepared(ContainerEdits(env={"PATH_TO": NAME}))

    ref = world.claim("c1", "dev-0")
    errors = ask(engine, ref)
    assert "text that is no UTF-8" in errors["c1"]
    assert world.hardware.things == {}
    assert engine.snapshot().claims == ()


def test_a_note_that_cannot_be_written_does_not_stop_the_release(world, engine, monkeypatch):
    write = engine.kit.journal.write

    def refuse(detail, run):
        if detail.startswith("claim.error"):
            raise sqlite3.DataError("no")
        return write(detail, run)

    @world.on("dra_prepare")
    def _prepare(ctx, device, result, config):
        ctx.hold(Thing("mode"))
        raise ValueError("no")

    monkeypatch.setattr(engine.kit.journal, "write", refuse)
    with pytest.raises(DracoreError):
        engine.prepare(world.claim("c1", "dev-0"), Call())
    assert world.hardware.things == {}
