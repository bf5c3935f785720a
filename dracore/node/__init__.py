"""The composition root: builds and wires everything of the node plugin, and owns its life."""

from dracore.node.driver import is_dense
from dracore.node.plugin import NodePlugin, offered
from dracore.node.process import run

__all__ = ["NodePlugin", "is_dense", "offered", "run"]
