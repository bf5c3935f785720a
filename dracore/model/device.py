"""Devices, counters and pools: what a driver offers. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from dracore.model.quantity import Quantity
from dracore.model.semver import Semver

Scalar: TypeAlias = bool | int | str | Semver
AttributeValue: TypeAlias = Scalar | tuple[bool, ...] | tuple[int, ...] | tuple[str, ...] | tuple[Semver, ...]
"""A tuple is a list attribute (KEP-5491); its items are of one type and there is at least one."""
AttributeInput: TypeAlias = AttributeValue | list[bool] | list[int] | list[str] | list[Semver]
"""What :class:`Device` takes as an attribute: a list becomes a tuple."""

TaintEffect: TypeAlias = Literal["None", "NoSchedule", "NoExecute"]
JSON: TypeAlias = Any
"""What ``json.loads`` gives."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


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


CapacityInput: TypeAlias = Capacity | Quantity | str | int | Decimal
"""What :class:`Device` takes as a capacity: ``"40Gi"``, a number or a Quantity is one without a policy."""


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


@dataclass(frozen=True, slots=True, init=False)
class Device:
    """One device (or partition, or share of a network) that claims can be allocated.

    It is made from what is handy to write and has what is handy to read: a capacity given as ``"40Gi"`` is a
    :class:`Capacity`, a list is a tuple, `identity` and `occupies` are filled in.

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
    :param pool: the pool it belongs to; empty: the node's own pool, named like the node.
    :param facts: what the plugin wants to find again at prepare (minor number, paths). Never published.
    :raises ValueError: a capacity is no amount.
    """

    name: str
    kind: str
    attributes: Mapping[str, AttributeValue]
    capacity: Mapping[str, Capacity]
    identity: str
    description: str
    occupies: Mapping[str, int]
    consumes: tuple[CounterConsumption, ...]
    taints: tuple[Taint, ...]
    allow_multiple_allocations: bool
    binds_to_node: bool
    binding_conditions: tuple[str, ...]
    binding_failure_conditions: tuple[str, ...]
    node: NodeSelection | None
    pool: str
    facts: Mapping[str, JSON]

    def __init__(
        self,
        name: str,
        kind: str = "device",
        attributes: Mapping[str, AttributeInput] = _NOTHING,
        capacity: Mapping[str, CapacityInput] = _NOTHING,
        identity: str = "",
        description: str = "",
        occupies: Mapping[str, int] = _NOTHING,
        consumes: tuple[CounterConsumption, ...] = (),
        taints: tuple[Taint, ...] = (),
        allow_multiple_allocations: bool = False,
        binds_to_node: bool = False,
        binding_conditions: tuple[str, ...] = (),
        binding_failure_conditions: tuple[str, ...] = (),
        node: NodeSelection | None = None,
        pool: str = "",
        facts: Mapping[str, JSON] = _NOTHING,
    ) -> None:
        put = partial(object.__setattr__, self)  # the way past `frozen`, as the generated one would go
        put("name", name)
        put("kind", kind)
        put("attributes", {key: tuple(v) if isinstance(v, list) else v for key, v in attributes.items()})
        put("capacity", {key: _amount(value) for key, value in capacity.items()})
        put("identity", identity or name)
        put("description", description)
        put("occupies", dict(occupies) or {self.identity: 1})
        put("consumes", consumes)
        put("taints", taints)
        put("allow_multiple_allocations", allow_multiple_allocations)
        put("binds_to_node", binds_to_node)
        put("binding_conditions", binding_conditions)
        put("binding_failure_conditions", binding_failure_conditions)
        put("node", node)
        put("pool", pool)
        put("facts", dict(facts))

    def with_taint(self, taint: Taint) -> Device:
        """This device with one more taint; one of the same key and effect is replaced."""
        kept = tuple(t for t in self.taints if (t.key, t.effect) != (taint.key, taint.effect))
        return replace(self, taints=(*kept, taint))


def _amount(given: CapacityInput) -> Capacity:
    return given if isinstance(given, Capacity) else Capacity(Quantity.parse(given))


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
