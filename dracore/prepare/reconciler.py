"""Asks the API server whether what is prepared is still wanted, and the node whether it is still there.

For claims that the kubelet never unprepares: its own record lost, a pod deleted by force while the driver was
down. Nothing is released on doubt.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from dracore.errors import DracoreError
from dracore.prepare.drift import Drifts
from dracore.prepare.engine import Engine
from dracore.prepare.snapshot import Drift
from dracore.prepare.timings import Timings
from dracore.prepare.unwanted import Unwanted

_log = logging.getLogger(__name__)


class Reconciler:
    """Looks at start, every 10 minutes, on demand, and 90 s after a look that found a claim gone.

    :param allowed: asked before each step (:meth:`Instances.is_publisher`): one instance reconciles.
    :param on_drift: told when an effect is found undone, and when it is there again.
    :param on_release: told when a claim was released without the kubelet.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        allowed: Callable[[], bool] = lambda: True,
        on_drift: Callable[[Drift], None] = lambda _: None,
        on_release: Callable[[], None] = lambda: None,
        timings: Timings = Timings(),  # noqa: B008 - a value
    ) -> None:
        self._engine = engine
        self._kit = engine.kit
        self._allowed = allowed
        self._timings = timings
        self._monotonic = self._kit.clock.monotonic
        self._unwanted = Unwanted(engine, self._may_go_on, on_release, timings)
        self._drifts = Drifts(engine, self._may_go_on, on_drift)
        self._repair_retry = 0.0
        self._retry = 0.0
        self._revert_retry = 0.0
        self._stopping = threading.Event()
        self._kicked = threading.Event()
        self._looks = threading.Condition()
        self._looking = False
        self._looked = 0
        self._thread: threading.Thread | None = None

    # --- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; a running release is finished."""
        self._stopping.set()
        self._kit.pending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def kick(self) -> None:
        """Look now."""
        self._kicked.set()
        self._kit.pending.set()

    def look_now(self, timeout: float) -> bool:
        """Looks, and answers when that is done; False where another instance does it, or after `timeout`."""
        if not self._allowed():
            return False
        with self._looks:
            awaited = self._looked + 1 + self._looking  # one that has begun may have passed what changed
            self.kick()
            return self._looks.wait_for(lambda: self._looked >= awaited, timeout)

    def _run(self) -> None:
        next_look = next_drain = self._monotonic()
        failing, said = 0.0, ""
        while not self._stopping.is_set():
            try:
                if self._allowed():
                    now = self._monotonic()
                    if now >= next_drain or self._kit.pending.is_set():
                        self._kit.pending.clear()
                        next_drain = self._monotonic() + self._drain()
                    if now >= next_look or self._kicked.is_set():
                        self._kicked.clear()
                        with self._looks:
                            self._looking = True
                        next_look = self._monotonic() + self.look()
                failing, said = 0.0, ""
            except BaseException as error:  # noqa: BLE001
                # Whatever it was, it must not end the loop that releases what nobody else will.
                failing = self._next(failing)
                next_look = next_drain = self._monotonic() + failing
                self._kit.pending.clear()
                if not isinstance(error, DracoreError):
                    _log.exception("the reconciler's look failed")
                elif str(error) != said:
                    said = str(error)
                    _log.error("nothing can be reconciled now: %s", said)
            finally:
                with self._looks:
                    self._looked += self._looking
                    self._looking = False
                    self._looks.notify_all()
            wake = min(next_look, next_drain) - self._monotonic()
            self._kit.pending.wait(max(0.05, min(wake, self._timings.idle)))

    def _may_go_on(self) -> bool:
        return not self._stopping.is_set() and self._allowed()

    def _drain(self) -> float:
        """Reverts what is left; answers when to try again."""
        failures = self._engine.drain()
        for error in failures:
            _log.warning("still to be undone: %s", error)
        if not failures:
            self._revert_retry = 0.0
            return self._timings.idle
        self._revert_retry = self._next(self._revert_retry)
        return self._revert_retry

    def _next(self, retry: float) -> float:
        return min(max(self._timings.first_retry, retry * 2), self._timings.last_retry)

    # --- one look -----------------------------------------------------------------------------------

    def look(self) -> float:
        """Looks at every record once; answers in how many seconds to look again."""
        doubt = self._unwanted.look()
        if self._allowed():
            self.look_at_effects()
        if doubt is not None:
            _log.info("nothing is released on doubt: %s", doubt)
            self._retry = self._next(self._retry)
            return self._retry
        self._retry = 0.0
        waits = self._unwanted.waits()
        self._repair_retry = self._next(self._repair_retry) if self._drifts.unrepaired else 0.0
        if self._repair_retry:
            waits.append(self._repair_retry)
        # A claim that pods still use is looked at again after another 90 s.
        waits = [wait if wait > 0 else self._timings.confirm for wait in waits]
        return min([self._timings.interval, *waits])

    def look_at_effects(self) -> list[Drift]:
        """Probes every effect; answers all that is not as it should be and could not be repaired."""
        return self._drifts.look()
