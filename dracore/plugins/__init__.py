"""Plugins: found by the entry-point group ``dracore.plugins``, enabled by name, called one at a time.

Everything that can be wrong with a plugin is found when it is loaded, and said with its name, the
distribution it comes from and the cure. Its hooks are called for it alone: its failure is its own.
"""

from dracore.plugins.checks import DRIVER_GROUP, REQUIRED
from dracore.plugins.installed import GROUP, EntryPoints, PluginInfo
from dracore.plugins.plugin import Distribution, nearest
from dracore.plugins.registry import Contributed, Plugins

__all__ = [
    "DRIVER_GROUP",
    "GROUP",
    "REQUIRED",
    "Contributed",
    "Distribution",
    "EntryPoints",
    "PluginInfo",
    "Plugins",
    "nearest",
]
