"""Why a device cannot serve a request whoever holds it: gates, the node, its size, taints, attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dracore.allocate.asks import Ask
from dracore.allocate.features import Features
from dracore.allocate.matching import Matching, SelectorFailed
from dracore.allocate.nodes import Node
from dracore.allocate.pools import NODE_OPERATIONS, Offer, missing_gate, skips
from dracore.allocate.published import PublishedDevice, TaintRule, billionths
from dracore.allocate.reasons import Reason, Stage, in_unit
from dracore.allocate.shares import NotRepresentable, rule_of, taken
from dracore.allocate.taint import Taint, taint
from dracore.allocate.taints import all_in_the_way
from dracore.allocate.wanted import Constraint, Toleration
from dracore.model.quantity import Quantity


class Unfit:
    """For the requests of one claim.

    :param rules: the taint rules, to tell whose taint it is.
    """

    def __init__(
        self,
        features: Features,
        matching: Matching,
        constraints: Sequence[Constraint],
        rules: Sequence[TaintRule],
    ) -> None:
        self._features = features
        self._matching = matching
        self._constraints = constraints
        self._rules = rules

    def gates(self, offer: Offer) -> Reason | None:
        """Whether a gate is off that the device needs."""
        device = offer.device
        missing = missing_gate(offer, self._features)
        if not missing:
            return None
        return Reason(
            device.id, Stage.FEATURES, f"it needs the gate {missing}", f"the gate {missing} were on"
        )

    def on_node(self, offer: Offer, node: Node) -> Reason | None:
        """Whether the node is what keeps a device away."""
        device = offer.device
        if not skips(offer, node, self._features):
            text = f"node {node.name} does not declare {NODE_OPERATIONS}"
            return Reason(device.id, Stage.NODE, text, f"node {node.name} declared {NODE_OPERATIONS}")
        if offer.slice.per_device and not device.reach.covers(node):
            return Reason(device.id, Stage.NODE, f"node {node.name} does not reach it", "the node reached it")
        return None

    def sizes(self, ask: Ask, device: PublishedDevice) -> Iterator[Reason]:
        """The capacities that are missing, too small or not to be had in such portions."""
        if not self._features.consumable_capacity:
            return
        requested = ask.request.capacity or {}
        absent = [name for name in requested if name not in device.capacity]
        for name in absent:
            text = f"it has no capacity {name}, which the request wants some of"
            own = name.rpartition("/")[2]
            if own != name and own in device.capacity:
                # Requests name a capacity as it is published; the scheduler looks at no domain.
                text = f"{text}; it has {own}"
                yield Reason(device.id, Stage.CAPACITY, text, f"the request asked for {own}, not {name}")
                continue
            yield Reason(device.id, Stage.CAPACITY, text, f"it had {name}")
        if absent:
            return
        try:
            amounts = taken(requested, device.capacity, fractional=self._features.fractional_range)
        except NotRepresentable as error:
            yield Reason(device.id, Stage.CAPACITY, str(error))
            return
        if amounts is None:
            yield self._policy(device, requested)
        else:
            yield from short_of(device, amounts, Stage.CAPACITY, {})

    def taints(self, ask: Ask, device: PublishedDevice) -> Iterator[Reason]:
        """The taints that the request does not tolerate."""
        if not device.taints or not self._features.device_taints:
            return
        for found in all_in_the_way(device, ask.request):
            value = f"={found.value}" if found.value else ""
            shown = f"{found.key}{value}:{found.effect}"
            by = [rule.name for rule in self._rules if rule.taint == found and rule.names(device.id)]
            origin = f" by DeviceTaintRule {by[0]}" if by and found not in _published_taints(device) else ""
            near = [one for one in ask.request.tolerations if one.key == found.key]
            yield Reason(
                device.id,
                Stage.TAINTS,
                f"it is tainted {shown}{origin}" + (f"; {_unlike(near[0], found)}" if near else ""),
                f"the request tolerated {shown}",
                frees=f"a toleration for {shown}, or the end of the taint",
            )

    def attributes(self, ask: Ask, device: PublishedDevice) -> Iterator[Reason]:
        """The attributes that constraints compare and the device lacks."""
        for constraint in self._constraints:
            name = constraint.match or constraint.distinct or ""
            covered = not constraint.requests or {ask.name, ask.name.partition("/")[0]} & constraint.requests
            if not covered:
                continue
            try:
                attribute = self._matching.attribute(ask.request, device, name)
            except SelectorFailed as failed:
                yield Reason(device.id, Stage.CONSTRAINTS, str(failed))
                continue
            if attribute is None:
                kind = "matchAttribute" if constraint.match else "distinctAttribute"
                text = f"it has no attribute {name}, which {kind} compares"
                yield Reason(device.id, Stage.CONSTRAINTS, text, f"it had {name}")

    def _policy(self, device: PublishedDevice, requested: Mapping[str, Quantity]) -> Reason:
        """Which amount the device's own rules for shares do not allow."""
        for name, has in device.capacity.items():
            asks = {name: requested[name]} if name in requested else {}
            if taken(asks, {name: has}, fractional=self._features.fractional_range) is not None:
                continue
            rule = rule_of(has)
            asked = f"{requested[name]} of {name} is" if name in requested else f"the default of {name} is"
            text = f"{asked} not allowed: a request takes {rule}"
            wanted = f"the request took {rule}" + (
                f": it wants {requested[name]}" if name in requested else ""
            )
            return Reason(device.id, Stage.CAPACITY, text, wanted)
        return Reason(device.id, Stage.CAPACITY, "its request policy does not allow it")


def short_of(
    device: PublishedDevice,
    amounts: Mapping[str, Quantity],
    stage: Stage,
    used: Mapping[str, int],
    frees: str = "",
    holders: tuple[str, ...] = (),
) -> Iterator[Reason]:
    """The capacities of which less is left than is wanted.

    :param used: what others have of each, in billionths.
    """
    for name, amount in amounts.items():
        has = device.capacity[name].value
        left = billionths(has) - used.get(name, 0)
        if billionths(amount) > left:
            rest = in_unit(left, has)
            text = f"{rest} of {name} is left of {has}, {amount} is wanted"
            far = 1 - left / billionths(amount) if left > 0 else 1.0
            remedy = f"{name} left were ≥ {amount}: it is {rest}"
            yield Reason(device.id, stage, text, remedy, far, frees, holders)


def _published_taints(device: PublishedDevice) -> list[Taint]:
    """The taints that the device was published with, without those of rules."""
    return [taint(one) for one in device.content.get("taints") or ()]


def _unlike(toleration: Toleration, taint: Taint) -> str:
    if toleration.effect and toleration.effect != taint.effect:
        return f"the request tolerates {taint.key} with the effect {toleration.effect} only"
    return f"the request tolerates {taint.key}={toleration.value} only"
