"""What the journal says now, for ``dracore status``: without hardware, without the API server."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dracore.errors import JournalError
from dracore.model.claim import ClaimRef
from dracore.model.device import JSON
from dracore.prepare import holdings, openfile, records, schema
from dracore.prepare.journal import BUSY_TIMEOUT, FILE, Journal
from dracore.prepare.transaction import Tx


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """One result of a claim."""

    driver: str
    pool: str
    device: str
    request: str
    share_id: str
    admin_access: bool
    plugin: str
    facts: Mapping[str, JSON]
    status: Mapping[str, JSON]
    metadata: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class EffectStatus:
    """One effect. `state` is ``intent``, ``applied`` or ``reverting``."""

    driver: str
    kind: str
    key: str
    state: str
    holders: tuple[str, ...]
    """Claim uids and ``plugin:NAME``."""
    outcome: JSON
    error: str
    """Why its last revert failed."""
    drift: str
    """How the node differs, as the last probe saw; empty: it does not."""
    since: float


@dataclass(frozen=True, slots=True)
class ClaimStatus:
    """One claim. `state` is ``preparing``, ``waiting``, ``prepared`` or ``releasing``."""

    ref: ClaimRef
    state: str
    awaited: str
    error: str
    since: float
    """Seconds since the epoch at which it came into its state."""
    devices: tuple[DeviceStatus, ...]
    effects: tuple[EffectStatus, ...]
    """In the order in which the claim held them."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    claims: tuple[ClaimStatus, ...]
    effects: tuple[EffectStatus, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to a claim.

    `what` is ``preparing``, ``apply``, ``applied``, ``hold``, ``waiting``, ``resumed``, ``prepared``,
    ``releasing``, ``release``, ``revert``, ``reverted``, ``released``, ``lost``, ``gone`` or ``error``.
    """

    at: float
    what: str
    kind: str
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Drift:
    """An effect that is not on the node as the driver left it: an administrator undid it."""

    kind: str
    key: str
    holders: tuple[str, ...]
    """Claim uids and ``plugin:NAME``."""
    devices: tuple[tuple[str, str], ...]
    """(pool, device) of the claims that hold it; not healthy until it is repaired."""
    text: str
    """Empty: it is as it should be again."""


def take(journal: Journal, driver: str) -> Snapshot:
    return journal.read(lambda tx: _take(tx, driver))


def timeline(journal: Journal, uid: str) -> list[Entry]:
    """What happened to a claim, oldest first, as far back as the journal goes."""
    rows = journal.read(
        lambda tx: tx.rows("SELECT at, what, kind, key, text FROM timeline WHERE uid = ? ORDER BY id", (uid,))
    )
    return [Entry(*row) for row in rows]


def _take(tx: Tx, driver: str) -> Snapshot:
    holders = holdings.all_holders(tx)
    effects = {
        held.key: EffectStatus(
            driver,
            held.kind,
            held.key,
            held.state,
            tuple(holders.get(held.key, ())),
            held.outcome,
            held.error,
            held.drift,
            held.since,
        )
        for held in holdings.every(tx)
    }
    held_by: dict[str, list[EffectStatus]] = {}
    for key, holder in tx.rows("SELECT key, holder FROM holders ORDER BY seq"):
        if key in effects:
            held_by.setdefault(holder, []).append(effects[key])
    devices = records.all_devices(tx)
    claims = tuple(
        ClaimStatus(
            record.ref,
            record.state,
            record.awaited,
            record.error,
            record.since,
            tuple(_device(driver, device) for device in devices.get(record.ref.uid, ())),
            tuple(held_by.get(record.ref.uid, ())),
        )
        for record in records.every(tx)
    )
    return Snapshot(claims, tuple(effects.values()))


def _device(driver: str, device: records.DeviceRecord) -> DeviceStatus:
    return DeviceStatus(
        driver,
        device.pool,
        device.device,
        device.request,
        device.share,
        device.admin,
        device.plugin,
        device.facts,
        device.status,
        device.metadata,
    )


def peek(folder: Path) -> tuple[int, int]:
    """Claims and effects in a journal that nobody here has open; none where there is no journal to read."""
    path = folder / FILE
    if not path.is_file():
        return 0, 0
    try:
        with contextlib.closing(openfile.connect_to_read(path, BUSY_TIMEOUT)) as connection:
            if schema.version_of(connection) is None:
                return 0, 0
            (claims,) = connection.execute("SELECT count(*) FROM claims").fetchone()
            (effects,) = connection.execute("SELECT count(*) FROM effects").fetchone()
            return claims, effects
    except (sqlite3.Error, JournalError):
        return 0, 0  # another's, or of another version
