"""What can go wrong with a simulation before any hardware call is made."""

from __future__ import annotations

from dracore import DracoreError


class SimulationError(DracoreError):
    """A simulated node cannot be described, opened or changed as asked."""
