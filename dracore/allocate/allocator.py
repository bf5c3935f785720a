"""The allocator: devices for the claims of a pod on one node, as the scheduler would choose them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dracore.allocate.asks import Asks, Fatal
from dracore.allocate.constraints import Distinct, Match, rules
from dracore.allocate.features import Features
from dracore.allocate.held import Held
from dracore.allocate.matching import Compiler, Matching, SelectorFailed, cel
from dracore.allocate.nodes import Node
from dracore.allocate.pools import Pool, PoolIndex, PoolState
from dracore.allocate.published import PoolId, PublishedSlice, TaintRule, with_rules
from dracore.allocate.results import Allocation, allocation
from dracore.allocate.search import LimitReached, Search, Without
from dracore.allocate.shares import NotRepresentable
from dracore.allocate.wanted import DeviceClass, WantedClaim
from dracore.errors import SelectorError
from dracore.model.names import RESULTS_PER_CLAIM

STEPS = 2_000_000
"""How many devices one attempt may try. The scheduler stops after ten seconds (DRASchedulerFilterTimeout)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an attempt: allocations, or none with an error, or none because nothing fits."""

    allocations: tuple[Allocation, ...] | None
    """One for each claim, in order; None: not all of them can be allocated here."""
    error: str = ""
    """Why the scheduler's attempt would end with an error."""
    this_node_only: bool = False
    """The error is no reason against other nodes."""
    cause: SelectorError | None = None
    gave_up: bool = False
    """The bound on work was reached: nobody knows whether it fits."""
    steps: int = 0


