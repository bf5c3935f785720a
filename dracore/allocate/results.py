"""Allocations: what the scheduler writes into ``status.allocation``."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dracore.allocate.asks import Ask
from dracore.allocate.features import Features
from dracore.allocate.nodes import Node, Requirement
from dracore.allocate.published import DeviceId
from dracore.allocate.search import Pick
from dracore.allocate.wanted import WantedClaim
from dracore.model.device import JSON

_SHARES = uuid.UUID("6a8f7c52-0c0e-5a0b-9b8e-2f0d6c0f4d11")


@dataclass(frozen=True, slots=True)
class Picked:
    """One result: ``status.allocation.devices.results[]``."""

    request: str
    device: DeviceId
    admin: bool = False
    tolerations: tuple[JSON, ...] = ()
    share_id: str = ""
    consumed: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()
    failure_conditions: tuple[str, ...] = ()
    skip_node_operations: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """As the API writes it; what is empty is left out."""
        content: dict[str, Any] = {"request": self.request, **self.device._asdict()}
        if self.admin:
            content["adminAccess"] = True
        optional = {
            "tolerations": list(self.tolerations),
            "bindingConditions": list(self.conditions),
            "bindingFailureConditions": list(self.failure_conditions),
            "shareID": self.share_id,
            "consumedCapacity": dict(self.consumed),
            "skipNodeOperations": list(self.skip_node_operations),
        }
        return content | {name: value for name, value in optional.items() if value}


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one claim gets."""

    results: tuple[Picked, ...]
    config: tuple[JSON, ...] = ()
    node_selector: JSON = None
    """A ``v1.NodeSelector``; None: the devices can be reached from everywhere."""

    def json(self) -> dict[str, Any]:
        """``status.allocation``."""
        content: dict[str, Any] = {"devices": {"results": [picked.json() for picked in self.results]}}
        if self.config:
            content["devices"]["config"] = list(self.config)
        if self.node_selector is not None:
            content["nodeSelector"] = self.node_selector
        return content


def allocation(
    claim: WantedClaim, picks: Sequence[Pick], asks: Sequence[Ask], node: Node, features: Features
) -> Allocation:
    """The allocation out of what a search found.

    :param asks: for each request of the claim the alternative that was taken.
    """
    results = tuple(_picked(claim, index, pick, features) for index, pick in enumerate(picks))
    binds = not features.plain_allocator
    return Allocation(results, tuple(_config(claim, asks)), _node_selector(picks, node, binds=binds))


def _picked(claim: WantedClaim, index: int, pick: Pick, features: Features) -> Picked:
    device = pick.offer.device
    share = ""
    if pick.amounts is not None:
        # The scheduler draws it by lot; here one input gives one answer.
        share = str(uuid.uuid5(_SHARES, f"{claim.ref.uid}/{claim.ref}/{index}/{device.id}"))
    return Picked(
        request=pick.ask.name,
        device=device.id,
        admin=pick.ask.admin,
        tolerations=tuple(toleration.content for toleration in pick.ask.request.tolerations),
        share_id=share,
        consumed={name: str(amount) for name, amount in (pick.amounts or {}).items()},
        conditions=device.conditions if features.binding_conditions else (),
        failure_conditions=device.failure_conditions if features.binding_conditions else (),
        skip_node_operations=pick.offer.slice.skip_node_operations if features.skips_count else (),
    )


def _config(claim: WantedClaim, asks: Sequence[Ask]) -> list[JSON]:
    """Each class's config once, with the requests that use it, then the claim's own."""
    names = [ask.name for ask in asks]
    users: dict[str, list[Ask]] = {}
    for ask in asks:
        users.setdefault(ask.device_class.name, []).append(ask)
    found: list[tuple[str, list[str], Mapping[str, Any]]] = []
    for same in users.values():
        found += [("FromClass", [ask.name for ask in same], entry) for entry in same[0].device_class.config]
    for entry in claim.config:
        if not entry.requests or any(_named(name, entry.requests) for name in names):
            found.append(("FromClaim", list(entry.requests), entry.content))
    return [
        {
            "source": source,
            # "All of them" is written as an empty list.
            **({} if all(_named(name, requests) for name in names) else {"requests": requests}),
            **content,
        }
        for source, requests, content in found
    ]


def _named(name: str, requests: Sequence[str]) -> bool:
    return not requests or name in requests or name.partition("/")[0] in requests


def _node_selector(picks: Sequence[Pick], node: Node, *, binds: bool) -> JSON:
    """Where a pod with these devices can run.

    :param binds: whether a device can bind a claim to its node.
    """
    fields: list[Requirement] = []
    labels: list[Requirement] = []
    for pick in picks:
        reach = pick.offer.device.reach if pick.offer.slice.per_device else pick.offer.slice.reach
        if reach.node_name or (binds and pick.offer.device.binds_to_node):
            name = {"key": "metadata.name", "operator": "In", "values": [node.name]}
            return {"nodeSelectorTerms": [{"matchFields": [name]}]}
        for term in reach.selector.terms if reach.selector is not None else ():
            for wanted, known in ((term.fields, fields), (term.labels, labels)):
                for one in wanted:
                    if not any(_same(one, other) for other in known):
                        known.append(one)
    term_json: dict[str, Any] = {}
    if labels:
        term_json["matchExpressions"] = [one.json() for one in labels]
    if fields:
        term_json["matchFields"] = [one.json() for one in fields]
    return {"nodeSelectorTerms": [term_json]} if term_json else None


def _same(one: Requirement, other: Requirement) -> bool:
    return (one.key, one.operator, set(one.values)) == (other.key, other.operator, set(other.values))
