"""What became of claims in a simulation."""

from __future__ import annotations

from dataclasses import dataclass

from dracore.allocate.funnels import Explanation
from dracore.allocate.results import Allocation
from dracore.allocate.wanted import WantedClaim
from dracore.model.device import JSON


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one claim."""

    claim: WantedClaim
    node: str = ""
    allocation: Allocation | None = None
    reason: str = ""
    explanation: Explanation | None = None

    def json(self) -> JSON:
        """An entry of ``claims`` of ``dracore simulate``."""
        results = self.allocation.results if self.allocation is not None else ()
        return {
            "namespace": self.claim.ref.namespace,
            "name": self.claim.ref.name,
            "node": self.node or None,
            "allocated": self.allocation is not None,
            "results": [
                {
                    "request": picked.request,
                    **picked.device._asdict(),
                    "shareID": picked.share_id or None,
                    "consumedCapacity": dict(picked.consumed),
                    "adminAccess": picked.admin,
                    "tolerations": list(picked.tolerations),
                }
                for picked in results
            ],
            "reason": self.reason or None,
        }
