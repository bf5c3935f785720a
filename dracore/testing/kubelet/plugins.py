"""Registered plugins: which instance serves a driver, and the wiping of slices nobody serves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from dracore.errors import KubeError
from dracore.testing.kubelet.health import HealthWatcher
from dracore.testing.kubelet.instance import Instance, choose_health, choose_service
from dracore.testing.kubelet.model import KubeletError

WIPE_SECONDS = 30.0


class SliceDeleter(Protocol):
    """Deletes the ResourceSlices of this node: of one driver, or of all of them."""

    def __call__(self, driver: str | None) -> None: ...


class Plugins:
    """All instances by driver, in the order of registration.

    :param wipe_delay: seconds after the last usable instance of a driver vanished until its slices go.
    :param health_retry: seconds between attempts to open a health stream; None opens none.
    """

    def __init__(
        self,
        delete_slices: SliceDeleter | None,
        *,
        wipe_delay: float = WIPE_SECONDS,
        health_retry: float | None = 5.0,
        known_services: tuple[str, ...] = (),
    ) -> None:
        self._delete = delete_slices
        self._wipe_delay = wipe_delay
        self._health_retry = health_retry
        self._known = known_services
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._instances: dict[str, list[Instance]] = {}
        self._timers: dict[str, threading.Timer] = {}
        self._health: dict[Instance, HealthWatcher] = {}
        self._wiped: list[str | None] = []
        self._closed = threading.Event()

    def validate(self, driver: str, endpoint: str, supported: list[str]) -> None:
        """Raises KubeletError for a plugin that this kubelet cannot use."""
        self._choose(driver, endpoint, supported)

    def _choose(self, driver: str, endpoint: str, supported: list[str]) -> str:
        try:
            return choose_service(supported, self._known) if self._known else choose_service(supported)
        except KubeletError as error:
            raise KubeletError(
                f"invalid supported gRPC versions of DRA driver plugin {driver} at endpoint "
                f"{endpoint}: {error}"
            ) from None

    def register(self, driver: str, endpoint: str, supported: list[str]) -> None:
        """Adds an instance; raises KubeletError for an endpoint that another instance has."""
        service = self._choose(driver, endpoint, supported)
        with self._changed:
            instances = self._instances.setdefault(driver, [])
            if any(instance.endpoint == endpoint for instance in instances):
                raise KubeletError(f"endpoint {endpoint} already registered for DRA driver plugin {driver}")
            instance = Instance(
                driver, endpoint, service, choose_health(supported), lambda: self._sync(driver)
            )
            instances.append(instance)
            if self._health_retry is not None and instance.health_service:
                watcher = HealthWatcher(instance.channel, instance.health_service, self._health_retry)
                self._health[instance] = watcher.start()
            self._changed.notify_all()
        self._sync(driver)

    def deregister(self, driver: str, endpoint: str) -> None:
        with self._changed:
            gone = [one for one in self._instances.get(driver, ()) if one.endpoint == endpoint]
            for instance in gone:
                self._instances[driver].remove(instance)
            watchers = [self._health.pop(instance) for instance in gone if instance in self._health]
            self._changed.notify_all()
        for watcher in watchers:
            watcher.stop()
        for instance in gone:
            instance.close()
        if gone:
            self._sync(driver)

    def get(self, driver: str) -> Instance:
        """The most recently registered connected instance, else the most recent; raises KubeletError."""
        with self._lock:
            instances = self._instances.get(driver) or []
            if not instances:
                raise KubeletError(f"DRA driver {driver} is not registered")
            connected = [instance for instance in instances if instance.connected]
            return (connected or instances)[-1]

    def instances(self, driver: str) -> list[Instance]:
        """All instances of a driver, in the order of registration."""
        with self._lock:
            return list(self._instances.get(driver, ()))

    def drivers(self) -> list[str]:
        with self._lock:
            return sorted(driver for driver, instances in self._instances.items() if instances)

    def health(self, driver: str) -> list[HealthWatcher]:
        """The health streams of a driver's instances."""
        with self._lock:
            return [self._health[one] for one in self._instances.get(driver, ()) if one in self._health]

    def wait(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Blocks until ``condition``; raises KubeletError saying ``what`` did not happen."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise KubeletError(f"waited {timeout:g} s for {what}")
                self._changed.wait(left)

    # --- wiping ---------------------------------------------------------------------------------------

    @property
    def wiped(self) -> list[str | None]:
        """Drivers whose slices were wiped, oldest first; None stands for all of them."""
        with self._lock:
            return list(self._wiped)

    def wipe(self, driver: str | None) -> None:
        """Deletes slices now and, where that fails, with backoff until the kubelet stops."""
        delay = 1.0
        while self._delete is not None and not self._closed.is_set():
            try:
                self._delete(driver)
            except KubeError:
                self._closed.wait(delay)
                delay = min(delay * 2, 300.0)
                continue
            with self._changed:
                self._wiped.append(driver)
                self._changed.notify_all()
            return

    def _sync(self, driver: str) -> None:
        """Starts or stops the wiping timer of a driver, after its instances or their connections changed."""
        with self._changed:
            self._changed.notify_all()
            if self._closed.is_set():
                return
            usable = any(instance.connected for instance in self._instances.get(driver, ()))
            timer = self._timers.get(driver)
            if usable and timer is not None:
                timer.cancel()
                del self._timers[driver]
            elif not usable and timer is None and self._delete is not None:
                timer = threading.Timer(self._wipe_delay, self._due, (driver,))
                timer.daemon = True
                timer.name = f"wipe {driver}"
                self._timers[driver] = timer
                timer.start()

    def _due(self, driver: str) -> None:
        with self._lock:
            if any(instance.connected for instance in self._instances.get(driver, ())):
                return
            self._timers.pop(driver, None)
        self.wipe(driver)

    def close(self) -> None:
        """Drops every instance, as a kubelet that ends does."""
        self._closed.set()
        with self._changed:
            instances = [one for many in self._instances.values() for one in many]
            watchers, timers = list(self._health.values()), list(self._timers.values())
            self._instances.clear()
            self._health.clear()
            self._timers.clear()
            self._changed.notify_all()
        for timer in timers:
            timer.cancel()
        for watcher in watchers:
            watcher.stop()
        for instance in instances:
            instance.close()
        for timer in timers:
            timer.join(5)
