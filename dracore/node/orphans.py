"""Drivers with claims on this node that nobody serves: their plugin was taken out of the configuration.

The kubelet cannot unprepare those claims, and their pods do not end. They are not taken over unasked: another
dracore, with another configuration, may just be starting.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from dracore.prepare import Instances, peek


def unserved(plugins_dir: Path, served: Collection[str]) -> list[str]:
    """What is to be said of each; empty: nothing."""
    try:
        names = sorted(entry.name for entry in os.scandir(plugins_dir) if entry.is_dir())
    except OSError:
        return []
    found = []
    for name in names:
        folder = plugins_dir / name
        if name in served or Instances.any_alive(folder):
            continue
        claims, effects = peek(folder)
        if claims or effects:
            found.append(
                f"{name}: {claims} claims and {effects} effects are on this node and nobody serves them; "
                f"enable its plugin, or put {name} on `drain`"
            )
    return found
