"""The test kit: an embedded API server, a fake kubelet, what a container would get, a pytest plugin.

The proof for plugins is at hand here: ``from dracore.testing import Ground, crash_matrix, standard``
(:mod:`dracore.testing.crash`); it loads when used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dracore.testing.crash import RULES, Ground, NodeDouble, Scenario, crash_matrix, standard

__all__ = ["RULES", "Ground", "NodeDouble", "Scenario", "crash_matrix", "standard"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("dracore.testing.crash"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
