"""The fake kubelet: everything that a real one does towards a DRA driver, and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from dracore.errors import DracoreError
from dracore.testing.kubelet.health import HealthWatcher
from dracore.testing.kubelet.instance import CALL_SECONDS, Instance
from dracore.testing.kubelet.manager import DRAManager
from dracore.testing.kubelet.model import (
    Answer,
    ClaimInfo,
    ClaimRef,
    Container,
    KubeletError,
    Pod,
    cdi_ids,
)
from dracore.testing.kubelet.plugins import WIPE_SECONDS, Plugins
from dracore.testing.kubelet.podresources import PodResourcesServer
from dracore.testing.kubelet.registry import PluginWatcher

Object = dict[str, Any]
_DRA = "/apis/resource.k8s.io/v1"


class Api(Protocol):
    """What the kubelet asks the API server; :class:`dracore.kube.client.KubeClient` is one."""

    def get(self, path: str) -> Object: ...

    def delete_collection(self, path: str, *, params: Mapping[str, str] | None = None) -> Object: ...


class FakeKubelet:
    """A kubelet of one node for tests and the demo (Kubernetes 1.37).

    :param root: its root directory; plugins register in ``<root>/plugins_registry``.
    :param api: None for no API server: then no slices are wiped and pods cannot run.
    :param wipe_delay: seconds until slices of a driver without a usable instance are deleted.
    :param call_timeout: seconds that a driver has for one call.
    :param poll: seconds between looks at the registry directory.
    :param reconcile_interval: seconds between rounds that unprepare what vanished pods left; None only by
        :meth:`reconcile`.
    :param health_retry: seconds between attempts to open a health stream; None opens none.
    :param check_reservations: refuse pods that ``status.reservedFor`` of their claims does not name.
    :param services: DRA services that this kubelet knows, by default those of 1.37.
    """

    def __init__(
        self,
        root: Path,
        api: Api | None = None,
        *,
        node: str = "node-1",
        wipe_delay: float = WIPE_SECONDS,
        call_timeout: float = CALL_SECONDS,
        poll: float = 0.1,
        registration_retry: float = 0.5,
        reconcile_interval: float | None = 60.0,
        health_retry: float | None = 5.0,
        check_reservations: bool = True,
        services: tuple[str, ...] = (),
    ) -> None:
        self.root = Path(root)
        self.node = node
        self._api = api
        self._wipe_delay = wipe_delay
        self._call_timeout = call_timeout
        self._poll = poll
        self._registration_retry = registration_retry
        self._reconcile_interval = reconcile_interval
        self._health_retry = health_retry
        self._check_reservations = check_reservations
        self._services = services
        self._lock = threading.RLock()
        self._pods: dict[tuple[str, str], Pod] = {}
        self._running = False
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self.plugins: Plugins
        self.manager: DRAManager
        self._watcher: PluginWatcher
        self._pod_resources: PodResourcesServer

    # --- places ---------------------------------------------------------------------------------------

    @property
    def registry_dir(self) -> Path:
        return self.root / "plugins_registry"

    @property
    def plugins_dir(self) -> Path:
        return self.root / "plugins"

    @property
    def checkpoint(self) -> Path:
        return self.root / "dra_manager_state"

    @property
    def pod_resources_socket(self) -> Path:
        return self.root / "pod-resources" / "kubelet.sock"

    # --- life -----------------------------------------------------------------------------------------

    def start(self) -> FakeKubelet:
        """Starts as a kubelet does: all slices of the node are wiped, all sockets are found anew."""
        if self._running:
            raise KubeletError("the fake kubelet is running already")
        for folder in (self.registry_dir, self.plugins_dir):
            folder.mkdir(parents=True, exist_ok=True)
        self._stopped = threading.Event()
        self.plugins = Plugins(
            self._delete_slices if self._api else None,
            wipe_delay=self._wipe_delay,
            health_retry=self._health_retry,
            known_services=self._services,
        )
        self.manager = DRAManager(
            self.plugins,
            self._claim,
            self.checkpoint,
            call_timeout=self._call_timeout,
            check_reservations=self._check_reservations,
        )
        self._threads = [
            threading.Thread(target=self.plugins.wipe, args=(None,), name="wipe slices", daemon=True)
        ]
        if self._reconcile_interval is not None:
            self._threads.append(
                threading.Thread(
                    target=self._reconcile_loop,
                    args=(self._reconcile_interval,),
                    name="reconcile",
                    daemon=True,
                )
            )
        self._pod_resources = PodResourcesServer(self.pod_resources_socket, self._snapshot).start()
        self._watcher = PluginWatcher(
            self.registry_dir, self.plugins, poll=self._poll, retry=self._registration_retry
        ).start()
        for thread in self._threads:
            thread.start()
        self._running = True
        return self

    def stop(self) -> None:
        """Ends as a kubelet does: connections drop, the checkpoint and the PodResources socket file stay."""
        if not self._running:
            return
        self._running = False
        self._stopped.set()
        self._watcher.stop()
        self.plugins.close()
        self._pod_resources.stop()
        for thread in self._threads:
            thread.join(5)

    def restart(self, *, lose_checkpoint: bool = False) -> None:
        """Stops and starts: prepared marks are forgotten, slices wiped; pods stay where they are."""
        self.stop()
        if lose_checkpoint:
            self.checkpoint.unlink(missing_ok=True)
        self.start()

    def __enter__(self) -> FakeKubelet:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _delete_slices(self, driver: str | None) -> None:
        assert self._api is not None
        selector = f"spec.nodeName={self.node}" + (f",spec.driver={driver}" if driver else "")
        self._api.delete_collection(f"{_DRA}/resourceslices", params={"fieldSelector": selector})

    def _claim(self, namespace: str, name: str) -> Object:
        if self._api is None:
            raise KubeletError("this fake kubelet has no API server")
        try:
            return self._api.get(f"{_DRA}/namespaces/{namespace}/resourceclaims/{name}")
        except DracoreError as error:
            raise KubeletError(f"fetch ResourceClaim {name}: {error}") from error

    # --- plugins --------------------------------------------------------------------------------------

    def wait_for_driver(self, driver: str, *, instances: int = 1, timeout: float = 15.0) -> Instance:
        """Blocks until so many instances of a driver are registered and connected; the preferred one."""
        self.plugins.wait(
            lambda: sum(one.connected for one in self.plugins.instances(driver)) >= instances,
            timeout,
            f"{instances} connected instance(s) of {driver} (failures: {self._watcher.failures})",
        )
        return self.plugins.get(driver)

    def wait_gone(self, driver: str, *, instances: int = 0, timeout: float = 15.0) -> None:
        """Blocks until at most so many instances of a driver are registered."""
        self.plugins.wait(
            lambda: len(self.plugins.instances(driver)) <= instances, timeout, f"{driver} to deregister"
        )

    @property
    def registration_failures(self) -> list[str]:
        return self._watcher.failures

    def health(self, driver: str) -> HealthWatcher:
        """The health stream of the youngest instance; raises KubeletError when it has none."""
        watchers = self.plugins.health(driver)
        if not watchers:
            raise KubeletError(f"DRA driver {driver} announces no health service")
        return watchers[-1]

    def prepare(self, driver: str, claims: Sequence[ClaimRef]) -> dict[str, Answer]:
        """A bare NodePrepareResources past all bookkeeping; raises grpc.RpcError."""
        return self.plugins.get(driver).prepare(claims, self._call_timeout)

    def unprepare(self, driver: str, claims: Sequence[ClaimRef]) -> dict[str, Answer]:
        """A bare NodeUnprepareResources past all bookkeeping; raises grpc.RpcError."""
        return self.plugins.get(driver).unprepare(claims, self._call_timeout)

    # --- pods -----------------------------------------------------------------------------------------

    def run_pod(
        self,
        name: str,
        claims: Mapping[str, str] | Iterable[str],
        *,
        namespace: str = "default",
        uid: str | None = None,
        containers: Iterable[Container] | None = None,
        retry_for: float = 0.0,
        retry_delay: float = 0.2,
    ) -> dict[str, tuple[str, ...]]:
        """Prepares a pod's claims; the CDI ids of each container.

        A pod that fails stays on the node, as with the kubelet, and may be run again or deleted.

        :param retry_for: seconds to go on trying after a failure, every ``retry_delay`` seconds.
        :raises KubeletError: the kubelet's message about the last attempt.
        """
        pod = Pod.make(name, claims, namespace=namespace, uid=uid, containers=containers)
        deadline = time.monotonic() + retry_for
        with self._lock:
            self._pods[namespace, name] = pod
        while True:
            try:
                self.manager.prepare(pod)
                return self.cdi_ids(name, namespace)
            except KubeletError:
                if time.monotonic() >= deadline or self._stopped.wait(retry_delay):
                    raise

    def cdi_ids(self, name: str, namespace: str = "default") -> dict[str, tuple[str, ...]]:
        """What the runtime is told for each container of a pod."""
        pod = self._pod(name, namespace)
        infos = self.manager.infos()
        return {container.name: cdi_ids(container, pod, infos) for container in pod.containers}

    def delete_pod(self, name: str, namespace: str = "default", *, retry_for: float = 0.0) -> None:
        """Ends a pod: its containers are dead, its claims are unprepared, then it is gone.

        :raises KubeletError: the pod stays, as one that is stuck terminating.
        """
        pod = self._pod(name, namespace)
        deadline = time.monotonic() + retry_for
        while True:
            try:
                self.manager.unprepare(pod)
                break
            except KubeletError:
                if time.monotonic() >= deadline or self._stopped.wait(0.2):
                    raise
        with self._lock:
            self._pods.pop((namespace, name), None)

    def force_delete(self, name: str, namespace: str = "default") -> None:
        """The pod vanishes at once; only :meth:`reconcile` unprepares what it held."""
        self._pod(name, namespace)
        with self._lock:
            del self._pods[namespace, name]

    def pods(self) -> list[Pod]:
        with self._lock:
            return list(self._pods.values())

    def reconcile(self) -> list[str]:
        """One round of the loop that unprepares what vanished pods left; errors, to be tried again."""
        return self.manager.reconcile({pod.uid for pod in self.pods()})

    def _reconcile_loop(self, interval: float) -> None:
        while not self._stopped.wait(interval):
            self.reconcile()

    def _pod(self, name: str, namespace: str) -> Pod:
        with self._lock:
            found = self._pods.get((namespace, name))
        if found is None:
            raise KubeletError(f"no pod {name} on this node")
        return found

    def _snapshot(self) -> tuple[list[Pod], Mapping[tuple[str, str], ClaimInfo]]:
        return self.pods(), self.manager.infos()
