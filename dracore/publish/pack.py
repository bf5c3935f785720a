"""Packs a pool into slices: pure, stable and within the limits of the API.

A device stays in the slice where it was, so that a device which changes, comes or goes touches one object.
A slice that ran empty is kept for the same reason, until most of the pool's slices could be saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dracore.model.device import CounterSet, Device
from dracore.model.names import COUNTER_SETS_PER_SLICE, DEVICES_PER_SLICE, DEVICES_PER_SLICE_ADVANCED


@dataclass(frozen=True, slots=True)
class Packed:
    """What one slice holds: devices or counter sets, never both (Kubernetes 1.35 and later)."""

    devices: tuple[Device, ...] = ()
    counter_sets: tuple[CounterSet, ...] = ()

    def names(self) -> Names:
        """The names alone, as a previous layout."""
        return Names(
            tuple(device.name for device in self.devices),
            tuple(counters.name for counters in self.counter_sets),
        )


@dataclass(frozen=True, slots=True)
class Names:
    """What one slice of the previous layout held."""

    devices: tuple[str, ...] = ()
    counter_sets: tuple[str, ...] = ()


@dataclass(slots=True)
class _Group:
    """A device slice in the making: positions in the given order, and how many of them are advanced."""

    members: list[int] = field(default_factory=list)
    advanced: int = 0

    def takes(self, advanced: bool, dense: bool) -> bool:
        small = dense or advanced or self.advanced > 0
        return len(self.members) < (DEVICES_PER_SLICE_ADVANCED if small else DEVICES_PER_SLICE)

    def add(self, position: int, advanced: bool) -> None:
        self.members.append(position)
        self.advanced += advanced


def is_advanced(device: Device) -> bool:
    """True where the device halves its slice's limit: taints, counters or list attributes."""
    return bool(
        device.taints or device.consumes or any(type(value) is tuple for value in device.attributes.values())
    )


def pack(
    devices: Sequence[Device],
    counter_sets: Sequence[CounterSet] = (),
    previous: Sequence[Names] = (),
    *,
    dense: bool = False,
) -> tuple[Packed, ...]:
    """The slices of a pool, counter slices first; the place in the tuple is the slice's index.

    :param devices: in the order in which the scheduler should try them; names are unique.
    :param previous: the layout that stands, in the order of its indices.
    :param dense: pack 64 a slice from the start, because any device may get a taint, counters or a list.
    """
    counters = _counter_slices(counter_sets, previous)
    slices = [*counters, *_device_slices(devices, previous, dense)]
    return tuple(slices) or (Packed(),)


def _counter_slices(counter_sets: Sequence[CounterSet], previous: Sequence[Names]) -> list[Packed]:
    order = {counters.name: place for place, counters in enumerate(counter_sets)}
    groups: list[list[int]] = []
    placed: set[int] = set()
    for names in previous:
        kept = [order[name] for name in names.counter_sets if name in order]
        kept = [place for place in dict.fromkeys(kept) if place not in placed][:COUNTER_SETS_PER_SLICE]
        if kept:
            groups.append(kept)
            placed.update(kept)
    for place in range(len(counter_sets)):
        if place in placed:
            continue
        group = next((group for group in groups if len(group) < COUNTER_SETS_PER_SLICE), None)
        if group is None:
            groups.append([place])
        else:
            group.append(place)
    return [Packed(counter_sets=tuple(counter_sets[place] for place in sorted(group))) for group in groups]


def _device_slices(devices: Sequence[Device], previous: Sequence[Names], dense: bool) -> list[Packed]:
    if not devices:
        return []
    advanced = [is_advanced(device) for device in devices]
    groups = _place(devices, advanced, previous, dense)
    fewest = -(-len(devices) // DEVICES_PER_SLICE)
    if len(groups) > 2 * fewest:
        fresh = _place(devices, advanced, (), dense)
        if len(groups) > 2 * len(fresh):
            groups = fresh
    return [Packed(devices=tuple(devices[place] for place in sorted(group.members))) for group in groups]


def _place(
    devices: Sequence[Device], advanced: Sequence[bool], previous: Sequence[Names], dense: bool
) -> list[_Group]:
    order = {device.name: place for place, device in enumerate(devices)}
    groups: list[_Group] = []
    placed = bytearray(len(devices))
    for names in previous:
        if names.counter_sets:
            continue
        kept = [order[name] for name in names.devices if name in order and not placed[order[name]]]
        kept = _within_limit(sorted(set(kept)), advanced, dense)
        for place in kept:
            placed[place] = 1
        groups.append(_Group(kept, sum(advanced[place] for place in kept)))
    # Who has no place yet fills gaps first. Room in a group only shrinks, for either sort of device, so
    # that one cursor a sort is enough: 10,000 devices are placed in one pass.
    old, cursor = len(groups), {False: 0, True: 0}
    for place in range(len(devices)):
        if placed[place]:
            continue
        sort = advanced[place]
        at = cursor[sort]
        while at < old and not groups[at].takes(sort, dense):
            at += 1
        cursor[sort] = at
        if at == old:
            # Beyond the old slices the given order is kept strictly: only the last one is still open.
            if len(groups) == old or not groups[-1].takes(sort, dense):
                groups.append(_Group())
            at = len(groups) - 1
        groups[at].add(place, sort)
    return groups


def _within_limit(places: list[int], advanced: Sequence[bool], dense: bool) -> list[int]:
    """Whom a slice keeps: as many as possible, where a device that became advanced halved its limit."""
    excess = len(places) - DEVICES_PER_SLICE_ADVANCED
    if excess <= 0:
        return places
    heavy = [place for place in places if advanced[place]]
    if not dense and len(heavy) <= excess:
        light = [place for place in places if not advanced[place]]
        return light[:DEVICES_PER_SLICE]
    out = [place for place in reversed(places) if dense or not advanced[place]][:excess]
    kept = set(places) - set(out)
    return sorted(kept)[:DEVICES_PER_SLICE_ADVANCED]
