"""What an attempt has of its claim: the record from its first write on, the lock save in a wait.

An attempt loses its claim to a newer one, which it sees by the number in the record (decision 12). From then
on it changes nothing, whatever its hooks go on to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from typing import Any

from dracore.cdi import Specs
from dracore.errors import ClaimError, DracoreError, EffectFailed, Superseded, Waiting
from dracore.model.answer import Call, PreparedResult
from dracore.model.claim import Claim
from dracore.prepare import holdings, recording, records
from dracore.prepare.kit import WAIT_MARGIN, Kit, lock_time
from dracore.prepare.locks import Lock
from dracore.prepare.records import DeviceRecord, Record, State
from dracore.prepare.transaction import Tx

FIRST_POLL, LONGEST_POLL = 0.02, 0.5
"""Seconds between two looks at what is awaited."""


class Overtaken(Superseded):
    """Another attempt has the claim now; the engine follows it."""


class Tenure:
    """One attempt's hold on the record of `claim`; its lock is held.

    As a holder of effects (:class:`~dracore.prepare.effects.Holder`) it is the claim.

    :param before: what the journal has of this allocation. Where containers may be running with it, it stays
        waiting: what it holds must survive the death of this process.
    """

    def __init__(self, kit: Kit, claim: Claim, lock: Lock, call: Call, before: Record | None) -> None:
        self._kit = kit
        self._lock = lock
        self._call = call
        self.name = claim.ref.uid
        """As a holder: the claim's uid."""
        self.runs = before is not None and before.may_run(kit.boot_id)
        """Containers may be running with the claim."""
        self.repair = before.repair if before is not None and self.runs else None
        """What it is to be repaired of."""
        self._state: State = "waiting" if self.runs else "preparing"
        self._record = Record(claim.ref, self._state, 0, claim.digest(), kit.boot_id)
        if self.runs:
            awaited = records.a_repair(self.repair)
            self._record = replace(self._record, awaited=awaited, ran=kit.boot_id, repair=self.repair)
        self.devices: Sequence[DeviceRecord] = ()
        """What the record says of the claim's results, once that is known."""
        self.begun = False
        """The record has been written by this attempt."""
        self.over: DracoreError | None = None
        """What has ended the attempt: nothing of it may touch the claim from here on."""

    def check_open(self) -> None:
        """:raises DracoreError: what has ended the attempt."""
        if self.over is not None:
            raise self.over

    def close(self) -> None:
        """The attempt has ended: a context that a hook has kept changes nothing any more."""
        if self.over is None:
            self.over = Superseded("this prepare of the claim has ended; its context is of no use any more")

    # --- the record ---------------------------------------------------------------------------------

    def begin(self) -> None:
        """Takes over a claim that waited: a new attempt, with the devices as they are now."""
        self.joined(self._kit.journal.write(f"claim.begin {self.name}", self._write))

    def joining(self, tx: Tx) -> Record | None:
        """The claim's record is in the same commit as its first hold; no hold is without a record."""
        self.check_open()
        if not self.begun:
            return self._write(tx)
        self._check_mine(tx)
        return None

    def joined(self, value: Record | None) -> None:
        if value is not None:
            self._record = value
            self.begun = True

    def waited(self) -> None:
        """After waiting for a key: where the caller has gone, a retry waits for this claim and goes on with
        what it holds.

        :raises Superseded: it has gone; nothing more was changed.
        """
        if self._call.alive():
            return
        error = Superseded("the caller has gone; nothing more was changed", fix="the kubelet asks again")
        if self.begun:
            self._pause(f"{records.NEXT_PREPARE}: the kubelet had given up")
            self._end(error)
        raise error

    def _write(self, tx: Tx) -> Record:
        record = recording.begin(tx, self._record, self.devices)
        tx.note(self.name, "preparing", ", ".join(d.device for d in self.devices))
        return record

    def finish(
        self,
        answer: tuple[PreparedResult, ...],
        devices: Sequence[DeviceRecord],
        specs: Specs,
        counts_on: Set[str],
    ) -> None:
        """The claim is prepared.

        :param devices: with what the hooks said of each.
        :param counts_on: keys of what the hooks hold.
        :raises EffectFailed: one of them is not there any more.
        """
        names = ", ".join(device.device for device in devices)

        def finish(tx: Tx) -> Record | None:
            tx.note(self.name, "prepared", names)
            whole = replace(self._record, answer=answer)
            if not self.begun:
                return recording.at_once(tx, whole, devices, specs)
            self._check_mine(tx)
            lost = counts_on and counts_on - holdings.sound(tx, self.name)
            if lost:
                raise EffectFailed(
                    f"{min(lost)} was undone by somebody while the claim was being prepared",
                    fix="the kubelet asks again",
                )
            recording.finish(tx, whole, devices, specs)
            return None

        self.joined(self._kit.journal.write(f"claim.prepared {self.name}", finish))

    # --- waiting ------------------------------------------------------------------------------------

    def wait(self, predicate: Callable[[], Any], what: str) -> Any:
        """See :meth:`dracore.model.context.ClaimContext.wait`."""
        self.check_open()
        value = predicate()
        if value:
            return value
        self._pause(what)
        pause = FIRST_POLL
        next_look = self._kit.clock.monotonic() + 1.0
        failure: BaseException | None = None
        while True:
            left = self._call.time_left() - WAIT_MARGIN
            if left <= 0 or self._kit.closing.is_set() or not self._call.alive():
                raise self._end(Waiting(f"waits for {what}", fix="the kubelet asks again"))
            self._kit.closing.wait(min(pause, left))
            pause = min(pause * 1.5, LONGEST_POLL)
            if self._kit.clock.monotonic() >= next_look:
                next_look += 1.0
                self._see_whether_overtaken()
            try:
                value = predicate()
            except BaseException as error:  # noqa: BLE001 - it is raised again, under the lock
                failure = error
            if value or failure:
                break
        self._resume(what)
        if failure is not None:
            raise failure
        return value

    def _pause(self, what: str) -> None:
        """Committed as waiting before the lock is let go: preparing with a free lock means a dead process."""

        def waiting(tx: Tx) -> Record | None:
            record = self.joining(tx)
            recording.move(tx, self.name, "waiting", awaited=what)
            tx.note(self.name, "waiting", what)
            return record

        self.joined(self._kit.journal.write(f"claim.waiting {self.name}", waiting))
        self._lock.release()

    def _resume(self, what: str) -> None:
        if not self._lock.acquire(lock_time(self._call.time_left())):
            raise self._end(Overtaken(f"another call is preparing the claim, which waited for {what}"))
        try:
            if not self._call.alive():
                raise self._end(
                    Waiting(f"waits for {what}; the caller has gone", fix="the kubelet asks again")
                )
            self._see_whether_overtaken()

            def resume(tx: Tx) -> None:
                self._check_mine(tx)
                recording.move(tx, self.name, self._state)
                tx.note(self.name, "resumed", what)

            self._kit.journal.write(f"claim.resumed {self.name}", resume)
        except Exception as error:
            if self.over is None:
                # Nothing is known to be committed: the claim is still waiting and others may take it.
                self.over = error if isinstance(error, DracoreError) else ClaimError(str(error))
            self._lock.release()
            raise

    def _see_whether_overtaken(self) -> None:
        self._kit.journal.read(self._check_mine)

    def _check_mine(self, tx: Tx) -> None:
        record = records.get(tx, self.name)
        if record is None:
            raise self._end(Overtaken("the claim was released meanwhile", fix="the kubelet asks again"))
        if record.attempt != self._record.attempt and record.awaited.startswith(records.NEXT_PREPARE):
            # Nobody has taken it over: there is no answer to wait for.
            raise self._end(Waiting(f"waits for {record.awaited}", fix="the kubelet asks again"))
        if record.attempt != self._record.attempt:
            raise self._end(Overtaken("another call has taken the claim over", fix="the kubelet asks again"))

    def _end(self, error: DracoreError) -> DracoreError:
        """Nothing of this attempt may touch the claim from here on, whatever the hook makes of `error`."""
        self.over = error
        return error
