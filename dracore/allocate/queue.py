"""What waits in a world: pods and claims in their order, with what is allocated together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dracore.allocate.features import Features
from dracore.allocate.nodes import Node, NodeSelector
from dracore.allocate.outcomes import Outcome
from dracore.allocate.pods import Pod, extended_requests, unserved
from dracore.allocate.wanted import DeviceClass, WantedClaim
from dracore.allocate.world import World
from dracore.model.claim import ClaimRef


@dataclass(slots=True)
class Wish:
    """Claims that are allocated together, and the nodes that may serve them."""

    claims: list[WantedClaim]
    pod: Pod | None = None
    bound: list[tuple[str, NodeSelector]] = field(default_factory=list)
    """Claims that are allocated already, and their nodes."""
    missing: str = ""
    """What they wait for in vain."""

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


class Queue:
    """The wishes of a world, one after the other.

    :param done: what became of the claims so far, by namespace and name; added to from outside.
    """

    def __init__(self, world: World, done: Mapping[tuple[str, str], Outcome]) -> None:
        self._world = world
        self._done = done

    def __iter__(self) -> Iterator[Wish]:
        by_pods = {
            (pod.namespace, _claim_name(pod, entry.name, entry.claim))
            for pod in self._world.queue
            if isinstance(pod, Pod) and not pod.done
            for entry in pod.claims
        }
        for item in self._world.queue:
            if isinstance(item, Pod):
                if not item.done:
                    yield self._of(item)
            elif (item.wanted.ref.namespace, item.wanted.ref.name) not in by_pods and item.results is None:
                yield Wish([item.wanted])

    def _of(self, pod: Pod) -> Wish:
        wish = Wish([], pod)
        if pod.gated:
            wish.missing = f"pod {pod.name} has the scheduling gate {pod.gated[0]}"
        for entry in pod.claims:
            name = _claim_name(pod, entry.name, entry.claim)
            key = (pod.namespace, name)
            stored = self._world.claims.get(key)
            if key in self._done:
                allocation = self._done[key].allocation
                if allocation is None:
                    wish.missing = f"claim {name} is not allocated"
                elif allocation.node_selector is not None:
                    wish.bound.append((name, NodeSelector.from_json(allocation.node_selector)))
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


class Extended:
    """The extended resources of pods: from devices, where no device plugin serves them (KEP-5004)."""

    def __init__(self, world: World, classes: Mapping[str, DeviceClass], features: Features) -> None:
        self._allocatable = world.allocatable
        self._classes = classes
        self._features = features

    def claims(self, wish: Wish, node: Node) -> list[WantedClaim]:
        """The claims with that for extended resources, which may differ from node to node."""
        if wish.pod is None or not self._features.extended_resources:
            return wish.claims
        served = self._allocatable.get(node.name, frozenset())
        requests = extended_requests(wish.pod, self._classes, lambda name: name in served)
        return [*wish.claims, WantedClaim(self._ref(wish.pod), requests)] if requests else wish.claims

    def nothing(self, pod: Pod) -> WantedClaim:
        """The claim of a pod whose extended resources nobody has: it asks for no device."""
        return WantedClaim(self._ref(pod), ())

    def unserved(self, pod: Pod, nodes: Iterable[Node]) -> str:
        """Why an extended resource of a pod cannot be had on any of the nodes; empty where all can."""
        if not any(container.requests for container in pod.containers):
            return ""
        served = {name for node in nodes for name in self._allocatable.get(node.name, ())}
        gate = self._features.extended_resources
        return unserved(pod, self._classes, served.__contains__, gate=gate)

    def open_to(self, wish: Wish, nodes: Sequence[Node]) -> tuple[list[Node], str]:
        """The nodes that a pod may use, and in a few words why not the others."""
        found, closed = [], []
        for node in nodes:
            why = wish.refuses(node) or (self.unserved(wish.pod, [node]) if wish.pod is not None else "")
            if why:
                closed.append(f"{node.name}: {why}")
            else:
                found.append(node)
        if not closed:
            return found, ""
        count = f"{len(found)} of {len(nodes)} nodes {'is' if len(found) == 1 else 'are'}"
        what = f"{count} open to the pod" if found else "no node is open to the pod"
        more = f"; and {len(closed) - 3} more" if len(closed) > 3 else ""
        return found, f"{what} ({'; '.join(closed[:3])}{more})"

    @staticmethod
    def _ref(pod: Pod) -> ClaimRef:
        return ClaimRef("", pod.namespace, f"{pod.name}-extended-resources")


def _claim_name(pod: Pod, entry: str, claim: str) -> str:
    return claim or (pod.statuses or {}).get(entry) or f"{pod.name}-{entry}"
