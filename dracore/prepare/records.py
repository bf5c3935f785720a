"""Claims in the journal: the record, its devices, its CDI content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from dracore.cdi import Spec, Specs
from dracore.errors import DeviceBusy, writable
from dracore.model.answer import PreparedResult
from dracore.model.claim import ClaimRef, Result
from dracore.model.device import JSON, Device
from dracore.prepare.transaction import Tx, decode, encode

State: TypeAlias = Literal["preparing", "waiting", "prepared", "releasing"]
"""``preparing`` and ``releasing`` with a free lock: whoever did it has died, and it is undone."""

NEXT_PREPARE = "its next prepare"
"""What a claim waits for that nobody is at: its hooks are to run again."""

_CLAIM = "uid, namespace, name, state, attempt, digest, boot, response, awaited, error, since, ran, repair"
_DEVICE = "request, pool, device, share, admin, plugin, identity, description, occupies, boot"
_EXTRA = "facts, status, metadata"


def _upsert(table: str, columns: str) -> str:
    """Not INSERT OR REPLACE: that would empty the columns that a newer MINOR has beyond these."""
    names = columns.split(", ")
    return (
        f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        f" ON CONFLICT DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in names[1:])}"
    )


_PUT_CLAIM = _upsert("claims", _CLAIM)


@dataclass(frozen=True, slots=True)
class Record:
    """One claim as the journal knows it."""

    ref: ClaimRef
    state: State
    attempt: int
    digest: str
    """Of results and configs; another one is another allocation."""
    boot: str
    answer: tuple[PreparedResult, ...] = ()
    awaited: str = ""
    error: str = ""
    since: float = 0.0
    ran: str = ""
    """Of one that waits: the boot in which it was prepared. In that boot containers may run with it, so that
    no failure releases what it holds."""
    repair: tuple[str, str, str] | None = None
    """Of such a one: kind and key of the effect that is to be made good, and what was seen of it."""

    def may_run(self, boot: str) -> bool:
        """Whether containers may be running with what the claim holds."""
        return self.state == "prepared" or self.ran == boot


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """One result of a claim as it was prepared."""

    request: str
    pool: str
    device: str
    share: str
    admin: bool
    plugin: str
    identity: str
    description: str
    occupies: Mapping[str, int]
    boot: str
    """The boot in which `identity` and `occupies` were true."""
    facts: Mapping[str, JSON] = field(default_factory=dict)
    """What the hooks said of it (``Prepared``), for status and for later."""
    status: Mapping[str, JSON] = field(default_factory=dict)
    metadata: Mapping[str, JSON] = field(default_factory=dict)

    @classmethod
    def of(cls, result: Result, device: Device, plugin: str, boot: str) -> DeviceRecord:
        return cls(
            request=result.request,
            pool=result.pool,
            device=result.device,
            share=result.share_id,
            admin=result.admin_access,
            plugin=plugin,
            identity=device.identity,
            description=device.description,
            occupies={} if result.admin_access else dict(device.occupies),
            boot=boot,
        )


# --- reading ----------------------------------------------------------------------------------------------


def get(tx: Tx, uid: str) -> Record | None:
    row = tx.row(f"SELECT {_CLAIM} FROM claims WHERE uid = ?", (uid,))  # noqa: S608
    return _record(row) if row else None


def state_of(tx: Tx, uid: str) -> State | None:
    """The claim's state; None where the journal does not know it."""
    row = tx.row("SELECT state FROM claims WHERE uid = ?", (uid,))
    return row[0] if row else None


def every(tx: Tx, *, unsettled: bool = False) -> list[Record]:
    """All claims, or those that are not prepared, oldest first."""
    condition = "WHERE state != 'prepared'" if unsettled else ""
    rows = tx.rows(f"SELECT {_CLAIM} FROM claims {condition} ORDER BY since, uid")  # noqa: S608
    return [_record(row) for row in rows]


def uids(tx: Tx) -> set[str]:
    return {row[0] for row in tx.rows("SELECT uid FROM claims")}


def devices(tx: Tx, uid: str) -> list[DeviceRecord]:
    rows = tx.rows(f"SELECT {_DEVICE}, {_EXTRA} FROM devices WHERE uid = ? ORDER BY position", (uid,))  # noqa: S608
    return [_device(row) for row in rows]


def all_devices(tx: Tx) -> dict[str, list[DeviceRecord]]:
    found: dict[str, list[DeviceRecord]] = {}
    for uid, *row in tx.rows(f"SELECT uid, {_DEVICE}, {_EXTRA} FROM devices ORDER BY uid, position"):  # noqa: S608
        found.setdefault(uid, []).append(_device(row))
    return found


def specs(tx: Tx, uid: str) -> dict[str, Spec]:
    rows = tx.rows(
        "SELECT name, specs.content, texts.content FROM specs LEFT JOIN texts ON digest = common"
        " WHERE uid = ?",
        (uid,),
    )
    return {name: Spec(own, common or "") for name, own, common in rows}


def spec_names(tx: Tx, uid: str) -> list[str]:
    return [row[0] for row in tx.rows("SELECT name FROM specs WHERE uid = ?", (uid,))]


def names(tx: Tx, holders: Iterable[str]) -> list[str]:
    """Holders for a person: claims by name, without namespace because the text may reach a pod's event."""
    found = []
    for holder in holders:
        row = tx.row("SELECT name FROM claims WHERE uid = ?", (holder,))
        found.append(f"claim {row[0]}" if row else holder.replace("plugin:", "plugin "))
    return found


