"""Asks the API server whether what is prepared is still wanted."""

from __future__ import annotations

from collections.abc import Callable

from dracore.prepare.engine import Engine


class Reconciler:
    """Looks at start, every 10 minutes, on demand, and 90 s after a look that found a claim gone."""

    def __init__(self, engine: Engine, *, allowed: Callable[[], bool] = lambda: True) -> None:
        """`allowed`: asked before each step (:meth:`Instances.is_publisher`)."""

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def kick(self) -> None:
        """Look now."""
        raise NotImplementedError
