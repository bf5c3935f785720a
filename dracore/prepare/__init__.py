"""The claim engine: effects, journal, records, recovery, reconciliation."""

from dracore.prepare.engine import Engine
from dracore.prepare.instances import Instances
from dracore.prepare.journal import Journal, peek
from dracore.prepare.reconciler import Reconciler

__all__ = ["Engine", "Instances", "Journal", "Reconciler", "peek"]
