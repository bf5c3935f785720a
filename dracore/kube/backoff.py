"""Growing, jittered delays between attempts."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Delays that double from `first` to `limit` seconds; each is shortened by up to half at random.

    The jitter keeps the node plugins of a cluster from coming back in step after the API server restarts.
    """

    def __init__(
        self, first: float = 0.2, limit: float = 30.0, rng: Callable[[], float] = random.random
    ) -> None:
        self._first = first
        self._limit = limit
        self._rng = rng
        self.failures = 0

    def next(self) -> float:
        """The seconds to wait after one more failure."""
        # 2**60 s is beyond any limit; the bound keeps the power from overflowing a float after weeks.
        whole: float = min(self._limit, self._first * 2.0 ** min(self.failures, 60))
        self.failures += 1
        return whole * (0.5 + 0.5 * self._rng())

    def reset(self) -> None:
        """Forgets the failures: something worked."""
        self.failures = 0
