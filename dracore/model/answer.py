"""What passes between the kubelet's side and the claim engine: values and protocols only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dracore.model.claim import ClaimRef


@dataclass(frozen=True, slots=True)
class PreparedResult:
    """One prepared device of a claim, as the kubelet is told (DRAPlugin ``Device``)."""

    requests: tuple[str, ...]
    """Base request names (no ``/sub``)."""
    pool: str
    device: str
    cdi_ids: tuple[str, ...]
    share_id: str = ""


class Call(Protocol):
    """The RPC on whose behalf something is done."""

    def time_left(self) -> float:
        """Seconds until the caller gives up (the kubelet: 45 s); 45 s where a call carries no deadline."""
        ...

    def alive(self) -> bool:
        """False once the caller has gone away (a retry may have overtaken this call)."""
        ...


class ClaimEngine(Protocol):
    """Prepares and unprepares claims of one driver. Both raise :class:`~dracore.errors.DracoreError`."""

    def prepare(self, ref: ClaimRef, call: Call) -> Sequence[PreparedResult]: ...

    def unprepare(self, ref: ClaimRef, call: Call) -> None: ...
