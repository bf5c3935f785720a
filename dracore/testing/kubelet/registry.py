"""The plugin watcher: finds registration sockets and carries out the registration handshake."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from dracore.kubelet.wire import methods, registration_pb2
from dracore.testing.kubelet.instance import OPTIONS, close_channel
from dracore.testing.kubelet.model import KubeletError
from dracore.testing.kubelet.plugins import Plugins

DIAL_SECONDS = 10.0
GET_INFO_SECONDS = 1.0
NOTIFY_SECONDS = 5.0
Stamp = tuple[int, int]
"""Inode and change time of a socket: another one of the same name is another plugin."""


@dataclass(frozen=True)
class Registered:
    """A socket whose plugin is registered."""

    stamp: Stamp
    driver: str
    endpoint: str


@dataclass
class _Retry:
    at: float
    delay: float


class PluginWatcher:
    """Polls the registry directory and keeps ``plugins`` equal to it.

    :param poll: seconds between looks at the directory.
    :param retry: seconds until a failed registration is tried again; doubles up to two minutes.
    """

    def __init__(self, folder: Path, plugins: Plugins, *, poll: float = 0.1, retry: float = 0.5) -> None:
        self._folder = folder
        self._plugins = plugins
        self._poll = poll
        self._retry = retry
        self._lock = threading.Lock()
        self._actual: dict[str, Registered] = {}
        self._busy: dict[str, threading.Thread] = {}
        self._retries: dict[tuple[str, Stamp], _Retry] = {}
        self._failures: list[str] = []
        self._dialled: set[Any] = set()
        """Of threads that wait for a socket to answer: a stop ends them."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plugin watcher", daemon=True)

    def start(self) -> PluginWatcher:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(5)
        with self._lock:
            busy, dialled = list(self._busy.values()), list(self._dialled)
        for future in dialled:
            self._give_up(future)
        for thread in busy:
            thread.join(DIAL_SECONDS + GET_INFO_SECONDS + NOTIFY_SECONDS)

    @property
    def failures(self) -> list[str]:
        """Errors of registration, oldest first."""
        with self._lock:
            return list(self._failures)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._reconcile(dict(self._sockets(self._folder)))
            self._stopped.wait(self._poll)

    def _sockets(self, folder: Path) -> Iterator[tuple[str, Stamp]]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                status = entry.stat()
            except OSError:
                continue
            if stat.S_ISDIR(status.st_mode):
                yield from self._sockets(Path(entry.path))
            elif stat.S_ISSOCK(status.st_mode):
                yield entry.path, (status.st_ino, status.st_ctime_ns)

    def _reconcile(self, wanted: dict[str, Stamp]) -> None:
        with self._lock:
            gone = [path for path, found in self._actual.items() if wanted.get(path) != found.stamp]
            leaving = [(path, self._actual.pop(path)) for path in gone if path not in self._busy]
        for _, registered in leaving:
            self._plugins.deregister(registered.driver, registered.endpoint)
        now = time.monotonic()
        for path, stamp in wanted.items():
            with self._lock:
                waiting = self._retries.get((path, stamp))
                if path in self._actual or path in self._busy or (waiting and waiting.at > now):
                    continue
                thread = threading.Thread(
                    target=self._register, args=(path, stamp), name=f"register {path}", daemon=True
                )
                self._busy[path] = thread
            thread.start()

    def _register(self, path: str, stamp: Stamp) -> None:
        try:
            registered = self._handshake(path, stamp)
            with self._lock:
                self._retries.pop((path, stamp), None)
                self._actual[path] = registered
        except KubeletError as error:
            with self._lock:
                self._failures.append(str(error))
                before = self._retries.get((path, stamp))
                delay = min(before.delay * 2, 120.0) if before else self._retry
                self._retries[(path, stamp)] = _Retry(time.monotonic() + delay, delay)
        finally:
            with self._lock:
                self._busy.pop(path, None)

    def _handshake(self, path: str, stamp: Stamp) -> Registered:
        """GetInfo, validate, register, notify: in this order; raises KubeletError."""
        channel = grpc.insecure_channel(f"unix:{path}", options=OPTIONS)
        dialled = grpc.channel_ready_future(channel)
        try:
            with self._lock:
                self._dialled.add(dialled)
            try:
                if self._stopped.is_set():
                    self._give_up(dialled)
                dialled.result(timeout=DIAL_SECONDS)
            except (grpc.FutureTimeoutError, grpc.FutureCancelledError):
                self._give_up(dialled)
                raise KubeletError(f"RegisterPlugin error -- dial failed at socket {path}") from None
            try:
                info = self._info(channel)
            except grpc.RpcError as error:
                raise KubeletError(
                    f"RegisterPlugin error -- failed to get plugin info using RPC GetInfo at socket {path}, "
                    f"err: {error.details()}"
                ) from None
            endpoint = info.endpoint or path
            supported = list(info.supported_versions)
            if info.type != methods.PLUGIN_TYPE:
                raise self._refuse(
                    channel,
                    f"RegisterPlugin error -- no handler registered for plugin type: {info.type} "
                    f"at socket {path}",
                )
            try:
                self._plugins.validate(info.name, endpoint, supported)
            except KubeletError as error:
                raise self._refuse(
                    channel, f"RegisterPlugin error -- plugin validation failed with err: {error}"
                ) from None
            try:
                self._plugins.register(info.name, endpoint, supported)
            except KubeletError as error:
                raise self._refuse(
                    channel, f"RegisterPlugin error -- plugin registration failed with err: {error}"
                ) from None
            try:
                self._notify(channel, True, "")
            except grpc.RpcError as error:
                self._plugins.deregister(info.name, endpoint)
                raise KubeletError(
                    f"RegisterPlugin error -- failed to send registration status at socket {path}, "
                    f"err: {error.details()}"
                ) from None
            return Registered(stamp, info.name, endpoint)
        finally:
            with self._lock:
                self._dialled.discard(dialled)
            close_channel(channel)

    def _give_up(self, dialled: Any) -> None:
        with self._lock:
            if not dialled.cancelled():  # grpc fails at a second time
                dialled.cancel()

    def _info(self, channel: grpc.Channel) -> Any:
        call = channel.unary_unary(
            methods.GET_INFO,
            request_serializer=registration_pb2.InfoRequest.SerializeToString,
            response_deserializer=registration_pb2.PluginInfo.FromString,
        )
        return call(registration_pb2.InfoRequest(), timeout=GET_INFO_SECONDS)

    def _notify(self, channel: grpc.Channel, registered: bool, error: str) -> None:
        call = channel.unary_unary(
            methods.NOTIFY_REGISTRATION_STATUS,
            request_serializer=registration_pb2.RegistrationStatus.SerializeToString,
            response_deserializer=registration_pb2.RegistrationStatusResponse.FromString,
        )
        status = registration_pb2.RegistrationStatus(plugin_registered=registered, error=error)
        call(status, timeout=NOTIFY_SECONDS)

    def _refuse(self, channel: grpc.Channel, text: str) -> KubeletError:
        """Tells the plugin that it is not registered; the error for the log."""
        try:
            self._notify(channel, False, text)
        except grpc.RpcError as error:
            return KubeletError(f"{text}: {error.details()}")
        return KubeletError(text)
