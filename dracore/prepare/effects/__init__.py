"""Effects: every change of a node, from its intent in the journal to its revert.

:mod:`~dracore.prepare.effects.effects` is what others ask for, each thing under its key's lock. Behind it,
with that lock held: :mod:`~dracore.prepare.effects.applying` makes a change,
:mod:`~dracore.prepare.effects.reverting` undoes it, :mod:`~dracore.prepare.effects.probing` asks the node
whether it is there. :mod:`~dracore.prepare.effects.kinds` knows the classes,
:mod:`~dracore.prepare.effects.node` is the node as one effect sees it.
"""

from dracore.prepare.effects.effects import Effects
from dracore.prepare.effects.holder import Holder, PluginHolder
from dracore.prepare.effects.node import EffectNode, TimeLeft
from dracore.prepare.effects.probing import changed

__all__ = ["EffectNode", "Effects", "Holder", "PluginHolder", "TimeLeft", "changed"]
