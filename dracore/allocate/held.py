"""What other claims hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dracore.allocate import fields
from dracore.allocate.fields import Fault
from dracore.allocate.published import DeviceId, PoolId, billionths
from dracore.model.device import JSON


@dataclass
class Held:
    """Devices in use: whole ones, and shares with their sums of capacity in billionths."""

    whole: set[DeviceId] = field(default_factory=set)
    shared: dict[DeviceId, dict[str, int]] = field(default_factory=dict)
    changes: dict[PoolId, int] = field(default_factory=dict)
    """Pool to how often something of it was taken: what was found out for a lower number is out of date."""

    def uses(self, device: DeviceId) -> bool:
        """Whether any claim holds it or a share of it."""
        return device in self.whole or device in self.shared

    def add(self, results: Iterable[Mapping[str, Any]], *, consumable: bool = True) -> None:
        """Takes in ``status.allocation.devices.results``; admin access holds nothing.

        :param consumable: False where the scheduler does not know shares: a share is then a whole device.
        :raises Fault: with the path below ``results``.
        """
        for index, result in enumerate(results):
            try:
                self._add(result, consumable)
            except Fault as fault:
                raise fault.under(f"results[{index}]") from None

    def _add(self, result: Mapping[str, Any], consumable: bool) -> None:
        if fields.flag(result, "adminAccess"):
            return
        device = DeviceId(
            fields.text(result, "driver", required=True),
            fields.text(result, "pool", required=True),
            fields.text(result, "device", required=True),
        )
        pool = PoolId(device.driver, device.pool)
        self.changes[pool] = self.changes.get(pool, 0) + 1
        if not (consumable and result.get("shareID")):
            self.whole.add(device)
            return
        sums = self.shared.setdefault(device, {})
        try:
            for name, value in fields.mapping(result, "consumedCapacity").items():
                sums[name] = sums.get(name, 0) + billionths(fields.quantity(value, name))
        except Fault as fault:
            raise fault.under("consumedCapacity") from None


def results_of(claim: Mapping[str, Any]) -> tuple[JSON, ...]:
    """The results of a claim that is allocated; none where it is not.

    :raises Fault: with the path in the claim.
    """
    steps: list[str] = []
    content: Mapping[str, Any] = claim
    for name in ("status", "allocation", "devices"):
        try:
            content = fields.mapping(content, name)
        except Fault as fault:
            raise fault.under(*steps) from None
        steps.append(name)
    return fields.each(content, "results", lambda result: result)


def allocated_devices(claims: Iterable[Mapping[str, Any]]) -> set[DeviceId]:
    """The devices that these claims hold, whole or in part; admin access holds none."""
    held = Held()
    for claim in claims:
        held.add(results_of(claim), consumable=False)
    return held.whole
