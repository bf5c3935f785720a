"""Who uses what: the kubelet's answer, no kubelet, and a kubelet that does not answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from dracore.errors import SocketError
from dracore.kubelet.podresources import PodResources
from dracore.kubelet.wire import methods, podresources_v1_pb2

UID = "0f9b1c52-7d0e-4a34-9f0a-2c1de0a1b2c3"


@pytest.fixture
def kubelet(folder: Path) -> Iterator[Path]:
    wire = podresources_v1_pb2
    answer = wire.ListPodResourcesResponse(
        pod_resources=[
            wire.PodResources(
                name=pod,
                namespace="ns",
                containers=[
                    wire.ContainerResources(
                        name="c",
                        dynamic_resources=[
                            wire.DynamicResource(
                                claim_name="claim",
                                claim_namespace="ns",
                                claim_resources=[
                                    wire.ClaimResource(
                                        cdi_devices=[wire.CDIDevice(name=cdi)],
                                        driver_name=driver,
                                        pool_name="node",
                                        device_name="gpu-0",
                                    )
                                ],
                            )
                        ],
                    )
                ],
            )
            for pod, driver, cdi in (
                ("one", "gpu.example.com", f"k8s.gpu.example.com/claim={UID}-gpu-0"),
                ("two", "gpu.example.com", f"k8s.gpu.example.com/claim={UID}-gpu-0"),
                ("three", "nic.example.com", "k8s.nic.example.com/claim=" + "1" * 36 + "-eth0"),
            )
        ]
    )
    server: Any = grpc.server(ThreadPoolExecutor(2))
    handler = grpc.unary_unary_rpc_method_handler(
        lambda request, context: answer,
        request_deserializer=wire.ListPodResourcesRequest.FromString,
        response_serializer=wire.ListPodResourcesResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(methods.POD_RESOURCES_SERVICE, {"List": handler}),)
    )
    path = folder / "kubelet.sock"
    server.add_insecure_port(f"unix:{path}")
    server.start()
    yield path
    server.stop(None).wait()


def test_users_by_claim_uid(kubelet: Path) -> None:
    resources = PodResources(kubelet)
    assert resources.users("gpu.example.com") == {UID: ("ns/one", "ns/two")}
    assert resources.users("nic.example.com") == {"1" * 36: ("ns/three",)}
    assert resources.users("other.example.com") == {}
    assert resources.devices("other.example.com") == {}
    uses = resources.list()
    assert uses is not None
    expected = dict.fromkeys((use.pool, use.device) for use in uses if use.driver == "gpu.example.com")
    assert resources.devices("gpu.example.com") == {UID: tuple(expected)}
    assert [use.pod for use in uses] == ["ns/one", "ns/two", "ns/three"]
    assert uses[0].claim == "ns/claim"


def test_without_a_socket_the_kubelet_offers_nothing(folder: Path) -> None:
    assert PodResources(folder / "none.sock").users("gpu.example.com") is None
    assert PodResources(folder / "none.sock").devices("gpu.example.com") is None


def test_a_socket_nobody_answers_is_doubt(folder: Path) -> None:
    path = folder / "kubelet.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    with pytest.raises(
        SocketError, match=r"the kubelet does not say which pods use what.*nothing is released"
    ):
        PodResources(path).users("gpu.example.com")


def test_a_kubelet_that_hangs_is_doubt(folder: Path) -> None:
    path = folder / "kubelet.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(str(path))
        silent.listen(8)
        with pytest.raises(SocketError, match="does not say"):
            PodResources(path, timeout=0.2).users("gpu.example.com")
