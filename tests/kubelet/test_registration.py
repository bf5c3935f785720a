"""Registration: what GetInfo says, and what the kubelet's verdict does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from dracore.kubelet.registration import RegistrationState


def test_get_info(serve: Callable[..., Any]) -> None:
    served = serve()
    info = served.info()
    assert (info.type, info.name) == ("DRAPlugin", "gpu.example.com")
    assert list(info.supported_versions) == ["v1.DRAPlugin", "v1beta1.DRAPlugin"]
    assert Path(info.endpoint).is_absolute()
    assert Path(info.endpoint) == served.endpoint.paths.dra


def test_accepted(serve: Callable[..., Any]) -> None:
    served = serve()
    assert served.endpoint.registration.state == RegistrationState(None)
    served.notify(True, "ignored where registered")
    assert served.endpoint.registration.state == RegistrationState(True)
    assert served.states == [RegistrationState(True)]


def test_a_refusal_is_kept_and_answered_with_an_error_and_the_process_serves_on(
    serve: Callable[..., Any],
) -> None:
    served = serve()
    with pytest.raises(grpc.RpcError) as caught:
        served.notify(False, "no such version")
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION  # type: ignore[attr-defined]
    assert served.endpoint.registration.state == RegistrationState(False, "no such version")
    assert served.info().name == "gpu.example.com"
    served.notify(True)
    assert served.states == [RegistrationState(False, "no such version"), RegistrationState(True)]


def test_several_drivers_in_one_process(serve: Callable[..., Any]) -> None:
    first, second = serve("a.example.com"), serve("b.example.com")
    assert [first.info().name, second.info().name] == ["a.example.com", "b.example.com"]
    assert first.info().endpoint != second.info().endpoint


def test_two_instances_side_by_side(serve: Callable[..., Any], folder: Path) -> None:
    old, new = serve(instance="old"), serve(instance="new")
    assert old.info().endpoint != new.info().endpoint
    old.endpoint.stop(grace=None)
    assert new.info().name == "gpu.example.com"
    assert sorted(path.name for path in (folder / "reg").iterdir() if not path.name.startswith(".")) == [
        "gpu.example.com-new-reg.sock"
    ]
