"""Numbers about the process: counted here, rendered by :mod:`dracore.observe.exposition`.

Counting needs no library: ``prometheus_client`` costs 80 ms and 23 MiB and is imported only where somebody
scrapes. All names begin with ``dracore_``.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 45.0)
"""Upper bounds of the latency histogram in seconds; the kubelet gives up at 45."""

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spec:
    """One metric: its name without prefix, what it tells, and its labels."""

    name: str
    help: str
    labels: tuple[str, ...]


COUNTERS = {
    spec.name: spec
    for spec in (
        Spec("prepare_total", "Claims that NodePrepareResources answered, by result", ("driver", "result")),
        Spec(
            "unprepare_total", "Claims that NodeUnprepareResources answered, by result", ("driver", "result")
        ),
        Spec("publish_writes_total", "Writes of ResourceSlices to the API server", ("driver", "verb")),
        Spec("reconcile_releases_total", "Claims released without a call of the kubelet", ("driver",)),
        Spec("publish_failures_total", "Attempts to publish that failed and are made again", ("driver",)),
        Spec("publish_repairs_total", "Slices of ours that somebody changed, put right again", ("driver",)),
        Spec("drift_total", "Changes to the node that somebody else undid, as probes found", ("driver",)),
        Spec("journal_damaged_total", "Journals that were set aside because they were damaged", ("driver",)),
        Spec("journal_lost_total", "Starts that found no journal where one had been made", ("driver",)),
        Spec("journal_restored_total", "Journals put back after somebody moved or deleted them", ("driver",)),
        Spec("journal_errors_total", "Failures that could not even be written down", ("driver",)),
        Spec("events_total", "Kubernetes events emitted, by reason", ("driver", "reason")),
    )
}
GAUGES = {
    spec.name: spec
    for spec in (
        Spec("inflight", "Claims being prepared or unprepared now", ("driver",)),
        Spec("registered", "1 where the kubelet has accepted the driver's registration", ("driver",)),
        Spec("devices", "Devices in the inventory", ("driver",)),
        Spec("claims", "Claims in the journal, by state", ("driver", "state")),
        Spec("prepared_devices", "Devices of prepared claims", ("driver",)),
        Spec("effects", "Effects in the journal, by state", ("driver", "state")),
        Spec(
            "degradations", "Things that are not as they should be; `dracore status` says which", ("driver",)
        ),
    )
}
DURATION = Spec(
    "call_seconds", "Time to prepare or unprepare one claim, in seconds", ("driver", "method", "result")
)


@dataclass
class Histogram:
    """Counts by bucket (not cumulative), the last one beyond all bounds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    total: float = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect.bisect_left(BUCKETS, value)] += 1
        self.total += value


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a gauge that is read when somebody scrapes."""

    name: str
    labels: Labels
    value: float


class Metrics:
    """Counters, gauges and the latency histogram of one process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, Labels], float] = {}
        self._gauges: dict[tuple[str, Labels], float] = {}
        self._durations: dict[Labels, Histogram] = {}
        self._sources: list[Callable[[], Iterable[Sample]]] = []

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Adds to a counter of :data:`COUNTERS`."""
        _check(COUNTERS[name], labels)
        with self._lock:
            self._counters[name, labels] = self._counters.get((name, labels), 0) + by

    def add(self, name: str, *labels: str, by: float) -> None:
        """Moves a gauge of :data:`GAUGES` up or down."""
        _check(GAUGES[name], labels)
        with self._lock:
            self._gauges[name, labels] = self._gauges.get((name, labels), 0) + by

    def called(self, driver: str, method: str, result: str, seconds: float) -> None:
        """One claim was answered: `method` is ``prepare`` or ``unprepare``."""
        with self._lock:
            self._durations.setdefault((driver, method, result), Histogram()).observe(seconds)
        self.count(f"{method}_total", driver, result)

    def source(self, read: Callable[[], Iterable[Sample]]) -> None:
        """Adds gauges that are read at scrape time (states of claims, held effects)."""
        self._sources.append(read)

    # --- reading ------------------------------------------------------------------------------------

    def value(self, name: str, *labels: str) -> float:
        """One counter or gauge as it stands (0 where it never moved)."""
        with self._lock:
            return self._counters.get((name, labels), self._gauges.get((name, labels), 0))

    def counters(self) -> dict[tuple[str, Labels], float]:
        with self._lock:
            return dict(self._counters)

    def gauges(self) -> Iterator[Sample]:
        """All gauges, those of the sources included."""
        with self._lock:
            own = dict(self._gauges)
        yield from (Sample(name, labels, value) for (name, labels), value in own.items())
        for read in self._sources:
            yield from read()

    def durations(self) -> dict[Labels, Histogram]:
        with self._lock:
            return {labels: Histogram(list(h.counts), h.total) for labels, h in self._durations.items()}


def _check(spec: Spec, labels: Labels) -> None:
    if len(labels) != len(spec.labels):
        raise TypeError(f"metric {spec.name} takes the labels {spec.labels}, got {labels}")
