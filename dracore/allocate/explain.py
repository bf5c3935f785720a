"""Why claims cannot be allocated: each request by itself, then all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from dracore.allocate.allocator import Allocator
from dracore.allocate.asks import Ask, Asks, Fatal
from dracore.allocate.compared import Together
from dracore.allocate.freeing import Ends, enough
from dracore.allocate.funnels import Explanation, Funnel
from dracore.allocate.held import Held
from dracore.allocate.judge import Judge, Standing
from dracore.allocate.latest import Latest
from dracore.allocate.looks import Look, Tally, look
from dracore.allocate.matching import SelectorFailed
from dracore.allocate.nearest import closest
from dracore.allocate.nodes import Node
from dracore.allocate.occupied import Occupied
from dracore.allocate.pools import PoolState
from dracore.allocate.published import DeviceId, PublishedDevice
from dracore.allocate.reasons import Stage
from dracore.allocate.together import STEPS, Joint
from dracore.allocate.told import summary
from dracore.allocate.unfit import Unfit
from dracore.allocate.unselected import Unselected
from dracore.allocate.wanted import WantedClaim

NODES_LIMIT = 3
"""Nodes on which it is looked for what keeps requests from being met together."""
WithoutClaims: TypeAlias = Callable[[frozenset[str]], Held]


@dataclass(slots=True)
class _Looked:
    """A claim with what was found for each of its requests."""

    claim: WantedClaim
    judge: Judge
    groups: list[list[Ask]] = field(default_factory=list)
    tallies: dict[Ask, Tally] = field(default_factory=dict)

    def open_to(self, group: Sequence[Ask]) -> set[str]:
        """The nodes where a request could be met in one of its alternatives, were it alone."""
        return set[str]().union(*(self.tallies[ask].open_to(ask) for ask in group))


class Explainer:
    """Explains one refusal after the other, and looks again only at what has changed in between.

    :param held: what is in use, added to from outside.
    :param holders: the claims that hold a device, for the text.
    :param without: what would be held without some claims, named as in `holders`.
    """

    def __init__(
        self,
        allocator: Allocator,
        held: Held,
        holders: Mapping[DeviceId, Sequence[str]] | None = None,
        without: WithoutClaims | None = None,
    ) -> None:
        self._allocator = allocator
        self._held = held
        self._holders = {} if holders is None else holders
        self._without = without
        self._unselected = Unselected(allocator.matching)
        self._standings: Latest[PublishedDevice, Standing] = Latest()
        self._looks: Latest[str, Look] = Latest()

    def explain(self, nodes: Sequence[Node], claims: Sequence[WantedClaim], error: str = "") -> Explanation:
        """Why `claims` cannot be allocated on any of `nodes`.

        :param error: what the attempt ended with, if it did.
        """
        allocator = self._allocator
        problems = _problems(allocator, nodes)
        occupied = Occupied(allocator.features, self._held, self._holders)
        funnels: list[Funnel] = []
        looked: list[_Looked] = []
        for index, claim in enumerate(claims):
            found = _Looked(claim, self._judge(claim, occupied))
            try:
                asks = Asks(allocator.classes, allocator.features, allocator.matching, Node(""), ())
                found.groups = [list(group) for group in asks.of(index, claim)]
            except (Fatal, SelectorFailed) as fault:
                funnels.append(Funnel(claim.title, "", "", {}, (), blocks=True, error=str(fault)))
                continue
            looked.append(found)
            for ask in (ask for group in found.groups for ask in group):
                found.tallies[ask] = self._tally(found.judge, ask, nodes)
            for group in found.groups:
                stuck = not found.open_to(group)
                funnels += [_funnel(found, ask, blocks=stuck) for ask in group]
        together: list[Together] = []
        if not error and len(looked) == len(claims) and not any(funnel.blocks for funnel in funnels):
            together = self._joint(nodes, looked)
            if together:
                funnels = _narrowed(funnels, looked, together[0])
        elif "constraint would not be satisfied" in error and len(looked) == len(claims):
            together = list(self._joint_of(nodes[0], looked).constraints())
        text = summary(allocator, nodes, claims, funnels, problems, together)
        ends = None
        if self._without is not None and not error:
            ends = self._ends(self._without, claims, looked)
        return Explanation(tuple(funnels), text, tuple(problems), tuple(together), ends)

    def _judge(self, claim: WantedClaim, occupied: Occupied) -> Judge:
        allocator = self._allocator
        unfit = Unfit(allocator.features, allocator.matching, claim.constraints, allocator.rules)
        return Judge(self._unselected, unfit, occupied, self._standings, repr(claim.constraints))

    def _ends(
        self, without: WithoutClaims, claims: Sequence[WantedClaim], looked: Sequence[_Looked]
    ) -> tuple[Ends, ...]:
        def fits(node: Node, names: frozenset[str]) -> bool:
            answer = self._allocator.allocate(node, claims, without(names), limit=STEPS)
            return answer.allocations is not None

        return enough(_keeping(looked), fits)

    # --- one request by itself ------------------------------------------------------------------------

    def _tally(self, judge: Judge, ask: Ask, nodes: Sequence[Node]) -> Tally:
        tally = Tally()
        known = self._looks.of(judge.sort(ask))
        changes = self._held.changes
        for node in nodes:
            pools = self._allocator.pools(node)
            state = tuple([changes.get(pool.id, 0) for pool in pools])
            seen = known.get(node.name)
            if seen is None or seen.state != state or not seen.serves(tally.told):
                seen = known[node.name] = look(judge, ask, node, pools, state, tally.told)
            tally.add(node, seen)
        return tally

    # --- all of them together -------------------------------------------------------------------------

    def _joint(self, nodes: Sequence[Node], looked: Sequence[_Looked]) -> list[Together]:
        """What is in the way on the nodes where each request finds enough; else which node lacks what."""
        groups = [(group[0], one.open_to(group)) for one in looked for group in one.groups]
        for_all = set[str].intersection(*(names for _, names in groups)) if groups else set()
        open_to = [node for node in nodes if not groups or node.name in for_all]
        if open_to:
            found = [self._joint_of(node, looked).find() for node in open_to[:NODES_LIMIT]]
            rest = len(open_to) - 1
            if rest:
                others = "the other node that has" if rest == 1 else f"the {rest} other nodes that have"
                found[0] = replace(found[0], told=f"{found[0].told}; nor on {others} enough")
            return found
        lacking = {node.name: [ask for ask, names in groups if node.name not in names] for node in nodes}
        lines = []
        for name, asks in sorted(lacking.items(), key=lambda entry: len(entry[1])):
            wanted = " and ".join(dict.fromkeys(ask.name.partition("/")[0] for ask in asks))
            lines.append(f"node {name} has too little for {wanted}")
        more = f" and {len(lines) - 3} more nodes" if len(lines) > 3 else ""
        told = f"no node has enough for all requests: {'; '.join(lines[:3])}{more}"
        return [Together(told, tuple(lines[:20]))]

    def _joint_of(self, node: Node, looked: Sequence[_Looked]) -> Joint:
        return Joint(
            self._allocator,
            node,
            [one.claim for one in looked],
            [[tuple(group) for group in one.groups] for one in looked],
            [one.judge for one in looked],
            self._held,
        )


def explain(
    allocator: Allocator,
    nodes: Sequence[Node],
    claims: Sequence[WantedClaim],
    held: Held,
    *,
    holders: Mapping[DeviceId, Sequence[str]] | None = None,
    error: str = "",
    without: WithoutClaims | None = None,
) -> Explanation:
    """One explanation: see :class:`Explainer`."""
    return Explainer(allocator, held, holders, without).explain(nodes, claims, error)


def _keeping(looked: Sequence[_Looked]) -> Iterator[tuple[Node, Ends]]:
    """The claims that keep a device away, with the node where they do."""
    for tally in (tally for one in looked for tally in one.tallies.values()):
        for device, reason in tally.reasons.items():
            if reason.holders:
                yield tally.places[device][1], reason.holders


def _funnel(found: _Looked, ask: Ask, *, blocks: bool) -> Funnel:
    tally = found.tallies[ask]
    best_node = max(tally.passed, key=lambda node: tally.passed[node], default="")
    return Funnel(
        found.claim.title,
        ask.name,
        "all" if ask.all_devices else str(ask.count),
        tally.left(),
        tuple(tally.reasons.values()),
        tally.passed.get(best_node, 0),
        best_node,
        blocks,
        ambiguous=frozenset(tally.ambiguous),
        closest=closest(found.judge, ask, tally.reasons, tally.places) if blocks else None,
    )


def _narrowed(funnels: Sequence[Funnel], looked: Sequence[_Looked], together: Together) -> list[Funnel]:
    """The funnels with how many devices can be had together as their end."""
    asks = [(one, ask) for one in looked for group in one.groups for ask in group]
    found = []
    for funnel, (one, ask) in zip(funnels, asks, strict=True):
        most = together.most.get((funnel.claim, funnel.request))
        if most is None:
            found.append(funnel)
            continue
        if together.few:
            tally = one.tallies[ask]
            near = closest(one.judge, ask, tally.reasons, tally.places)
            funnel = replace(funnel, short=True, closest=near)
        if most < funnel.left[Stage.CONSTRAINTS]:
            more = together.reasons.get((funnel.claim, funnel.request), ())
            left = {**funnel.left, Stage.CONSTRAINTS: most}
            funnel = replace(funnel, left=left, reasons=(*funnel.reasons, *more))
        found.append(funnel)
    return found


# --- pools that do not count ----------------------------------------------------------------------------


def _problems(allocator: Allocator, nodes: Sequence[Node]) -> list[str]:
    found: dict[str, None] = {}
    for node in nodes:
        for pool in allocator.pools(node):
            if pool.state is PoolState.INCOMPLETE:
                found[f"pool {pool.id} is incomplete: {pool.reason}"] = None
            elif pool.state is PoolState.INVALID:
                found[f"pool {pool.id} is invalid: {pool.reason}"] = None
        for pool_id, reason in allocator.outdated(node):
            found[f"pool {pool_id} is left out: {reason}"] = None
    return list(found)
