"""Names and identities that are computed, not stored."""

from __future__ import annotations

import math
import uuid

MIB = 1024 * 1024
GIB = 1024 * MIB

_NAMESPACE = uuid.UUID("6f1b1c1e-0d6d-5a6b-9b53-6d3f6a1f2c44")
"""Of no meaning outside the simulator: it keeps simulated uuids apart from all others."""


def mig_gigabytes(total_bytes: int, profile_mib: int) -> int:
    """The figure before ``gb`` in a MIG profile's name: its eighths of the GPU, of the GPU's whole GiB.

    NVIDIA computes profile names from memory sizes instead of storing them (NVIDIA/go-nvlib, package device),
    so a product whose total changed with a driver changed its profile names too.
    """
    eighths = math.ceil(profile_mib * MIB / total_bytes * 8)
    whole = (total_bytes + GIB - 1) // GIB
    return math.floor(eighths / 8 * whole + 0.5)


def gpu_uuid(node: str, position: int) -> str:
    """The same for the same node name and position, on every machine; GPUs of two nodes never share one."""
    return f"GPU-{uuid.uuid5(_NAMESPACE, f'{node}/gpu/{position}')}"


def mig_uuid(parent: str, instance: int, compute: int, serial: int) -> str:
    """``serial`` counts the instances ever made on the GPU: NVML promises that the uuid lives as long as
    the MIG device, not that the next one at the same place gets it again."""
    return f"MIG-{uuid.uuid5(_NAMESPACE, f'{parent}/{instance}/{compute}/{serial}')}"


def board_serial(node: str, board: int) -> str:
    """Thirteen digits, as NVML gives for data-centre boards."""
    return str(1_600_000_000_000 + uuid.uuid5(_NAMESPACE, f"{node}/board/{board}").int % 399_999_999_999)
