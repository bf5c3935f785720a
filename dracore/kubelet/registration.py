"""The registration service that the kubelet's plugin watcher calls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import structlog

from dracore.kubelet.wire import methods, registration_pb2

VERSIONS = (methods.DRA_V1, methods.DRA_V1BETA1)
"""The kubelet takes the first that it knows: newest first."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RegistrationState:
    """What the kubelet said last. `registered` is None while it has not said anything."""

    registered: bool | None = None
    error: str = ""


class RegistrationService:
    """Answers ``GetInfo`` and keeps what ``NotifyRegistrationStatus`` says.

    :param on_status: called with each new state, in the kubelet's call: it must be quick.
    """

    def __init__(
        self, driver: str, endpoint: str, on_status: Callable[[RegistrationState], None] | None = None
    ) -> None:
        self._driver = driver
        self._info = registration_pb2.PluginInfo(
            type=methods.PLUGIN_TYPE, name=driver, endpoint=endpoint, supported_versions=VERSIONS
        )
        self._on_status = on_status
        self._lock = threading.Lock()
        self._state = RegistrationState()

    @property
    def state(self) -> RegistrationState:
        return self._state

    def handler(self) -> grpc.GenericRpcHandler:
        """The service for a gRPC server."""
        return grpc.method_handlers_generic_handler(
            methods.REGISTRATION_SERVICE,
            {
                "GetInfo": grpc.unary_unary_rpc_method_handler(
                    lambda request, context: self._info,
                    request_deserializer=registration_pb2.InfoRequest.FromString,
                    response_serializer=registration_pb2.PluginInfo.SerializeToString,
                ),
                "NotifyRegistrationStatus": grpc.unary_unary_rpc_method_handler(
                    self._notify,
                    request_deserializer=registration_pb2.RegistrationStatus.FromString,
                    response_serializer=registration_pb2.RegistrationStatusResponse.SerializeToString,
                ),
            },
        )

    def lost(self) -> None:
        """The registration socket is gone, so the kubelet has let go of the driver."""
        with self._lock:
            if not self._state.registered:
                return
            self._state = state = RegistrationState()
        self._tell(state)

    def _notify(self, request: Any, context: Any) -> Any:
        state = RegistrationState(
            request.plugin_registered, "" if request.plugin_registered else request.error
        )
        with self._lock:
            self._state = state
        if state.registered:
            _log.info("registered with the kubelet", driver=self._driver)
        else:
            _log.error(
                "the kubelet refuses the registration",
                driver=self._driver,
                error=state.error,
                fix="no pod that needs this driver starts here until it is accepted",
            )
        self._tell(state)
        if not state.registered:
            # As the Go helper does: the kubelet sees that its refusal was noticed.
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"registration of {self._driver} failed")
        return registration_pb2.RegistrationStatusResponse()

    def _tell(self, state: RegistrationState) -> None:
        try:
            if self._on_status is not None:
                self._on_status(state)
        except Exception:  # noqa: BLE001
            # The kubelet would take it for a registration that failed.
            _log.exception("who is to be told of the registration failed", driver=self._driver)
