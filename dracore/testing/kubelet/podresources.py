"""The kubelet's PodResources service, as far as it tells of claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc

from dracore.kubelet.wire import methods, podresources_v1_pb2
from dracore.testing.kubelet.model import ClaimInfo, Pod

Snapshot = Callable[[], tuple[list[Pod], Mapping[tuple[str, str], ClaimInfo]]]


class PodResourcesServer:
    """Serves ``List`` on ``<kubelet>/pod-resources/kubelet.sock``. Stopping leaves the file behind."""

    def __init__(self, socket: Path, snapshot: Snapshot) -> None:
        self._socket = socket
        self._snapshot = snapshot
        self._server: grpc.Server | None = None

    def start(self) -> PodResourcesServer:
        self._socket.parent.mkdir(parents=True, exist_ok=True)
        self._socket.unlink(missing_ok=True)
        server = grpc.server(futures.ThreadPoolExecutor(2, "pod-resources"))
        server.add_generic_rpc_handlers([self._handler()])
        if not server.add_insecure_port(f"unix:{self._socket}"):
            raise OSError(f"{self._socket}: cannot listen")
        server.start()
        self._server = server
        return self

    def stop(self) -> None:
        if self._server is None:
            return
        kept = self._socket.with_name(f".{self._socket.name}.kept")
        kept.hardlink_to(self._socket)  # gRPC removes the file; a kubelet that ends leaves it
        self._server.stop(None).wait()
        self._server = None
        kept.replace(self._socket)

    def _handler(self) -> grpc.GenericRpcHandler:
        method = grpc.unary_unary_rpc_method_handler(
            self._list,
            request_deserializer=podresources_v1_pb2.ListPodResourcesRequest.FromString,
            response_serializer=podresources_v1_pb2.ListPodResourcesResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(methods.POD_RESOURCES_SERVICE, {"List": method})

    def _list(self, request: Any, context: Any) -> Any:
        pods, infos = self._snapshot()
        response = podresources_v1_pb2.ListPodResourcesResponse()
        for pod in pods:
            shown = response.pod_resources.add(name=pod.name, namespace=pod.namespace)
            for container in pod.containers:
                inner = shown.containers.add(name=container.name)
                for used in dict.fromkeys(claim.name for claim in container.claims):
                    info = infos.get((pod.namespace, pod.claims.get(used, "")))
                    if info is not None:
                        _add(inner.dynamic_resources.add(), info)
        return response


def _add(entry: Any, info: ClaimInfo) -> None:
    entry.claim_name, entry.claim_namespace = info.claim.name, info.claim.namespace
    for driver, device in info.devices():
        resource = entry.claim_resources.add(
            driver_name=driver, pool_name=device.pool, device_name=device.device
        )
        if device.share_id is not None:
            resource.share_id = device.share_id
        for cdi_id in device.cdi_ids:
            resource.cdi_devices.add(name=cdi_id)
