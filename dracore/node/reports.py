"""Where the parts of one driver say what a person should see: log, Kubernetes events, metrics."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import structlog

from dracore.model.claim import ClaimRef
from dracore.observe.metrics import Metrics

if TYPE_CHECKING:
    from dracore.kube.client import KubeClient
    from dracore.kube.events import EventRecorder, Regarding

WAITING_LIMIT = 256
"""Events kept while there is no API client yet."""


class Reports:
    """Never blocks and never raises. Events wait until :meth:`connect` names an API server."""

    def __init__(self, driver: str, node: str, metrics: Metrics) -> None:
        self.driver = driver
        self._node = node
        self._metrics = metrics
        self._log = structlog.get_logger("dracore").bind(driver=driver)
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, str, ClaimRef | None, bool]] = deque(maxlen=WAITING_LIMIT)
        self._recorder: EventRecorder | None = None

    def event(
        self, reason: str, message: str, *, claim: ClaimRef | None = None, warning: bool = True
    ) -> None:
        """Something that a user of the cluster should see, on the claim or else on the node."""
        message = " ".join(message.split())  # what others said may have several lines
        bound: dict[str, Any] = {"claim": claim.uid, "name": str(claim)} if claim else {}
        (self._log.warning if warning else self._log.info)(message, reason=reason, **bound)
        self._metrics.count("events_total", self.driver, reason)
        with self._lock:
            if self._recorder is None:
                self._waiting.append((reason, message, claim, warning))
                return
        self._send(reason, message, claim, warning)

    def say(self, text: str, **details: Any) -> None:
        """A line in the log, of no interest to users of the cluster."""
        self._log.info(text, **details)

    def count(self, metric: str, amount: float = 1) -> None:
        """One of the engine's counters: it has the driver as its only label."""
        self._metrics.count(metric, self.driver, by=amount)

    def connect(self, client: KubeClient) -> None:
        """Starts sending, first what waited."""
        from dracore.kube.events import EventRecorder

        recorder = EventRecorder(client, self.driver, self._node)
        recorder.start()
        with self._lock:
            self._recorder = recorder
            waiting, self._waiting = list(self._waiting), deque()
        for entry in waiting:
            self._send(*entry)

    def stop(self) -> None:
        if self._recorder is not None:
            self._recorder.stop()

    def _send(self, reason: str, message: str, claim: ClaimRef | None, warning: bool) -> None:
        assert self._recorder is not None
        self._recorder.event(self._regarding(claim), "Warning" if warning else "Normal", reason, message)

    def _regarding(self, claim: ClaimRef | None) -> Regarding:
        from dracore.kube.events import Regarding

        if claim is not None:
            return Regarding("ResourceClaim", claim.name, claim.namespace, claim.uid, "resource.k8s.io/v1")
        # The kubelet's own events on a node carry its name as uid; `kubectl describe node` looks for that.
        return Regarding("Node", self._node, uid=self._node)
