"""Why a device cannot be had because of what others hold: the device, its room, counters of its pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dracore.allocate.asks import Ask
from dracore.allocate.counters import CounterLedger
from dracore.allocate.features import Features
from dracore.allocate.held import Held
from dracore.allocate.pools import Offer, Pool
from dracore.allocate.published import DeviceId
from dracore.allocate.reasons import Reason, Stage, plain
from dracore.allocate.shares import taken
from dracore.allocate.unfit import short_of


class Occupied:
    """For one state of what is held.

    :param holders: the claims that hold a device, for the text.
    """

    def __init__(self, features: Features, held: Held, holders: Mapping[DeviceId, Sequence[str]]) -> None:
        self._features = features
        self._held = held
        self._holders = holders
        self._ledger = CounterLedger(held, groups=features.compatibility_groups)

    def first(self, ask: Ask, offer: Offer) -> Reason | None:
        """The first thing of others that is in the way."""
        return self.whole(ask, offer) or self.room(ask, offer) or self.counters(offer)

    def is_whole(self, ask: Ask, device: DeviceId) -> bool:
        """Whether others hold all of a device."""
        return device in self._held.whole and not ask.admin

    def counters_left(self, pool: Pool) -> Mapping[tuple[str, str], int]:
        """What is left of each counter of a pool, in billionths."""
        return self._ledger.left(pool)

    def whole(self, ask: Ask, offer: Offer) -> Reason | None:
        """Who holds all of the device."""
        device = offer.device.id
        if not self.is_whole(ask, device):
            return None
        who = tuple(self._holders.get(device, ()))
        text = f"{', '.join(who) or 'another claim'} holds it"
        return Reason(
            device, Stage.IN_USE, text, f"it were free: {text}", frees=self._free(device), holders=who
        )

    def room(self, ask: Ask, offer: Offer) -> Reason | None:
        """Whether too little of a shared device is left."""
        device = offer.device
        sums = self._held.shared.get(device.id)
        if not self._features.consumable_capacity or not sums:
            return None
        amounts = taken(ask.request.capacity, device.capacity, fractional=self._features.fractional_range)
        who = tuple(self._holders.get(device.id, ()))
        return next(short_of(device, amounts or {}, Stage.IN_USE, sums, self._free(device.id), who), None)

    def counters(self, offer: Offer) -> Reason | None:
        """Whether counters of its pool, or the company there, keep a device away."""
        device = offer.device
        if not device.draws or not self._features.partitionable_devices:
            return None
        if device.shareable and device.id in self._held.shared:
            return None
        before = self._ledger.take(offer.pool, device)
        if before is not None:
            self._ledger.give_back(offer.pool, device, before)
            return None
        short = self._ledger.short_of(offer.pool, device)
        sets = {counter_set for counter_set, *_ in short} or {draw.counter_set for draw in device.draws}
        others = (*(other.device for other in offer.pool.offers), *offer.pool.elsewhere)
        users = tuple(
            dict.fromkeys(
                holder
                for other in others
                if any(draw.counter_set in sets for draw in other.draws)
                for holder in self._holders.get(other.id, ())
            )
        )
        frees = f"the end of {', '.join(users)}" if users else ""
        for counter_set, name, left, wants in short:
            rest, need = plain(left), plain(wants)
            text = f"counter {name} of {counter_set} has {rest} left, it draws {need}"
            if left < 0 and not wants:
                # As the scheduler has it: one overdrawn counter stops the whole pool.
                text = f"counter {name} of {counter_set} is overdrawn by {plain(-left)}, which stops its pool"
            far = 1 - left / wants if 0 < left < wants else 1.0
            remedy = f"counter {name} of {counter_set} had {need} left: it has {rest}"
            return Reason(device.id, Stage.COUNTERS, text, remedy, far, frees, users)
        text = "its compatibility groups do not go with the devices in use"
        return Reason(device.id, Stage.COUNTERS, text, "they did", frees=frees, holders=users)

    def _free(self, device: DeviceId) -> str:
        holders = self._holders.get(device)
        return f"the end of {', '.join(holders)}" if holders else ""
