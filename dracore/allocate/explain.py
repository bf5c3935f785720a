"""Why claims cannot be allocated: for each request a funnel of devices, reasons and the nearest miss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dracore.allocate.allocator import Allocator
from dracore.allocate.asks import Ask, Asks, Fatal
from dracore.allocate.compared import Together
from dracore.allocate.freeing import Ends, enough
from dracore.allocate.held import Held
from dracore.allocate.matching import SelectorFailed
from dracore.allocate.nearest import closest
from dracore.allocate.nodes import Node
from dracore.allocate.pools import Offer, PoolState
from dracore.allocate.published import DeviceId, PublishedDevice
from dracore.allocate.reasons import ORDER, Judge, Reason, Stage
from dracore.allocate.together import STEPS, Joint
from dracore.allocate.wanted import WantedClaim

SELECTORS = (Stage.FEATURES, Stage.CLASS, Stage.REQUEST, Stage.NODE)


@dataclass(frozen=True, slots=True)
class Funnel:
    """How far the devices come on their way to one request."""

    claim: str
    request: str
    wants: str
    """A number, or ``all``."""
    left: Mapping[Stage, int]
    """How many devices passed each stage."""
    reasons: tuple[Reason, ...]
    """For each device that fails, why."""
    best: int = 0
    """The most devices on one node that pass all stages."""
    best_node: str = ""
    blocks: bool = False
    """This request alone, in all its alternatives, cannot be met on any node."""
    short: bool = False
    """Others want its devices too, and there are too few."""
    error: str = ""
    ambiguous: frozenset[str] = frozenset()
    """Names of devices that several pools have."""
    closest: Reason | None = None
    """The device that would do with the fewest changes; its remedy holds all of them."""

    @property
    def nearest(self) -> Reason | None:
        """The device for which the fewest things would have to change, where devices are missing."""
        return self.closest if self.blocks or self.short else None

    @property
    def frees(self) -> tuple[str, ...]:
        """What would give a device free, each once."""
        ends = {frozenset(reason.holders) for reason in self.reasons if reason.holders}
        return tuple(
            dict.fromkeys(
                reason.frees
                for reason in self.reasons
                if reason.frees and not any(fewer < frozenset(reason.holders) for fewer in ends)
            )
        )

    def name(self, device: DeviceId) -> str:
        """A device's name, with its pool where several have one of this name."""
        return f"{device.pool}/{device.device}" if device.device in self.ambiguous else device.device


@dataclass(frozen=True, slots=True)
class Explanation:
    """The funnels of all requests of some claims, and in one line why they cannot be met."""

    funnels: tuple[Funnel, ...]
    summary: str
    problems: tuple[str, ...] = ()
    """Pools that are left out, and what else everybody should know."""
    together: tuple[Together, ...] = ()
    """Why devices that would each do cannot be had together."""
    ends: tuple[Ends, ...] | None = None
    """Claims whose end would be enough, each set by itself; None: that was not tried."""

    def of(self, claim: str) -> Explanation:
        """The same for another claim that asks for the same."""
        return replace(self, funnels=tuple(replace(funnel, claim=claim) for funnel in self.funnels))


REASONS_LIMIT = 2_000
"""How many devices that others hold are told of for one request; all are counted."""
NODES_LIMIT = 3
"""Nodes on which it is looked for what keeps requests from being met together."""
_INDEX = {stage: index for index, stage in enumerate(ORDER)}


_PASSED = len(ORDER)


