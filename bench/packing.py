"""Packing many devices into slices."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

from dracore import Device
from dracore.publish.pack import Names, Packed, pack


def pack_times(count: int) -> tuple[float, float]:
    """Milliseconds to pack `count` devices from nothing, and again onto what is there."""
    devices = [Device(f"gpu-{i}", attributes={"index": i, "type": "gpu"}) for i in range(count)]

    def timed(previous: Sequence[Names]) -> tuple[float, Sequence[Packed]]:
        start = time.perf_counter()
        slices = pack(devices, (), previous, dense=False)
        return (time.perf_counter() - start) * 1000, slices

    layout = [packed.names() for packed in timed(())[1]]
    return median(timed(())[0] for _ in range(5)), median(timed(layout)[0] for _ in range(5))
