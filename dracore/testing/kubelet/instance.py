"""One registered plugin instance: its connection, its chosen version, its calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

import grpc

from dracore.kubelet.wire import dra_v1_pb2, dra_v1beta1_pb2, methods
from dracore.testing.kubelet.model import Answer, ClaimRef, KubeletError, PreparedDevice

SERVICES = (methods.DRA_V1, methods.DRA_V1BETA1)
"""What a kubelet of 1.34 and newer supports, the newest first."""
HEALTH_SERVICES = (methods.HEALTH_V1, methods.HEALTH_V1ALPHA1)
CALL_SECONDS = 45.0
OPTIONS: list[tuple[str, Any]] = [
    ("grpc.use_local_subchannel_pool", 1),  # a re-created socket of the same path is another server
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


def close_channel(channel: grpc.Channel, *callbacks: Callable[[grpc.ChannelConnectivity], None]) -> None:
    """Closes a channel whose connectivity was watched.

    grpcio polls connectivity on a thread that dies with an unhandled ValueError when the channel is closed
    under it; it ends by itself within 0.2 s after the last subscriber left.
    """
    for callback in callbacks:
        channel.unsubscribe(callback)
    state = getattr(channel, "_connectivity_state", None)
    deadline = time.monotonic() + 2.0
    while getattr(state, "polling", False) and time.monotonic() < deadline:
        time.sleep(0.01)
    channel.close()


def choose_service(supported: Sequence[str], known: Sequence[str] = SERVICES) -> str:
    """The first of the plugin's list that the kubelet knows; raises KubeletError in the kubelet's words."""
    if not supported:
        raise KubeletError("empty list of supported gRPC services (aka supported versions)")
    for service in supported:
        if service in known:
            return service
    listed = " ".join(f'"{name}"' for name in supported)
    ours = " ".join(f'"{name}"' for name in known)
    raise KubeletError(
        f"none of services supported by the plugin ([{listed}]) are supported by the kubelet ([{ours}])"
    )


def choose_health(supported: Iterable[str]) -> str | None:
    """The newest health service that the plugin announces."""
    offered = set(supported)
    return next((service for service in HEALTH_SERVICES if service in offered), None)


class Instance:
    """A plugin process as the kubelet sees it after registration.

    :param changed: called (on another thread) whenever the connection comes or goes.
    """

    def __init__(
        self,
        driver: str,
        endpoint: str,
        service: str,
        health_service: str | None,
        changed: Callable[[], None],
    ) -> None:
        self.driver = driver
        self.endpoint = endpoint
        self.service = service
        self.health_service = health_service
        self._changed = changed
        self._state = grpc.ChannelConnectivity.IDLE
        self._closed = False
        self._lock = threading.Lock()
        self.channel = grpc.insecure_channel(f"unix:{endpoint}", options=OPTIONS)
        self.channel.subscribe(self._connectivity, try_to_connect=True)

    @property
    def connected(self) -> bool:
        return self._state is grpc.ChannelConnectivity.READY

    def _connectivity(self, state: grpc.ChannelConnectivity) -> None:
        before, self._state = self._state, state
        if state is grpc.ChannelConnectivity.IDLE and not self._closed:
            # The kubelet keeps the connection up so that it sees at once when a plugin goes.
            with self._lock:
                if not self._closed:
                    self.channel.unsubscribe(self._again)
                    self.channel.subscribe(self._again, try_to_connect=True)
        if (before is grpc.ChannelConnectivity.READY) != self.connected:
            self._changed()

    def _again(self, state: grpc.ChannelConnectivity) -> None:
        """Exists to ask for a connection; the state is taken from the first subscription."""

    def close(self) -> None:
        """Cuts the connection; running calls fail."""
        with self._lock:
            self._closed = True
        close_channel(self.channel, self._connectivity, self._again)

    def prepare(self, claims: Sequence[ClaimRef], timeout: float = CALL_SECONDS) -> dict[str, Answer]:
        """One NodePrepareResources; raises grpc.RpcError for an error of the whole call."""
        v1 = self.service == methods.DRA_V1
        response = self._ask(
            "NodePrepareResources",
            methods.DRA_V1_PREPARE if v1 else methods.DRA_V1BETA1_PREPARE,
            claims,
            timeout,
        )
        return {
            uid: Answer(tuple(_device(device, v1=v1) for device in answer.devices), answer.error)
            for uid, answer in response.claims.items()
        }

    def unprepare(self, claims: Sequence[ClaimRef], timeout: float = CALL_SECONDS) -> dict[str, Answer]:
        """One NodeUnprepareResources; raises grpc.RpcError for an error of the whole call."""
        v1 = self.service == methods.DRA_V1
        response = self._ask(
            "NodeUnprepareResources",
            methods.DRA_V1_UNPREPARE if v1 else methods.DRA_V1BETA1_UNPREPARE,
            claims,
            timeout,
        )
        return {uid: Answer((), answer.error) for uid, answer in response.claims.items()}

    def _ask(self, name: str, path: str, claims: Sequence[ClaimRef], timeout: float) -> Any:
        wire = self._wire()
        asked, answered = getattr(wire, f"{name}Request"), getattr(wire, f"{name}Response")
        call = self.channel.unary_unary(
            path, request_serializer=asked.SerializeToString, response_deserializer=answered.FromString
        )
        return call(asked(claims=self._claims(wire, claims)), timeout=timeout, wait_for_ready=True)

    def _wire(self) -> ModuleType:
        return dra_v1_pb2 if self.service == methods.DRA_V1 else dra_v1beta1_pb2

    def _claims(self, wire: ModuleType, claims: Sequence[ClaimRef]) -> list[Any]:
        return [wire.Claim(namespace=claim.namespace, uid=claim.uid, name=claim.name) for claim in claims]


def _device(device: Any, *, v1: bool) -> PreparedDevice:
    return PreparedDevice(
        requests=tuple(device.request_names),
        pool=device.pool_name,
        device=device.device_name,
        cdi_ids=tuple(device.cdi_device_ids),
        share_id=device.share_id if v1 and device.HasField("share_id") else None,
    )
