"""Objects, resource versions and a bounded history of changes.

Stored objects are never changed in place: a write puts a new one there, so readers need no copies. One lock
guards all; a read-modify-write is done while holding it (``with store.lock``).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dracore.testing.apiserver.status import expired, too_large_version

Object = dict[str, Any]
Key = tuple[str, str]
"""Namespace ("" for cluster-wide) and name."""


@dataclass(frozen=True)
class Change:
    """One write. ``object`` is what stands there now, or what was deleted with the deletion's version."""

    version: int
    type: str
    object: Object
    previous: Object | None


def key_of(obj: Object) -> Key:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class Store:
    """The tables. ``history`` changes a table are kept for watches and old pages."""

    def __init__(self, history: int = 5000) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self._tables: dict[str, dict[Key, Object]] = {}
        self._history: dict[str, deque[Change]] = {}
        self._floor: dict[str, int] = {}
        self._size = history
        self._version = 1

    @property
    def version(self) -> int:
        """The latest resource version."""
        return self._version

    def get(self, table: str, key: Key) -> Object | None:
        with self.lock:
            return self._tables.get(table, {}).get(key)

    def put(self, table: str, obj: Object) -> Object:
        """Stores a copy of ``obj`` with a new resource version, and returns it."""
        with self.changed:
            key = key_of(obj)
            previous = self._tables.get(table, {}).get(key)
            stored = self._versioned(obj)
            self._tables.setdefault(table, {})[key] = stored
            self._record(table, Change(self._version, "MODIFIED" if previous else "ADDED", stored, previous))
            return stored

    def remove(self, table: str, obj: Object) -> Object:
        """Deletes the object with the key of ``obj``; watchers see ``obj`` with the deletion's version."""
        with self.changed:
            previous = self._tables.get(table, {}).pop(key_of(obj), None)
            deleted = self._versioned(obj)
            self._record(table, Change(self._version, "DELETED", deleted, previous))
            return deleted

    def _versioned(self, obj: Object) -> Object:
        self._version += 1
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self._version)}}

    def _record(self, table: str, change: Change) -> None:
        history = self._history.setdefault(table, deque())
        history.append(change)
        while len(history) > self._size:
            self._floor[table] = history.popleft().version
        self.changed.notify_all()

    def snapshot(self, table: str, at: int | None = None) -> tuple[list[Object], int]:
        """All objects in key order, now or as of version ``at``; raises StatusError 410 or 504."""
        with self.lock:
            objects = dict(self._tables.get(table, {}))
            if at is None or at == self._version:
                return [objects[key] for key in sorted(objects)], self._version
            self.check(table, at)
            for change in reversed(self._history.get(table, ())):
                if change.version <= at:
                    break
                key = key_of(change.object)
                if change.previous is None:
                    objects.pop(key, None)
                else:
                    objects[key] = change.previous
            return [objects[key] for key in sorted(objects)], at

    def check(self, table: str, version: int) -> None:
        """Raises StatusError when history does not reach back to ``version`` or it lies in the future."""
        with self.lock:
            floor = self._floor.get(table, 0)
            if version < floor:
                raise expired(f"too old resource version: {version} ({floor})")
            if version > self._version:
                raise too_large_version(version, self._version)

    def since(self, table: str, version: int) -> list[Change]:
        """Changes after ``version``; raises StatusError 410 when some are forgotten."""
        with self.lock:
            if version < self._floor.get(table, 0):
                raise expired(f"too old resource version: {version} ({self._floor[table]})")
            found: deque[Change] = deque()
            for change in reversed(self._history.get(table, ())):
                if change.version <= version:
                    break
                found.appendleft(change)
            return list(found)

    def compact(self) -> int:
        """Forgets all history, as etcd does every five minutes; returns the version it was done at."""
        with self.changed:
            for table in {*self._tables, *self._history}:
                self._history.get(table, deque()).clear()
                self._floor[table] = self._version
            self.changed.notify_all()
            return self._version

    def dump(self) -> Object:
        """Everything, for a file."""
        with self.lock:
            tables = {table: list(objects.values()) for table, objects in self._tables.items()}
            return {"version": self._version, "tables": tables}

    def load(self, dumped: Object) -> None:
        """Replaces everything; watches of older versions get 410."""
        with self.changed:
            self._version = max(self._version, dumped["version"]) + 1
            self._tables = {
                table: {key_of(obj): obj for obj in objects} for table, objects in dumped["tables"].items()
            }
            self._history.clear()
            self._floor = dict.fromkeys(self._tables, self._version)
            self.changed.notify_all()

    def names(self) -> Iterator[str]:
        with self.lock:
            return iter(sorted(self._tables))
