"""Releasing a claim, whoever asks: unprepare, a prepare that failed, recovery, the reconciler.

From the journal alone: no claim object, no configuration, no device that still exists.
"""

from __future__ import annotations

from dracore.errors import DracoreError
from dracore.prepare import holdings, recording, records
from dracore.prepare.effects import Effects, TimeLeft
from dracore.prepare.kit import Kit
from dracore.prepare.records import State
from dracore.prepare.transaction import Tx


def release(kit: Kit, effects: Effects, uid: str, time_left: TimeLeft, why: str) -> None:
    """Undoes what a claim holds in reverse, removes its files, forgets it. Its lock is held.

    The CDI file goes first: no container starts on what is being undone. The record goes last: a crash in
    between leaves something to continue from. A claim without effects needs one commit; one that the journal
    does not know, none.

    :raises DracoreError: something could not be undone; the record stays, ``releasing``.
    """
    state, keys, files = kit.journal.read(
        lambda tx: (records.state_of(tx, uid), holdings.keys_of(tx, uid), records.spec_names(tx, uid))
    )
    if state is None and not keys:
        return
    if keys:  # also of a claim whose record was lost with a part of the journal

        def begin(tx: Tx) -> None:
            recording.move(tx, uid, "releasing", new_attempt=True)
            tx.note(uid, "releasing", why)

        kit.journal.write(f"claim.releasing {uid}", begin)
    try:
        unremoved: DracoreError | None = None
        try:
            kit.cdi.remove(files)
        except DracoreError as error:
            unremoved = error  # a file that cannot be removed is no reason to leave the hardware as it is
        effects.release(uid, time_left, keys=keys)
        kit.remove_claim_dir(uid)
        if unremoved is not None:
            raise unremoved
        kit.journal.write(f"claim.released {uid}", lambda tx: _forget(tx, uid, why))
    except Exception as error:
        _remember(kit, uid, error)
        raise


def _forget(tx: Tx, uid: str, why: str) -> None:
    recording.forget(tx, uid)
    tx.note(uid, "released", why)


def _remember(kit: Kit, uid: str, error: Exception) -> None:
    def remember(tx: Tx) -> None:
        record = records.get(tx, uid)
        if record is not None:
            state: State = "releasing"
            recording.move(tx, uid, state, error=str(error))
            tx.note(uid, "error", f"release: {error}")

    kit.pending.set()
    try:
        kit.journal.write(f"claim.release-failed {uid}", remember)
    except Exception:  # noqa: BLE001 - the release's own failure is what is answered
        kit.reports.count("journal_errors_total")
