"""The life of a driver's sockets: liveness, repair, drain."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dracore.kubelet import endpoint as endpoint_module
from dracore.kubelet.registration import RegistrationState
from dracore.model.answer import Call, PreparedResult
from dracore.model.claim import ClaimRef
from dracore.testing.waiting import until

Serve = Callable[..., Any]


def test_liveness_really_calls(serve: Serve) -> None:
    served = serve()
    assert served.endpoint.check() == []
    served.endpoint.stop(grace=None)
    wrong = served.endpoint.check()
    assert len(wrong) == 2
    assert "GetInfo" in wrong[0]
    assert "NodePrepareResources" in wrong[1]


def test_liveness_notices_a_socket_of_somebody_else(serve: Serve, folder: Any) -> None:
    mine, other = serve("a.example.com"), serve("b.example.com")
    mine.endpoint._stop.set()
    mine.endpoint.paths.registration.unlink()
    mine.endpoint.paths.registration.hardlink_to(other.endpoint.paths.registration)
    (wrong,) = mine.endpoint.check()
    assert "answered for b.example.com" in wrong


def test_a_socket_that_somebody_deletes_comes_back(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "LOOK_SECONDS", 0.05)
    served = serve()
    for path in (served.endpoint.paths.registration, served.endpoint.paths.dra):
        path.unlink()
        until(path.exists)
    assert served.endpoint.check() == []


@pytest.mark.parametrize(
    "failure",
    [OSError(5, "Input/output error"), RuntimeError("can't start new thread"), SystemExit(1)],
    ids=lambda failure: type(failure).__name__,
)
def test_whatever_fails_the_sockets_are_looked_after(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    monkeypatch.setattr(endpoint_module, "LOOK_SECONDS", 0.02)
    served = serve()

    def fail() -> bool:
        raise failure

    with monkeypatch.context() as broken:
        broken.setattr(served.endpoint._dra, "repair", fail)
        until(lambda: served.endpoint.problem)
        assert type(failure).__name__ in served.endpoint.problem
    until(lambda: not served.endpoint.problem)
    served.endpoint.paths.dra.unlink()
    until(served.endpoint.paths.dra.exists)
    assert served.endpoint.check() == []


def test_who_is_told_of_the_registration_may_fail(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "LOOK_SECONDS", 0.02)
    served = serve()

    def fail(state: RegistrationState) -> None:
        raise RuntimeError(f"no room for {state}")

    monkeypatch.setattr(served.endpoint.registration, "_on_status", fail)
    served.notify(True)
    assert served.endpoint.registration.state.registered
    served.endpoint.paths.registration.unlink()
    until(served.endpoint.paths.registration.exists)
    assert served.endpoint.registration.state == RegistrationState()
    assert served.endpoint.problem == ""


def test_folders_that_somebody_deletes_are_served_again(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_module, "LOOK_SECONDS", 0.02)
    served = serve()
    served.notify(True)
    inside, finish = threading.Event(), threading.Event()

    def work(ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        if ref.uid == "slow":
            inside.set()
            assert finish.wait(20)
        return ()

    served.engine.prepare_work = work
    paths = served.endpoint.paths
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(served.prepare, "slow", timeout=30)
        assert inside.wait(10)
        for path in paths.dra.parent, paths.registration.parent:
            # At once: removed file by file, the folder may get a new socket halfway.
            shutil.rmtree(path.rename(path.with_name(f"{path.name}-gone")))
        until(lambda: served.endpoint.problem)
        assert "was removed" in served.endpoint.problem
        assert served.endpoint.registration.state == RegistrationState(), "the kubelet has let go"
        assert [state.registered for state in served.states] == [True, None]
        for path in paths.dra.parent, paths.registration.parent:
            path.mkdir()
        until(lambda: not served.endpoint.problem and paths.registration.exists())
        assert served.endpoint.check() == []
        served.notify(True)
        assert served.endpoint.registration.state.registered
        assert served.prepare("new").claims["new"].error == ""
        finish.set()
        assert slow.result(20).claims["slow"].error == "", "a call that was running is answered"
    served.endpoint.stop()
    assert list(paths.dra.parent.iterdir()) == list(paths.registration.parent.iterdir()) == []


def test_stop_leaves_no_socket(serve: Serve) -> None:
    served = serve()
    paths = served.endpoint.paths
    served.endpoint.stop()
    assert list(paths.registration.parent.iterdir()) == []
    assert list(paths.dra.parent.iterdir()) == []


def test_stop_leaves_the_socket_that_another_has_taken_over(serve: Serve) -> None:
    served = serve()
    path = served.endpoint.paths.registration
    served.endpoint._stop.set()
    served.endpoint._watcher.join()
    path.unlink()
    path.write_text("somebody else's")
    served.endpoint.stop()
    assert path.read_text() == "somebody else's"


def test_drain_stays_registered_until_running_calls_are_answered(serve: Serve) -> None:
    served = serve()
    inside, finish = threading.Event(), threading.Event()

    def work(ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        if ref.uid == "slow":
            inside.set()
            assert finish.wait(20)
        return (PreparedResult(("r",), "p", "d", ("id",)),)

    served.engine.prepare_work = work
    paths = served.endpoint.paths
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(served.prepare, "slow", timeout=30)
        assert inside.wait(10)
        drained = pool.submit(served.endpoint.drain)
        assert served.prepare("new").claims["new"].devices, "a new call is still answered"
        assert paths.registration.exists()
        assert not drained.done()
        finish.set()
        assert slow.result(20).claims["slow"].devices
        assert drained.result(20) is True
    assert not paths.registration.exists()
    assert paths.dra.exists(), "the DRA socket outlives the registration"
    assert served.prepare("late").claims["late"].devices
    served.endpoint.stop()
    assert not paths.dra.exists()


def test_drain_gives_up(serve: Serve) -> None:
    served = serve()
    inside, finish = threading.Event(), threading.Event()

    def work(ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        inside.set()
        finish.wait(20)
        return ()

    served.engine.prepare_work = work
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(served.prepare, "stuck", timeout=30)
        assert inside.wait(10)
        assert served.endpoint.drain(timeout=0.05) is False
        assert not served.endpoint.paths.registration.exists()
        finish.set()
        stuck.result(20)
