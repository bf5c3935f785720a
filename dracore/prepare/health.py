"""Taints that must survive a restart of the driver, with the time at which they were added."""

from __future__ import annotations

from dataclasses import dataclass

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
        Nothing is written where it is stored already.
        """
        place = (plugin, device, taint.key, taint.effect)

        def known(tx: Tx) -> Taint | None:
            row = tx.row(
                "SELECT value, time_added, message FROM health"
                " WHERE plugin = ? AND device = ? AND key = ? AND effect = ?",
                place,
            )
            if row is None or row[0] != taint.value or row[2] != message:
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
            added = row[1] if row is not None and row[0] == taint.value else taint.time_added
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
        ]


def _effect(text: str) -> TaintEffect:
    return "NoExecute" if text == "NoExecute" else "NoSchedule" if text == "NoSchedule" else "None"
