"""A claim's results on this node: which device each of them is, and which parameters apply to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dracore.errors import ClaimError, DeviceGone
from dracore.model.claim import Claim
from dracore.model.device import Device
from dracore.prepare import records
from dracore.prepare.kit import Kit
from dracore.prepare.ports import Resolved
from dracore.prepare.records import DeviceRecord, Record


def find_devices(kit: Kit, claim: Claim, record: Record | None) -> list[tuple[Device, str]]:
    """The device of each of the claim's results, with the plugin that contributed it.

    :param record: what the journal has of this allocation, or None.
    :raises DeviceGone: a device is not on this node any more, or other hardware since a reboot.
    :raises ClaimError: that cannot be told yet.
    """
    known: Sequence[DeviceRecord] = ()
    if record is not None:
        known = kit.journal.read(lambda tx: records.devices(tx, claim.ref.uid))
    found = []
    for position, result in enumerate(claim.results):
        now = kit.devices.find(result.pool, result.device)
        if record is not None and position < len(known):
            now = _same_hardware(kit, record, known[position], now)
        if now is None:
            if not kit.devices.ready():
                raise ClaimError(
                    f"device {result.device} is not known: discovery has not answered, or failed",
                    fix="the kubelet asks again",
                )
            raise DeviceGone(
                f"device {result.device} of pool {result.pool} is not on this node any more",
                fix="delete the pod, so that another device is allocated",
            )
        found.append(now)
    return found


def _same_hardware(
    kit: Kit, record: Record, known: DeviceRecord, now: tuple[Device, str] | None
) -> tuple[Device, str] | None:
    """Within a boot the identity decides, across a boot the name, for the same sort of hardware."""
    if record.boot == kit.boot_id:
        if now is None or now[0].identity != known.identity:
            now = kit.devices.identified(known.identity)
        return now
    if now is not None and now[0].description != known.description:
        raise DeviceGone(
            f"device {known.device} is other hardware since the reboot: "
            f"{now[0].description or 'unnamed'}, and was {known.description or 'unnamed'}",
            fix="delete the pod, so that another device is allocated",
        )
    return now


def resolve(kit: Kit, claim: Claim, devices: Sequence[Device]) -> Resolved:
    """The parameters that apply to each result, and the groups that share devices.

    :raises ConfigError: parameters that do not decode, or name a request of another device kind.
    """
    resolved = kit.configs.resolve(claim, devices)
    if not any(result.admin_access for result in claim.results):
        return resolved
    # What a claim asks of a device that it only looks at is not applied: defaults, and no sharing.
    plain = kit.configs.resolve(replace(claim, configs=()), devices)
    results = claim.results
    configs = [
        plain.configs[i] if result.admin_access else resolved.configs[i] for i, result in enumerate(results)
    ]
    groups = [
        replace(group, members=tuple(i for i in group.members if not results[i].admin_access))
        for group in resolved.groups
    ]
    return Resolved(configs, [group for group in groups if group.members])
