"""Crash points: a driver killed and failed at every boundary, and what must hold afterwards.

``crash_matrix(plugin, scenario)`` for authors; ``python -m dracore.testing.crash`` runs the engine's own.
"""

from dracore.testing.crash.double import Ground, NodeDouble
from dracore.testing.crash.kit import crash_matrix
from dracore.testing.crash.rules import RULES
from dracore.testing.crash.scenario import (
    Ask,
    Delete,
    Drain,
    Fail,
    Handover,
    Prepare,
    Reallocate,
    Reconcile,
    Restart,
    Scenario,
    Set,
    Unprepare,
    standard,
)

__all__ = [
    "RULES",
    "Ask",
    "Delete",
    "Drain",
    "Fail",
    "Ground",
    "Handover",
    "NodeDouble",
    "Prepare",
    "Reallocate",
    "Reconcile",
    "Restart",
    "Scenario",
    "Set",
    "Unprepare",
    "crash_matrix",
    "standard",
]
