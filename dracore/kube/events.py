"""Kubernetes events: what a user of the cluster should see, sent in the background and never in the way."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from dracore.errors import KubeError, NotFound, Unreachable, writable
from dracore.kube.backoff import Backoff
from dracore.kube.client import KubeClient, Object

EventType: TypeAlias = Literal["Normal", "Warning"]

NOTE_LIMIT = 1024
"""Longest note that the API server takes, in bytes (events.k8s.io/v1)."""
SERIES_WINDOW = 600.0
"""Seconds in which the same event again is counted in the first one's series."""
PATCH_INTERVAL = 10.0
"""Seconds between two updates of one series."""
QUEUE_LIMIT = 256
"""Different events waiting to be sent; more are dropped and counted."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Regarding:
    """The object that an event is about. `namespace` is empty for a cluster-scoped one (a Node)."""

    kind: str
    name: str
    namespace: str = ""
    uid: str = ""
    api_version: str = "v1"

    def as_json(self) -> Object:
        """A ``v1.ObjectReference``."""
        fields = {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "uid": self.uid,
        }
        return {name: value for name, value in fields.items() if value}


@dataclass
class _Series:
    """One event and how often it happened."""

    regarding: Regarding
    type: EventType
    reason: str
    action: str
    note: str
    last: datetime
    last_monotonic: float
    count: int = 1
    sent: int = 0
    name: str = ""
    next_send: float = 0.0


_Key: TypeAlias = tuple[Regarding, str, str, str, str]


class EventRecorder:
    """Sends events from one thread. :meth:`event` never blocks and never raises.

    :param controller: ``reportingController``, a qualified name such as ``gpu.nvidia.com``.
    :param instance: ``reportingInstance``, the node's name.
    """

    def __init__(
        self,
        client: KubeClient,
        controller: str,
        instance: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._controller = controller
        self._instance = instance[:128]
        self._clock = clock
        self._now = now
        self._condition = threading.Condition()
        self._series: dict[_Key, _Series] = {}
        self._stopping = False
        self._paused_until = 0.0
        self._backoff = Backoff(first=1.0, limit=60.0)
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def start(self) -> None:
        """Starts the sending thread."""
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 3.0) -> None:
        """Sends what waits, as far as `timeout` seconds allow."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join(timeout)

    def event(
        self, regarding: Regarding, type: EventType, reason: str, note: str, *, action: str = "Report"
    ) -> None:
        """Records that something happened.

        :param reason: a word in CamelCase, for machines: ``DeviceLost``.
        :param note: for people; cut at 1024 bytes.
        :param action: what was being done: ``Publish``, ``Prepare``.
        """
        note = _bounded(note)
        key = (regarding, type, reason, action, note)
        moment = self._clock()
        with self._condition:
            series = self._series.get(key)
            if series is not None and moment - series.last_monotonic < SERIES_WINDOW:
                series.count += 1
                series.last, series.last_monotonic = self._now(), moment
            elif series is None and len(self._series) >= QUEUE_LIMIT and not self._make_room(moment):
                self.dropped += 1
                return
            else:
                self._series[key] = _Series(regarding, type, reason, action, note, self._now(), moment)
            self._condition.notify()

    def _make_room(self, moment: float) -> bool:
        """Forgets series that are all sent: the oldest, so that something new can be said."""
        sent = [key for key, series in self._series.items() if series.sent == series.count]
        if not sent:
            return False
        ended = [key for key in sent if moment - self._series[key].last_monotonic >= SERIES_WINDOW]
        for key in ended or [min(sent, key=lambda key: self._series[key].last_monotonic)]:
            del self._series[key]
        return True

    def _run(self) -> None:
        while True:
            with self._condition:
                series = self._next()
                while series is None and not self._stopping:
                    self._condition.wait(self._until_next())
                    series = self._next()
                if series is None:
                    return
                count, moment = series.count, self._clock()
            self._send(series, count, moment)

    def _next(self) -> _Series | None:
        moment = self._clock()
        for series in self._series.values():
            due = series.next_send <= moment and self._paused_until <= moment
            # At the end only what nobody has heard of is worth waiting for.
            if series.sent < series.count and (due or (self._stopping and not series.sent)):
                return series
        return None

    def _until_next(self) -> float | None:
        waits = [
            max(series.next_send, self._paused_until)
            for series in self._series.values()
            if series.sent < series.count
        ]
        return max(0.0, min(waits) - self._clock()) if waits else None

    def _send(self, series: _Series, count: int, moment: float) -> None:
        try:
            if series.name and count > 1:
                try:
                    self._patch(series, count)
                except NotFound:  # events expire; the story starts anew
                    self._create(series, count)
            else:
                self._create(series, count)
        except Unreachable as error:
            with self._condition:
                if self._stopping:
                    series.sent = count
                self._paused_until = moment + self._backoff.next()
            _log.debug("an event waits: %s", error)
            return
        except KubeError as error:
            # Refused (no permission, namespace terminating): saying it again would not help.
            _log.warning("event %s not recorded: %s", series.reason, error)
        except Exception:  # noqa: BLE001 - logged: an event is lost, the thread lives on
            _log.exception("event %s not recorded", series.reason)
        else:
            self._backoff.reset()
        with self._condition:
            series.sent = count
            series.next_send = moment + PATCH_INTERVAL

    def _create(self, series: _Series, count: int) -> None:
        namespace = series.regarding.namespace or "default"
        # Unique as the field's clients make it: the object's name and a number that grows with time.
        name = f"{series.regarding.name[:230]}.{time.time_ns():x}{os.urandom(2).hex()}"
        body: Object = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": _micro(series.last),
            "reportingController": self._controller,
            "reportingInstance": self._instance,
            "action": series.action[:128],
            "reason": series.reason[:128],
            "type": series.type,
            "note": series.note,
            "regarding": series.regarding.as_json(),
        }
        if count > 1:
            body["series"] = {"count": count, "lastObservedTime": _micro(series.last)}
        self._client.create(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", body, timeout=10.0)
        series.name = name

    def _patch(self, series: _Series, count: int) -> None:
        namespace = series.regarding.namespace or "default"
        self._client.patch(
            f"/apis/events.k8s.io/v1/namespaces/{namespace}/events/{series.name}",
            {"series": {"count": count, "lastObservedTime": _micro(series.last)}},
            timeout=10.0,
        )


def _bounded(note: str) -> str:
    note = writable(note)
    data = note.encode()
    if len(data) <= NOTE_LIMIT:
        return note
    return data[: NOTE_LIMIT - 3].decode("utf-8", "ignore") + "…"


def _micro(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
