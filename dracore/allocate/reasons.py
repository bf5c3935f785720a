"""What keeps a device from a request: a stage of its way, in words, with what would have to be otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from dracore.allocate.published import DeviceId
from dracore.allocate.wishes import Wish
from dracore.model.quantity import Quantity


class Stage(Enum):
    """What a device passes, one after the other; the value is the heading of those that came so far."""

    SEEN = "devices seen"
    FEATURES = "usable with these gates"
    CLASS = "class selectors"
    REQUEST = "request selectors"
    NODE = "reach the node"
    CAPACITY = "enough capacity"
    TAINTS = "taints tolerated"
    IN_USE = "not in use"
    COUNTERS = "counters left"
    CONSTRAINTS = "constraints"


ORDER = tuple(Stage)
INDEX = {stage: index for index, stage in enumerate(ORDER)}


@dataclass(frozen=True, slots=True)
class Reason:
    """What keeps a device from a request."""

    device: DeviceId
    stage: Stage
    text: str
    """``selector #0 of request gpu is false: memory is 39Gi``"""
    remedy: str = ""
    """What would have to be otherwise: ``memory were ≥ 40Gi: it is 39Gi``."""
    distance: float = 1.0
    frees: str = ""
    """What would give the device free."""
    holders: tuple[str, ...] = ()
    """The claims whose end that is."""
    wishes: tuple[Wish, ...] = ()
    """The values of the device that the remedy means."""
    parts: int = 1
    """How many things the remedy wants otherwise."""


def short(text: str) -> str:
    """A selector in one line."""
    line = " ".join(text[:400].split())
    return line if len(line) <= 100 else line[:99] + "…"


def in_unit(value: int, like: Quantity) -> Quantity:
    """Billionths, written in the unit of `like`."""
    return like.like(Decimal(value).scaleb(-9).normalize())


def plain(value: int) -> str:
    """Billionths of a counter: in powers of two where that is exact."""
    whole = value % 10**9 == 0 and value // 10**9 % 1024 == 0
    return str(in_unit(value, Quantity.bytes(0) if whole else Quantity.parse(0)))
