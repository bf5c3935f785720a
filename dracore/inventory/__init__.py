"""The devices of a node: discovery by plugins, merged, shaped, and kept current."""

from dracore.inventory.inventory import Inventory, PluginStatus
from dracore.inventory.merge import Problem, View
from dracore.inventory.offline import look
from dracore.inventory.runner import State

__all__ = ["Inventory", "PluginStatus", "Problem", "State", "View", "look"]
