"""One look at one pool: what is wanted, what stands, what to write, and when to look again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from dracore.errors import Conflict, DracoreError
from dracore.model.device import Pool
from dracore.publish.desired import Desired
from dracore.publish.owner import OwnerReference
from dracore.publish.pacer import Pacer
from dracore.publish.report import Report
from dracore.publish.shaper import Shaper
from dracore.publish.state import PoolState
from dracore.publish.status import PublishObserver
from dracore.publish.view import SliceView
from dracore.publish.wanted import Wanted
from dracore.publish.writer import Refused, SliceWriter

_log = logging.getLogger(__name__)


class PoolKeeper:
    """Makes the slices of pools what they should be, one pool a call; used by the publisher's worker.

    :param confirm_within: seconds after which a write that the watch has not brought is no longer believed.
    :param clock: monotonic seconds.
    :param now: the time of day, for the status.
    """

    def __init__(
        self,
        driver: str,
        wanted: Wanted,
        shaper: Shaper,
        writer: SliceWriter,
        view: SliceView,
        owner: OwnerReference,
        report: Report,
        observer: PublishObserver,
        *,
        only_pool: str,
        confirm_within: float,
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._driver = driver
        self._wanted = wanted
        self._shaper = shaper
        self._writer = writer
        self._view = view
        self._owner = owner
        self._report = report
        self._observer = observer
        self._only_pool = only_pool
        self._confirm_within = confirm_within
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()  # of the table alone: a state is changed by the worker only
        self._states: dict[str, PoolState] = {}
        self._strays: dict[str, Pacer] = {}

    def sync(self, name: str) -> float | None:
        """One attempt; the seconds until the next look at this pool, None where only an event calls for one.

        :raises Held: another instance publishes.
        :raises Refused, KubeError: see :meth:`SliceWriter.apply`; tell :meth:`failed` and try again.
        """
        pools, version = self._wanted.get()
        if pools is None:
            return None
        self._writer.check_allowed()
        if name not in pools:
            return self._remove(name)
        pool, state = pools[name], self._state(name)
        if state.built_from != version:
            self._shaper.shape(pool, state)
            state.built_from = version
        if state.desired is None:
            self._tell()
            return None
        return self._write(pool, state, state.desired)

    def _write(self, pool: Pool, state: PoolState, desired: Desired) -> float | None:
        plan = self._writer.plan(pool.name, desired.specs, state.generation)
        repair = state.settled is desired and plan.writes > 0
        if repair:
            if (wait := state.pacer.wait(self._clock())) > 0:
                return wait
            if plan.create:
                self._owner.forget()
            _log.info("%s, pool %s: %d foreign changes to put right", self._driver, pool.name, plan.writes)
        try:
            dropped = self._writer.apply(pool.name, desired.specs, plan)
        except Refused as error:
            if not self._shaper.withhold(pool, state, desired, error):
                raise
            return 0.0
        # News also without a write of this attempt: the answer to an earlier one may have been lost.
        news = plan.writes > 0 or state.settled is not desired
        state.settled, state.generation, state.problem = desired, plan.generation, ""
        if news:
            state.published = self._now()
        self._tell()  # before anybody is told of the publish, so that who looks then sees it
        if news:
            self._observer.published(pool.name, plan.generation, len(desired.specs))
        if repair:
            self._observer.repaired(pool.name, plan.writes)
        if dropped:
            # The probe should have known: ask again, so that no device loses a taint that keeps it safe.
            self._shaper.probe_again()
            self._wanted.touch()
            return 0.0
        # A slice that vanished before our watch had seen it makes no event: look once more.
        return self._confirm_within * 1.02 if self._view.unconfirmed() else None

    def _remove(self, name: str) -> float | None:
        """Deletes the slices of a pool that we do not have (any more)."""
        with self._lock:
            gone = self._states.pop(name, None)
        ours = not self._only_pool or name == self._only_pool
        if ours and self._writer.stored(name):
            # Ours from before is deleted at once; one that somebody makes again and again is not.
            wait = 0.0 if gone else self._strays.setdefault(name, Pacer()).wait(self._clock())
            if wait > 0:
                return wait
            self._writer.delete_pool(name)
        if gone is not None:
            self._tell()
        return None

    def failed(self, name: str, error: DracoreError) -> None:
        """An attempt ended with `error`: the status says so until one succeeds."""
        state = self._states.get(name)
        # A conflict is everyday life: the object was read again, the next attempt knows more.
        if state is not None and not isinstance(error, Conflict):
            state.problem = f"pool {name} is not published: {error}"
            self._tell()

    def failing(self) -> list[str]:
        """The pools whose last attempt failed. Thread-safe."""
        with self._lock:
            return [name for name, state in self._states.items() if state.problem]

    def forget(self) -> None:
        """The server may be another one: what it dropped or refused before is asked for again."""
        self._shaper.probe_again()
        self._writer.forget()
        self._wanted.touch()
        for state in self._states.values():
            state.refused.clear()

    def _state(self, name: str) -> PoolState:
        with self._lock:
            return self._states.setdefault(name, PoolState())

    def _tell(self) -> None:
        self._report.tell(self._states)
