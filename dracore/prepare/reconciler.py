"""Asks the API server whether what is prepared is still wanted, and the node whether it is still there.

For claims that the kubelet never unprepares: its own record lost, a pod deleted by force while the driver was
down. Nothing is released on doubt.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from dracore.errors import DracoreError, NotFound
from dracore.model.effect import Absent, Present
from dracore.prepare import holdings, recovery, salvage
from dracore.prepare.effects import changed
from dracore.prepare.engine import Engine
from dracore.prepare.holdings import Held
from dracore.prepare.records import Record
from dracore.prepare.snapshot import Drift

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds."""

    interval: float = 600.0
    """From look to look."""
    confirm: float = 90.0
    """Between the two looks that must say the same before a claim is released."""
    first_retry: float = 5.0
    last_retry: float = 60.0
    """Backoff after a look that ended in doubt, and for reverts that fail."""
    idle: float = 5.0
    """Longest sleep: how soon it is seen that this instance may reconcile, or has something to revert."""
    request: float = 10.0
    """For one question to the API server."""


class ReconcileCall:
    """The reconciler's own :class:`~dracore.model.answer.Call`: nobody waits for its answer."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def time_left(self) -> float:
        return max(0.0, self._end - self._clock())

    def alive(self) -> bool:
        return True


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
        timings: Timings = Timings(),
    ) -> None:
        self._engine = engine
        self._kit = engine.kit
        self._allowed = allowed
        self._on_drift = on_drift
        self._on_release = on_release
        self._timings = timings
        self._monotonic = self._kit.clock.monotonic
        # By uid and attempt: a claim that was prepared anew meanwhile has been wanted since.
        self._missing: dict[tuple[str, int], float] = {}
        self._began: float | None = None
        self._unswept = self._kit.journal.fresh
        self._unrepaired: dict[str, str] = {}
        """Claims whose repair failed, and how."""
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
        if self._began is None:
            self._began = self._monotonic()
        doubt = self._look_at_claims()
        if self._allowed():
            self.look_at_effects()
        if doubt is not None:
            _log.info("nothing is released on doubt: %s", doubt)
            self._retry = self._next(self._retry)
            return self._retry
        self._retry = 0.0
        waits = [since + self._timings.confirm - self._monotonic() for since in self._missing.values()]
        if self._unswept:
            waits.append(self._began + self._timings.confirm - self._monotonic())
        self._repair_retry = self._next(self._repair_retry) if self._unrepaired else 0.0
        if self._repair_retry:
            waits.append(self._repair_retry)
        # A claim that pods still use is looked at again after another 90 s.
        waits = [wait if wait > 0 else self._timings.confirm for wait in waits]
        return min([self._timings.interval, *waits])

    def _look_at_claims(self) -> DracoreError | None:
        known = self._engine.records()
        ripe: list[tuple[Record, str]] = []
        doubt: DracoreError | None = None
        for record in known:
            if self._stopping.is_set() or not self._allowed():
                return None
            if record.state not in ("prepared", "waiting"):
                continue  # somebody is at it, or the drain is
            try:
                reason = self._why_unwanted(record)
            except DracoreError as error:
                doubt = error
                break
            if not reason:
                self._missing.pop(_life(record), None)
                continue
            since = self._missing.setdefault(_life(record), self._monotonic())
            if self._monotonic() - since >= self._timings.confirm:
                ripe.append((record, reason))
        lives = {_life(record) for record in known}
        self._missing = {life: since for life, since in self._missing.items() if life in lives}
        sweep = (
            self._unswept
            and doubt is None
            and self._began is not None
            and self._monotonic() - self._began >= self._timings.confirm
        )
        if not ripe and not sweep:
            return doubt
        try:
            users = self._kit.pods.users(self._kit.driver) or {}
        except DracoreError as error:
            return error
        for record, reason in ripe:
            if self._allowed():
                doubt = self._release(record, reason, users) or doubt
        if sweep and self._allowed():
            self._sweep(users)
        return doubt

    def _why_unwanted(self, record: Record) -> str:
        """Why nobody wants a claim prepared here any more; empty: it is wanted.

        :raises DracoreError: the API server does not say.
        """
        self._kit.seam("api.get.before", record.ref.uid)
        try:
            claim = self._kit.claims.get(record.ref, self._timings.request)
        except NotFound:
            return "the claim is gone"
        finally:
            self._kit.seam("api.get.after", record.ref.uid)
        if claim.ref.uid != record.ref.uid:
            return "the claim was replaced by another of its name"
        if not claim.allocated:
            return "the claim is not allocated any more"
        if claim.digest() != record.digest:
            return "the claim has another allocation"
        if not claim.reserved_for:
            return "the claim is reserved for nobody"
        return ""

    def _release(
        self, record: Record, reason: str, users: Mapping[str, Sequence[str]]
    ) -> DracoreError | None:
        """Releases a claim that nobody wanted twice; answers what speaks for doubt."""
        uid = record.ref.uid
        if uid in users:
            _log.info("claim %s: %s, but %s uses it", uid, reason, users[uid])
            return None
        doubt: DracoreError | None = None

        def unwanted() -> bool:
            # Under the claim's lock: a pod may have come for it since it was asked about, and its Prepare,
            # which found everything there, has changed nothing that could be seen in the record.
            nonlocal doubt
            try:
                return bool(self._why_unwanted(record)) and uid not in (
                    self._kit.pods.users(self._kit.driver) or {}
                )
            except DracoreError as error:
                doubt = error
                return False

        try:
            released = self._engine.release(record, reason, still=unwanted)
        except DracoreError as error:
            self._kit.reports.event("ReleaseFailed", f"{reason}; {error}", claim=record.ref)
            return None
        if released:
            self._missing.pop(_life(record), None)
            self._kit.reports.count("reconcile_releases_total")
            self._kit.reports.event(
                "ClaimReleased", f"released without the kubelet: {reason}", claim=record.ref, warning=False
            )
            self._on_release()
        return doubt

    def _sweep(self, users: Mapping[str, Sequence[str]]) -> None:
        """What a lost journal knew of claims, save where containers may still be started with it."""
        done = recovery.Recovered()
        recovery.sweep(self._kit, users.keys(), done)
        if done.failures or users.keys() - {record.ref.uid for record in self._engine.records()}:
            return
        try:
            for holder in {salvage.UNKNOWN} | self._kit.journal.read(holdings.strangers):
                self._engine.effects.release(holder, recovery.time_left)
            self._kit.journal.swept()
        except DracoreError as error:
            self._kit.reports.event("ReleaseFailed", str(error))
            return
        self._unswept = False

    # --- drift --------------------------------------------------------------------------------------

    def look_at_effects(self) -> list[Drift]:
        """Probes every effect; reports those that changed, and repairs the ones that may be. Answers all
        that is not as it should be."""
        drifts = []
        tried: set[str] = set()
        effects, holders = self._kit.journal.read(lambda tx: (holdings.every(tx), holdings.all_holders(tx)))
        for known in effects:
            if self._stopping.is_set() or not self._allowed():
                break
            seen = self._engine.effects.check_present(known.key, recovery.time_left)
            if seen is None:
                continue
            held, found = seen
            text = ""
            if isinstance(found, Absent):
                text = f"{held.kind} {held.key} was undone by somebody"
            elif isinstance(found, Present):
                if changed(held, found):
                    text = (
                        f"{held.kind} {held.key} is {found.outcome!r} now, and was made as {held.outcome!r}"
                    )
            else:
                continue
            drift = self._engine.mark_drift(held.key, text)
            if drift is None:
                if text and not known.drift:  # only claims that wait had it: it is forgotten by now
                    self._say(Drift(known.kind, known.key, tuple(holders.get(known.key, ())), (), text))
                continue
            if text != known.drift:
                self._report(drift)
            if text and not self._repair(held, drift, tried):
                drifts.append(drift)
        keys = {drift.key for drift in drifts}
        return drifts + [drift for drift in self._repair_again(tried) if drift.key not in keys]

    def _report(self, drift: Drift) -> None:
        if drift.text:
            self._say(drift)
        self._on_drift(drift)

    def _say(self, drift: Drift) -> None:
        self._kit.reports.count("drift_total")
        concerned = [record.ref for record in self._engine.records() if record.ref.uid in drift.holders]
        for claim in concerned:
            self._kit.reports.event("EffectDrifted", drift.text, claim=claim)
        if not concerned:  # a plugin's own effect is said of the node
            self._kit.reports.event("EffectDrifted", drift.text)

    def _repair_again(self, tried: set[str]) -> list[Drift]:
        """Claims whose repair failed, or did not live to its end; answers what is still not good.

        :param tried: those that were tried just now.
        """
        left = []
        waiting = self._engine.to_repair()
        for record, drift in waiting:
            if self._stopping.is_set() or not self._allowed():
                break
            uid = record.ref.uid
            if uid in tried or not self._may_repair(uid) or not self._try_to_repair(record):
                left.append(drift)
            else:
                self._report(replace(drift, text=""))
        uids = {record.ref.uid for record, _ in waiting}
        self._unrepaired = {uid: text for uid, text in self._unrepaired.items() if uid in uids}
        return left

    def _repair(self, held: Held, drift: Drift, tried: set[str]) -> bool:
        """A full prepare of every claim that holds it; never of one effect under a running container."""
        claims = [holder for holder in drift.holders if not holder.startswith("plugin:")]
        if not self._is_repairable(held) or len(claims) < len(drift.holders):
            return False
        suspended = [
            self._engine.suspend(uid, drift.text, kind=drift.kind, key=drift.key)
            if self._may_repair(uid)
            else None
            for uid in claims
        ]
        repaired = True
        for record in suspended:
            if record is None:
                repaired = False
                continue
            tried.add(record.ref.uid)
            repaired = self._try_to_repair(record) and repaired
        if repaired:
            self._report(replace(drift, text=""))
        return repaired

    def _is_repairable(self, held: Held) -> bool:
        cls = self._kit.hooks.effect_type(self._kit.driver, held.kind)
        return cls is not None and cls.repairable

    def _may_repair(self, uid: str) -> bool:
        """Not where the claim's prepare would make something again, too, that must not be under a running
        container."""
        held = self._kit.journal.read(lambda tx: [holdings.get(tx, key) for key in holdings.keys_of(tx, uid)])
        return all(self._is_repairable(effect) for effect in held if effect is not None and effect.drift)

    def _try_to_repair(self, record: Record) -> bool:
        uid = record.ref.uid
        try:
            self._engine.repair(record.ref, ReconcileCall(recovery.TIME, self._monotonic))
        except DracoreError as error:
            if self._unrepaired.get(uid) != str(error):
                self._kit.reports.event("RepairFailed", str(error), claim=record.ref)
            self._unrepaired[uid] = str(error)
            return False
        self._unrepaired.pop(uid, None)
        return True


def _life(record: Record) -> tuple[str, int]:
    return record.ref.uid, record.attempt
