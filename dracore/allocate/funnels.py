"""Explanations: for each request a funnel of devices, reasons and the nearest miss; the cause in a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dracore.allocate.compared import Together
from dracore.allocate.freeing import Ends
from dracore.allocate.published import DeviceId
from dracore.allocate.reasons import Reason, Stage


@dataclass(frozen=True, slots=True)
class Funnel:
    """How far the devices come on their way to one request."""

    claim: str
    request: str
    wants: str
    """A number, or ``all``."""
    left: Mapping[Stage, int]
    """How many devices passed each stage."""
    reasons: tuple[Reason, ...]
    """For each device that fails, why."""
    best: int = 0
    """The most devices on one node that pass all stages."""
    best_node: str = ""
    blocks: bool = False
    """This request alone, in all its alternatives, cannot be met on any node."""
    short: bool = False
    """Others want its devices too, and there are too few."""
    error: str = ""
    ambiguous: frozenset[str] = frozenset()
    """Names of devices that several pools have."""
    closest: Reason | None = None
    """The device that would do with the fewest changes; its remedy holds all of them."""

    @property
    def nearest(self) -> Reason | None:
        """The device for which the fewest things would have to change, where devices are missing."""
        return self.closest if self.blocks or self.short else None

    @property
    def frees(self) -> tuple[str, ...]:
        """What would give a device free, each once."""
        ends = {frozenset(reason.holders) for reason in self.reasons if reason.holders}
        return tuple(
            dict.fromkeys(
                reason.frees
                for reason in self.reasons
                if reason.frees and not any(fewer < frozenset(reason.holders) for fewer in ends)
            )
        )

    def name(self, device: DeviceId) -> str:
        """A device's name, with its pool where several have one of this name."""
        return f"{device.pool}/{device.device}" if device.device in self.ambiguous else device.device


@dataclass(frozen=True, slots=True)
class Explanation:
    """The funnels of all requests of some claims, and in one line why they cannot be met."""

    funnels: tuple[Funnel, ...]
    summary: str
    problems: tuple[str, ...] = ()
    """Pools that are left out, and what else everybody should know."""
    together: tuple[Together, ...] = ()
    """Why devices that would each do cannot be had together."""
    ends: tuple[Ends, ...] | None = None
    """Claims whose end would be enough, each set by itself; None: that was not tried."""

    def of(self, claim: str) -> Explanation:
        """The same for another claim that asks for the same."""
        return replace(self, funnels=tuple(replace(funnel, claim=claim) for funnel in self.funnels))

    def brief(self, reasons: int = 100) -> Explanation:
        """The same with the first reasons of each request only."""
        return replace(
            self, funnels=tuple(replace(funnel, reasons=funnel.reasons[:reasons]) for funnel in self.funnels)
        )
