"""What each request of some claims could have on one node, were it alone there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from dracore.allocate.allocator import Allocator
from dracore.allocate.asks import Ask
from dracore.allocate.judge import Judge
from dracore.allocate.nodes import Node
from dracore.allocate.pools import Offer
from dracore.allocate.reasons import Reason, Stage

SHOWN = 4
Group: TypeAlias = tuple[Ask, ...]
"""A request: its alternatives, or itself alone."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What a request could have, and what others keep from it."""

    free: tuple[Offer, ...]
    kept: tuple[tuple[Offer, Reason], ...]
    lacking: tuple[Reason, ...]
    """Devices without an attribute that a constraint compares."""


class Candidates:
    """Looked up once for each request.

    :param judges: one for each claim.
    """

    def __init__(self, allocator: Allocator, node: Node, judges: Sequence[Judge]) -> None:
        self.allocator = allocator
        self.node = node
        self.lists = allocator.features.list_attributes
        self._judges = judges
        self._ready: dict[Ask, Ready] = {}

    @property
    def node_title(self) -> str:
        """``node gpu-7``; nodes without a name are where no Node is known."""
        return f"node {self.node.name}" if self.node.name else "one node"

    def of(self, ask: Ask) -> Ready:
        """The devices for a request."""
        found = self._ready.get(ask)
        if found is None:
            judge = self._judges[ask.claim]
            free: list[Offer] = []
            kept: list[tuple[Offer, Reason]] = []
            lacking: list[Reason] = []
            for pool in self.allocator.pools(self.node):
                for offer in pool.offers:
                    reason = judge.first(ask, offer, self.node)
                    if reason is None:
                        free.append(offer)
                    elif reason.stage in (Stage.TAINTS, Stage.IN_USE, Stage.COUNTERS):
                        kept.append((offer, reason))
                    elif reason.stage is Stage.CONSTRAINTS:
                        lacking.append(reason)
            found = self._ready[ask] = Ready(tuple(free), tuple(kept), tuple(lacking))
        return found

    def name(self, ask: Ask) -> str:
        """The request's name, with its claim where there are several."""
        return f"{ask.owner}: {ask.name}" if len(self._judges) > 1 else ask.name

    def demand(self, ask: Ask) -> int:
        """How many devices a request must have."""
        return len(self.of(ask).free) if ask.all_devices else ask.count

    def group_name(self, group: Group) -> str:
        """The name of a request that may have alternatives."""
        if len(group) == 1:
            return self.name(group[0])
        base = group[0].name.partition("/")[0]
        return f"{group[0].owner}: {base}" if len(self._judges) > 1 else base

    def shareable(self, offer: Offer) -> bool:
        """Whether others may have a share of a device too."""
        return offer.device.shareable and self.allocator.features.consumable_capacity


def listed(names: Sequence[str]) -> str:
    """``a, b and c``, and of many the first."""
    if len(names) > SHOWN:
        return ", ".join(names[:SHOWN]) + f" and {len(names) - SHOWN} more"
    return both(names)


def both(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)
