"""The kubelet's side of the health stream (KEP-4680)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from dracore.kubelet.wire import health_v1_pb2, health_v1alpha1_pb2, methods
from dracore.testing.kubelet.model import KubeletError

DEFAULT_TIMEOUT = 30.0
MESSAGE_LIMIT = 1024


@dataclass(frozen=True)
class Reported:
    """What the driver said of a device. ``received`` is monotonic; after ``timeout`` s it is Unknown."""

    health: str
    message: str
    updated: int
    timeout: float
    received: float


class HealthWatcher:
    """Keeps the stream of one instance open and remembers the last report."""

    def __init__(
        self,
        channel: grpc.Channel,
        service: str,
        retry: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        v1 = service == methods.HEALTH_V1
        wire = health_v1_pb2 if v1 else health_v1alpha1_pb2
        self.service = service
        self._names = {0: "Unknown", 1: "Healthy", 2: "Unhealthy"}
        self._request = wire.NodeWatchResourcesRequest()
        self._open = channel.unary_stream(
            methods.HEALTH_V1_WATCH if v1 else methods.HEALTH_V1ALPHA1_WATCH,
            request_serializer=wire.NodeWatchResourcesRequest.SerializeToString,
            response_deserializer=wire.NodeWatchResourcesResponse.FromString,
        )
        self._retry = retry
        self._clock = clock
        self._stopped = threading.Event()
        self._changed = threading.Condition()
        self._devices: dict[tuple[str, str], Reported] = {}
        self._call: Any = None
        self.reports = 0
        self.supported = True
        self._thread = threading.Thread(target=self._run, name=f"health {service}", daemon=True)

    def start(self) -> HealthWatcher:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopped.set()
        call = self._call
        if call is not None:
            call.cancel()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._call = self._open(self._request)
                for response in self._call:
                    self._take(response)
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:  # announced but not there: no more attempts
                    self.supported = False
                    return
            except ValueError:  # the channel was closed
                return
            finally:
                with self._changed:  # a stream that ends takes all it said with it
                    self._devices.clear()
                    self._changed.notify_all()
            self._stopped.wait(self._retry)

    def _take(self, response: Any) -> None:
        now = self._clock()
        with self._changed:
            for device in response.devices:
                key = (device.device.pool_name, device.device.device_name)
                text = device.message
                self._devices[key] = Reported(
                    health=self._names.get(device.health, "Unknown"),
                    message=text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 3] + "...",
                    updated=device.last_updated_time,
                    timeout=device.health_check_timeout_seconds or DEFAULT_TIMEOUT,
                    received=now,
                )
            self.reports += 1
            self._changed.notify_all()

    def devices(self) -> Mapping[tuple[str, str], Reported]:
        """The last reports by (pool, device)."""
        with self._changed:
            return dict(self._devices)

    def health(self, pool: str, device: str) -> str:
        """``Healthy``, ``Unhealthy`` or ``Unknown``: never reported, or not again in time."""
        found = self.devices().get((pool, device))
        if found is None or self._clock() - found.received > found.timeout:
            return "Unknown"
        return found.health

    def wait(self, pool: str, device: str, health: str, timeout: float = 10.0) -> None:
        """Blocks until the device is reported so; raises KubeletError."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self.health(pool, device) != health:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise KubeletError(
                        f"{pool}/{device} is {self.health(pool, device)}, not {health}, after {timeout:g} s"
                    )
                self._changed.wait(left)
