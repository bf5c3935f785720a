"""Why devices that would each do cannot be had together on one node.

A claim can be refused although every request finds enough devices: two requests want the same ones, a
constraint finds no common value, counters or room run out half-way. The cause is found by asking the
allocator again with one rule left out; what then fits was kept back by that rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from dracore.allocate.allocator import Allocator
from dracore.allocate.asks import Ask
from dracore.allocate.candidates import Candidates, Group, both, listed
from dracore.allocate.compared import Compared, Together
from dracore.allocate.held import Held
from dracore.allocate.judge import Judge
from dracore.allocate.nodes import Node
from dracore.allocate.pools import Offer
from dracore.allocate.published import DeviceId, billionths
from dracore.allocate.reasons import Reason, in_unit, plain
from dracore.allocate.search import Without
from dracore.allocate.shares import taken
from dracore.allocate.wanted import Constraint, WantedClaim
from dracore.model.names import RESULTS_PER_CLAIM

STEPS = 20_000
"""Devices that each further question may try; it is asked up to a dozen times."""


class Joint:
    """Looks at one node where each request finds enough devices; used once.

    :param groups: the requests of each claim with their alternatives.
    """

    def __init__(
        self,
        allocator: Allocator,
        node: Node,
        claims: Sequence[WantedClaim],
        groups: Sequence[Sequence[Group]],
        judges: Sequence[Judge],
        held: Held,
    ) -> None:
        self._allocator = allocator
        self._node = node
        self._claims = claims
        self._groups = groups
        self._judges = judges
        self._held = held
        self._there = Candidates(allocator, node, judges)

    def find(self) -> Together:
        """The cause, or that it is not to be found."""
        return (
            self._too_few()
            or self._constraint()
            or self._without(Without.COUNTERS, self._counters)
            or self._without(Without.ROOM, self._room)
            or self._all_constraints()
            or self._too_many()
            or self._admins()
            or Together(f"the requests cannot be met together on {self._there.node_title}")
        )

    def constraints(self) -> tuple[Together, ...]:
        """The constraints with the values that there are; those that could be met only where all could be."""
        every = tuple(
            self._compared(index, claim.constraints[number])
            for index, claim in enumerate(self._claims)
            for number in range(len(claim.constraints))
        )
        return tuple(one for one in every if not one.met) or every

    def _compared(self, index: int, constraint: Constraint) -> Together:
        return Compared(self._there, self._groups[index]).tell(constraint)

    # --- questions ------------------------------------------------------------------------------------

    def _fits(self, claims: Sequence[WantedClaim], without: frozenset[Without] = frozenset()) -> bool:
        answer = self._allocator.allocate(self._node, claims, self._held, limit=STEPS, without=without)
        return answer.allocations is not None

    def _less(self, index: int, number: int | None = None) -> list[WantedClaim]:
        """The claims, that at `index` without one constraint, or all claims without any."""
        found = list(self._claims)
        if number is None:
            return [replace(claim, constraints=()) for claim in found]
        kept = [one for at, one in enumerate(found[index].constraints) if at != number]
        found[index] = replace(found[index], constraints=tuple(kept))
        return found

    def _constraint(self) -> Together | None:
        for index, claim in enumerate(self._claims):
            for number in range(len(claim.constraints)):
                if self._fits(self._less(index, number)):
                    return self._compared(index, claim.constraints[number])
        return None

    def _all_constraints(self) -> Together | None:
        every = self.constraints()
        if not every:
            every_rule = frozenset(Without)
            if not self._fits(self._claims, every_rule):
                return None
            return Together(
                f"counters and capacity do not let the requests be met together on {self._there.node_title}"
            )
        for without, also in (
            (frozenset[Without](), ""),
            (frozenset({Without.COUNTERS}), " and counters"),
            (frozenset(Without), " and what the requests leave of counters and capacity"),
        ):
            if self._fits(self._less(0), without):
                names = " and ".join(dict.fromkeys(self._titles()))
                return Together(
                    f"{names}{also} cannot be met together on {self._there.node_title}",
                    tuple(line for one in every for line in one.details),
                )
        return None

    def _titles(self) -> Iterable[str]:
        for claim in self._claims:
            for constraint in claim.constraints:
                kind = "matchAttribute" if constraint.match else "distinctAttribute"
                yield f"{kind} {constraint.match or constraint.distinct}"

    def _without(self, rule: Without, tell: Callable[[], Together]) -> Together | None:
        return tell() if self._fits(self._claims, frozenset({rule})) else None

    # --- too few devices ------------------------------------------------------------------------------

    def _too_few(self) -> Together | None:
        """Requests that compete for the same devices: more are wanted than there are for them."""
        takers: dict[DeviceId, tuple[int, int]] = {}
        wanted: dict[tuple[int, int], list[DeviceId]] = {}
        counts: dict[tuple[int, int], int] = {}
        for claim, groups in enumerate(self._groups):
            for number, group in enumerate(groups):
                offers = {offer.device.id: offer for ask in group for offer in self._there.of(ask).free}
                if any(ask.admin for ask in group) or any(map(self._there.shareable, offers.values())):
                    continue  # others may have the same
                wanted[claim, number] = list(offers)
                counts[claim, number] = min(map(self._there.demand, group))

        def give(taker: tuple[int, int], seen: set[DeviceId]) -> bool:
            for device in wanted[taker]:
                if device not in seen:
                    seen.add(device)
                    owner = takers.get(device)
                    if owner is None or (owner != taker and give(owner, seen)):
                        takers[device] = taker
                        return True
            return False

        for taker, count in counts.items():
            for _ in range(count):
                seen: set[DeviceId] = set()
                if not give(taker, seen):
                    involved = {taker, *(takers[device] for device in seen if device in takers)}
                    return self._compete(sorted(involved), seen, counts)
        return None

    def _compete(
        self,
        involved: Sequence[tuple[int, int]],
        devices: set[DeviceId],
        counts: Mapping[tuple[int, int], int],
    ) -> Together:
        names: list[str] = []
        most: dict[tuple[str, str], int] = {}
        kept: list[tuple[Offer, Reason]] = []
        for claim, number in involved:
            group = self._groups[claim][number]
            names.append(self._there.group_name(group))
            for ask in group:
                most[ask.owner, ask.name] = len(devices)
                kept += self._there.of(ask).kept
        total = sum(counts[taker] for taker in involved)
        names_of_devices = listed(sorted(device.device for device in devices))
        there = f"only {names_of_devices} {'is' if len(devices) == 1 else 'are'}"
        return Together(
            f"requests {both(names)} want {total} devices together,"
            f" and on {self._there.node_title} {there} for them",
            frees=_frees(kept),
            most=most,
            few=True,
        )

    # --- counters, room, limit ------------------------------------------------------------------------

    def _counters(self) -> Together:
        """What the devices that the requests could have draw on each counter of which there is too little."""
        lines = []
        free = {
            offer.device.id: offer
            for groups in self._groups
            for group in groups
            for ask in group
            for offer in self._there.of(ask).free
        }
        for pool in self._allocator.pools(self._node):
            drawn: dict[tuple[str, str], list[tuple[str, int]]] = {}
            for offer in free.values():
                if offer.pool is pool:
                    for draw in offer.device.draws:
                        for name, number in draw.counters.items():
                            drawn.setdefault((draw.counter_set, name), []).append(
                                (offer.device.id.device, number)
                            )
            left = self._judges[0].counters_left(pool)
            for (counter_set, name), draws in drawn.items():
                has = left.get((counter_set, name), 0)
                if sum(number for _, number in draws) > has:
                    shown = [f"{device} draws {plain(number)}" for device, number in draws]
                    lines.append(f"counter {name} of {counter_set} has {plain(has)} left: {listed(shown)}")
        told = (
            f"the requests' devices draw more on counters together than there is on {self._there.node_title}"
        )
        return Together("; ".join([told, *lines[:2]]), tuple(lines))

    def _room(self) -> Together:
        """What the requests take together of devices that they would have to share."""
        lines = []
        shared: dict[DeviceId, tuple[Offer, list[Ask]]] = {}
        for groups in self._groups:
            for group in groups:
                for ask in group:
                    for offer in self._there.of(ask).free:
                        if self._there.shareable(offer):
                            shared.setdefault(offer.device.id, (offer, []))[1].append(ask)
        for device, (offer, asks) in shared.items():
            used = self._held.shared.get(device, {})
            for name, has in offer.device.capacity.items():
                parts = []
                for ask in asks:
                    amounts = taken(
                        ask.request.capacity,
                        offer.device.capacity,
                        fractional=self._allocator.features.fractional_range,
                    )
                    if amounts:
                        parts.append((self._there.name(ask), billionths(amounts[name])))
                left = billionths(has.value) - used.get(name, 0)
                if sum(number for _, number in parts) > left:
                    shown = [f"{who} takes {in_unit(number, has.value)}" for who, number in parts]
                    rest = in_unit(left, has.value)
                    lines.append(f"{device.device} has {rest} of {name} left: {listed(shown)}")
        told = f"the requests want more room together than the devices of {self._there.node_title} have"
        return Together("; ".join([told, *lines[:2]]), tuple(lines))

    def _too_many(self) -> Together | None:
        for claim, groups in zip(self._claims, self._groups, strict=True):
            least = sum(min(map(self._there.demand, group)) for group in groups)
            if least > RESULTS_PER_CLAIM:
                return Together(
                    f"claim {claim.title} wants {least} devices: a claim holds {RESULTS_PER_CLAIM}"
                )
        return None

    def _admins(self) -> Together | None:
        """Devices that a request with admin access takes first: in one attempt nobody else gets them then."""
        names = [
            self._there.group_name(group)
            for groups in self._groups
            for group in groups
            if any(ask.admin for ask in group)
        ]
        others = [
            replace(
                claim,
                groups=tuple(
                    group for group in claim.groups if not any(one.admin for one in group.alternatives)
                ),
            )
            for claim in self._claims
        ]
        others = [claim for claim in others if claim.groups]
        if not names or not others or not self._fits(others):
            return None
        return Together(
            f"{both(names)} with admin access and the other requests want the same devices of"
            f" {self._there.node_title}: what is allocated together gets a device once"
        )


def _frees(kept: Iterable[tuple[Offer, Reason]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reason.frees for _, reason in kept if reason.frees))
