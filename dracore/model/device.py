"""Devices, counters and pools: what a driver offers. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from dracore.model.quantity import Quantity
from dracore.model.semver import Semver

Scalar: TypeAlias = bool | int | str | Semver
AttributeValue: TypeAlias = Scalar | tuple[bool, ...] | tuple[int, ...] | tuple[str, ...] | tuple[Semver, ...]
"""A tuple is a list attribute (KEP-5491); its items are of one type and there is at least one."""

TaintEffect: TypeAlias = Literal["None", "NoSchedule", "NoExecute"]
JSON: TypeAlias = Any
"""What ``json.loads`` gives."""


@dataclass(frozen=True, slots=True)
class Taint:
    """A device taint (KEP-5055). `time_added` is RFC 3339; empty: the API server's clock decides."""

    key: str
    effect: TaintEffect
    value: str = ""
    time_added: str = ""


@dataclass(frozen=True, slots=True)
class ValidRange:
    """Requested amounts run from `min` to `max` (the capacity where none) in steps (KEP-5075)."""

    min: Quantity
    max: Quantity | None = None
    step: Quantity | None = None


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """How a share of a capacity may be requested (KEP-5075): `default`, and values or a range."""

    default: Quantity | None = None
    valid_values: tuple[Quantity, ...] = ()
    valid_range: ValidRange | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """An amount that a device has, with the rule for sharing it where the device can be shared."""

    value: Quantity
    policy: RequestPolicy | None = None


@dataclass(frozen=True, slots=True)
class CounterSet:
    """Named counters that several devices of one pool draw on (KEP-4815)."""

    name: str
    counters: Mapping[str, Quantity]


@dataclass(frozen=True, slots=True)
class CounterConsumption:
    """What a device takes from one counter set while it is allocated (KEP-4815)."""

    counter_set: str
    counters: Mapping[str, Quantity]


@dataclass(frozen=True, slots=True)
class NodeSelection:
    """Which nodes reach a pool or device: exactly one of the three.

    `selector` is a ``v1.NodeSelector`` with exactly one term, as JSON.
    """

    node_name: str = ""
    selector: JSON = None
    all_nodes: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """One device (or partition, or share of a network) that claims can be allocated.

    :param name: a DNS label, unique in the pool and stable for the same hardware.
    :param kind: what it is to its plugin and to config kinds: ``gpu``, ``mig``, ``nic``. Not published.
    :param attributes: names to values; a bare name lies in the driver's domain. ``int``, ``bool``, ``str``,
        :class:`Semver`, or a tuple of one of these (a list attribute).
    :param capacity: names to amounts; ``"40Gi"``, an int or a Quantity is taken as a Capacity without policy.
    :param identity: what the hardware *is* (uuid, serial, bus address): decides within a boot whether the
        device behind a name is the one that was prepared. Default: the name.
    :param description: product, memory or profile in a word: decides across a reboot whether the device
        behind a name is still of the same sort.
    :param occupies: units of real things that this device uses, for the overlap guard; never published.
        ``{"GPU-uuid/slice-3": 1}``. Default: one unit of its identity. A claim is refused where the sum over
        all prepared claims would exceed 1.
    :param consumes: draws on counter sets of the pool.
    :param allow_multiple_allocations: several claims may share it (KEP-5075).
    :param node: for pools that several nodes reach: the nodes of this device.
    :param facts: what the plugin wants to find again at prepare (minor number, paths). Never published.
    """

    name: str
    kind: str = "device"
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    capacity: Mapping[str, Capacity] = field(default_factory=dict)
    identity: str = ""
    description: str = ""
    occupies: Mapping[str, int] = field(default_factory=dict)
    consumes: tuple[CounterConsumption, ...] = ()
    taints: tuple[Taint, ...] = ()
    allow_multiple_allocations: bool = False
    binds_to_node: bool = False
    binding_conditions: tuple[str, ...] = ()
    binding_failure_conditions: tuple[str, ...] = ()
    node: NodeSelection | None = None
    pool: str = ""
    """The pool it belongs to; empty: the node's own pool, named like the node."""
    facts: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        capacity = {
            name: amount if isinstance(amount, Capacity) else Capacity(Quantity.parse(amount))
            for name, amount in self.capacity.items()
        }
        attributes = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.attributes.items()
        }
        object.__setattr__(self, "capacity", capacity)
        object.__setattr__(self, "attributes", attributes)
        object.__setattr__(self, "identity", self.identity or self.name)
        object.__setattr__(self, "occupies", dict(self.occupies) or {self.identity: 1})

    def with_taint(self, taint: Taint) -> Device:
        """This device with one more taint; one of the same key and effect is replaced."""
        kept = tuple(t for t in self.taints if (t.key, t.effect) != (taint.key, taint.effect))
        return replace(self, taints=(*kept, taint))


@dataclass(frozen=True, slots=True)
class Pool:
    """Devices published together; by default those of one node, in a pool named like the node."""

    driver: str
    name: str
    devices: tuple[Device, ...] = ()
    counter_sets: tuple[CounterSet, ...] = ()
    node: NodeSelection | None = None


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a plugin found, with what it could not find out.

    :param problems: one line for each thing that is not as it should be: a GPU that failed a query, a
        device withheld and why. Shown in status and events; never stops the rest.
    """

    devices: tuple[Device, ...] = ()
    counter_sets: tuple[CounterSet, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotYet:
    """Discovery has no answer yet (a kernel driver is still loading); nothing is published for it."""

    reason: str
