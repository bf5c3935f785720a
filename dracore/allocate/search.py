"""The search: depth first over claims, requests and devices, with the first solution taken.

Each step is a generator that yields the step below it and is told how that one ended, so that neither many
claims nor hostile ones meet Python's limit of recursion.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from dracore.allocate.asks import Ask, Asks, Fatal
from dracore.allocate.constraints import Distinct, Match
from dracore.allocate.counters import Before, CounterLedger
from dracore.allocate.features import Features
from dracore.allocate.held import Held
from dracore.allocate.nodes import Node
from dracore.allocate.pools import Offer, Pool, PoolState, missing_gate, skips
from dracore.allocate.published import DeviceId, billionths
from dracore.allocate.shares import NotRepresentable, Size, taken
from dracore.allocate.taints import in_the_way
from dracore.allocate.wanted import WantedClaim
from dracore.model.names import RESULTS_PER_CLAIM
from dracore.model.quantity import Quantity

_NOTHING: Mapping[str, int] = {}


class End(Enum):
    """How a step ended."""

    DONE = "a solution"
    NONE = "no solution below"
    TOO_MANY = "more devices than a claim may have"


Step: TypeAlias = Generator["Step", End, End]


class Without(Enum):
    """What a search can be told to leave out, to find what stands in the way."""

    COUNTERS = "counters"
    ROOM = "room"
    """What the same search gives of a device to several requests."""


class LimitReached(Exception):
    """The search was given up; whether there is a solution is not known."""


@dataclass(slots=True)
class Pick:
    """A device that a request gets."""

    ask: Ask
    offer: Offer
    amounts: dict[str, Quantity] | None
    """The share of a device that several claims may have; None: all of the device."""
    counters: Before | None = None
    rules: list[Match | Distinct] = field(default_factory=list)


class Search:
    """One attempt for some claims on one node; used once.

    :param limit: how many devices may be tried before it is given up.
    """

    def __init__(
        self,
        asks: Asks,
        groups: Sequence[tuple[tuple[Ask, ...], ...]],
        rules: Sequence[Sequence[Match | Distinct]],
        claims: Sequence[WantedClaim],
        node: Node,
        pools: Sequence[Pool],
        held: Held,
        features: Features,
        limit: int,
        without: frozenset[Without] = frozenset(),
    ) -> None:
        self._asks = asks
        self._counted = Without.COUNTERS not in without
        self._roomy = Without.ROOM in without
        self._groups = groups
        self._rules = rules
        self._claims = claims
        self._node = node
        self._features = features
        self._held = held
        self._limit = limit
        self._offers = [offer for pool in pools if pool.state is PoolState.USABLE for offer in pool.offers]
        self._everything: Sequence[int] = range(len(self._offers))
        self._not_held = [
            index for index, offer in enumerate(self._offers) if offer.device.id not in held.whole
        ]
        self._worth_while: dict[Ask, list[int]] = {}
        self._ledger = CounterLedger(held, groups=features.compatibility_groups)
        self._taken: dict[DeviceId, list[int]] = {}
        self._shares: dict[DeviceId, int] = {}
        self._sums: dict[DeviceId, dict[str, int]] = {}
        self.steps = 0
        self.picks: list[list[Pick]] = [[] for _ in claims]
        self.chosen: dict[tuple[int, int], int] = {}
        """Claim and request to the alternative that was taken."""

    def run(self) -> bool:
        """True where there is a solution: `picks` and `chosen` hold it.

        :raises Fatal: as the scheduler's attempt ends with an error.
        :raises SelectorFailed: likewise, because of a selector.
        :raises LimitReached: given up.
        """
        stack = [self._next_request(0, 0)]
        end: End | None = None
        while stack:
            try:
                step = stack[-1].send(end)  # type: ignore[arg-type]
            except StopIteration as stop:
                stack.pop()
                end = stop.value
            else:
                stack.append(step)
                end = None
        return end is End.DONE

    # --- steps ----------------------------------------------------------------------------------------

    def _next_request(self, claim: int, group: int) -> Step:
        if claim == len(self._groups):
            return End.DONE
        if group == len(self._groups[claim]):
            # Too many devices in a later claim are no reason against other devices in this one.
            end = yield self._next_request(claim + 1, 0)
            return End.NONE if end is End.TOO_MANY else end
        asks = self._groups[claim][group]
        if not self._claims[claim].groups[group].first_available:
            return (yield self._next_device(asks[0], 0, 0))
        always_too_many = True
        for index, ask in enumerate(asks):
            end = yield self._next_device(ask, 0, 0)
            if end is End.DONE:
                self.chosen[claim, group] = index
                return end
            if end is not End.TOO_MANY:
                always_too_many = False
        return End.TOO_MANY if always_too_many else End.NONE

    def _next_device(self, ask: Ask, have: int, start: int) -> Step:
        """`start`: devices of one request are tried in one order only, as sets and not as sequences."""
        self._count()
        if ask.all_devices and not ask.wanted:
            return End.NONE
        if have >= ask.count:
            return (yield self._next_request(ask.claim, ask.group + 1))
        if ask.count - have > RESULTS_PER_CLAIM - len(self.picks[ask.claim]):
            return End.TOO_MANY
        if ask.all_devices:
            if not self._take(ask, ask.wanted[have], must=True):
                return End.NONE
            end = yield self._next_device(ask, have + 1, 0)
            if end is not End.DONE:
                self._untake(ask.claim)
            return end
        candidates = self._candidates(ask)
        position = start if candidates is self._everything else bisect_left(candidates, start)
        for place in range(position, len(candidates)):
            if candidates is not self._everything and len(candidates) - place < ask.count - have:
                break  # too few are left to choose from
            self._count()
            index = candidates[place]
            offer = self._offers[index]
            if (
                self._in_use(ask, offer.device.id)
                or not self._asks.selectable(ask, offer)
                or not self._take(ask, offer, must=False)
            ):
                continue
            end = yield self._next_device(ask, have + 1, index + 1)
            if end is End.DONE:
                return end
            self._untake(ask.claim)
            if end is End.TOO_MANY:
                return end
        return End.NONE

    def _candidates(self, ask: Ask) -> Sequence[int]:
        """Where to look for a device: everywhere, or where it is worth while once that is known.

        A device that was never looked at may still end the attempt with an error of a selector, as it does
        the scheduler's; so nothing is left out before all of them have been looked at.
        """
        found = self._worth_while.get(ask)
        if found is None:
            open_to_it = self._everything if ask.admin else self._not_held
            if len(ask.verdicts) < len(open_to_it) or not all(
                self._offers[index] in ask.verdicts for index in open_to_it
            ):
                return self._everything
            found = [
                index
                for index in open_to_it
                if ask.verdicts[self._offers[index]]
                and not (self._features.device_taints and in_the_way(self._offers[index].device, ask.request))
            ]
            self._worth_while[ask] = found
        return found

    def _count(self) -> None:
        self.steps += 1
        if self.steps > self._limit:
            raise LimitReached

    # --- one device -----------------------------------------------------------------------------------

    def _in_use(self, ask: Ask, device: DeviceId) -> bool:
        """Admin access looks over others' shoulders, but does not see a device twice for one claim."""
        takers = self._taken.get(device)
        if ask.admin:
            return takers is not None and ask.claim in takers
        return bool(takers) or device in self._held.whole

    def _take(self, ask: Ask, offer: Offer, *, must: bool) -> bool:
        """Gives a device to a request; False, and nothing has changed, where it cannot be had.

        :param must: it is one of all devices: a constraint that forbids it is an error.
        """
        device = offer.device
        if self._in_use(ask, device.id):
            return False
        shared = device.shareable and self._features.consumable_capacity
        fitting, amounts = self._amounts(ask, offer)
        if not fitting and not must:
            return False
        if missing_gate(offer, self._features) or not skips(offer, self._node, self._features):
            return False
        pick = Pick(ask, offer, amounts if shared else None)
        # Further shares of a device draw on no counter again.
        if (
            device.draws
            and self._counted
            and not (shared and (device.id in self._held.shared or device.id in self._shares))
        ):
            pick.counters = self._ledger.take(offer.pool, device)
            if pick.counters is None:
                return False
        if self._features.device_taints and in_the_way(device, ask.request) is not None:
            self._release(pick)
            return False
        for rule in self._rules[ask.claim]:
            if not rule.covers(ask.name):
                continue
            attribute = self._asks.attribute(ask, device, rule.attribute)
            if not rule.add(attribute):
                self._release(pick)
                if must:
                    raise Fatal(
                        f"claim {ask.owner}, request {ask.request.name}: cannot add device {device.id}"
                        " because a claim constraint would not be satisfied"
                    )
                return False
            pick.rules.append(rule)
        if not fitting:
            self._release(pick)
            return False
        if shared:
            self._share(device.id, pick.amounts or {}, 1)
        else:
            self._taken.setdefault(device.id, []).append(ask.claim)
        self.picks[ask.claim].append(pick)
        return True

    def _untake(self, claim: int) -> None:
        pick = self.picks[claim].pop()
        device = pick.offer.device.id
        if pick.amounts is not None:
            self._share(device, pick.amounts, -1)
        else:
            self._taken[device].pop()
        self._release(pick)

    def _release(self, pick: Pick) -> None:
        for rule in reversed(pick.rules):
            rule.remove()
        if pick.counters is not None:
            self._ledger.give_back(pick.offer.pool, pick.offer.device, pick.counters)

    def _amounts(self, ask: Ask, offer: Offer) -> tuple[bool, dict[str, Quantity]]:
        """Whether the device's capacity is enough, and what the request takes of it."""
        if not self._features.consumable_capacity:
            return True, {}
        size = ask.sizes.get(offer)
        if size is None:
            size = ask.sizes[offer] = self._size(ask, offer)
        if size.amounts is None:
            return False, {}
        device = offer.device.id
        held = self._held.shared.get(device, _NOTHING)
        sums = _NOTHING if self._roomy else self._sums.get(device, _NOTHING)
        fitting = all(need + held.get(name, 0) + sums.get(name, 0) <= has for name, need, has in size.bounds)
        return fitting, size.amounts

    def _size(self, ask: Ask, offer: Offer) -> Size:
        capacity = offer.device.capacity
        try:
            amounts = taken(ask.request.capacity, capacity, fractional=self._features.fractional_range)
        except NotRepresentable as error:
            raise Fatal(
                f"claim {ask.owner}, request {ask.request.name}: checking capacity for device"
                f" {offer.device.id}: {error}"
            ) from None
        return Size(
            amounts,
            tuple(
                (name, billionths(amount), billionths(capacity[name].value))
                for name, amount in (amounts or {}).items()
            ),
        )

    def _share(self, device: DeviceId, amounts: dict[str, Quantity], times: int) -> None:
        self._shares[device] = self._shares.get(device, 0) + times
        if not self._shares[device]:
            del self._shares[device]
        sums = self._sums.setdefault(device, {})
        for name, amount in amounts.items():
            sums[name] = sums.get(name, 0) + times * billionths(amount)
