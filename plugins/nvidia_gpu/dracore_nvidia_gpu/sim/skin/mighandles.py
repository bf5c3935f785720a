"""What the calls about MIG share: from handles to instances and back, and arrays of the caller."""

from __future__ import annotations

from ctypes import c_void_p, sizeof
from typing import Any

from dracore_nvidia_gpu.sim import mig
from dracore_nvidia_gpu.sim.codes import Code, Refused
from dracore_nvidia_gpu.sim.hardware import GiProfile, MigTable
from dracore_nvidia_gpu.sim.skin.call import Call, Device
from dracore_nvidia_gpu.sim.skin.session import CiHandle, GiHandle
from dracore_nvidia_gpu.sim.skin.structs import Placement
from dracore_nvidia_gpu.sim.state import ComputeInstance, GpuInstance

CAPABILITY_GRAPHICS = 0x2


def instance_of(device: Device) -> GpuInstance:
    """The GPU instance that a handle leads to."""
    if device.instance is None:
        raise Refused(Code.INVALID_ARGUMENT)
    return device.instance


def compute_of(device: Device) -> ComputeInstance:
    """The compute instance that a handle leads to."""
    if device.compute is None:
        raise Refused(Code.INVALID_ARGUMENT)
    return device.compute


def profile_of_parent(device: Device) -> tuple[MigTable, GiProfile]:
    """The table of the GPU, and the profile of the GPU instance that a handle leads to."""
    table = device.table()
    return table, mig.profile_of(table, instance_of(device).profile)


def ci_profile(gi: Device, profile_id: int) -> mig.CiProfile:
    """A profile of compute instances, as it is in this GPU instance."""
    table, parent = profile_of_parent(gi)
    return mig.ci_profile_of(table, parent, profile_id)


def again(instances: list[GpuInstance], device: Device) -> GpuInstance:
    """The instance in the copy that is being changed; somebody may have destroyed it meanwhile."""
    for instance in instances:
        if instance.serial == instance_of(device).serial:
            return instance
    raise Refused(Code.INVALID_ARGUMENT)


def gi_handle(call: Call, device: Device, instance: GpuInstance) -> int:
    """A handle for the caller."""
    return call.session.hand_out(GiHandle(device.spec.uuid, instance.serial))


def ci_handle(call: Call, device: Device, compute: ComputeInstance) -> int:
    """A handle for the caller."""
    return call.session.hand_out(CiHandle(device.spec.uuid, compute.uuid))


def put_placements(placements: list[tuple[int, int]], out: int | None, count: Any) -> None:
    """Fills the caller's array; without one, only the count is told."""
    if out is not None:
        if count.value < len(placements):
            raise Refused(Code.INSUFFICIENT_SIZE)
        for position, (start, size) in enumerate(placements):
            entry = Placement.from_address(out + position * sizeof(Placement))
            entry.start, entry.size = start, size
    count.value = len(placements)


def put_handles(handles: list[int], out: int | None, count: Any) -> None:
    """Fills the caller's array, which must have room."""
    if out is None and handles:
        raise Refused(Code.INVALID_ARGUMENT)
    if out is not None:
        array = (c_void_p * len(handles)).from_address(out)
        for position, handle in enumerate(handles):
            array[position] = handle
    count.value = len(handles)
