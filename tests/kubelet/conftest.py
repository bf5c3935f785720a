from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from dracore.kubelet.endpoint import DriverEndpoint
from dracore.kubelet.wire import dra_v1_pb2, dra_v1beta1_pb2, methods, registration_pb2
from dracore.model.answer import Call, PreparedResult
from dracore.model.claim import ClaimRef
from dracore.observe.metrics import Metrics

DRIVER = "gpu.example.com"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: pytest's own may leave no room for a unix socket."""
    path = Path(tempfile.mkdtemp(prefix="dra"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@dataclass
class FakeEngine:
    """Answers what a test tells it to; `work` runs inside each call."""

    prepare_work: Callable[[ClaimRef, Call], Sequence[PreparedResult]] = lambda ref, call: (
        PreparedResult(("gpu",), "node-1", "gpu-0", (f"k8s.{DRIVER}/claim={ref.uid}-gpu-0",)),
    )
    unprepare_work: Callable[[ClaimRef, Call], None] = lambda ref, call: None
    prepared: list[ClaimRef] = field(default_factory=list)
    unprepared: list[ClaimRef] = field(default_factory=list)

    def prepare(self, ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        self.prepared.append(ref)
        return self.prepare_work(ref, call)

    def unprepare(self, ref: ClaimRef, call: Call) -> None:
        self.unprepared.append(ref)
        self.unprepare_work(ref, call)


@dataclass
class Served:
    endpoint: DriverEndpoint
    engine: FakeEngine
    metrics: Metrics
    states: list[Any]

    def call(self, path: Path, method: str, request: Any, decode: Any, timeout: float | None = 10) -> Any:
        with grpc.insecure_channel(f"unix:{path}") as channel:
            stub = channel.unary_unary(
                method, request_serializer=lambda m: m.SerializeToString(), response_deserializer=decode
            )
            return stub(request, timeout=timeout)

    def info(self) -> Any:
        return self.call(
            self.endpoint.paths.registration,
            methods.GET_INFO,
            registration_pb2.InfoRequest(),
            registration_pb2.PluginInfo.FromString,
        )

    def notify(self, registered: bool, error: str = "") -> Any:
        return self.call(
            self.endpoint.paths.registration,
            methods.NOTIFY_REGISTRATION_STATUS,
            registration_pb2.RegistrationStatus(plugin_registered=registered, error=error),
            registration_pb2.RegistrationStatusResponse.FromString,
        )

    def prepare(self, *uids: str, beta: bool = False, timeout: float | None = 10) -> Any:
        wire = dra_v1beta1_pb2 if beta else dra_v1_pb2
        return self.call(
            self.endpoint.paths.dra,
            methods.DRA_V1BETA1_PREPARE if beta else methods.DRA_V1_PREPARE,
            wire.NodePrepareResourcesRequest(
                claims=[wire.Claim(namespace="ns", uid=uid, name=f"claim-{uid}") for uid in uids]
            ),
            wire.NodePrepareResourcesResponse.FromString,
            timeout,
        )

    def unprepare(self, *uids: str, beta: bool = False) -> Any:
        wire = dra_v1beta1_pb2 if beta else dra_v1_pb2
        return self.call(
            self.endpoint.paths.dra,
            methods.DRA_V1BETA1_UNPREPARE if beta else methods.DRA_V1_UNPREPARE,
            wire.NodeUnprepareResourcesRequest(
                claims=[wire.Claim(namespace="ns", uid=uid, name=f"claim-{uid}") for uid in uids]
            ),
            wire.NodeUnprepareResourcesResponse.FromString,
        )


@pytest.fixture
def serve(folder: Path) -> Iterator[Callable[..., Served]]:
    """Starts endpoints under `folder`; all are stopped at the end."""
    started: list[DriverEndpoint] = []

    def make(driver: str = DRIVER, *, instance: str = "", engine: FakeEngine | None = None) -> Served:
        engine = engine or FakeEngine()
        metrics = Metrics()
        states: list[Any] = []
        endpoint = DriverEndpoint(
            driver,
            engine,
            registry=folder / "reg",
            data_dir=folder / "plugins" / driver,
            instance=instance,
            metrics=metrics,
            on_status=states.append,
        )
        endpoint.start()
        started.append(endpoint)
        return Served(endpoint, engine, metrics, states)

    yield make
    for endpoint in started:
        endpoint.stop(grace=None)
