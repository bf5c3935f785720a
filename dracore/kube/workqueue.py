"""A queue of keys: each is worked on by one thread at a time, however often it is added."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from dracore.kube.backoff import Backoff

K = TypeVar("K", bound=Hashable)

_log = logging.getLogger(__name__)


class WorkQueue(Generic[K]):
    """Keys that wait for work, at once, later, or after a growing delay. Thread-safe.

    A key that is added while it is being worked on comes up once more when that work is done.

    :param backoff: makes the growing delays of one key.
    """

    def __init__(
        self, *, backoff: Callable[[], Backoff] = Backoff, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make_backoff = backoff
        self._clock = clock
        self._condition = threading.Condition()
        self._ready: deque[K] = deque()
        self._waiting: set[K] = set()  # in _ready, or added again while being worked on
        self._working: set[K] = set()
        self._later: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}  # the earliest time in _later that still counts, by key
        self._serial = itertools.count()
        self._backoffs: dict[K, Backoff] = {}
        self._closed = False

    def add(self, key: K) -> None:
        """Puts `key` up for work now; adding it again before it is taken changes nothing."""
        with self._condition:
            self._add(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Puts `key` up in `seconds`; of several times the earliest counts."""
        with self._condition:
            if seconds <= 0:
                self._add(key)
                return
            when = self._clock() + seconds
            if self._closed or self._due.get(key, float("inf")) <= when:
                return
            self._due[key] = when
            heapq.heappush(self._later, (when, next(self._serial), key))
            self._condition.notify()

    def retry(self, key: K, *, limit: float | None = None) -> float:
        """Puts `key` up after its next, growing delay (at most `limit`), and gives that delay in seconds."""
        with self._condition:
            delay = self._backoffs.setdefault(key, self._make_backoff()).next()
        if limit is not None:
            delay = min(delay, limit)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The work on `key` succeeded: its delays start small again."""
        with self._condition:
            self._backoffs.pop(key, None)

    def get(self, timeout: float | None = None) -> K | None:
        """Takes the next key; None when the queue is shut down or nothing came within `timeout` seconds.

        :meth:`done` must be called for the key.
        """
        deadline = None if timeout is None else self._clock() + timeout
        with self._condition:
            while True:
                self._promote()
                if self._closed:
                    return None
                if self._ready:
                    key = self._ready.popleft()
                    self._waiting.discard(key)
                    self._working.add(key)
                    return key
                ends = [when for when in (self._next_due(), deadline) if when is not None]
                if ends and min(ends) <= (now := self._clock()):
                    if deadline is not None and deadline <= now:
                        return None
                    continue
                self._condition.wait(min(ends) - self._clock() if ends else None)

    def done(self, key: K) -> None:
        """The work on `key` has ended, well or badly."""
        with self._condition:
            self._working.discard(key)
            if key in self._waiting and not self._closed:
                self._ready.append(key)
                self._condition.notify()

    def shut_down(self) -> None:
        """Every waiting :meth:`get` and every later one gives None; keys not taken are dropped."""
        with self._condition:
            self._closed = True
            self._ready.clear()
            self._condition.notify_all()

    def __len__(self) -> int:
        with self._condition:
            return len(self._waiting) + len(self._due)

    def _add(self, key: K) -> None:
        if self._closed:
            return
        self._due.pop(key, None)
        if key in self._waiting:
            return
        self._waiting.add(key)
        if key not in self._working:
            self._ready.append(key)
            self._condition.notify()

    def _promote(self) -> None:
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            when, _, key = heapq.heappop(self._later)
            if self._due.get(key) == when:
                self._add(key)

    def _next_due(self) -> float | None:
        while self._later and self._due.get(self._later[0][2]) != self._later[0][0]:
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None


class Workers(Generic[K]):
    """Threads that call `work(key)` for the keys of a queue; one that raises is tried again with delay."""

    def __init__(
        self, queue: WorkQueue[K], work: Callable[[K], None], *, count: int = 1, name: str = "worker"
    ) -> None:
        self._queue = queue
        self._work = work
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Shuts the queue down and waits for work that is running, at most `timeout` seconds."""
        self._queue.shut_down()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (key := self._queue.get()) is not None:
            try:
                self._work(key)
            except Exception:  # noqa: BLE001 - logged and tried again: one key must not end the thread
                delay = self._queue.retry(key)
                _log.exception("work on %s failed; next attempt in %.1f s", key, delay)
            finally:
                self._queue.done(key)
