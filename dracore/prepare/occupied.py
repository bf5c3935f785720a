"""What hardware the claims' devices occupy: no unit of it is prepared for two claims.

Every device has internal counters of what it *is* (``Device.occupies``), so that two names of one piece of
hardware are known as one. They are never published.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dracore.errors import DeviceBusy
from dracore.prepare.records import DeviceRecord, names
from dracore.prepare.transaction import Tx, decode


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


def occupy(tx: Tx, uid: str, position: int, device: DeviceRecord) -> None:
    """Notes the units of one result of a claim; :func:`guard` has let it."""
    for unit, amount in device.occupies.items():
        if amount > 0:
            tx.execute(
                "INSERT INTO occupied (unit, shared, pool, device, uid, position, amount)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (unit, int(bool(device.share)), device.pool, device.device, uid, position, amount),
            )


def free(tx: Tx, uid: str) -> None:
    """All that the claim's device rows say."""
    rows = tx.rows("SELECT position, pool, device, share, occupies FROM devices WHERE uid = ?", (uid,))
    for position, pool, device, share, occupies in rows:
        for unit in decode(occupies) or ():
            tx.execute(
                "DELETE FROM occupied WHERE unit = ? AND shared = ? AND pool = ? AND device = ?"
                " AND uid = ? AND position = ?",
                (unit, int(bool(share)), pool, device, uid, position),
            )


def move(tx: Tx, uid: str, position: int, old: DeviceRecord, new: DeviceRecord) -> None:
    """One result is other hardware now."""
    for unit in old.occupies:
        tx.execute("DELETE FROM occupied WHERE unit = ? AND uid = ? AND position = ?", (unit, uid, position))
    occupy(tx, uid, position, new)