# --- writing ----------------------------------------------------------------------------------------------


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


def guard(tx: Tx, uid: str, results: Iterable[DeviceRecord]) -> None:
    """Refuses a device whose hardware a record of another claim occupies.

    A unit has room for one, so any other row on it is one too many, save shares of the same device: they
    count once. Reads only rows of the units asked for.

    :raises DeviceBusy: naming the other claim.
    """
    own: dict[str, DeviceRecord] = {}
    for result in results:
        for unit, amount in result.occupies.items():
            if amount <= 0:
                continue
            twin = own.setdefault(unit, result)
            same = (twin.pool, twin.device) == (result.pool, result.device) and twin.share and result.share
            if twin is not result and not same:
                raise DeviceBusy(
                    f"devices {twin.device} and {result.device} of this claim are the same hardware",
                    fix="ask for one of them",
                )
            other = _other(tx, uid, unit, result)
            if other:
                holder, device = other
                what = "it" if device == result.device else f"{device}, which is the same hardware,"
                raise DeviceBusy(
                    f"device {result.device} is taken: {what} is prepared for {names(tx, [holder])[0]}",
                    fix="the kubelet asks again; it is free once that claim is unprepared",
                )


def _other(tx: Tx, uid: str, unit: str, result: DeviceRecord) -> tuple[Any, ...] | None:
    start = "SELECT uid, device FROM occupied WHERE unit = ? AND uid != ?"
    if not result.share:
        return tx.row(f"{start} LIMIT 1", (unit, uid))
    here = (result.pool, result.device)
    return (
        tx.row(f"{start} AND shared = 0 LIMIT 1", (unit, uid))
        or tx.row(f"{start} AND shared = 1 AND (pool, device) < (?, ?) LIMIT 1", (unit, uid, *here))
        or tx.row(f"{start} AND shared = 1 AND (pool, device) > (?, ?) LIMIT 1", (unit, uid, *here))
    )


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


def a_repair(repair: tuple[str, str, str] | None) -> str:
    """What a claim waits for with which containers may be running."""
    return f"a repair: {repair[2]}" if repair else NEXT_PREPARE


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
    rows = tx.rows("SELECT position, pool, device, share, occupies FROM devices WHERE uid = ?", (uid,))
    for position, pool, device, share, occupies in rows:
        for unit in decode(occupies) or ():
            tx.execute(
                "DELETE FROM occupied WHERE unit = ? AND shared = ? AND pool = ? AND device = ?"
                " AND uid = ? AND position = ?",
                (unit, int(bool(share)), pool, device, uid, position),
            )
    if rows:
        tx.execute("DELETE FROM devices WHERE uid = ?", (uid,))


def renew_device(tx: Tx, uid: str, position: int, old: DeviceRecord, new: DeviceRecord) -> None:
    """After a reboot: the hardware that now has the device's name."""
    for unit in old.occupies:
        tx.execute("DELETE FROM occupied WHERE unit = ? AND uid = ? AND position = ?", (unit, uid, position))
    tx.execute(
        "UPDATE devices SET identity = ?, occupies = ?, boot = ? WHERE uid = ? AND position = ?",
        (new.identity, encode(dict(new.occupies)), new.boot, uid, position),
    )
    _occupy(tx, uid, position, new)


def _take(tx: Tx, record: Record, results: Sequence[DeviceRecord]) -> Record:
    """The devices are the claim's; a new attempt has begun."""
    uid = record.ref.uid
    forget_devices(tx, uid)
    guard(tx, uid, results)
    for position, result in enumerate(results):
        tx.execute(
            f"INSERT INTO devices (uid, position, {_DEVICE}, {_EXTRA})"  # noqa: S608
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
        _occupy(tx, uid, position, result)
    return replace(record, attempt=tx.number(), since=tx.now())


def _said(device: DeviceRecord) -> list[str | None]:
    """What hooks said, as the columns of `_EXTRA`."""
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


def _occupy(tx: Tx, uid: str, position: int, device: DeviceRecord) -> None:
    for unit, amount in device.occupies.items():
        if amount > 0:
            tx.execute(
                "INSERT INTO occupied (unit, shared, pool, device, uid, position, amount)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (unit, int(bool(device.share)), device.pool, device.device, uid, position, amount),
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


def _record(row: Sequence[Any]) -> Record:
    uid, namespace, name, state, attempt, digest, boot, response, awaited, error, since, ran, repair = row
    answer = tuple(
        PreparedResult(tuple(requests), pool, device, tuple(cdi_ids), share)
        for requests, pool, device, cdi_ids, share in decode(response) or ()
    )
    return Record(
        ClaimRef(uid, namespace, name),
        state,
        attempt,
        digest,
        boot,
        answer,
        awaited or "",
        error or "",
        since,
        ran or "",
        None if repair is None else tuple(decode(repair)),
    )


def _device(row: Sequence[Any]) -> DeviceRecord:
    request, pool, device, share, admin, plugin, identity, description, occupies, boot, *extra = row
    return DeviceRecord(
        request,
        pool,
        device,
        share,
        bool(admin),
        plugin,
        identity,
        description,
        decode(occupies),
        boot,
        *(decode(text) or {} for text in extra),
    )
