"""One loaded library: whether it is initialised, and which handles it gave out."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass, field

from dracore_nvidia_gpu.sim.codes import Code, Refused

_FIRST_HANDLE = 0x5EED_0000_0000
"""Handles are opaque to callers; a value that no allocator gives makes a stray one visible in a debugger."""


@dataclass(frozen=True)
class GpuHandle:
    uuid: str


@dataclass(frozen=True)
class MigHandle:
    """A MIG device: a compute instance, by uuid, so that a later one in its place is another."""

    gpu: str
    uuid: str


@dataclass(frozen=True)
class GiHandle:
    gpu: str
    serial: int


@dataclass(frozen=True)
class CiHandle:
    gpu: str
    uuid: str


@dataclass
class EventSet:
    """Whom it listens to. ``number`` tells apart sets; ``registered`` maps a GPU to its event mask and to
    the last event before registration."""

    number: int
    registered: dict[str, tuple[int, int]] = field(default_factory=dict)
    delivered: int = 0

    def __hash__(self) -> int:
        return hash(("set", self.number))

    def __eq__(self, other: object) -> bool:
        return self is other


class Session:
    """Reference count and handles of one library object.

    Handles are valid until the last shutdown; those of an earlier session are refused. A driver that was
    reloaded leaves the session of before unusable until it is shut down as often as it was initialised.
    """

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self._references = 0
        self._loads = 0
        self._epoch = 0
        self._sets = 0
        self._next = _FIRST_HANDLE
        self._by_record: dict[Hashable, int] = {}
        self._by_address: dict[int, Hashable] = {}

    def open(self, loads: int) -> None:
        with self.guard:
            if self._references == 0:
                self._loads = loads
                self._epoch += 1
            self._references += 1

    def close(self) -> None:
        """:raises Refused: UNINITIALIZED."""
        with self.guard:
            if self._references == 0:
                raise Refused(Code.UNINITIALIZED)
            self._references -= 1
            if self._references == 0:
                self._by_record.clear()
                self._by_address.clear()

    def check(self, loads: int) -> int:
        """:param loads: how often the driver has been loaded by now.
        :returns: a number that changes when the session ends.
        :raises Refused: UNINITIALIZED."""
        with self.guard:
            if self._references == 0 or self._loads != loads:
                raise Refused(Code.UNINITIALIZED)
            return self._epoch

    def hand_out(self, record: Hashable) -> int:
        """The record's handle; the same one for the same thing as long as the session lasts."""
        with self.guard:
            address = self._by_record.get(record)
            if address is None:
                self._next += 64
                address = self._by_record[record] = self._next
                self._by_address[address] = record
            return address

    def record(self, address: int | None) -> Hashable:
        """:raises Refused: INVALID_ARGUMENT when this session gave no such handle."""
        with self.guard:
            record = None if address is None else self._by_address.get(address)
        if record is None:
            raise Refused(Code.INVALID_ARGUMENT)
        return record

    def new_event_set(self) -> EventSet:
        with self.guard:
            self._sets += 1
            return EventSet(self._sets)

    def take_back(self, record: Hashable) -> None:
        with self.guard:
            address = self._by_record.pop(record, None)
            if address is not None:
                del self._by_address[address]
