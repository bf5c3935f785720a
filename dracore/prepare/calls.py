"""Prepare, repair and unprepare of one claim, as the kubelet and the reconciler ask for them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence

from dracore.errors import Busy, ClaimError, DeviceBusy, DracoreError, NotFound, Superseded, Waiting
from dracore.model.answer import Call, PreparedResult
from dracore.model.claim import Claim, ClaimRef
from dracore.prepare import records, recovery
from dracore.prepare.attempt import Attempt
from dracore.prepare.effects import Effects
from dracore.prepare.kit import WAIT_MARGIN, Kit, check_uid, lock_time
from dracore.prepare.locks import Lock
from dracore.prepare.ports import Admission
from dracore.prepare.records import Record
from dracore.prepare.release import release
from dracore.prepare.tenure import Overtaken

PREPARES = 48
"""Claims being prepared at a time: 64 threads less these stay for unprepare and liveness."""
FOLLOW_POLL = 0.1
"""Seconds between two looks at how the attempt that took over is doing."""

_log = logging.getLogger(__name__)


class Calls:
    """Answers calls about claims of one driver: takes the claim's lock, settles what is there, attempts.

    :param admission: places for running prepares, shared by all drivers of the process.
    """

    def __init__(self, kit: Kit, effects: Effects, admission: Admission) -> None:
        self._kit = kit
        self._effects = effects
        self._journal = kit.journal
        self._admission = admission
        self._renewing = kit.journal.read(
            lambda tx: tx.row("SELECT 1 FROM devices WHERE boot != ? LIMIT 1", (kit.boot_id,)) is not None
        )

    def prepare(self, ref: ClaimRef, call: Call, *, repair: bool = False) -> Sequence[PreparedResult]:
        """See :meth:`dracore.prepare.engine.Engine.prepare` and ``repair``."""
        check_uid(ref.uid)
        if not self._admission.acquire(blocking=False):
            raise Busy(f"the node is busy with {PREPARES} other claims", fix="the kubelet asks again")
        try:
            answer = self._prepare(ref, call, repair=repair)
            self._kit.seam("reply.prepare.before", ref.uid)
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

    def unprepare(self, ref: ClaimRef, call: Call) -> None:
        """See :meth:`dracore.prepare.engine.Engine.unprepare`."""
        check_uid(ref.uid)
        lock = self._kit.locks.claim(ref.uid)
        try:
            self._lock(lock, ref, call)
            release(self._kit, self._effects, ref.uid, call.time_left, "unprepare")
            self._kit.seam("reply.unprepare.before", ref.uid)
        except DracoreError:
            raise
        except Exception as error:
            raise self._defect(ref, "unprepare", error) from error
        finally:
            lock.release()

    def _prepare(self, ref: ClaimRef, call: Call, *, repair: bool) -> Sequence[PreparedResult]:
        lock = self._kit.locks.claim(ref.uid)
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
            if self._journal.fresh:
                self._refuse_in_use(claim)
            attempt = Attempt(self._kit, self._effects, claim, record, lock, call)
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
        self._kit.seam("api.get.before", ref.uid)
        try:
            claim = self._kit.claims.get(ref, lock_time(call.time_left()))
        except NotFound as error:
            raise ClaimError(
                f"claim {ref.name} with uid {ref.uid} is not there any more", fix="delete the pod"
            ) from error
        self._kit.seam("api.get.after", ref.uid)
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
        release(self._kit, self._effects, uid, call.time_left, why)
        return None

    def _to_repair(self, claim: Claim) -> Record:
        """A repair goes on with what is there; it releases nothing and begins nothing."""
        record = self._journal.read(lambda tx: records.get(tx, claim.ref.uid))
        if (
            record is None
            or record.state in ("preparing", "releasing")
            or record.digest != claim.digest()
            or not record.may_run(self._kit.boot_id)
        ):
            raise Superseded(f"claim {claim.ref.name} has changed meanwhile; nothing was repaired")
        return record

    def _refuse_while_used(self, ref: ClaimRef) -> None:
        users = self._kit.pods.users(self._kit.driver)
        if users and ref.uid in users:
            pods = ", ".join(pod.rpartition("/")[2] for pod in users[ref.uid])
            raise ClaimError(
                f"claim {ref.name} has another allocation now, while pod {pods} still uses the old devices",
                fix="wait until that pod has ended",
            )

    def _refuse_in_use(self, claim: Claim) -> None:
        """The journal was lost or damaged: what it does not know to be taken, pods may be using."""
        try:
            pods = self._kit.pods.devices(self._kit.driver) or {}
        except DracoreError:
            if self._kit.cdi.orphans(lambda: self._journal.read(records.uids)):
                raise
            return  # nothing speaks for it that anything is missing: a first start
        known = {claim.ref.uid}
        if pods:
            known |= {row[0] for row in self._journal.read(lambda tx: tx.rows("SELECT uid FROM devices"))}
        taken = {device for uid, devices in pods.items() if uid not in known for device in devices}
        for result in claim.results if taken else ():
            one = (result.pool, result.device)
            # One more share of the same device is in nobody's way.
            others = taken - {one} if result.share_id else taken
            units = {unit for device in others for unit in self._units(*device)}
            if not result.admin_access and (one in others or units & self._units(*one)):
                raise DeviceBusy(
                    f"device {result.device} is in use by a pod whose claim the journal does not know",
                    fix="it is free once that pod has ended",
                )

    def _units(self, pool: str, device: str) -> set[str]:
        """What a device is made of; other devices may be made of the same."""
        found = self._kit.devices.find(pool, device)
        return set(found[0].occupies) if found else set()

    def _again(self, record: Record) -> Sequence[PreparedResult]:
        """Prepared already, perhaps before a restart: the same answer, and its files are there."""
        specs = self._journal.read(lambda tx: records.specs(tx, record.ref.uid))
        if not self._kit.cdi.intact(specs):
            self._kit.cdi.write(specs)
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
            if left <= 0 or self._kit.closing.is_set() or not call.alive():
                what = record.awaited or "another call that prepares it"
                raise Waiting(f"waits for {what}", fix="the kubelet asks again")
            self._kit.closing.wait(min(FOLLOW_POLL, left))

    def _renew_devices(self) -> None:
        if self._renewing and recovery.renew_devices(self._kit):
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
