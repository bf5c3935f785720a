"""ResourceSlices as the allocator sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from dracore.allocate import fields
from dracore.allocate.fields import Fault
from dracore.allocate.nodes import Reach
from dracore.allocate.taint import Taint, taint
from dracore.model.device import Capacity, RequestPolicy, ValidRange
from dracore.model.quantity import Quantity


class DeviceId(NamedTuple):
    """The full name of a device."""

    driver: str
    pool: str
    device: str

    def __str__(self) -> str:
        return "/".join(self)


class PoolId(NamedTuple):
    """The full name of a pool; sorts as the scheduler sorts pools."""

    driver: str
    pool: str

    def __str__(self) -> str:
        return "/".join(self)


@dataclass(frozen=True, slots=True)
class Draw:
    """What a device takes from one counter set, in billionths, and with whom it may share it (KEP-5963)."""

    counter_set: str
    counters: Mapping[str, int]
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CounterTotals:
    """A counter set of a pool, in billionths."""

    name: str
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class PublishedDevice:
    """A device of a slice. Two of one content are still two: equality is identity."""

    id: DeviceId
    content: Mapping[str, Any]
    """As published, for selectors."""
    capacity: Mapping[str, Capacity]
    draws: tuple[Draw, ...]
    taints: tuple[Taint, ...]
    shareable: bool
    binds_to_node: bool
    has_conditions: bool
    """The field is there, if empty: such a pool comes last."""
    conditions: tuple[str, ...]
    failure_conditions: tuple[str, ...]
    reach: Reach

    def attribute(self, name: str) -> Mapping[str, Any] | None:
        """An attribute by its full name, ``{"int": 1}``; a bare name lies in the driver's domain."""
        attributes: Mapping[str, Any] = self.content.get("attributes") or {}
        found: Mapping[str, Any] | None = attributes.get(name)
        if found is None:
            domain, slash, identifier = name.partition("/")
            if slash and domain == self.id.driver:
                found = attributes.get(identifier)
        return found

    def tainted(self, taint: Taint) -> PublishedDevice:
        """This device with a rule's taint on top."""
        return replace(self, taints=(*self.taints, taint))


@dataclass(frozen=True, slots=True, eq=False)
class PublishedSlice:
    """A ResourceSlice."""

    name: str
    pool: PoolId
    generation: int
    slice_count: int
    reach: Reach
    per_device: bool
    per_device_set: bool
    counter_sets: tuple[CounterTotals, ...]
    devices: tuple[PublishedDevice, ...]
    skip_node_operations: tuple[str, ...] = ()

    @property
    def uses_groups(self) -> bool:
        """Whether a device of it names compatibility groups."""
        return any(draw.groups for device in self.devices for draw in device.draws)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> PublishedSlice:
        """Reads a ResourceSlice of ``v1``, ``v1beta2`` or ``v1beta1``.

        :raises Fault: with the path of the field.
        """
        meta = fields.mapping(content, "metadata")
        name = fields.text(meta, "name") or fields.text(meta, "generateName")
        return fields.under(content, "spec", lambda spec: cls._from_spec(name, spec))

    @classmethod
    def _from_spec(cls, name: str, spec: Mapping[str, Any]) -> PublishedSlice:
        driver = fields.text(spec, "driver", required=True)

        def pool_of(pool: Mapping[str, Any]) -> tuple[str, int, int]:
            return (
                fields.text(pool, "name", required=True),
                fields.number(pool, "generation"),
                fields.number(pool, "resourceSliceCount"),
            )

        pool, generation, count = fields.under(spec, "pool", pool_of)
        return cls(
            name=name,
            pool=PoolId(driver, pool),
            generation=generation,
            slice_count=count,
            reach=Reach.from_json(spec),
            per_device=fields.flag(spec, "perDeviceNodeSelection"),
            per_device_set=spec.get("perDeviceNodeSelection") is not None,
            counter_sets=fields.each(spec, "sharedCounters", _counter_set),
            devices=fields.each(spec, "devices", lambda device: _device(driver, pool, device)),
            skip_node_operations=fields.strings(spec, "skipNodeOperations"),
        )


_PLAIN = Reach()
_KINDS = {"int": int, "bool": bool, "string": str, "version": str}
_LISTS = {"ints": int, "bools": bool, "strings": str, "versions": str}


def _device(driver: str, pool: str, content: Mapping[str, Any]) -> PublishedDevice:
    name = fields.text(content, "name", required=True)
    basic = content.get("basic")
    if isinstance(basic, Mapping):  # v1beta1 wraps the body
        try:
            return _body(DeviceId(driver, pool, name), {"name": name, **basic})
        except Fault as fault:
            raise fault.under("basic") from None
    return _body(DeviceId(driver, pool, name), content)


