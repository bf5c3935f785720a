"""Pods and claims one after the other, as a scheduler would meet them, and what is left."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dracore.allocate.allocator import STEPS, Allocator, Answer
from dracore.allocate.explain import Explainer
from dracore.allocate.features import Features
from dracore.allocate.funnels import Explanation
from dracore.allocate.held import Held
from dracore.allocate.left import left
from dracore.allocate.matching import Compiler, cel
from dracore.allocate.near import hint
from dracore.allocate.nodes import Node
from dracore.allocate.outcomes import Outcome
from dracore.allocate.published import DeviceId
from dracore.allocate.queue import Extended, Queue, Wish
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
        self._explainer = Explainer(
            self.allocator, self.held, self.holders, self._without if thorough else None
        )
        self._extended = Extended(world, self.allocator.classes, features)
        self._granted: list[tuple[str, Sequence[Mapping[str, Any]]]] = []
        self._refused: dict[str, set[str]] = {}
        self._harmless: dict[str, set[str]] = {}
        """What is asked for to the nodes where that cannot end with an error, whatever is in use."""
        self._done: dict[tuple[str, str], Outcome] = {}
        self._taken = 0
        """How many claims hold something."""
        self._last: tuple[tuple[str, int, tuple[str, ...]], Explanation] | None = None
        for stored in world.claims.values():
            if stored.results is not None:
                self._hold(stored.wanted.ref, stored.results)

    def run(self) -> list[Outcome]:
        """The claims in order; those of a pod together, on one node."""
        queue = Queue(self._world, self._done)
        return [outcome for wish in queue for outcome in self._grant(wish)]

    def left(self) -> list[JSON]:
        """The devices that a further claim could still have, at least in part."""
        return left(self.allocator, self.nodes, self.held)

    # --- one pod or claim -----------------------------------------------------------------------------

    def _grant(self, wish: Wish) -> list[Outcome]:
        if wish.missing:
            return [self._note(Outcome(claim, reason=wish.missing)) for claim in wish.claims]
        if wish.pod is not None and (nobody := self._extended.unserved(wish.pod, self.nodes)):
            claims = [*wish.claims, self._extended.nothing(wish.pod)]
            return [self._note(Outcome(claim, reason=f"{nobody}; no node advertises it")) for claim in claims]
        nodes, closed = self.nodes, ""
        if wish.pod is not None:
            nodes, closed = self._extended.open_to(wish, self.nodes)
        if not nodes:
            claims = self._extended.claims(wish, self.nodes[0])
            pod = wish.pod
            if pod is not None and not claims and any(self._extended.unserved(pod, [n]) for n in self.nodes):
                claims = [self._extended.nothing(pod)]
            return [self._note(Outcome(claim, reason=closed)) for claim in claims]
        failed: Answer | None = None
        refused = self._refused.setdefault(_signature(wish.claims), set())
        for place, node in enumerate(nodes, 1):
            if node.name in refused and not wish.extends:
                continue
            claims = self._extended.claims(wish, node)
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
        claims = self._extended.claims(wish, nodes[0])
        return self._refuse(claims, failed.error if failed is not None else "", nodes, closed)

    def _ended(
        self, wish: Wish, nodes: Sequence[Node], refused: Collection[str]
    ) -> tuple[Node, list[WantedClaim], str] | None:
        """The first of the nodes whose filter ends the attempt with an error: the scheduler filters them all,
        and takes none where one of them ends so.
        """
        harmless: set[str] | None = None
        for node in nodes:
            if node.name in refused and not wish.extends:
                continue
            claims = self._extended.claims(wish, node)
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

    def _refuse(
        self, claims: Sequence[WantedClaim], error: str, nodes: Sequence[Node], closed: str = ""
    ) -> list[Outcome]:
        explanation = self._explanation(claims, error, nodes)
        reason = explanation.summary
        if error:
            reason = error_told(error, self.allocator, claims, explanation)
        if closed:
            reason = f"{reason}; {closed}"
        if not self._thorough:  # only the reason is shown; thousands of refusals would hold much otherwise
            explanation = explanation.brief()
        return [self._note(Outcome(claim, reason=reason, explanation=explanation)) for claim in claims]

    def _explanation(self, claims: Sequence[WantedClaim], error: str, nodes: Sequence[Node]) -> Explanation:
        """What was found for one that asked for the same, where nothing has been taken since."""
        same = (_signature(claims), self._taken, tuple(node.name for node in nodes))
        if len(claims) == 1 and not error and self._last is not None and self._last[0] == same:
            return self._last[1].of(claims[0].title)
        found = self._explainer.explain(nodes, claims, error)
        if not any(funnel.error for funnel in found.funnels):
            self._last = same, found
        return found

    def _take(self, claim: WantedClaim, node: Node, allocation: Allocation) -> Outcome:
        self._hold(claim.ref, [picked.json() for picked in allocation.results])
        outcome = Outcome(claim, node.name, allocation)
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


def _signature(claims: Sequence[WantedClaim]) -> str:
    """The same for claims that ask for the same."""
    return repr([(claim.groups, claim.constraints) for claim in claims])
