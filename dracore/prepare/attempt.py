"""One attempt at preparing one claim: the order of things, and what becomes of a failure.

The record is written with the first change to the node or the first wait; a claim whose hooks change nothing
needs a single commit. From its first commit to its end the attempt holds the claim's lock, save in a wait.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from dracore.cdi import Part
from dracore.model.answer import Call, PreparedResult
from dracore.model.claim import Claim
from dracore.prepare import holdings, occupied, recording, records
from dracore.prepare.effects import Effects
from dracore.prepare.hookrun import HookRun, Work
from dracore.prepare.kit import Kit
from dracore.prepare.locks import Lock
from dracore.prepare.records import DeviceRecord, Record
from dracore.prepare.release import release
from dracore.prepare.resolve import find_devices, resolve
from dracore.prepare.scope import Scope
from dracore.prepare.tenure import Tenure
from dracore.prepare.transaction import Tx


class Attempt:
    """Prepares `claim`; its lock is held.

    :param record: what the journal has of this allocation (a claim that waits), or None. Where its containers
        may be running, a failure releases nothing.
    """

    def __init__(
        self,
        kit: Kit,
        effects: Effects,
        claim: Claim,
        record: Record | None,
        lock: Lock,
        call: Call,
    ) -> None:
        self.kit = kit
        self.effects = effects
        self.claim = claim
        self.uid = claim.ref.uid
        self._call = call
        self._before = record
        self.tenure = Tenure(kit, claim, lock, call, record)
        self._scope = Scope(kit, effects, claim, call, self.tenure)

    def run(self) -> tuple[PreparedResult, ...]:
        """Runs the hooks, commits, writes the CDI files; answers what the kubelet is told.

        :raises Waiting: what is awaited did not come about in time; what is held stays held.
        :raises Overtaken: another attempt has taken the claim over; nothing was changed since.
        :raises DracoreError: anything else; what the claim held is released.
        """
        try:
            return self._run()
        except Exception as error:
            if self.tenure.over is not None:
                # A hook may have caught it and gone on, or raised something of its own.
                raise self.tenure.over from error
            self._roll_back(error)
            raise
        finally:
            self.tenure.close()

    def _run(self) -> tuple[PreparedResult, ...]:
        found = find_devices(self.kit, self.claim, self._before)
        resolved = resolve(self.kit, self.claim, [device for device, _ in found])
        devices = self.tenure.devices = [
            DeviceRecord.of(result, device, plugin, self.kit.boot_id)
            for result, (device, plugin) in zip(self.claim.results, found, strict=True)
        ]
        # Read first, so that hooks never see a claim that must be refused; what counts is the same check in
        # the transaction that writes the record.
        self.kit.journal.read(lambda tx: occupied.guard(tx, self.uid, devices))
        hooks = HookRun(self._scope, found, resolved)
        hooks.validate()
        if self._before is not None:
            self.tenure.begin()
        work = hooks.prepare()
        if self._before is not None:
            self._release_unrepeated()
        return self._finish(work)

    # --- the end ------------------------------------------------------------------------------------

    def _release_unrepeated(self) -> None:
        """What earlier attempts held and this one did not ask for."""
        keys = self.kit.journal.read(lambda tx: holdings.keys_of(tx, self.uid))
        rest = [key for key in keys if key not in self._scope.held]
        if rest:
            self.effects.release(self.uid, self._call.time_left, keys=rest)

    def _finish(self, work: Sequence[Work]) -> tuple[PreparedResult, ...]:
        uid, results = self.uid, self.claim.results
        specs = self.kit.cdi.render(
            uid,
            [Part(result, w.edits, w.common) for result, w in zip(results, work, strict=True)],
        )
        answer = tuple(
            PreparedResult(
                requests=(result.base_request,),
                pool=result.pool,
                device=result.device,
                cdi_ids=(self.kit.cdi.id_of(uid, result),),
                share_id=result.share_id,
            )
            for result in results
        )
        if self._before is not None:
            old = self.kit.journal.read(lambda tx: records.spec_names(tx, uid))
            self.kit.cdi.remove(name for name in old if name not in specs)

        devices = [
            replace(device, facts=p.facts, status=p.status, metadata=p.metadata)
            for device, p in zip(self.tenure.devices, (w.prepared for w in work), strict=True)
        ]
        self.tenure.finish(answer, devices, specs, self._scope.held)
        # After the commit: a file that is missing is written again from the journal at the next start or
        # prepare; a file without a record would be nobody's.
        self.kit.cdi.write(specs)
        return answer

    def _roll_back(self, error: Exception) -> None:
        """What the claim holds is released in reverse before the error returns."""
        uid = self.uid
        try:
            # Asked of the journal, not of what this attempt believes: a commit may have failed after it was
            # durable. A claim that waited and was refused before anything changed goes on waiting.
            record = self.kit.journal.read(lambda tx: records.get(tx, uid))
            if record is None:
                if self._scope.made_dir:
                    self.kit.remove_claim_dir(uid)
            elif self.tenure.runs:
                self._keep(error)
            elif self.tenure.begun or self._before is None or record.state == "preparing":
                with contextlib.suppress(Exception):  # to undo it matters more than to have said it
                    self.kit.journal.write(
                        f"claim.error {uid}", lambda tx: tx.note(uid, "error", f"prepare: {error}")
                    )
                release(self.kit, self.effects, uid, self._undo_time, "prepare failed")
        except Exception as second:  # noqa: BLE001 - the first error is the one to answer
            # The record says what is left; the reconciler, the next call and the next start go on with it.
            self.kit.reports.event(
                "ReleaseFailed", f"could not undo a failed prepare: {second}", claim=self.claim.ref
            )

    def _keep(self, error: Exception) -> None:
        """Containers may run on what the claim holds, so it stays held."""

        def keep(tx: Tx) -> None:
            recording.suspend(tx, self.uid, self.kit.boot_id, self.tenure.repair, error=str(error))
            tx.note(self.uid, "error", f"repair: {error}")

        self.kit.journal.write(f"claim.kept {self.uid}", keep)

    def _undo_time(self) -> float:
        """Undoing is worth more time than the caller has: the claim must not stay half prepared."""
        return max(self._call.time_left(), 15.0)
