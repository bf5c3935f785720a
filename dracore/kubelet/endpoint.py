"""One driver as the kubelet sees it: its registration socket, its DRA socket, their life."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from dracore.errors import SocketError
from dracore.kubelet import liveness, names, sockets
from dracore.kubelet.dra import DraService
from dracore.kubelet.registration import RegistrationService, RegistrationState
from dracore.model.answer import ClaimEngine
from dracore.model.seam import Seam, no_seam
from dracore.observe.metrics import Metrics

THREADS = 64
"""Threads for DRA calls; the engine lets Prepare have at most 48, so that Unprepare always finds one."""

DRAIN_SECONDS = 40.0
LAST_CALLS_SECONDS = 5.0
"""For calls that came in just as the registration socket went."""

LOOK_SECONDS = 1.0
"""How often the sockets are looked for."""

_log = structlog.get_logger(__name__)


class DriverEndpoint:
    """Serves one driver to the kubelet.

    ``start`` binds the DRA socket first and shows the registration socket last. ``drain`` keeps the driver
    registered, and new calls answered, until no call runs; then ``stop`` ends it.

    :param registry: the kubelet's ``plugins_registry``.
    :param data_dir: ``<kubelet>/plugins/<driver>``, made where it does not exist.
    :param instance: tells instances of a rolling update apart (the pod's uid); empty: none.
    """

    def __init__(
        self,
        driver: str,
        engine: ClaimEngine,
        *,
        registry: Path,
        data_dir: Path,
        instance: str = "",
        metrics: Metrics | None = None,
        on_status: Callable[[RegistrationState], None] | None = None,
        seam: Seam = no_seam,
    ) -> None:
        self.driver = driver
        self._registry = registry.absolute()
        self._data_dir = data_dir.absolute()
        self.paths = names.socket_paths(
            driver, self._registry, self._data_dir, names.check_instance(instance)
        )
        self.registration = RegistrationService(driver, str(self.paths.dra), on_status)
        self.service = DraService(driver, engine, metrics or Metrics(), seam=seam)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"{driver}-dra")
        self._few_threads = ThreadPoolExecutor(4, thread_name_prefix=f"{driver}-reg")
        self._dra = sockets.SocketServer(
            self.paths.dra, self.service.handlers(), self._threads, what="DRA socket"
        )
        self._reg = sockets.SocketServer(
            self.paths.registration,
            [self.registration.handler()],
            self._few_threads,
            what="registration socket",
        )
        self.problem = ""
        """Why a socket that somebody removed cannot be made again, for status."""
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name=f"{driver}-sockets", daemon=True)

    def start(self) -> None:
        """Serves both sockets.

        :raises SocketError: where a folder or socket cannot be used, or another process serves it.
        """
        try:
            self._dra.start()
            self._reg.start()
        except SocketError:
            self.stop(grace=None)
            raise
        self._watcher.start()
        _log.info(
            "serving the kubelet",
            driver=self.driver,
            registration=str(self.paths.registration),
            endpoint=str(self.paths.dra),
        )

    def sweep(self) -> list[Path]:
        """Removes what dead instances of this driver left behind."""
        return sockets.sweep(self.driver, self._registry, self._data_dir, self.paths)

    def check(self) -> list[str]:
        """What is wrong, by really calling GetInfo and an empty Prepare; empty: nothing."""
        return liveness.check(self.driver, self.paths)

    def drain(self, timeout: float = DRAIN_SECONDS) -> bool:
        """Waits until no call runs, still registered; then removes the registration socket.

        The kubelet cuts the connection when that socket goes, so it goes last.

        :returns: False where calls were still running after `timeout` seconds.
        """
        started = time.monotonic()
        idle = self.service.wait_idle(timeout)
        if not idle:
            _log.warning("calls were still running when the drain ended", driver=self.driver)
        else:
            _log.info("drained", driver=self.driver, seconds=round(time.monotonic() - started, 2))
        self._stop.set()
        self._reg.hide()
        return idle

    def stop(self, grace: float | None = LAST_CALLS_SECONDS) -> None:
        """Ends both servers; `grace` seconds for calls that still run (None: cut off)."""
        self._stop.set()
        self._reg.stop(grace)
        self._dra.stop(grace)
        self.service.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._few_threads.shutdown(wait=False, cancel_futures=True)
        if self._watcher.is_alive():
            self._watcher.join()

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self._look()
                self.problem = ""
            except SocketError as error:
                self._cannot(str(error))
            except BaseException as error:  # noqa: BLE001
                # Whatever it was (the file system, gRPC, who is told of the registration): without this
                # thread nobody would see a removed socket any more.
                self._cannot(f"the sockets cannot be looked after: {type(error).__name__}: {error}", error)

    def _look(self) -> None:
        if self._reg.missing():
            self.registration.lost()  # first: the kubelet registers anew as soon as it is back
        for server in (self._dra, self._reg):
            # Not between drain() and stop(): the registration socket is meant to be gone.
            if not self._stop.is_set() and server.repair():
                _log.warning("somebody removed our socket; made again", path=str(server.path))

    def _cannot(self, text: str, defect: BaseException | None = None) -> None:
        if text != self.problem:
            self.problem = text
            _log.error(
                "the sockets are not as they should be", driver=self.driver, error=text, exc_info=defect
            )
