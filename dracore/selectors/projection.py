"""Devices between which an expression sees no difference: what its answers are remembered by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dracore.model.device import Device
from dracore.model.quantity import Quantity
from dracore.selectors.amounts import amount
from dracore.selectors.device import LISTS, SCALARS
from dracore.selectors.faults import Fault
from dracore.selectors.library.kubernetes import semver
from dracore.selectors.reads import DRIVER, Read

Key = tuple[Any, ...]
_KINDS = dict((*SCALARS, *LISTS))
_LISTS = frozenset(key for key, _ in LISTS)
_VERSIONS = frozenset({"version", "versions"})


class Projection:
    """Takes from a device of a driver what an expression reads, as something to look an answer up by."""

    __slots__ = ("answers", "attributes", "capacity", "key", "published_answers")

    def __init__(self, names: frozenset[Read], driver: str) -> None:
        attributes: list[str] = []
        capacity: list[str] = []
        for part, domain, name in sorted(names):
            own = domain in (DRIVER, driver)
            keys = (f"{driver if own else domain}/{name}", *((name,) if own else ()))
            (attributes if part == "attributes" else capacity).extend(keys)
        self.attributes = tuple(attributes)
        self.capacity = tuple(capacity)
        self.key: Callable[[Device], Key] = _key(self.attributes, self.capacity)
        """Of a discovered device."""
        self.answers: dict[Key, Any] = {}
        self.published_answers: dict[Key, Any] = {}

    def published_key(self, device: Mapping[str, Any]) -> Key | None:
        """Of a device in JSON; None where any of its attributes or amounts is malformed: that spoils all."""
        found: list[Any] = [bool(device.get("allowMultipleAllocations"))]
        wanted = self.attributes
        for name, attribute in (device.get("attributes") or {}).items():
            if attribute.__class__ is not dict or len(attribute) != 1:
                return None
            ((kind, value),) = attribute.items()
            if not _is_well_formed(kind, value):
                return None
            if name in wanted:
                found += (name, kind, tuple(value) if kind in _LISTS else value)
        for name, published in (device.get("capacity") or {}).items():
            value = published.get("value") if isinstance(published, Mapping) else published
            try:
                amount(str(value))
            except Fault:
                return None
            if name in self.capacity:
                found += (name, str(value))
        return tuple(found)


def _is_well_formed(kind: str, value: Any) -> bool:
    wanted = _KINDS.get(kind)
    if wanted is None:
        return False
    if kind in _VERSIONS:
        try:
            for each in value if kind == "versions" else (value,):
                semver(each if each.__class__ is str else str(each))
        except (Fault, TypeError):
            return False
        return kind == "version" or (value.__class__ is list and all(each.__class__ is str for each in value))
    if kind in _LISTS:
        return value.__class__ is list and all(each.__class__ is wanted for each in value)
    return value.__class__ is wanted


def _key(attributes: tuple[str, ...], capacity: tuple[str, ...]) -> Callable[[Device], Key]:
    """The commonest selectors read one attribute or one capacity: for these without loops.

    A value stands beside its class, because True is 1 to Python, but not to CEL.
    """
    if len(attributes) == 2 and len(capacity) in (0, 2):
        full, bare = attributes
        if not capacity:
            return lambda device: _one(device, full, bare)
        amount_full, amount_bare = capacity

        def both(device: Device) -> Key:
            get = device.attributes.get
            one, other = get(full), get(bare)
            get_amount = device.capacity.get
            held, also = get_amount(amount_full), get_amount(amount_bare)
            return (
                device.allow_multiple_allocations,
                one,
                other,
                one.__class__ if one.__class__ is not tuple else _kinds(one),
                other.__class__ if other.__class__ is not tuple else _kinds(other),
                None if held is None else _amount(held.value),
                None if also is None else _amount(also.value),
            )

        return both

    def every(device: Device) -> Key:
        values = tuple(map(device.attributes.get, attributes))
        kinds: tuple[Any, ...] = tuple(map(type, values))
        if tuple in kinds:
            kinds += tuple(_kinds(value) for value in values if value.__class__ is tuple)
        if not capacity:
            return (device.allow_multiple_allocations, values, kinds)
        held = tuple(map(device.capacity.get, capacity))
        amounts = tuple([None if each is None else _amount(each.value) for each in held])
        return (device.allow_multiple_allocations, values, kinds, amounts)

    return every


def _one(device: Device, full: str, bare: str) -> Key:
    get = device.attributes.get
    one, other = get(full), get(bare)
    return (
        device.allow_multiple_allocations,
        one,
        other,
        one.__class__ if one.__class__ is not tuple else _kinds(one),
        other.__class__ if other.__class__ is not tuple else _kinds(other),
    )


def _kinds(values: Any) -> Any:
    return (tuple, values[0].__class__) if values else tuple


def _amount(quantity: Quantity) -> Any:
    """The value, and whether it was written with a binary suffix: ``isInteger`` tells the difference."""
    return quantity.value if quantity.binary else (quantity.value,)
