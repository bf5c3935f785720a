"""What a publisher tells: metrics, events, log."""

from __future__ import annotations

from dracore.node.reports import Reports
from dracore.observe.metrics import Metrics
from dracore.publish.status import PublishObserver


class PublishReports(PublishObserver):
    """Counts writes, and says what a user should see."""

    def __init__(self, reports: Reports, metrics: Metrics) -> None:
        self._reports = reports
        self._metrics = metrics

    def wrote(self, verb: str) -> None:
        self._metrics.count("publish_writes_total", self._reports.driver, verb)

    def published(self, pool: str, generation: int, slices: int) -> None:
        self._reports.say("published", pool=pool, generation=generation, slices=slices)

    def failed(self, pool: str, error: str, delay: float) -> None:
        self._metrics.count("publish_failures_total", self._reports.driver)

    def degraded(self, text: str) -> None:
        self._reports.event("PublishedLess", text)

    def recovered(self, text: str) -> None:
        self._reports.event("PublishedInFull", f"over: {text}", warning=False)

    def repaired(self, pool: str, writes: int) -> None:
        self._metrics.count("publish_repairs_total", self._reports.driver, by=writes)
        self._reports.say("somebody changed our slices; repaired", pool=pool, writes=writes)