def _body(device: DeviceId, content: Mapping[str, Any]) -> PublishedDevice:
    attributes = fields.mapping(content, "attributes")
    for name, value in attributes.items():
        if not _is_attribute(value):
            raise Fault(
                "is not one value of a known type (int, bool, string, version)", "attributes", str(name)
            )
    nodes = "nodeName" in content or "nodeSelector" in content or "allNodes" in content
    return PublishedDevice(
        id=device,
        content=content,
        capacity=fields.entries(content, "capacity", _capacity) if "capacity" in content else {},
        draws=fields.each(content, "consumesCounters", _draw) if "consumesCounters" in content else (),
        taints=fields.each(content, "taints", taint) if "taints" in content else (),
        shareable=fields.flag(content, "allowMultipleAllocations"),
        binds_to_node=fields.flag(content, "bindsToNode"),
        has_conditions=content.get("bindingConditions") is not None,
        conditions=fields.strings(content, "bindingConditions"),
        failure_conditions=fields.strings(content, "bindingFailureConditions"),
        reach=Reach.from_json(content) if nodes else _PLAIN,
    )


def _is_attribute(value: Any) -> bool:
    if (type(value) is not dict and not isinstance(value, Mapping)) or len(value) != 1:
        return False
    ((kind, content),) = value.items()
    scalar = _KINDS.get(kind)
    if scalar is not None:
        return type(content) is scalar
    item = _LISTS.get(kind)
    if item is None:
        # A type of the future: selectors and constraints say when they meet it.
        return isinstance(kind, str)
    return isinstance(content, list) and all(type(one) is item for one in content)


def _capacity(content: Mapping[str, Any]) -> Capacity:
    policy = content.get("requestPolicy")
    return Capacity(
        fields.amount(content, "value"),
        fields.under(content, "requestPolicy", _policy) if policy is not None else None,
    )


def _policy(content: Mapping[str, Any]) -> RequestPolicy:
    values = tuple(
        fields.quantity(value, f"validValues[{index}]")
        for index, value in enumerate(fields.sequence(content, "validValues"))
    )
    limits = content.get("validRange")
    return RequestPolicy(
        fields.amount(content, "default") if content.get("default") is not None else None,
        values,
        fields.under(content, "validRange", _range) if limits is not None else None,
    )


def _range(content: Mapping[str, Any]) -> ValidRange:
    def bound(name: str) -> Quantity | None:
        return fields.amount(content, name) if content.get(name) is not None else None

    return ValidRange(fields.amount(content, "min"), bound("max"), bound("step"))


def _draw(content: Mapping[str, Any]) -> Draw:
    return Draw(
        fields.text(content, "counterSet", required=True),
        fields.entries(content, "counters", _counter),
        frozenset(fields.strings(content, "compatibilityGroups")),
    )


def _counter_set(content: Mapping[str, Any]) -> CounterTotals:
    return CounterTotals(
        fields.text(content, "name", required=True), fields.entries(content, "counters", _counter)
    )


def _counter(content: Mapping[str, Any]) -> int:
    return billionths(fields.amount(content, "value"))


def billionths(quantity: Quantity) -> int:
    """A quantity as a whole number of its finest unit: exact, and quick to add and compare."""
    return _billionths(quantity.value)


@lru_cache(maxsize=8192)
def _billionths(value: Decimal) -> int:
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    number = int("".join(map(str, digits)))
    power = exponent + 9
    whole = number * int(10**power) if power >= 0 else number // int(10**-power)
    return -whole if sign else whole


@dataclass(frozen=True, slots=True)
class TaintRule:
    """A DeviceTaintRule: a taint for every device that it names (KEP-5055)."""

    name: str
    taint: Taint
    driver: str | None = None
    pool: str | None = None
    device: str | None = None
    selects: bool = True
    """False where the rule has no selector: it then names no device."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TaintRule:
        """Reads it."""
        name = fields.text(fields.mapping(content, "metadata"), "name")

        def rule(spec: Mapping[str, Any]) -> TaintRule:
            selector = fields.mapping(spec, "deviceSelector")
            return cls(
                name,
                fields.under(spec, "taint", taint),
                fields.text(selector, "driver") or None,
                fields.text(selector, "pool") or None,
                fields.text(selector, "device") or None,
                spec.get("deviceSelector") is not None,
            )

        return fields.under(content, "spec", rule)

    def names(self, device: DeviceId) -> bool:
        """Whether it is about this device."""
        return (
            self.selects
            and self.driver in (None, device.driver)
            and self.pool in (None, device.pool)
            and self.device in (None, device.device)
        )


def with_rules(
    slices: tuple[PublishedSlice, ...], rules: tuple[TaintRule, ...]
) -> tuple[PublishedSlice, ...]:
    """The slices as consumers see them: each rule's taint on the devices that it names."""
    if not rules:
        return slices
    found = []
    for item in slices:
        devices = []
        for device in item.devices:
            for rule in rules:
                if rule.names(device.id):
                    device = device.tainted(rule.taint)
            devices.append(device)
        found.append(replace(item, devices=tuple(devices)))
    return tuple(found)