@dataclass(slots=True)
class _Count:
    came: dict[PublishedDevice, int] = field(default_factory=dict)
    """Each device to the stage that stops it, on the node where it comes farthest."""
    reasons: dict[PublishedDevice, Reason] = field(default_factory=dict)
    places: dict[PublishedDevice, tuple[Offer, Node]] = field(default_factory=dict)
    """Where each device came so far."""
    held: int = 0
    names: set[str] = field(default_factory=set)
    ambiguous: set[str] = field(default_factory=set)
    passed: dict[str, int] = field(default_factory=dict)
    """Node to how many devices a request could have there."""
    missing: set[str] = field(default_factory=set)
    """Nodes where a request for all devices cannot have one of them."""

    def see(self, offer: Offer, node: Node, stage: int, reason: Reason | None) -> None:
        """Notes how far a device comes on one more node."""
        device = offer.device
        before = self.came.get(device)
        if before is None:
            name = device.id.device
            (self.ambiguous if name in self.names else self.names).add(name)
        elif stage <= before:
            return
        self.came[device] = stage
        self.places[device] = offer, node
        if reason is not None:
            self.reasons[device] = reason
        else:
            self.reasons.pop(device, None)

    def left(self) -> dict[Stage, int]:
        """How many passed each stage."""
        stopped, left, found = Counter(self.came.values()), len(self.came), {}
        for index, stage in enumerate(ORDER):
            left -= stopped[index]
            found[stage] = left
        return found

    def enough(self, ask: Ask, node: str) -> bool:
        passed = self.passed.get(node, 0)
        return passed > 0 and node not in self.missing if ask.all_devices else passed >= ask.count


@dataclass(slots=True)
class _Looked:
    """A claim with what was found for each of its requests."""

    claim: WantedClaim
    judge: Judge
    groups: list[list[Ask]] = field(default_factory=list)
    counts: dict[Ask, _Count] = field(default_factory=dict)

    def lacking(self, node: str) -> Iterator[list[Ask]]:
        """The requests that cannot be met on a node even alone."""
        return (
            group for group in self.groups if not any(self.counts[ask].enough(ask, node) for ask in group)
        )


def explain(
    allocator: Allocator,
    nodes: Sequence[Node],
    claims: Sequence[WantedClaim],
    held: Held,
    *,
    holders: Mapping[DeviceId, Sequence[str]] | None = None,
    error: str = "",
    without: Callable[[frozenset[str]], Held] | None = None,
) -> Explanation:
    """Why `claims` cannot be allocated on any of `nodes`.

    :param holders: the claims that hold a device, for the text.
    :param error: what the attempt ended with, if it did.
    :param without: what would be held without some claims, named as in `holders`.
    """
    from dracore.allocate.told import summary

    problems = _problems(allocator, nodes)
    funnels: list[Funnel] = []
    looked: list[_Looked] = []
    for index, claim in enumerate(claims):
        judge = Judge(
            allocator.matching,
            allocator.features,
            held,
            holders or {},
            claim.constraints,
            allocator.judged,
            allocator.rules,
        )
        found = _Looked(claim, judge)
        try:
            asks = Asks(allocator.classes, allocator.features, allocator.matching, Node(""), ())
            found.groups = [list(group) for group in asks.of(index, claim)]
        except (Fatal, SelectorFailed) as fault:
            funnels.append(Funnel(claim.title, "", "", {}, (), blocks=True, error=str(fault)))
            continue
        looked.append(found)
        for ask in (ask for group in found.groups for ask in group):
            count = found.counts[ask] = _Count()
            for node in nodes:
                _look(allocator, judge, ask, node, count, held)
        for group in found.groups:
            stuck = all(not any(found.counts[ask].enough(ask, node.name) for node in nodes) for ask in group)
            funnels += [_funnel(claim, ask, judge, found.counts[ask], blocks=stuck) for ask in group]
    together: list[Together] = []
    if not error and len(looked) == len(claims) and not any(funnel.blocks for funnel in funnels):
        together = _joint(allocator, nodes, looked, held)
        if together:
            funnels = [_narrowed(funnel, together[0]) for funnel in funnels]
    elif "constraint would not be satisfied" in error and len(looked) == len(claims):
        together = list(_joint_of(allocator, nodes[0], looked, held).constraints())
    text = summary(allocator, nodes, claims, funnels, problems, together)
    ends = None
    if without is not None and not error:

        def fits(node: Node, names: frozenset[str]) -> bool:
            answer = allocator.allocate(node, claims, without(names), limit=STEPS)
            return answer.allocations is not None

        ends = enough(_keeping(looked), fits)
    return Explanation(tuple(funnels), text, tuple(problems), tuple(together), ends)


