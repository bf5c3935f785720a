"""The claim engine of one driver: what the kubelet's calls, the plugins and the reconciler go through."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from dracore.errors import Busy, ClaimError, DracoreError, NotFound, Superseded, Waiting
from dracore.model.answer import Call, PreparedResult
from dracore.model.claim import Claim, ClaimRef
from dracore.model.context import HeldEffect
from dracore.model.effect import Effect
from dracore.model.seam import Seam, no_seam
from dracore.prepare import holdings, records, recovery
from dracore.prepare import snapshot as status
from dracore.prepare.attempt import Attempt, Overtaken
from dracore.prepare.context import PluginContext
from dracore.prepare.effects import Effects
from dracore.prepare.health import HealthTable
from dracore.prepare.journal import Journal
from dracore.prepare.kit import WAIT_MARGIN, Kit, check_uid, lock_time
from dracore.prepare.locks import Lock, Locks
from dracore.prepare.ports import (
    Admission,
    Cdi,
    Claims,
    Clock,
    Configs,
    Devices,
    HookCaller,
    PodUsers,
    Reports,
    Silent,
    Surroundings,
    SystemClock,
)
from dracore.prepare.records import Record
from dracore.prepare.release import release
from dracore.prepare.snapshot import Drift
from dracore.prepare.transaction import Tx

PREPARES = 48
"""Claims being prepared at a time: 64 threads less these stay for unprepare and liveness."""
FOLLOW_POLL = 0.1
"""Seconds between two looks at how the attempt that took over is doing."""

_log = logging.getLogger(__name__)


class Engine:
    """Prepares and unprepares the claims of one driver (:class:`dracore.model.answer.ClaimEngine`).

    Making one settles in the journal what a reboot changed; :meth:`recover` does the rest, after the plugins
    have started and before the sockets answer. Thread-safe, and safe beside another process on `folder`.

    :param folder: the driver's plugin folder.
    :param admission: places for running prepares, shared by all drivers of the process.
    """

    def __init__(
        self,
        *,
        driver: str,
        folder: Path,
        journal: Journal,
        boot_id: str,
        hooks: HookCaller,
        devices: Devices,
        configs: Configs,
        claims: Claims,
        pods: PodUsers,
        cdi: Cdi,
        surroundings: Surroundings,
        clock: Clock = SystemClock(),  # noqa: B008 - no state
        seam: Seam = no_seam,
        reports: Reports = Silent(),  # noqa: B008 - no state
        admission: Admission | None = None,
    ) -> None:
        self.kit = Kit(
            driver=driver,
            folder=folder,
            boot_id=boot_id,
            journal=journal,
            locks=Locks(folder),
            hooks=hooks,
            devices=devices,
            configs=configs,
            claims=claims,
            pods=pods,
            cdi=cdi,
            surroundings=surroundings,
            clock=clock,
            seam=seam,
            reports=reports,
        )
        self.effects = Effects(self.kit)
        self.health = HealthTable(journal)
        self._journal = journal
        self._admission = admission or threading.BoundedSemaphore(PREPARES)
        self._starting: dict[str, set[str]] = {}
        recovery.after_start(self.kit)
        self._renewing = journal.read(
            lambda tx: tx.row("SELECT 1 FROM devices WHERE boot != ? LIMIT 1", (boot_id,)) is not None
        )

    # --- what the kubelet asks ----------------------------------------------------------------------

    def prepare(self, ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        """Prepares a claim, or gives the answer that it was prepared with.

        :raises DracoreError: its text is for the pod's event; the kubelet asks again.
        """
        return self._guarded(ref, call, repair=False)

    def repair(self, ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        """A full prepare of a claim that may be in use; a failure releases nothing."""
        return self._guarded(ref, call, repair=True)

    def unprepare(self, ref: ClaimRef, call: Call) -> None:
        """Releases a claim from the journal alone; an unknown claim is a success.

        :raises DracoreError: something could not be undone yet; the kubelet asks again.
        """
        check_uid(ref.uid)
        lock = self.kit.locks.claim(ref.uid)
        try:
            self._lock(lock, ref, call)
            release(self.kit, self.effects, ref.uid, call.time_left, "unprepare")
            self.kit.seam("reply.unprepare.before", ref.uid)
        except DracoreError:
            raise
        except Exception as error:
            raise self._defect(ref, "unprepare", error) from error
        finally:
            lock.release()

    def _guarded(self, ref: ClaimRef, call: Call, *, repair: bool) -> Sequence[PreparedResult]:
        check_uid(ref.uid)
        if not self._admission.acquire(blocking=False):
            raise Busy(f"the node is busy with {PREPARES} other claims", fix="the kubelet asks again")
        try:
            answer = self._prepare(ref, call, repair=repair)
            self.kit.seam("reply.prepare.before", ref.uid)
            return answer
        except DracoreError as error:
            self._note_failure(ref, error)
            raise
        except Exception as error:
            failure = self._defect(ref, "prepare", error)
            self._note_failure(ref, failure)
            raise failure from error
        finally:
            self._admission.release()

    def _prepare(self, ref: ClaimRef, call: Call, *, repair: bool) -> Sequence[PreparedResult]:
        lock = self.kit.locks.claim(ref.uid)
        try:
            self._lock(lock, ref, call)
            if not call.alive():
                raise Superseded("the caller has gone; nothing was changed", fix="the kubelet asks again")
            claim = self._fetch(ref, call)
            record = self._to_repair(claim) if repair else self._settled(claim, call)
            if record is not None and record.state == "prepared":
                return self._again(record)
            if not claim.results:
                return ()
            self._renew_devices()
            attempt = Attempt(self.kit, self.effects, claim, record, lock, call, repair=repair)
            try:
                return attempt.run()
            except Overtaken as overtaken:
                lock.release()
                return self._follow(ref, claim.digest(), call, lock, overtaken)
        finally:
            lock.release()

    def _lock(self, lock: Lock, ref: ClaimRef, call: Call) -> None:
        if not lock.acquire(lock_time(call.time_left())):
            raise Busy("another call is still working on this claim", fix="the kubelet asks again")

    def _fetch(self, ref: ClaimRef, call: Call) -> Claim:
        self.kit.seam("api.get.before", ref.uid)
        try:
            claim = self.kit.claims.get(ref, lock_time(call.time_left()))
        except NotFound as error:
            raise ClaimError(
                f"claim {ref.name} with uid {ref.uid} is not there any more", fix="delete the pod"
            ) from error
        self.kit.seam("api.get.after", ref.uid)
        if claim.ref.uid != ref.uid:
            raise ClaimError(f"claim {ref.name} was replaced by another of its name", fix="delete the pod")
        if not claim.allocated:
            raise ClaimError(f"claim {ref.name} is not allocated", fix="the kubelet asks again")
        return claim

    def _settled(self, claim: Claim, call: Call) -> Record | None:
        """What the journal has of this very allocation: prepared or waiting. Anything else is released."""
        uid = claim.ref.uid
        record = self._journal.read(lambda tx: records.get(tx, uid))
        if record is None:
            return None
        if record.state in ("preparing", "releasing"):
            why = f"its {record.state} had not come to an end"
        elif record.digest != claim.digest():
            self._refuse_while_used(claim.ref)
            why = "it has another allocation now"
        else:
            return record
        release(self.kit, self.effects, uid, call.time_left, why)
        return None

    def _to_repair(self, claim: Claim) -> Record:
        """A repair goes on with what is there; it releases nothing and begins nothing."""
        record = self._journal.read(lambda tx: records.get(tx, claim.ref.uid))
        if record is None or record.state in ("preparing", "releasing") or record.digest != claim.digest():
            raise Superseded(f"claim {claim.ref.name} has changed meanwhile; nothing was repaired")
        return record

    def _refuse_while_used(self, ref: ClaimRef) -> None:
        users = self.kit.pods.users(self.kit.driver)
        if users and ref.uid in users:
            pods = ", ".join(pod.rpartition("/")[2] for pod in users[ref.uid])
            raise ClaimError(
                f"claim {ref.name} has another allocation now, while pod {pods} still uses the old devices",
                fix="wait until that pod has ended",
            )

    def _again(self, record: Record) -> Sequence[PreparedResult]:
        """Prepared already, perhaps before a restart: the same answer, and its files are there."""
        specs = self._journal.read(lambda tx: records.specs(tx, record.ref.uid))
        if not self.kit.cdi.intact(specs):
            self.kit.cdi.write(specs)
        return record.answer

    def _follow(
        self, ref: ClaimRef, digest: str, call: Call, lock: Lock, overtaken: Overtaken
    ) -> Sequence[PreparedResult]:
        """Changes nothing: gives the answer of the attempt that took over, or says what that waits for."""
        while True:
            record = self._journal.read(lambda tx: records.get(tx, ref.uid))
            if record is None or record.state == "releasing" or record.digest != digest:
                raise overtaken
            # Its files are written under its lock, after the commit.
            if record.state == "prepared" and lock.acquire(0):
                now = self._journal.read(lambda tx: records.get(tx, ref.uid))
                if now is not None and now.state == "prepared" and now.digest == digest:
                    return self._again(now)
                lock.release()
            left = call.time_left() - WAIT_MARGIN
            if left <= 0 or self.kit.closing.is_set() or not call.alive():
                what = record.awaited or "another call that prepares it"
                raise Waiting(f"waits for {what}", fix="the kubelet asks again")
            self.kit.closing.wait(min(FOLLOW_POLL, left))

    def _renew_devices(self) -> None:
        if self._renewing and recovery.renew_devices(self.kit):
            self._renewing = False

    def _note_failure(self, ref: ClaimRef, error: DracoreError) -> None:
        if isinstance(error, (Busy, Superseded)):
            return
        with contextlib.suppress(Exception):
            self._journal.write(
                f"claim.failed {ref.uid}", lambda tx: tx.note(ref.uid, "error", f"prepare: {error}")
            )

    def _defect(self, ref: ClaimRef, what: str, error: Exception) -> ClaimError:
        _log.exception("%s of claim %s failed", what, ref.uid)
        return ClaimError(f"{what} failed: {type(error).__name__}: {error}")

    # --- what plugins ask ---------------------------------------------------------------------------

    def context(self, plugin: str) -> PluginContext:
        """For node hooks of a plugin (:class:`dracore.model.context.NodeContext`)."""
        return PluginContext(self.kit, self.effects, plugin, lambda key: self._held_now(plugin, key))

    @contextlib.contextmanager
    def starting(self, plugin: str) -> Iterator[PluginContext]:
        """Around ``dra_start``, with its context: what the plugin held before and does not hold again is
        released at the end. When ``dra_start`` fails, all stays."""
        held: set[str] = set()
        self._starting[plugin] = held
        try:
            yield self.context(plugin)
        finally:
            self._starting.pop(plugin, None)
        holder = f"plugin:{plugin}"
        rest = [key for key in self._journal.read(lambda tx: holdings.keys_of(tx, holder)) if key not in held]
        try:
            self.effects.release(holder, recovery.time_left, keys=rest)
        except DracoreError as error:
            self.kit.reports.event("ReleaseFailed", f"plugin {plugin}: {error}")

    def _held_now(self, plugin: str, key: str) -> None:
        if plugin in self._starting:
            self._starting[plugin].add(key)

    def held(self, kind: str | type[Effect] | None = None) -> Sequence[HeldEffect]:
        """The effects of one kind (or all) that this driver holds now, in the order of application."""
        return self.effects.held(kind)

    # --- life ---------------------------------------------------------------------------------------

    def recover(self) -> recovery.Recovered:
        """Brings node and journal together after a start; before the sockets answer.

        What cannot be undone now (a session that is not open yet) stays in the journal and is tried again.
        """
        done = recovery.recover(self.kit, self.effects)
        for error in done.failures:
            self.kit.reports.event("ReleaseFailed", str(error))
        return done

    def interrupt(self) -> None:
        """Waits of running prepares answer now; the kubelet asks again. For the end of the process."""
        self.kit.closing.set()

    def close(self) -> None:
        """Closes the journal. What is prepared stays prepared."""
        self.interrupt()
        self._journal.close()

    # --- looking ------------------------------------------------------------------------------------

    def snapshot(self) -> status.Snapshot:
        """Claims and effects as the journal has them: no hardware, no API server."""
        return status.take(self._journal, self.kit.driver)

    def timeline(self, uid: str) -> list[status.Entry]:
        """What happened to a claim, oldest first."""
        return status.timeline(self._journal, uid)

    def records(self) -> list[Record]:
        """All claims that the journal knows."""
        return self._journal.read(records.every)

    # --- what the reconciler asks -------------------------------------------------------------------

    def drain(self) -> list[DracoreError]:
        """Reverts and releases what earlier attempts left; answers what still fails."""
        done = recovery.Recovered()
        recovery.finish_dead(self.kit, self.effects, done)
        return done.failures + self.effects.drain(recovery.time_left)

    def release(self, record: Record, why: str) -> bool:
        """Releases a claim unless somebody is at it or it has moved on since `record` was read."""
        uid = record.ref.uid
        lock = self.kit.locks.claim(uid)
        if not lock.acquire(0):
            return False
        try:
            if self._journal.read(lambda tx: records.get(tx, uid)) != record:
                return False
            release(self.kit, self.effects, uid, recovery.time_left, why)
            return True
        finally:
            lock.release()

    def suspend(self, uid: str, why: str) -> Record | None:
        """Makes a prepared claim wait, so that its next prepare runs the hooks again; answers its record."""
        lock = self.kit.locks.claim(uid)
        if not lock.acquire(0):
            return None
        try:

            def move(tx: Tx) -> Record | None:
                record = records.get(tx, uid)
                if record is None or record.state != "prepared":
                    return None
                records.move(tx, uid, "waiting", awaited=why, new_attempt=True)
                tx.note(uid, "waiting", why)
                return records.get(tx, uid)

            return self._journal.write(f"claim.suspended {uid}", move)
        finally:
            lock.release()

    def mark_drift(self, key: str, text: str) -> Drift | None:
        """Keeps how the node differs from an effect (empty: it does not); None where it is gone by now."""

        def mark(tx: Tx) -> Drift | None:
            held = holdings.get(tx, key)
            if held is None:
                return None
            if held.drift != text:
                holdings.drifted(tx, key, text)
            holders = holdings.holders(tx, key)
            devices = dict.fromkeys((d.pool, d.device) for h in holders for d in records.devices(tx, h))
            return Drift(held.kind, key, tuple(holders), tuple(devices), text)

        held = self._journal.read(lambda tx: holdings.get(tx, key))
        if held is not None and held.drift == text:
            return self._journal.read(mark)
        return self._journal.write(f"effect.drift {key}", mark)

    def drifts(self) -> list[Drift]:
        """Every effect that the last probe found different, for status and device health."""
        held = self._journal.read(holdings.every)
        found = [self.mark_drift(h.key, h.drift) for h in held if h.drift]
        return [drift for drift in found if drift is not None]
