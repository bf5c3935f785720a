"""Claims in the journal as they are read: the record, its devices, its CDI content (``recording`` writes)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from dracore.cdi import Spec
from dracore.model.answer import PreparedResult
from dracore.model.claim import ClaimRef, Result
from dracore.model.device import JSON, Device
from dracore.prepare.transaction import Tx, decode

State: TypeAlias = Literal["preparing", "waiting", "prepared", "releasing"]
"""``preparing`` and ``releasing`` with a free lock: whoever did it has died, and it is undone."""

NEXT_PREPARE = "its next prepare"
"""What a claim waits for that nobody is at: its hooks are to run again."""

CLAIM = "uid, namespace, name, state, attempt, digest, boot, response, awaited, error, since, ran, repair"
DEVICE = "request, pool, device, share, admin, plugin, identity, description, occupies, boot"
EXTRA = "facts, status, metadata"


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


def get(tx: Tx, uid: str) -> Record | None:
    row = tx.row(f"SELECT {CLAIM} FROM claims WHERE uid = ?", (uid,))  # noqa: S608
    return _record(row) if row else None


def state_of(tx: Tx, uid: str) -> State | None:
    """The claim's state; None where the journal does not know it."""
    row = tx.row("SELECT state FROM claims WHERE uid = ?", (uid,))
    return row[0] if row else None


def every(tx: Tx, *, unsettled: bool = False) -> list[Record]:
    """All claims, or those that are not prepared, oldest first."""
    condition = "WHERE state != 'prepared'" if unsettled else ""
    rows = tx.rows(f"SELECT {CLAIM} FROM claims {condition} ORDER BY since, uid")  # noqa: S608
    return [_record(row) for row in rows]


def uids(tx: Tx) -> set[str]:
    return {row[0] for row in tx.rows("SELECT uid FROM claims")}


def devices(tx: Tx, uid: str) -> list[DeviceRecord]:
    rows = tx.rows(f"SELECT {DEVICE}, {EXTRA} FROM devices WHERE uid = ? ORDER BY position", (uid,))  # noqa: S608
    return [_device(row) for row in rows]


def all_devices(tx: Tx) -> dict[str, list[DeviceRecord]]:
    found: dict[str, list[DeviceRecord]] = {}
    for uid, *row in tx.rows(f"SELECT uid, {DEVICE}, {EXTRA} FROM devices ORDER BY uid, position"):  # noqa: S608
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


def a_repair(repair: tuple[str, str, str] | None) -> str:
    """What a claim waits for with which containers may be running."""
    return f"a repair: {repair[2]}" if repair else NEXT_PREPARE


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
