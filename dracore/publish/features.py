"""Parts of the slice API that stand behind a feature gate, and what becomes of a device without them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal, TypeAlias

from dracore.model.device import Capacity, Device, Pool

LISTED = 8
"""How many devices a text names before it says "and N more"."""


class Feature(Enum):
    """One gated part of the API: its fields and the gates that it needs (gate matrix of the KEPs)."""

    TAINTS = ("devices[].taints", "DRADeviceTaints")
    COUNTERS = ("sharedCounters, devices[].consumesCounters", "DRAPartitionableDevices")
    SHARING = (
        "devices[].allowMultipleAllocations, devices[].capacity[].requestPolicy",
        "DRAConsumableCapacity",
    )
    BINDING = (
        "devices[].bindsToNode, devices[].bindingConditions, devices[].bindingFailureConditions",
        "DRADeviceBindingConditions, DRAResourceClaimDeviceStatus",
    )
    LISTS = ("devices[].attributes[] lists", "DRAListTypeAttributes")
    NODES = ("perDeviceNodeSelection", "DRAPartitionableDevices")

    def __init__(self, field: str, gate: str) -> None:
        self.field = field
        self.gate = gate


State: TypeAlias = Literal["kept", "dropped", "refused", "unknown"]


@dataclass(frozen=True)
class Support:
    """What the API server does with a feature: keeps it, drops its fields silently, or refuses the object.

    ``unknown`` (the probe itself was not possible) is treated like kept: what is dropped then shows when
    the slice is written.
    """

    state: State
    detail: str = ""

    @property
    def usable(self) -> bool:
        """False where the fields must not be sent."""
        return self.state in ("kept", "unknown")


Supports: TypeAlias = Mapping[Feature, Support]


def used_by(pool: Pool) -> set[Feature]:
    """The features that a pool needs."""
    found: set[Feature] = set()
    if pool.counter_sets:
        found.add(Feature.COUNTERS)
    for device in pool.devices:
        found.update(feature for feature, uses in _USES.items() if feature not in found and uses(device))
    return found


def _shares(device: Device) -> bool:
    return device.allow_multiple_allocations or any(c.policy is not None for c in device.capacity.values())


def _lists(device: Device) -> bool:
    return any(type(value) is tuple for value in device.attributes.values())


def _binds(device: Device) -> bool:
    return device.binds_to_node or bool(device.binding_conditions or device.binding_failure_conditions)


_USES: dict[Feature, Callable[[Device], bool]] = {
    Feature.TAINTS: lambda device: bool(device.taints),
    Feature.COUNTERS: lambda device: bool(device.consumes),
    Feature.SHARING: _shares,
    Feature.BINDING: _binds,
    Feature.LISTS: _lists,
    Feature.NODES: lambda device: device.node is not None,
}


@dataclass(frozen=True)
class Degraded:
    """The form of a pool that the API server keeps, and a text for each feature that is missing."""

    pool: Pool
    texts: tuple[str, ...] = ()


def degrade(pool: Pool, supports: Supports, prepared: Collection[str]) -> Degraded:
    """Rewrites a pool for a server that lacks features.

    - Counters: a device that draws on them is withheld, because nothing would keep two overlapping ones
      apart; one whose ``facts`` say ``"static": True`` exists as it is and is published without.
    - Taints: a device that would be NoSchedule or NoExecute is withheld unless it is prepared; published
      without its taint it would be allocated.
    - List attributes and sharing: the field is left out.
    - Binding conditions: the device is withheld; a pod would be bound before the device is attached.
    - Nodes of single devices: the device is withheld.

    :param prepared: names of the pool's devices that are in use on this node.
    """
    lacking = [feature for feature in Feature if feature in supports and not supports[feature].usable]
    if not lacking:
        return Degraded(pool)
    texts: list[str] = []
    devices = pool.devices
    for feature in lacking:
        kept: list[Device] = []
        withheld: list[str] = []
        changed: list[str] = []
        for device in devices:
            if not _USES[feature](device):
                kept.append(device)
                continue
            rewritten = _without(feature, device, device.name in prepared)
            if rewritten is None:
                withheld.append(device.name)
            else:
                changed.append(device.name)
                kept.append(rewritten)
        devices = tuple(kept)
        if withheld or changed or (feature is Feature.COUNTERS and pool.counter_sets):
            texts.append(_text(feature, supports[feature], withheld, changed))
    counter_sets = () if Feature.COUNTERS in lacking else pool.counter_sets
    return Degraded(replace(pool, devices=devices, counter_sets=counter_sets), tuple(texts))


def _without(feature: Feature, device: Device, prepared: bool) -> Device | None:
    match feature:
        case Feature.TAINTS:
            blocking = any(taint.effect != "None" for taint in device.taints)
            return None if blocking and not prepared else replace(device, taints=())
        case Feature.COUNTERS:
            return replace(device, consumes=()) if device.facts.get("static") is True else None
        case Feature.SHARING:
            capacity = {name: Capacity(amount.value) for name, amount in device.capacity.items()}
            return replace(device, capacity=capacity, allow_multiple_allocations=False)
        case Feature.BINDING:
            return None if device.binding_conditions else replace(device, binds_to_node=False)
        case Feature.LISTS:
            scalars = {name: v for name, v in device.attributes.items() if type(v) is not tuple}
            return replace(device, attributes=scalars)
        case Feature.NODES:
            return None


def _text(feature: Feature, support: Support, withheld: list[str], changed: list[str]) -> str:
    text = f"{feature.field}: {support.state} by the API server (feature gate {feature.gate})"
    if withheld:
        text += f"; withheld: {listed(withheld)}"
    if changed:
        text += f"; published without: {listed(changed)}"
    return text


def listed(names: Collection[str]) -> str:
    """A few names in words."""
    shown = ", ".join(list(names)[:LISTED])
    return shown if len(names) <= LISTED else f"{shown} and {len(names) - LISTED} more"


_BY_FIELD: dict[str, Feature] = {
    "devices[].taints": Feature.TAINTS,
    "sharedCounters": Feature.COUNTERS,
    "devices[].consumesCounters": Feature.COUNTERS,
    "devices[].allowMultipleAllocations": Feature.SHARING,
    "devices[].capacity[].requestPolicy": Feature.SHARING,
    "devices[].bindsToNode": Feature.BINDING,
    "devices[].bindingConditions": Feature.BINDING,
    "devices[].bindingFailureConditions": Feature.BINDING,
    "devices[].attributes": Feature.LISTS,
    "perDeviceNodeSelection": Feature.NODES,
    "devices[].nodeName": Feature.NODES,
    "devices[].nodeSelector": Feature.NODES,
    "devices[].allNodes": Feature.NODES,
}


def gates_of(fields: Collection[str]) -> str:
    """The gates that explain why the server did not store these fields (see ``wire.missing_fields``)."""
    gates = dict.fromkeys(_BY_FIELD[field].gate if field in _BY_FIELD else "unknown" for field in fields)
    return ", ".join(gates)
