"""Which pods on this node hold devices, as the kubelet says (PodResources ``List``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc

from dracore.errors import SocketError
from dracore.kubelet.wire import methods, podresources_v1_pb2

TIMEOUT = 5.0
MESSAGE_LIMIT = 16 * 1024 * 1024
"""The kubelet's own bound of this answer."""

UID_LENGTH = 36

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PodUse:
    """A device that a pod's container holds."""

    pod: str
    """``namespace/name``."""
    claim: str
    """``namespace/name`` of the claim."""
    driver: str
    pool: str
    device: str
    cdi_ids: tuple[str, ...]


class PodResources:
    """Asks the kubelet who uses what.

    :param socket: ``<kubelet>/pod-resources/kubelet.sock``.
    """

    def __init__(self, socket: Path, *, timeout: float = TIMEOUT) -> None:
        self._socket = socket
        self._timeout = timeout

    def list(self) -> tuple[PodUse, ...] | None:
        """Every claimed device of every pod; None where the kubelet offers no such socket.

        A force-deleted pod is missing at once, though its container may still run.

        :raises SocketError: the socket is there and nobody answers (a stopped kubelet leaves it behind):
            that is doubt, not "nobody uses anything".
        """
        if not self._socket.exists():
            return None
        options = [
            ("grpc.max_receive_message_length", MESSAGE_LIMIT),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_http_proxy", 0),
        ]
        with grpc.insecure_channel(f"unix:{self._socket}", options=options) as channel:
            call = channel.unary_unary(
                methods.POD_RESOURCES_LIST,
                request_serializer=podresources_v1_pb2.ListPodResourcesRequest.SerializeToString,
                response_deserializer=podresources_v1_pb2.ListPodResourcesResponse.FromString,
            )
            try:
                answer = call(podresources_v1_pb2.ListPodResourcesRequest(), timeout=self._timeout)
            except grpc.RpcError as error:
                details = getattr(error, "details", lambda: "")() or type(error).__name__
                raise SocketError(
                    f"the kubelet does not say which pods use what: {details}",
                    where=str(self._socket),
                    fix="check that the kubelet runs; nothing is released until it answers",
                ) from error
        return tuple(
            PodUse(
                f"{pod.namespace}/{pod.name}",
                f"{claim.claim_namespace}/{claim.claim_name}",
                resource.driver_name,
                resource.pool_name,
                resource.device_name,
                tuple(device.name for device in resource.cdi_devices),
            )
            for pod in answer.pod_resources
            for container in pod.containers
            for claim in container.dynamic_resources
            for resource in claim.claim_resources
        )

    def users(self, driver: str) -> Mapping[str, tuple[str, ...]] | None:
        """Claim uid to the pods (``namespace/name``) that hold a CDI id of it, for one driver.

        CDI ids are ours: ``k8s.<driver>/claim=<uid>-<device>``; a uid of the API server is a UUID.
        """
        return self._by_uid(driver, lambda use: use.pod)

    def devices(self, driver: str) -> Mapping[str, tuple[tuple[str, str], ...]] | None:
        """Claim uid to the devices (pool, device) that pods hold by a CDI id of it, for one driver."""
        return self._by_uid(driver, lambda use: (use.pool, use.device))

    def _by_uid(self, driver: str, what: Callable[[PodUse], T]) -> dict[str, tuple[T, ...]] | None:
        uses = self.list()
        if uses is None:
            return None
        found: dict[str, dict[T, None]] = {}
        for use in uses:
            for cdi_id in use.cdi_ids:
                kind, _, name = cdi_id.partition("=")
                if kind == f"k8s.{driver}/claim":
                    found.setdefault(name[:UID_LENGTH], {})[what(use)] = None
        return {uid: tuple(values) for uid, values in found.items()}
