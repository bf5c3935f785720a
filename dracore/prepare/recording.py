"""The life of a claim in the journal: begun, waiting, prepared, releasing, forgotten.

Each function is part of a transaction of its caller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from dracore.cdi import Specs
from dracore.errors import writable
from dracore.prepare import occupied
from dracore.prepare.records import CLAIM, DEVICE, EXTRA, NEXT_PREPARE, DeviceRecord, Record, State, a_repair
from dracore.prepare.transaction import Tx, encode


def _upsert(table: str, columns: str) -> str:
    """Not INSERT OR REPLACE: that would empty the columns that a newer MINOR has beyond these."""
    names = columns.split(", ")
    return (
        f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        f" ON CONFLICT DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in names[1:])}"
    )


_PUT_CLAIM = _upsert("claims", CLAIM)


def begin(tx: Tx, record: Record, results: Sequence[DeviceRecord]) -> Record:
    """Writes the record with its devices, and a new attempt number.

    The overlap check is in the same transaction: the device is this claim's from here on, or refused.

    :raises DeviceBusy: a device is prepared for another claim.
    """
    record = _take(tx, record, results)
    _put(tx, record)
    return record


def at_once(tx: Tx, record: Record, results: Sequence[DeviceRecord], content: Specs) -> Record:
    """:func:`begin` and :func:`finish` in one, for a claim whose hooks changed nothing.

    :raises DeviceBusy: a device is prepared for another claim.
    """
    record = replace(_take(tx, record, results), state="prepared")
    _put(tx, record)
    _put_specs(tx, record.ref.uid, content)
    return record


def move(
    tx: Tx, uid: str, state: State, *, awaited: str = "", error: str = "", new_attempt: bool = False
) -> int:
    """Another state; answers the attempt number, a new one with `new_attempt`."""
    attempt = tx.number() if new_attempt else None
    tx.execute(
        "UPDATE claims SET state = ?, awaited = ?, error = ?, since = ?, attempt = coalesce(?, attempt)"
        " WHERE uid = ?",
        (state, writable(awaited), writable(error), tx.now(), attempt, uid),
    )
    row = tx.row("SELECT attempt FROM claims WHERE uid = ?", (uid,))
    return int(row[0]) if row else 0


def suspend(
    tx: Tx,
    uid: str,
    boot: str,
    repair: tuple[str, str, str] | None,
    *,
    error: str = "",
    new_attempt: bool = False,
) -> None:
    """A claim with which containers may be running waits for a full prepare: a repair, where one is named."""
    move(tx, uid, "waiting", awaited=a_repair(repair), error=error, new_attempt=new_attempt)
    text = None if repair is None else encode([writable(part) for part in repair])
    tx.execute("UPDATE claims SET ran = ?, repair = ? WHERE uid = ?", (boot, text, uid))


def stop(tx: Tx, uid: str, why: str) -> None:
    """No container runs with the claim any more (a reboot)."""
    move(tx, uid, "waiting", awaited=f"{NEXT_PREPARE}: {why}")
    tx.execute("UPDATE claims SET ran = NULL, repair = NULL WHERE uid = ?", (uid,))


def finish(tx: Tx, record: Record, results: Sequence[DeviceRecord], content: Specs) -> None:
    """The claim is prepared: its answer, its CDI content, and what the hooks said of each device."""
    _put(
        tx,
        replace(record, state="prepared", awaited="", error="", since=tx.now(), ran="", repair=None),
    )
    for position, device in enumerate(results):
        tx.execute(
            "UPDATE devices SET facts = ?, status = ?, metadata = ? WHERE uid = ? AND position = ?",
            (*_said(device), record.ref.uid, position),
        )
    tx.execute("DELETE FROM specs WHERE uid = ?", (record.ref.uid,))
    _put_specs(tx, record.ref.uid, content)


def forget(tx: Tx, uid: str) -> None:
    """The claim is released: nothing is left but the timeline."""
    forget_devices(tx, uid)
    tx.execute("DELETE FROM specs WHERE uid = ?", (uid,))
    tx.execute("DELETE FROM claims WHERE uid = ?", (uid,))


def forget_devices(tx: Tx, uid: str) -> None:
    occupied.free(tx, uid)
    tx.execute("DELETE FROM devices WHERE uid = ?", (uid,))


def renew_device(tx: Tx, uid: str, position: int, old: DeviceRecord, new: DeviceRecord) -> None:
    """After a reboot: the hardware that now has the device's name."""
    tx.execute(
        "UPDATE devices SET identity = ?, occupies = ?, boot = ? WHERE uid = ? AND position = ?",
        (new.identity, encode(dict(new.occupies)), new.boot, uid, position),
    )
    occupied.move(tx, uid, position, old, new)


def _take(tx: Tx, record: Record, results: Sequence[DeviceRecord]) -> Record:
    """The devices are the claim's; a new attempt has begun."""
    uid = record.ref.uid
    forget_devices(tx, uid)
    occupied.guard(tx, uid, results)
    for position, result in enumerate(results):
        tx.execute(
            f"INSERT INTO devices (uid, position, {DEVICE}, {EXTRA})"  # noqa: S608
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                uid,
                position,
                result.request,
                result.pool,
                result.device,
                result.share,
                int(result.admin),
                result.plugin,
                result.identity,
                result.description,
                encode(dict(result.occupies)),
                result.boot,
                *_said(result),
            ),
        )
        occupied.occupy(tx, uid, position, result)
    return replace(record, attempt=tx.number(), since=tx.now())


def _said(device: DeviceRecord) -> list[str | None]:
    """What hooks said, as the columns of `EXTRA`."""
    return [encode(dict(m)) if m else None for m in (device.facts, device.status, device.metadata)]


def _put_specs(tx: Tx, uid: str, content: Specs) -> None:
    for name, spec in content.items():
        common = hashlib.sha256(spec.common.encode()).hexdigest() if spec.common else None
        tx.execute(
            "INSERT INTO specs (uid, name, content, common) VALUES (?, ?, ?, ?)",
            (uid, name, spec.own, common),
        )
        if common and tx.row("SELECT 1 FROM texts WHERE digest = ?", (common,)) is None:
            # Other common edits than ever before (another driver version): those that nobody has go.
            tx.execute("INSERT INTO texts (digest, content) VALUES (?, ?)", (common, spec.common))
            tx.execute(
                "DELETE FROM texts WHERE digest NOT IN (SELECT common FROM specs WHERE common NOT NULL)"
            )


def _put(tx: Tx, record: Record) -> None:
    response = [[list(r.requests), r.pool, r.device, list(r.cdi_ids), r.share_id] for r in record.answer]
    tx.execute(
        _PUT_CLAIM,
        (
            record.ref.uid,
            record.ref.namespace,
            record.ref.name,
            record.state,
            record.attempt,
            record.digest,
            record.boot,
            encode(response),
            record.awaited,
            record.error,
            record.since,
            record.ran or None,
            None if record.repair is None else encode(list(record.repair)),
        ),
    )
