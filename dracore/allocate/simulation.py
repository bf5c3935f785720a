"""Pods and claims one after the other, as a scheduler would meet them, and what is left."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dracore.allocate.allocator import STEPS, Allocator, Answer
from dracore.allocate.counters import CounterLedger
from dracore.allocate.explain import Explanation, explain
from dracore.allocate.features import Features
from dracore.allocate.held import Held
from dracore.allocate.matching import Compiler, cel
from dracore.allocate.near import hint
from dracore.allocate.nodes import Node, NodeSelector
from dracore.allocate.pods import Pod, extended_requests, unserved
from dracore.allocate.pools import Offer, PoolState, missing_gate, skips
from dracore.allocate.published import DeviceId, billionths
from dracore.allocate.results import Allocation
from dracore.allocate.told import error_told
from dracore.allocate.wanted import WantedClaim
from dracore.allocate.world import World
from dracore.errors import ConfigError
from dracore.model.claim import ClaimRef
from dracore.model.device import JSON

ALL_FILTERED = 100
"""Up to so many nodes the scheduler filters all (minFeasibleNodesToFind); of more it may stop earlier."""
ELSEWHERE = 100_000
"""Devices that may be tried on a further node, where nothing but an error is looked for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one claim."""

    claim: WantedClaim
    node: str = ""
    allocation: Allocation | None = None
    reason: str = ""
    explanation: Explanation | None = None

    def json(self) -> JSON:
        """An entry of ``claims`` of ``dracore simulate``."""
        results = self.allocation.results if self.allocation is not None else ()
        return {
            "namespace": self.claim.ref.namespace,
            "name": self.claim.ref.name,
            "node": self.node or None,
            "allocated": self.allocation is not None,
            "results": [
                {
                    "request": picked.request,
                    **picked.device._asdict(),
                    "shareID": picked.share_id or None,
                    "consumedCapacity": dict(picked.consumed),
                    "adminAccess": picked.admin,
                    "tolerations": list(picked.tolerations),
                }
                for picked in results
            ],
            "reason": self.reason or None,
        }


@dataclass(slots=True)
class _Wish:
    """Claims that are allocated together, and the nodes that may serve them."""

    claims: list[WantedClaim]
    pod: Pod | None = None
    bound: list[tuple[str, NodeSelector]] = field(default_factory=list)
    """Claims that are allocated already, and their nodes."""
    missing: str = ""

    @property
    def extends(self) -> bool:
        """Whether the pod may ask for extended resources, which differ from node to node."""
        return self.pod is not None and any(container.requests for container in self.pod.containers)

    def refuses(self, node: Node) -> str:
        """Why they cannot be served on a node, whatever devices it has."""
        if self.pod is not None and (why := self.pod.refuses(node)):
            return why
        bound = next((name for name, selector in self.bound if not selector.matches(node)), "")
        return f"claim {bound} of the pod is allocated for other nodes" if bound else ""


class Simulation:
    """A world, and what is held in it; used once.

    :param node: the one node that is looked at.
    :param thorough: find out of each refusal which claims would have to end.
    :raises ConfigError: a node that does not exist.
    """

    def __init__(
        self,
        world: World,
        features: Features,
        *,
        node: str = "",
        compiler: Compiler = cel,
        limit: int = STEPS,
        thorough: bool = False,
    ) -> None:
        self._thorough = thorough
        self._world = world
        self._features = features
        self.allocator = Allocator(
            world.slices,
            world.classes.values(),
            features=features,
            rules=world.rules,
            compiler=compiler,
            limit=limit,
        )
        self.nodes = self._nodes(node)
        self.held = Held()
        self.holders: dict[DeviceId, list[str]] = {}
        self._granted: list[tuple[str, Sequence[Mapping[str, Any]]]] = []
        self._refused: dict[str, set[str]] = {}
        self._harmless: dict[str, set[str]] = {}
        """What is asked for to the nodes where that cannot end with an error, whatever is in use."""
        self._done: dict[tuple[str, str], Outcome] = {}
        self._taken = 0
        """How many claims hold something."""
        self._last: tuple[tuple[str, int, tuple[str, ...]], Explanation] | None = None
        self._selectors: dict[tuple[str, str], NodeSelector] = {}
        for stored in world.claims.values():
            if stored.results is not None:
                self._hold(stored.wanted.ref, stored.results)

    def run(self) -> list[Outcome]:
        """The claims in order; those of a pod together, on one node."""
        return [outcome for wish in self._wishes() for outcome in self._grant(wish)]

    def left(self) -> list[JSON]:
        """The devices that a further claim could still have, at least in part."""
        found: dict[DeviceId, str | None] = {}
        ledger = CounterLedger(self.held, groups=self._features.compatibility_groups)
        for node in self.nodes:
            for pool in self.allocator.pools(node):
                if pool.state is not PoolState.USABLE:
                    continue
                for offer in pool.offers:
                    if offer.device.id not in found and self._is_left(offer, node, ledger):
                        reach = offer.device.reach if offer.slice.per_device else offer.slice.reach
                        found[offer.device.id] = reach.node_name
        return [{"node": node, **device._asdict()} for device, node in found.items()]

    # --- what there is to do --------------------------------------------------------------------------

    def _wishes(self) -> Iterator[_Wish]:
        by_pods = {
            (pod.namespace, self._claim_name(pod, entry.name, entry.claim))
            for pod in self._world.queue
            if isinstance(pod, Pod) and not pod.done
            for entry in pod.claims
        }
        for item in self._world.queue:
            if isinstance(item, Pod):
                if not item.done:
                    yield self._wish_of(item)
            elif (item.wanted.ref.namespace, item.wanted.ref.name) not in by_pods and item.results is None:
                yield _Wish([item.wanted])

    @staticmethod
    def _claim_name(pod: Pod, entry: str, claim: str) -> str:
        return claim or (pod.statuses or {}).get(entry) or f"{pod.name}-{entry}"

    def _wish_of(self, pod: Pod) -> _Wish:
        wish = _Wish([], pod)
        if pod.gated:
            wish.missing = f"pod {pod.name} has the scheduling gate {pod.gated[0]}"
        for entry in pod.claims:
            name = self._claim_name(pod, entry.name, entry.claim)
            key = (pod.namespace, name)
            stored = self._world.claims.get(key)
            if key in self._done:
                outcome = self._done[key]
                if outcome.allocation is None:
                    wish.missing = f"claim {name} is not allocated"
                elif (selector := self._selectors.get(key)) is not None:
                    wish.bound.append((name, selector))
            elif stored is not None and stored.results is not None:
                if stored.selector is not None:
                    wish.bound.append((name, stored.selector))
            elif stored is not None:
                wish.claims.append(stored.wanted)
            elif not entry.template:
                wish.missing = f"pod {pod.name} needs claim {name}, which does not exist"
                wish.claims.append(WantedClaim(ClaimRef("", *key), ()))
            else:
                template = self._world.templates.get((pod.namespace, entry.template))
                if template is None:
                    wish.missing = (
                        f"pod {pod.name} needs template {entry.template}, which does not exist in"
                        f" namespace {pod.namespace}"
                    )
                    wish.claims.append(WantedClaim(ClaimRef("", *key), ()))
                else:
                    wish.claims.append(WantedClaim.from_spec(ClaimRef("", *key), template))
        return wish

    def _extended(self, wish: _Wish, node: Node) -> list[WantedClaim]:
        """The claims with that for extended resources, which may differ from node to node."""
        if wish.pod is None or not self._features.extended_resources:
            return wish.claims
        served = self._world.allocatable.get(node.name, frozenset())
        requests = extended_requests(wish.pod, self.allocator.classes, lambda name: name in served)
        if not requests:
            return wish.claims
        return [*wish.claims, WantedClaim(self._extended_ref(wish.pod), requests)]

    @staticmethod
    def _extended_ref(pod: Pod) -> ClaimRef:
        return ClaimRef("", pod.namespace, f"{pod.name}-extended-resources")

    def _unserved(self, pod: Pod, nodes: Iterable[Node]) -> str:
        """Why an extended resource of a pod cannot be had on any of the nodes; empty where all can."""
        if not any(container.requests for container in pod.containers):
            return ""
        served = {name for node in nodes for name in self._world.allocatable.get(node.name, ())}
        gate = self._features.extended_resources
        return unserved(pod, self.allocator.classes, served.__contains__, gate=gate)

    # --- one pod or claim -----------------------------------------------------------------------------

    def _grant(self, wish: _Wish) -> list[Outcome]:
        if wish.missing:
            return [self._note(Outcome(claim, reason=wish.missing)) for claim in wish.claims]
        if wish.pod is not None and (nobody := self._unserved(wish.pod, self.nodes)):
            claims = [*wish.claims, WantedClaim(self._extended_ref(wish.pod), ())]
            return [self._note(Outcome(claim, reason=f"{nobody}; no node advertises it")) for claim in claims]
        nodes, closed = self.nodes, ""
        if wish.pod is not None:
            nodes, closed = self._open_to(wish)
        if not nodes:
            claims = self._extended(wish, self.nodes[0])
            if not claims and wish.pod is not None and any(self._unserved(wish.pod, [n]) for n in self.nodes):
                claims = [WantedClaim(self._extended_ref(wish.pod), ())]
            return [self._note(Outcome(claim, reason=closed)) for claim in claims]
        failed: Answer | None = None
        refused = self._refused.setdefault(_signature(wish.claims), set())
        for place, node in enumerate(nodes, 1):
            if node.name in refused and not wish.extends:
                continue
            claims = self._extended(wish, node)
            if not claims:
                return []
            answer = self.allocator.allocate(node, claims, self.held)
            if answer.allocations is not None:
                ending = self._ended(wish, nodes[place:ALL_FILTERED], refused)
                if ending is not None:
                    return self._refuse(ending[1], ending[2], [ending[0]])
                return [
                    self._take(claim, node, allocation)
                    for claim, allocation in zip(claims, answer.allocations, strict=True)
                ]
            if not answer.error:
                # What is held only grows here: who asks for the same again is refused again.
                refused.add(node.name)
            else:
                failed = failed or answer
                if not answer.this_node_only and not answer.gave_up:
                    # Such an error ends the scheduler's attempt, whatever other nodes have.
                    return self._refuse(claims, answer.error, [node])
        claims = self._extended(wish, nodes[0])
        return self._refuse(claims, failed.error if failed is not None else "", nodes, closed)

    def _ended(
        self, wish: _Wish, nodes: Sequence[Node], refused: Collection[str]
    ) -> tuple[Node, list[WantedClaim], str] | None:
        """The first of the nodes whose filter ends the attempt with an error: the scheduler filters them all,
        and takes none where one of them ends so.
        """
        harmless: set[str] | None = None
        for node in nodes:
            if node.name in refused and not wish.extends:
                continue
            claims = self._extended(wish, node)
            if harmless is None or wish.extends:  # such claims differ from node to node
                harmless = self._harmless.setdefault(_signature(claims), set())
            if node.name in harmless:
                continue
            if self.allocator.cannot_err(node, claims):
                harmless.add(node.name)
                continue
            answer = self.allocator.allocate(node, claims, self.held, limit=ELSEWHERE)
            if answer.error and not answer.this_node_only and not answer.gave_up:
                return node, claims, answer.error
        return None

    def _open_to(self, wish: _Wish) -> tuple[list[Node], str]:
        """The nodes that a pod may use, and in a few words why not the others."""
        found, closed = [], []
        for node in self.nodes:
            why = wish.refuses(node) or (self._unserved(wish.pod, [node]) if wish.pod is not None else "")
            if why:
                closed.append(f"{node.name}: {why}")
            else:
                found.append(node)
        if not closed:
            return found, ""
        count = f"{len(found)} of {len(self.nodes)} nodes {'is' if len(found) == 1 else 'are'}"
        what = f"{count} open to the pod" if found else "no node is open to the pod"
        more = f"; and {len(closed) - 3} more" if len(closed) > 3 else ""
        return found, f"{what} ({'; '.join(closed[:3])}{more})"

    def _refuse(
        self, claims: Sequence[WantedClaim], error: str, nodes: Sequence[Node], closed: str = ""
    ) -> list[Outcome]:
        explanation = self._explanation(claims, error, nodes)
        reason = explanation.summary
        if error:
            reason = error_told(error, self.allocator, claims, explanation)
        if closed:
            reason = f"{reason}; {closed}"
        return [self._note(Outcome(claim, reason=reason, explanation=explanation)) for claim in claims]

    def _explanation(self, claims: Sequence[WantedClaim], error: str, nodes: Sequence[Node]) -> Explanation:
        """What was found for one that asked for the same, where nothing has been taken since."""
        same = (_signature(claims), self._taken, tuple(node.name for node in nodes))
        if len(claims) == 1 and not error and self._last is not None and self._last[0] == same:
            return self._last[1].of(claims[0].title)
        found = explain(
            self.allocator,
            nodes,
            claims,
            self.held,
            holders=self.holders,
            error=error,
            without=self._without if self._thorough else None,
        )
        if not any(funnel.error for funnel in found.funnels):
            self._last = same, found
        return found

    def _take(self, claim: WantedClaim, node: Node, allocation: Allocation) -> Outcome:
        self._hold(claim.ref, [picked.json() for picked in allocation.results])
        outcome = Outcome(claim, node.name, allocation)
        if allocation.node_selector is not None:
            key = (claim.ref.namespace, claim.ref.name)
            self._selectors[key] = NodeSelector.from_json(allocation.node_selector)
        return self._note(outcome)

    def _note(self, outcome: Outcome) -> Outcome:
        self._done[outcome.claim.ref.namespace, outcome.claim.ref.name] = outcome
        return outcome

    def _hold(self, ref: ClaimRef, results: Sequence[Mapping[str, Any]]) -> None:
        self._taken += 1
        self._granted.append((f"{ref.namespace}/{ref.name}", results))
        self.held.add(results, consumable=self._features.consumable_capacity)
        for result in results:
            if not result.get("adminAccess"):
                device = DeviceId(result["driver"], result["pool"], result["device"])
                self.holders.setdefault(device, []).append(f"{ref.namespace}/{ref.name}")

    def _without(self, names: Collection[str]) -> Held:
        """What would be held without some claims."""
        found = Held()
        for name, results in self._granted:
            if name not in names:
                found.add(results, consumable=self._features.consumable_capacity)
        return found

    # --- nodes and what is left -----------------------------------------------------------------------

    def _nodes(self, name: str) -> list[Node]:
        nodes = self._world.nodes_or_guessed()
        if not name:
            return nodes
        known = [node for node in nodes if node.name == name]
        anywhere = any(not item.reach.node_name for item in self._world.slices)
        if not known and (self._world.nodes or (self._world.slices and not anywhere)):
            names = sorted(node.name for node in nodes)
            meant = hint(name, names).removeprefix("; ") or f"one of: {', '.join(names[:10])}"
            raise ConfigError(f"there is no node {name[:100]}", fix=meant)
        return known or [Node(name)]

    def _is_left(self, offer: Offer, node: Node, ledger: CounterLedger) -> bool:
        device = offer.device
        if device.id in self.held.whole:
            return False
        if offer.slice.per_device and not device.reach.covers(node):
            return False
        if missing_gate(offer, self._features) or not skips(offer, node, self._features):
            return False
        shared = self.held.shared.get(device.id)
        if shared is not None:
            has = device.capacity.items()
            return all(billionths(amount.value) > shared.get(name, 0) for name, amount in has)
        if not device.draws:
            return True
        before = ledger.take(offer.pool, device)
        if before is None:
            return False
        ledger.give_back(offer.pool, device, before)
        return True


def _signature(claims: Sequence[WantedClaim]) -> str:
    """The same for claims that ask for the same."""
    return repr([(claim.groups, claim.constraints) for claim in claims])
