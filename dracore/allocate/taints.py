"""Which taints keep a request from a device (KEP-5055)."""

from __future__ import annotations

from collections.abc import Iterator

from dracore.allocate.published import PublishedDevice
from dracore.allocate.taint import Taint
from dracore.allocate.wanted import Request

PREVENTING = ("NoSchedule", "NoExecute")
"""Other effects, None among them, only tell something."""


def in_the_way(device: PublishedDevice, request: Request) -> Taint | None:
    """The first taint that the request does not tolerate; None where it may have the device."""
    return next(all_in_the_way(device, request), None) if device.taints else None


def all_in_the_way(device: PublishedDevice, request: Request) -> Iterator[Taint]:
    """The taints that the request does not tolerate."""
    for taint in device.taints:
        if taint.effect in PREVENTING and not any(
            toleration.tolerates(taint.key, taint.value, taint.effect) for toleration in request.tolerations
        ):
            yield taint
