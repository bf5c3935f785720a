"""MIG: its mode, and the devices that are made of instances."""

from __future__ import annotations

from typing import Any

from dracore_nvidia_gpu.sim import mig
from dracore_nvidia_gpu.sim.codes import Code, Refused
from dracore_nvidia_gpu.sim.skin.call import (
    DEVICE,
    GPU,
    MIG,
    OUT_HANDLE,
    OUT_UINT,
    UINT,
    Call,
    Device,
    Exports,
    Out,
)
from dracore_nvidia_gpu.sim.skin.mighandles import compute_of, instance_of, profile_of_parent
from dracore_nvidia_gpu.sim.skin.session import GpuHandle, MigHandle
from dracore_nvidia_gpu.sim.skin.structs import DeviceAttributes

exports = Exports()


# --- mode ---------------------------------------------------------------------------------------------


@exports.add("nvmlDeviceGetMigMode", GPU, OUT_UINT, OUT_UINT)
def get_mode(call: Call, device: Device, current: Any, pending: Any) -> None:
    device.table()
    current.value, pending.value = device.now.mig, device.now.mig_pending


@exports.add("nvmlDeviceSetMigMode", GPU, UINT, OUT_UINT)
def set_mode(call: Call, device: Device, mode: int, activation: Any) -> None:
    activation.value = call.node.set_mig_mode(device.spec.uuid, mode)


@exports.add("nvmlDeviceGetMaxMigDeviceCount", GPU, OUT_UINT)
def max_devices(call: Call, device: Device, out: Any) -> None:
    """Zero where MIG is not supported or not enabled (nvml.h)."""
    table = device.spec.product.mig
    out.value = table.compute_slices if table is not None and device.now.mig else 0


# --- MIG devices --------------------------------------------------------------------------------------


@exports.add("nvmlDeviceGetMigDeviceHandleByIndex", GPU, UINT, OUT_HANDLE)
def mig_by_index(call: Call, device: Device, index: int, out: Any) -> None:
    table = device.enabled_table()
    if index >= table.compute_slices:
        raise Refused(Code.INVALID_ARGUMENT)
    for instance in device.now.instances:
        for compute in instance.compute:
            if compute.slot == index:
                out.value = call.session.hand_out(MigHandle(device.spec.uuid, compute.uuid))
                return
    raise Refused(Code.NOT_FOUND)


@exports.add("nvmlDeviceIsMigDeviceHandle", DEVICE, OUT_UINT)
def is_mig(call: Call, device: Device, out: Any) -> None:
    out.value = int(device.compute is not None)


@exports.add("nvmlDeviceGetGpuInstanceId", MIG, OUT_UINT)
def gi_id(call: Call, device: Device, out: Any) -> None:
    out.value = instance_of(device).id


@exports.add("nvmlDeviceGetComputeInstanceId", MIG, OUT_UINT)
def ci_id(call: Call, device: Device, out: Any) -> None:
    out.value = compute_of(device).id


@exports.add("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", MIG, OUT_HANDLE)
def parent_of_mig(call: Call, device: Device, out: Any) -> None:
    out.value = call.session.hand_out(GpuHandle(device.spec.uuid))


@exports.add("nvmlDeviceGetAttributes_v2", MIG, Out(DeviceAttributes))
def attributes(call: Call, device: Device, out: Any) -> None:
    _, profile = profile_of_parent(device)
    compute = compute_of(device)
    out.sm = mig.ci_profile_of(device.table(), profile, compute.profile).sm
    _, out.ce, out.dec, out.enc, out.jpeg, out.ofa = profile.engines.values()
    out.gi_slices, out.ci_slices, out.memory_mib = profile.slices, compute.size, profile.memory_mib
