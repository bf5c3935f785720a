"""The slices on the server as far as we can know: a reflector's copy, with our own writes on top.

A watch lags behind. Without this a writer would see its own creation as missing and create it again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

Object: TypeAlias = dict[str, Any]

LIFETIME = 60.0
"""Seconds after which a write that the watch never confirmed is no longer believed."""


class Copy(Protocol):
    """What is needed of a reflector."""

    def list(self) -> list[Object]:
        """The objects as last seen."""

    @property
    def resource_version(self) -> str:
        """How far the copy has come."""


@dataclass(frozen=True)
class _Write:
    uid: str
    version: str
    obj: Object | None
    expires: float


class SliceView:
    """The reflector's objects, overlaid by what we wrote and it has not seen yet."""

    def __init__(
        self, copy: Copy, clock: Callable[[], float] = time.monotonic, lifetime: float = LIFETIME
    ) -> None:
        self._copy = copy
        self._lifetime = lifetime
        self._clock = clock
        self._lock = threading.Lock()
        self._writes: dict[str, _Write] = {}

    def wrote(self, obj: Object) -> None:
        """The server answered a create, update or get with `obj`."""
        meta = obj["metadata"]
        self._put(meta["name"], _Write(meta["uid"], meta["resourceVersion"], obj, self._expiry()))

    def deleted(self, obj: Object) -> None:
        """The server has deleted `obj`, or does not have it any more."""
        meta = obj["metadata"]
        self._put(meta["name"], _Write(meta["uid"], "", None, self._expiry()))

    def is_echo(self, obj: Object, *, deleted: bool) -> bool:
        """True where `obj`, as the watch brings it, is our own last write or deletion."""
        meta = obj["metadata"]
        with self._lock:
            write = self._writes.get(meta["name"])
        if write is None or write.uid != meta["uid"] or deleted != (write.obj is None):
            return False
        return deleted or write.version == meta["resourceVersion"]

    def unconfirmed(self) -> bool:
        """True where the watch has not brought all our writes yet."""
        with self._lock:
            return bool(self._writes)

    def list(self) -> list[Object]:
        """All slices as they should stand on the server now."""
        # The version first: what the copy holds afterwards is at least that new.
        seen = self._copy.resource_version
        objects = {obj["metadata"]["name"]: obj for obj in self._copy.list()}
        now = self._clock()
        with self._lock:
            for name, write in list(self._writes.items()):
                stored = objects.get(name)
                if write.expires <= now or self._confirmed(write, stored, seen):
                    del self._writes[name]
                elif write.obj is None:
                    objects.pop(name, None)
                else:
                    objects[name] = write.obj
        return list(objects.values())

    @staticmethod
    def _confirmed(write: _Write, stored: Object | None, seen: str) -> bool:
        if write.obj is None:
            return stored is None or stored["metadata"]["uid"] != write.uid
        if _reached(seen, write.version):
            return True
        return stored is not None and _reached(stored["metadata"]["resourceVersion"], write.version)

    def _put(self, name: str, write: _Write) -> None:
        with self._lock:
            self._writes[name] = write

    def _expiry(self) -> float:
        return self._clock() + self._lifetime


def _reached(version: str, wanted: str) -> bool:
    """True where `version` is not older. Comparable since Kubernetes 1.35, and in fact since ever."""
    if version.isdigit() and wanted.isdigit():
        return int(version) >= int(wanted)
    return version == wanted
