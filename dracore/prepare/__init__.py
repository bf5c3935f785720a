"""The claim engine: effects, journal, records, recovery, reconciliation.

Where to look for what:

- a call of the kubelet: ``engine``, ``calls``, ``attempt`` with its parts ``resolve`` (devices, parameters),
  ``hookrun`` (the plugins), ``tenure`` (the record, waits), and ``release``
- what changes a node: ``effects``; what plugins are given: ``context`` over ``scope``
- the journal: ``journal`` over ``openfile``, ``storage``, ``schema`` and ``wal``; ``restore`` and ``salvage``
  when it is gone or damaged; its rows: ``transaction``, ``records`` (read), ``recording`` (written),
  ``occupied`` (one device, one claim), ``holdings``, ``health``, ``snapshot``
- after a crash: ``recovery``; what nobody asks for: ``reconciler`` with its looks ``unwanted`` (claims) and
  ``drift`` (effects); several processes: ``locks``, ``instances``
- the rest of the process: ``ports``; ``kit`` holds all of it
"""

from dracore.prepare.engine import Engine
from dracore.prepare.instances import Instances
from dracore.prepare.journal import Journal
from dracore.prepare.reconciler import Reconciler
from dracore.prepare.snapshot import peek

__all__ = ["Engine", "Instances", "Journal", "Reconciler", "peek"]
