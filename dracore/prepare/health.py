"""Taints that must survive a restart of the driver, with the time at which they were added."""

from __future__ import annotations

from dataclasses import dataclass

from dracore.errors import LimitError
from dracore.model import names
from dracore.model.device import Taint, TaintEffect
from dracore.prepare.journal import Journal
from dracore.prepare.transaction import Tx


@dataclass(frozen=True, slots=True)
class StoredTaint:
    plugin: str
    device: str
    taint: Taint
    message: str


class HealthTable:
    """The journal's health table."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def store(self, plugin: str, device: str, taint: Taint, message: str = "") -> Taint:
        """Keeps a taint; answers it with the time at which it was first added.

        The same key and effect with another value is a new taint, with a time of its own (KEP-5055).
        Nothing is written where it is stored already. A stored time that has not come yet (the clock was set
        back) gives way to `taint`'s: pods that tolerate a taint for a while count from it.

        :raises LimitError: key or value that the API server would refuse, and the device with them.
        """
        if not names.is_label_key(taint.key) or not names.is_label_value(taint.value):
            raise LimitError(
                f"the taint {taint.key!r}={taint.value!r} of {device} is not kept: it could not be published",
                where=f"plugin {plugin}",
            )
        place = (plugin, device, taint.key, taint.effect)

        def known(tx: Tx) -> Taint | None:
            row = tx.row(
                "SELECT value, time_added, message FROM health"
                " WHERE plugin = ? AND device = ? AND key = ? AND effect = ?",
                place,
            )
            if row is None or row[0] != taint.value or row[2] != message or _earlier(taint, row[1]) != row[1]:
                return None
            return Taint(taint.key, taint.effect, taint.value, row[1])

        found = self._journal.read(known)
        if found is not None:
            return found

        def store(tx: Tx) -> Taint:
            row = tx.row(
                "SELECT value, time_added FROM health"
                " WHERE plugin = ? AND device = ? AND key = ? AND effect = ?",
                place,
            )
            known = row is not None and row[0] == taint.value
            added = _earlier(taint, row[1]) if row is not None and known else taint.time_added
            tx.execute(
                "INSERT OR REPLACE INTO health (plugin, device, key, effect, value, time_added, message)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*place, taint.value, added, message),
            )
            return Taint(taint.key, taint.effect, taint.value, added)

        return self._journal.write(f"health.store {device}", store)

    def clear(self, plugin: str, device: str, *, key: str | None = None) -> bool:
        """Forgets the taints of a device (or those of one key); answers whether there were any."""
        condition = "plugin = ? AND device = ?" + ("" if key is None else " AND key = ?")
        values = (plugin, device) if key is None else (plugin, device, key)
        query = f"SELECT 1 FROM health WHERE {condition} LIMIT 1"  # noqa: S608
        if self._journal.read(lambda tx: tx.row(query, values)) is None:
            return False

        def clear(tx: Tx) -> bool:
            return tx.execute(f"DELETE FROM health WHERE {condition}", values).rowcount > 0  # noqa: S608

        return self._journal.write(f"health.clear {device}", clear)

    def all(self) -> list[StoredTaint]:
        rows = self._journal.read(
            lambda tx: tx.rows(
                "SELECT plugin, device, key, effect, value, time_added, message FROM health"
                " ORDER BY plugin, device, key, effect"
            )
        )
        return [
            StoredTaint(plugin, device, Taint(key, _effect(effect), value, added), message)
            for plugin, device, key, effect, value, added, message in rows
            if names.is_label_key(key) and names.is_label_value(value)  # else nothing of it is published
        ]


def _earlier(taint: Taint, stored: str) -> str:
    """The time at which a taint that is stored already counts as added; both in UTC, or empty."""
    return min(stored, taint.time_added) if stored and taint.time_added else stored


def _effect(text: str) -> TaintEffect:
    return "NoExecute" if text == "NoExecute" else "NoSchedule" if text == "NoSchedule" else "None"
