"""Which pools the driver has, as the inventory said last."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from dracore.model.device import Pool


class Wanted:
    """The pools, and a number that grows when anything changes that their slices depend on. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[str, Pool] | None = None
        self._version = 0

    def replace(self, pools: Sequence[Pool]) -> set[str]:
        """These pools are all there is; the names of those and of the ones before."""
        with self._lock:
            old = self._pools or {}
            self._pools = {pool.name: pool for pool in pools}
            self._version += 1
            return {*old, *self._pools}

    def touch(self) -> None:
        """The same pools make other slices now: the server or what is prepared has changed."""
        with self._lock:
            self._version += 1

    def get(self) -> tuple[dict[str, Pool] | None, int]:
        """The pools by name (None before the first :meth:`replace`) and the number."""
        with self._lock:
            return self._pools, self._version

    def names(self) -> set[str]:
        """The names of the pools."""
        return set(self.get()[0] or ())
