"""The DRA service: answers per claim, both versions, errors that fit a pod's event."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import structlog

from dracore.errors import DeviceBusy
from dracore.kubelet import dra
from dracore.kubelet.wire import dra_v1_pb2
from dracore.model.answer import Call, PreparedResult
from dracore.model.claim import ClaimRef

Serve = Callable[..., Any]


def test_prepare_says_what_the_engine_said(serve: Serve) -> None:
    served = serve()
    served.engine.prepare_work = lambda ref, call: (
        PreparedResult(("a", "b"), "pool", "gpu-0", ("id-1", "id-2"), "share-1"),
        PreparedResult(("c",), "pool", "gpu-1", ()),
    )
    first, second = served.prepare("u1").claims["u1"].devices
    assert (list(first.request_names), first.pool_name, first.device_name) == (["a", "b"], "pool", "gpu-0")
    assert list(first.cdi_device_ids) == ["id-1", "id-2"]
    assert first.HasField("share_id")
    assert first.share_id == "share-1"
    assert not second.HasField("share_id"), "an empty share id is none"
    assert served.engine.prepared == [ClaimRef("u1", "ns", "claim-u1")]


def test_v1beta1_is_the_same_without_share_ids(serve: Serve) -> None:
    served = serve()
    served.engine.prepare_work = lambda ref, call: (PreparedResult(("a",), "p", "d", ("id",), "s"),)
    (device,) = served.prepare("u1", beta=True).claims["u1"].devices
    assert (list(device.request_names), list(device.cdi_device_ids)) == (["a"], ["id"])
    # The same bytes read as v1 show no share: field 5 was never sent.
    assert not dra_v1_pb2.Device.FromString(device.SerializeToString()).HasField("share_id")
    assert served.unprepare("u1", beta=True).claims["u1"].error == ""


def test_an_empty_call_succeeds(serve: Serve) -> None:
    served = serve()
    assert dict(served.prepare().claims) == {}
    assert dict(served.unprepare().claims) == {}


@pytest.mark.parametrize("kind", [ValueError, SystemExit, asyncio.CancelledError, KeyboardInterrupt])
def test_whatever_is_raised_is_answered(serve: Serve, kind: type[BaseException]) -> None:
    served = serve()

    def work(ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        if ref.uid == "bad":
            raise kind("boom")
        return ()

    served.engine.prepare_work = work
    answers = served.prepare("bad", "good").claims
    assert f"internal error of the driver during prepare: {kind.__name__}: boom" in answers["bad"].error
    assert answers["good"].error == ""


def test_one_bad_claim_leaves_the_others_alone(serve: Serve) -> None:
    served = serve()

    def work(ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        if ref.uid == "bad":
            raise DeviceBusy("gpu-0 is prepared for another claim", fix="wait for it")
        return (PreparedResult(("a",), "p", ref.uid, ()),)

    served.engine.prepare_work = work
    answer = served.prepare("u1", "bad", "u2").claims
    assert set(answer) == {"u1", "bad", "u2"}
    assert answer["bad"].error == "gpu-0 is prepared for another claim; wait for it"
    assert not answer["bad"].devices
    assert [answer[uid].devices[0].device_name for uid in ("u1", "u2")] == ["u1", "u2"]
    assert not answer["u1"].error


def test_a_defect_is_one_clear_error_and_a_logged_traceback(serve: Serve) -> None:
    served = serve()

    def work(ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        raise KeyError("x" * 400)

    served.engine.prepare_work = work
    with structlog.testing.capture_logs() as logs:
        error = served.prepare("u1").claims["u1"].error
    assert error.startswith("internal error of the driver during prepare: KeyError")
    assert len(error) <= 200
    assert "\n" not in error
    (entry,) = [line for line in logs if line["log_level"] == "error"]
    assert entry["exc_info"]
    assert served.metrics.value("prepare_total", "gpu.example.com", "defect") == 1


def test_a_long_error_is_cut_to_one_line_of_200(serve: Serve) -> None:
    served = serve()

    def work(ref: ClaimRef, call: Call) -> None:
        raise DeviceBusy("line\n" * 100)

    served.engine.unprepare_work = work
    error = served.unprepare("u1").claims["u1"].error
    assert 190 < len(error) <= 200
    assert error.startswith("line line")
    assert "…" in error
    assert "\n" not in error


def test_an_error_without_a_text_still_is_an_error(serve: Serve) -> None:
    served = serve()

    def work(ref: ClaimRef, call: Call) -> None:
        raise DeviceBusy("")

    served.engine.unprepare_work = work
    assert served.unprepare("u1").claims["u1"].error == "DeviceBusy"


def test_a_claim_without_a_uid_is_refused(serve: Serve) -> None:
    served = serve()
    assert "without a uid" in served.prepare("").claims[""].error
    assert served.engine.prepared == []


def test_a_claim_named_twice_is_handled_once(serve: Serve) -> None:
    served = serve()
    assert list(served.prepare("u1", "u1").claims) == ["u1"]
    assert len(served.engine.prepared) == 1


def test_claims_of_one_call_run_side_by_side(serve: Serve) -> None:
    served = serve()
    meet = threading.Barrier(3)

    def work(ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        meet.wait(10)  # passes only where all three are inside at once
        return ()

    served.engine.prepare_work = work
    answer = served.prepare("u1", "u2", "u3").claims
    assert {entry.error for entry in answer.values()} == {""}


def test_without_room_claims_run_in_order(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dra, "CLAIM_THREADS", 1)
    served = serve()
    room = served.endpoint.service._room
    assert room.acquire(blocking=False)
    assert set(served.prepare("u1", "u2", "u3").claims) == {"u1", "u2", "u3"}
    assert [ref.uid for ref in served.engine.prepared] == ["u1", "u2", "u3"]
    room.release()


def test_the_room_comes_back(serve: Serve) -> None:
    served = serve()
    for _ in range(3):
        served.prepare(*(f"u{i}" for i in range(20)))
    room = served.endpoint.service._room
    assert all(room.acquire(blocking=False) for _ in range(dra.CLAIM_THREADS))


def test_the_engine_is_told_the_deadline_and_that_the_caller_left(serve: Serve) -> None:
    served = serve()
    seen: dict[str, Any] = {}
    gone = threading.Event()

    def work(ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        seen[ref.uid] = call.time_left()
        if ref.uid == "short":
            while call.alive():
                gone.wait(0.01)
            seen["alive"], seen["left"] = call.alive(), call.time_left()
            gone.set()
        return ()

    served.engine.prepare_work = work
    served.prepare("plain", timeout=None)
    assert 44 < seen["plain"] <= 45, "no deadline counts as the kubelet's"
    served.prepare("long", timeout=20)
    assert 15 < seen["long"] < 21, "gRPC rounds up a little"
    with pytest.raises(Exception, match="DEADLINE_EXCEEDED"):
        served.prepare("short", timeout=0.3)
    assert gone.wait(10)
    assert seen["alive"] is False


def test_metrics(serve: Serve) -> None:
    served = serve()
    served.prepare("u1", "u2")
    served.unprepare("u1")
    assert served.metrics.value("prepare_total", "gpu.example.com", "ok") == 2
    assert served.metrics.value("unprepare_total", "gpu.example.com", "ok") == 1
    assert served.metrics.value("inflight", "gpu.example.com") == 0
    assert sum(served.metrics.durations()["gpu.example.com", "prepare", "ok"].counts) == 2