def _keeping(looked: Sequence[_Looked]) -> Iterator[tuple[Node, Ends]]:
    """The claims that keep a device away, with the node where they do."""
    for count in (count for one in looked for count in one.counts.values()):
        for device, reason in count.reasons.items():
            if reason.holders:
                yield count.places[device][1], reason.holders


# --- one request by itself ------------------------------------------------------------------------------


def _look(allocator: Allocator, judge: Judge, ask: Ask, node: Node, count: _Count, held: Held) -> None:
    passed = 0
    for pool in allocator.pools(node):
        if pool.state is not PoolState.USABLE:
            continue
        for offer in pool.offers:
            device = offer.device
            early, late = judge.standing(ask, offer)
            reason = judge.on_node(offer, node) if early is None else early
            if reason is None and device.id in held.whole and not ask.admin and count.held >= REASONS_LIMIT:
                if ask.all_devices:
                    count.missing.add(node.name)
                count.see(offer, node, _INDEX[Stage.IN_USE], None)
                continue
            if reason is None:
                reason = judge.held_by_others(ask, offer)
                count.held += reason is not None
            reason = reason or late
            if reason is None:
                passed += 1
            elif ask.all_devices and reason.stage not in (*SELECTORS, Stage.CAPACITY):
                count.missing.add(node.name)
            count.see(offer, node, _PASSED if reason is None else _INDEX[reason.stage], reason)
    if passed:
        count.passed[node.name] = passed


def _funnel(claim: WantedClaim, ask: Ask, judge: Judge, count: _Count, *, blocks: bool) -> Funnel:
    best_node = max(count.passed, key=lambda node: count.passed[node], default="")
    return Funnel(
        claim.title,
        ask.name,
        "all" if ask.all_devices else str(ask.count),
        count.left(),
        tuple(count.reasons.values()),
        count.passed.get(best_node, 0),
        best_node,
        blocks,
        ambiguous=frozenset(count.ambiguous),
        closest=closest(judge, ask, count.reasons, count.places),
    )


# --- all of them together -------------------------------------------------------------------------------


def _joint(
    allocator: Allocator, nodes: Sequence[Node], looked: Sequence[_Looked], held: Held
) -> list[Together]:
    """What is in the way on the nodes where each request finds enough; else which node lacks what."""
    lacking = {
        node.name: [ask for one in looked for group in one.lacking(node.name) for ask in group[:1]]
        for node in nodes
    }
    open_to = [node for node in nodes if not lacking[node.name]]
    if open_to:
        found = [_joint_of(allocator, node, looked, held).find() for node in open_to[:NODES_LIMIT]]
        rest = len(open_to) - 1
        if rest:
            others = "the other node that has" if rest == 1 else f"the {rest} other nodes that have"
            found[0] = replace(found[0], told=f"{found[0].told}; nor on {others} enough")
        return found
    lines = []
    for name, asks in sorted(lacking.items(), key=lambda entry: len(entry[1])):
        names = " and ".join(dict.fromkeys(ask.name.partition("/")[0] for ask in asks))
        lines.append(f"node {name} has too little for {names}")
    more = f" and {len(lines) - 3} more nodes" if len(lines) > 3 else ""
    return [Together(f"no node has enough for all requests: {'; '.join(lines[:3])}{more}", tuple(lines[:20]))]


def _joint_of(allocator: Allocator, node: Node, looked: Sequence[_Looked], held: Held) -> Joint:
    return Joint(
        allocator,
        node,
        [one.claim for one in looked],
        [[tuple(group) for group in one.groups] for one in looked],
        [one.judge for one in looked],
        held,
    )


def _narrowed(funnel: Funnel, together: Together) -> Funnel:
    """The funnel with how many devices can be had together as its end."""
    most = together.most.get((funnel.claim, funnel.request))
    if most is None:
        return funnel
    funnel = replace(funnel, short=together.few)
    if most >= funnel.left[Stage.CONSTRAINTS]:
        return funnel
    more = together.reasons.get((funnel.claim, funnel.request), ())
    left = {**funnel.left, Stage.CONSTRAINTS: most}
    return replace(funnel, left=left, reasons=(*funnel.reasons, *more))


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