class Allocator:
    """Slices, classes and what is switched on; asked for one node after the other. Not for several threads.

    :param rules: their taints lie on top of those of the slices, where the feature is on.
    :param limit: how many devices an attempt may try before it is given up.
    :param matching: compiled selectors and their answers, where several allocators share them.
    """

    def __init__(
        self,
        slices: Iterable[PublishedSlice],
        classes: Iterable[DeviceClass],
        *,
        features: Features | None = None,
        rules: Iterable[TaintRule] = (),
        compiler: Compiler = cel,
        limit: int = STEPS,
    ) -> None:
        self.features = features or Features()
        self.classes = {item.name: item for item in classes}
        self.matching = Matching(compiler, shares=not self.features.plain_allocator)
        known = tuple(rules) if self.features.taint_rules else ()
        self.rules = known
        self.slices = with_rules(tuple(slices), known)
        self._index = PoolIndex(self.slices, self.features)
        self._pools: dict[str, tuple[Pool, ...]] = {}
        self._known: dict[int, tuple[WantedClaim, bool]] = {}
        self._limit = limit

    def pools(self, node: Node) -> tuple[Pool, ...]:
        """The pools that a node sees, in the order in which they are looked through."""
        found = self._pools.get(node.name)
        if found is None:
            found = self._pools[node.name] = self._index.pools(node)
        return found

    def outdated(self, node: Node) -> tuple[tuple[PoolId, str], ...]:
        """The pools of which a node has slices that do not count, and why."""
        return self._index.outdated(node)

    def allocate(
        self,
        node: Node,
        claims: Sequence[WantedClaim],
        held: Held | None = None,
        *,
        limit: int | None = None,
        without: frozenset[Without] = frozenset(),
    ) -> Answer:
        """Devices for all of `claims` on `node`, or for none of them.

        The first solution in the scheduler's order is taken; nothing is changed by this.

        :param held: what other claims hold.
        :param limit: another than the allocator's own.
        :param without: rules to leave out, for those who look for the one that stands in the way.
        """
        limit = limit or self._limit
        pools = self.pools(node)
        held = held or Held()
        if self._is_full(pools, claims, held):
            return Answer(None)
        asks = Asks(self.classes, self.features, self.matching, node, pools)
        search: Search | None = None
        try:
            groups = []
            for index, claim in enumerate(claims):
                groups.append(asks.of(index, claim))
                self._check_constraints(claim)
            search = Search(
                asks,
                groups,
                [self._rules(claim) for claim in claims],
                claims,
                node,
                pools,
                held,
                self.features,
                limit,
                without,
            )
            if search.run():
                return Answer(
                    tuple(
                        allocation(
                            claim,
                            search.picks[index],
                            [
                                alternatives[search.chosen.get((index, group), 0)]
                                for group, alternatives in enumerate(groups[index])
                            ],
                            node,
                            self.features,
                        )
                        for index, claim in enumerate(claims)
                    ),
                    steps=search.steps,
                )
        except Fatal as error:
            return Answer(None, str(error))
        except SelectorFailed as error:
            return Answer(None, str(error), cause=error.cause)
        except LimitReached:
            text = (
                f"gave up after {limit} devices tried: too many combinations; ask for fewer devices"
                " at once or narrow the selectors"
            )
            return Answer(None, text, gave_up=True, steps=limit)
        if any(pool.state is PoolState.INVALID for pool in pools):
            return Answer(None, "invalid resource pools were encountered", this_node_only=True)
        return Answer(None, steps=search.steps)

    def cannot_err(self, node: Node, claims: Sequence[WantedClaim]) -> bool:
        """Whether an attempt on `node` ends without an error, whatever is in use: no selector fails on any of
        its devices, and all amounts can be calculated with.
        """
        pools = self.pools(node)
        asks = Asks(self.classes, self.features, self.matching, node, pools)
        offers = [offer for pool in pools for offer in pool.offers]
        try:
            for index, claim in enumerate(claims):
                self._check_constraints(claim)
                for ask in (ask for group in asks.of(index, claim) for ask in group):
                    if ask.all_devices:
                        return False  # a constraint that one of all breaks is an error
                    for offer in offers:
                        asks.selectable(ask, offer)
                        asks.amounts(ask, offer)
        except (Fatal, SelectorFailed, NotRepresentable):
            return False
        return True

    def _is_full(self, pools: Sequence[Pool], claims: Sequence[WantedClaim], held: Held) -> bool:
        """Whether the first request cannot but find every device in use: most nodes of a busy cluster.

        Where it is checked at all, the search would look at no device, so it would meet no error either.
        """
        if not claims or any(pool.state is not PoolState.USABLE for pool in pools):
            return False
        known = self._known
        for claim in claims:
            if id(claim) not in known:
                known[id(claim)] = claim, self._is_plain(claim)
            if not known[id(claim)][1]:
                return False
        return all(offer.device.id in held.whole for pool in pools for offer in pool.offers)

    def _is_plain(self, claim: WantedClaim) -> bool:
        """Whether nothing can be wrong with a claim, and it asks for devices of its own."""
        return (
            bool(claim.groups)
            and all(
                not group.first_available
                and request.mode == "ExactCount"
                and request.count > 0
                and request.admin is None
                and request.capacity is None
                and not request.derived
                and None not in request.selectors
                and request.class_name in self.classes
                for group in claim.groups
                for request in group.alternatives
            )
            and sum(group.alternatives[0].count for group in claim.groups) <= RESULTS_PER_CLAIM
            and all(
                constraint.match is not None
                or (constraint.distinct is not None and not self.features.plain_allocator)
                for constraint in claim.constraints
            )
        )

    def _check_constraints(self, claim: WantedClaim) -> None:
        for index, constraint in enumerate(claim.constraints):
            unknown = constraint.distinct is None or self.features.plain_allocator
            if constraint.match is None and unknown:
                raise Fatal(
                    f"claim {claim.title}, constraint #{index}: empty constraint"
                    " (unsupported constraint type?)"
                )

    def _rules(self, claim: WantedClaim) -> list[Match | Distinct]:
        found = rules(claim.constraints, lists=self.features.list_attributes)
        return [rule for rule in found if rule is not None]
