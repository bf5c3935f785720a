"""The node configuration: one YAML file, checked whole before anything starts."""

from dracore.config.loading import Loaded, load, parse, settings_model
from dracore.config.node import NodeConfiguration
from dracore.config.reload import Changes, changes
from dracore.config.schema import schema

__all__ = ["Changes", "Loaded", "NodeConfiguration", "changes", "load", "parse", "schema", "settings_model"]
