"""Whether the kubelet would get an answer: both services are really called, through their socket files."""

from __future__ import annotations

from typing import Any

import grpc

from dracore.kubelet.names import SocketPaths
from dracore.kubelet.wire import dra_v1_pb2, methods, registration_pb2

GET_INFO_SECONDS = 1.0
"""The kubelet's own limit."""

PREPARE_SECONDS = 5.0


def check(driver: str, paths: SocketPaths) -> list[str]:
    """One line for each thing that is wrong; none: the driver lives."""
    wrong: list[str] = []
    info = registration_pb2.InfoRequest(), registration_pb2.PluginInfo.FromString
    try:
        answer = _call(str(paths.registration), methods.GET_INFO, *info, timeout=GET_INFO_SECONDS)
        if answer.name != driver or answer.endpoint != str(paths.dra):
            wrong.append(f"{driver}: GetInfo is answered for {answer.name} at {answer.endpoint}")
    except grpc.RpcError as error:
        wrong.append(f"{driver}: GetInfo at {paths.registration}: {_text(error)}")
    empty = dra_v1_pb2.NodePrepareResourcesRequest(), dra_v1_pb2.NodePrepareResourcesResponse.FromString
    try:
        _call(str(paths.dra), methods.DRA_V1_PREPARE, *empty, timeout=PREPARE_SECONDS)
    except grpc.RpcError as error:
        wrong.append(f"{driver}: an empty NodePrepareResources at {paths.dra}: {_text(error)}")
    return wrong


def _call(path: str, method: str, request: Any, decode: Any, *, timeout: float) -> Any:
    # A channel of its own each time: a kept one would not notice that the socket file is gone.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"unix:{path}", options=options) as channel:
        stub = channel.unary_unary(
            method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=decode,
        )
        return stub(request, timeout=timeout)


def _text(error: grpc.RpcError) -> str:
    code = getattr(error, "code", lambda: None)()
    details = getattr(error, "details", lambda: "")() or ""
    return f"{code.name if code else 'failed'} {details}".strip()
