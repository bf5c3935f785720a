"""The first thing that keeps a device from a request, in the scheduler's order; and all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from dracore.allocate.asks import Ask
from dracore.allocate.latest import Latest
from dracore.allocate.nodes import Node
from dracore.allocate.occupied import Occupied
from dracore.allocate.pools import Offer, Pool
from dracore.allocate.published import PublishedDevice
from dracore.allocate.reasons import Reason, Stage
from dracore.allocate.unfit import Unfit
from dracore.allocate.unselected import Unselected
from dracore.allocate.wishes import Wish

Standing: TypeAlias = tuple[Reason | None, Reason | None]
"""What neither other claims nor the node change: before and after they are looked at."""


class Judge:
    """For the requests of one claim and one state of what is held.

    :param standings: what was found for the requests of other claims.
    :param claim: the same for claims of the same constraints.
    """

    def __init__(
        self,
        unselected: Unselected,
        unfit: Unfit,
        occupied: Occupied,
        standings: Latest[PublishedDevice, Standing],
        claim: str,
    ) -> None:
        self._unselected = unselected
        self._unfit = unfit
        self.occupied = occupied
        self._standings = standings
        self._claim = claim
        self._known: dict[Ask, dict[PublishedDevice, Standing]] = {}

    def sort(self, ask: Ask) -> str:
        """The same for requests that ask for the same, whichever claim they are of."""
        return repr((ask.name, ask.request, ask.device_class.name, self._claim))

    def standing(self, ask: Ask, offer: Offer) -> Standing:
        """What speaks against a device whoever holds it, on whatever node."""
        known = self._known.get(ask)
        if known is None:
            known = self._known[ask] = self._standings.of(self.sort(ask))
        found = known.get(offer.device)
        if found is None:
            found = known[offer.device] = self._stands(ask, offer)
        return found

    def _stands(self, ask: Ask, offer: Offer) -> Standing:
        device = offer.device
        early = (
            self._unfit.gates(offer)
            or next(self._unselected.failing(ask, device, Stage.CLASS), None)
            or next(self._unselected.failing(ask, device, Stage.REQUEST), None)
            or next(self._unfit.sizes(ask, device), None)
            or next(self._unfit.taints(ask, device), None)
        )
        return early, None if early else next(self._unfit.attributes(ask, device), None)

    def on_node(self, offer: Offer, node: Node) -> Reason | None:
        """Whether the node is what keeps a device away."""
        return self._unfit.on_node(offer, node)

    def first(self, ask: Ask, offer: Offer, node: Node) -> Reason | None:
        """The first thing in the way of a device; None: the request could have it, were it alone."""
        early, late = self.standing(ask, offer)
        return early or self.on_node(offer, node) or self.occupied.first(ask, offer) or late

    def obstacles(self, ask: Ask, offer: Offer, node: Node) -> list[Reason]:
        """All that is in the way of a device, not only the first; what one remedy mends is there once."""
        device = offer.device
        found = [self._unfit.gates(offer)]
        found += self._unselected.failing(ask, device, Stage.CLASS)
        found += self._unselected.failing(ask, device, Stage.REQUEST)
        found += self._unfit.sizes(ask, device)
        found += self._unfit.taints(ask, device)
        found += [self.on_node(offer, node), self.occupied.whole(ask, offer)]
        found += [self.occupied.room(ask, offer), self.occupied.counters(offer)]
        found += self._unfit.attributes(ask, device)
        return list({one.remedy or one.text: one for one in found if one is not None}.values())

    def keeps(self, ask: Ask, offer: Offer, wishes: Sequence[Wish]) -> bool:
        """Whether all selectors are true of the device with these values."""
        return self._unselected.keeps(ask, offer.device, wishes)

    def counters_left(self, pool: Pool) -> Mapping[tuple[str, str], int]:
        """What is left of each counter of a pool, in billionths."""
        return self.occupied.counters_left(pool)
