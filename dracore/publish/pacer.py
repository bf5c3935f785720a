"""How often we put right what others change."""

from __future__ import annotations

from dracore.kube.backoff import Backoff

PEACE = 60.0
"""Seconds without a repair after which the next one is at once again."""


class Pacer:
    """Repairs of one pool: the first at once, then after delays that double from 0.1 s to 30 s.

    A kubelet that starts deletes all slices once, a confused controller edits them for ever: the first is
    put right within moments, the second must not become a fight at full speed.
    """

    def __init__(self) -> None:
        self._backoff = Backoff(first=0.1, limit=30.0, rng=lambda: 1.0)
        self._not_before = float("-inf")
        self._last = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until a repair is due; 0 when it may be made now, and that is then counted."""
        if now < self._not_before:
            return self._not_before - now
        if now - max(self._last, self._not_before) >= PEACE:
            self._backoff.reset()
        self._last = now
        self._not_before = now + self._backoff.next()
        return 0.0
