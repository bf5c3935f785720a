"""Brings up one driver on a thread of its own: what it waits for or fails at is no other driver's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from dracore.errors import DracoreError, JournalBusy
from dracore.kube.backoff import Backoff
from dracore.node.driver import DriverNode
from dracore.node.reports import Reports
from dracore.node.shared import Shared

if TYPE_CHECKING:
    from dracore.kube.client import KubeClient

FIRST_RETRY, LAST_RETRY = 5.0, 60.0
"""Seconds between two tries to start a driver beside others that run."""
STOP_SECONDS = 15.0
"""How long a start may take to come to its end: it may be waiting for the journal."""

_log = structlog.get_logger(__name__)


class DriverStart:
    """Starts the driver `name`, again with backoff where that fails, and stops it.

    :param ending: whether the process is to end: nothing is begun any more.
    """

    def __init__(self, name: str, shared: Shared, ending: Callable[[], bool]) -> None:
        self._name = name
        self._shared = shared
        self._ending = ending
        self._reports = Reports(name, shared.configuration.node, shared.metrics)
        self.driver = DriverNode(name, shared, self._reports)
        """The one that serves, or is about to."""
        self.settled = threading.Event()
        """It serves, waits for somebody else, or has failed once."""
        self.failure: BaseException | None = None
        """Why it does not serve, where it does not wait for anybody."""
        self._said = ""
        self._stop = threading.Event()
        self._wake = threading.Condition()
        self._client: KubeClient | None = None
        self._thread = threading.Thread(target=self._run, name=f"start-{name}", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def connect(self, client: KubeClient) -> None:
        """The API server is known: events can be sent, and the driver publishes once it serves."""
        self._reports.connect(client)
        with self._wake:
            self._client = client
            self._wake.notify_all()

    def say(self) -> None:
        """Says that it has failed: the process goes on without this driver."""
        text = f"the driver cannot start and is tried again: {_text(self.failure)}"
        if self.failure is not None and text != self._said:
            self._said = text
            self._reports.event("StartFailed", text)

    def stop(self) -> None:
        with self._wake:
            self._stop.set()
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        self.driver.stop()
        self._reports.stop()

    def _run(self) -> None:
        backoff = Backoff(FIRST_RETRY, LAST_RETRY)
        while not self._is_over():
            try:
                self._bring_up()
                return
            except BaseException as error:  # noqa: BLE001 - a defect of one driver is not the others' end
                self._failed(error)
            self._stop.wait(backoff.next())

    def _bring_up(self) -> None:
        self.driver.open(self._is_over, self.settled.set)
        self.driver.recover(self._is_over)
        if self._is_over():
            return
        self.driver.serve()
        self.failure = None
        self._said = ""
        self.settled.set()
        with self._wake:
            self._wake.wait_for(lambda: self._client is not None or self._stop.is_set())
        if self._client is not None and not self._is_over():
            self.driver.connect(self._client)

    def _failed(self, error: BaseException) -> None:
        """What is half made is taken down; the next try begins with nothing."""
        try:
            self.driver.stop()
        except Exception:  # noqa: BLE001 - the first failure is the one to tell
            _log.exception("a driver that could not start cannot be stopped either", driver=self._name)
        if self._is_over():
            self.settled.set()
            return
        if not isinstance(error, DracoreError):
            _log.error("a defect while a driver was started", driver=self._name, exc_info=error)
        self.driver = DriverNode(self._name, self._shared, self._reports)
        self.driver.not_yet = DracoreError(f"the driver cannot start: {_text(error)}")
        self.failure = None if isinstance(error, JournalBusy) else error
        if self.settled.is_set():
            self.say()
        self.settled.set()

    def _is_over(self) -> bool:
        return self._stop.is_set() or self._ending()


def _text(error: BaseException | None) -> str:
    return str(error) if isinstance(error, DracoreError) else f"{type(error).__name__}: {error}"
