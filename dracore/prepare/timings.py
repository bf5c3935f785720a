"""When the reconciler looks, and how long it asks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds."""

    interval: float = 600.0
    """From look to look."""
    confirm: float = 90.0
    """Between the two looks that must say the same before a claim is released."""
    first_retry: float = 5.0
    last_retry: float = 60.0
    """Backoff after a look that ended in doubt, and for reverts that fail."""
    idle: float = 5.0
    """Longest sleep: how soon it is seen that this instance may reconcile, or has something to revert."""
    request: float = 10.0
    """For one question to the API server."""
