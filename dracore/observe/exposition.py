"""The metrics in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dracore.observe.metrics import BUCKETS, COUNTERS, DURATION, GAUGES, Histogram, Metrics

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "dracore_"


class Collector:
    """Turns :class:`Metrics` into what ``prometheus_client`` renders."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        values = self._metrics.counters()
        for spec in COUNTERS.values():
            counter = CounterMetricFamily(
                PREFIX + spec.name.removesuffix("_total"), spec.help, labels=spec.labels
            )
            for (name, labels), value in sorted(values.items()):
                if name == spec.name:
                    counter.add_metric(labels, value)
            yield counter
        samples = sorted(self._metrics.gauges(), key=lambda sample: (sample.name, sample.labels))
        for spec in GAUGES.values():
            gauge = GaugeMetricFamily(PREFIX + spec.name, spec.help, labels=spec.labels)
            for sample in samples:
                if sample.name == spec.name:
                    gauge.add_metric(sample.labels, sample.value)
            yield gauge
        durations = HistogramMetricFamily(PREFIX + DURATION.name, DURATION.help, labels=DURATION.labels)
        for labels, histogram in sorted(self._metrics.durations().items()):
            durations.add_metric(labels, list(_cumulative(histogram)), histogram.total)
        yield durations


def _cumulative(histogram: Histogram) -> Iterator[tuple[str, float]]:
    seen = 0
    for bound, count in zip((*map(str, BUCKETS), "+Inf"), histogram.counts, strict=True):
        seen += count
        yield bound, seen


def render(metrics: Metrics) -> bytes:
    """All metrics, and the process's own (memory, descriptors, start time)."""
    from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

    registry = CollectorRegistry()
    registry.register(Collector(metrics))
    ProcessCollector(registry=registry)
    return generate_latest(registry)
