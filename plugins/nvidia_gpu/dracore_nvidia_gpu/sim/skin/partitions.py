"""MIG: mode, profiles, placements, GPU and compute instances, MIG devices."""

from __future__ import annotations

from ctypes import c_void_p, sizeof
from typing import Any

from dracore_nvidia_gpu.sim import mig
from dracore_nvidia_gpu.sim.codes import Code, Refused
from dracore_nvidia_gpu.sim.hardware import GiProfile, MigTable
from dracore_nvidia_gpu.sim.skin.call import (
    ADDRESS,
    CI,
    DEVICE,
    GI,
    GPU,
    MIG,
    OUT_HANDLE,
    OUT_UINT,
    UINT,
    Call,
    Device,
    Exports,
    Out,
    Versioned,
)
from dracore_nvidia_gpu.sim.skin.session import CiHandle, GiHandle, GpuHandle, MigHandle
from dracore_nvidia_gpu.sim.skin.structs import (
    CiInfo,
    CiProfileInfo,
    CiProfileInfoV2,
    CiProfileInfoV3,
    DeviceAttributes,
    GiInfo,
    GiProfileInfo,
    GiProfileInfoV2,
    GiProfileInfoV3,
    Placement,
)
from dracore_nvidia_gpu.sim.state import ComputeInstance, GpuInstance

GI_PROFILES = 18
"""NVML_GPU_INSTANCE_PROFILE_COUNT; larger numbers are no profile at all."""
CI_PROFILES = 9
CAPABILITY_GRAPHICS = 0x2

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


# --- GPU instance profiles ----------------------------------------------------------------------------


@exports.add("nvmlDeviceGetGpuInstanceProfileInfo", GPU, UINT, Out(GiProfileInfo))
@exports.add(
    "nvmlDeviceGetGpuInstanceProfileInfoV",
    GPU,
    UINT,
    Versioned(((GiProfileInfoV2, 2), (GiProfileInfoV3, 3))),
)
def gi_profile_info(call: Call, device: Device, enum: int, out: Any) -> None:
    """By enum, whether MIG is enabled or not, as NVIDIA's own DRA driver relies on."""
    if enum >= GI_PROFILES:
        raise Refused(Code.INVALID_ARGUMENT)
    table = device.table()
    profile = table.by_enum(enum)
    if profile is None:
        raise Refused(Code.NOT_SUPPORTED)
    _put_gi_profile(profile, out)


@exports.add(
    "nvmlDeviceGetGpuInstanceProfileInfoByIdV",
    GPU,
    UINT,
    Versioned(((GiProfileInfoV2, 2), (GiProfileInfoV3, 3))),
)
def gi_profile_info_by_id(call: Call, device: Device, profile_id: int, out: Any) -> None:
    _put_gi_profile(mig.profile_of(device.table(), profile_id), out)


def _put_gi_profile(profile: GiProfile, out: Any) -> None:
    out.id, out.slices, out.instances = profile.id, profile.slices, profile.max
    out.sm, out.ce, out.dec, out.enc, out.jpeg, out.ofa = profile.engines.values()
    out.memory_mib = profile.memory_mib
    if isinstance(out, GiProfileInfo | GiProfileInfoV2):
        out.p2p = 0
    if isinstance(out, GiProfileInfoV2 | GiProfileInfoV3):
        out.name = f"MIG {profile.name}".encode()
    if isinstance(out, GiProfileInfoV3):
        out.capabilities = CAPABILITY_GRAPHICS if profile.graphics else 0


@exports.add("nvmlDeviceGetGpuInstancePossiblePlacements_v2", GPU, UINT, ADDRESS, OUT_UINT)
def gi_placements(call: Call, device: Device, profile_id: int, out: int | None, count: Any) -> None:
    """All that the profile can ever have, occupied or not."""
    profile = mig.profile_of(device.table(), profile_id)
    _put_placements([(start, profile.size) for start in profile.starts], out, count)


@exports.add("nvmlDeviceGetGpuInstanceRemainingCapacity", GPU, UINT, OUT_UINT)
def gi_remaining(call: Call, device: Device, profile_id: int, out: Any) -> None:
    table = device.enabled_table()
    out.value = mig.remaining(table, device.now, mig.profile_of(table, profile_id))


# --- GPU instances ------------------------------------------------------------------------------------


@exports.add("nvmlDeviceCreateGpuInstance", GPU, UINT, OUT_HANDLE)
def create_gi(call: Call, device: Device, profile_id: int, out: Any) -> None:
    _create_gi(call, device, profile_id, None, out)


@exports.add("nvmlDeviceCreateGpuInstanceWithPlacement", GPU, UINT, Out(Placement), OUT_HANDLE)
def create_gi_at(call: Call, device: Device, profile_id: int, placement: Any, out: Any) -> None:
    profile = mig.profile_of(device.enabled_table(), profile_id)
    if placement.size != profile.size or placement.start not in profile.starts:
        raise Refused(Code.INVALID_ARGUMENT)
    _create_gi(call, device, profile_id, placement.start, out)


def _create_gi(call: Call, device: Device, profile_id: int, start: int | None, out: Any) -> None:
    with call.node.partition(device.spec.uuid) as (table, now):
        instance = mig.create(table, now, mig.profile_of(table, profile_id), start)
    out.value = _gi_handle(call, device, instance)


@exports.add("nvmlGpuInstanceDestroy", GI)
def destroy_gi(call: Call, gi: Device) -> None:
    with call.node.partition(gi.spec.uuid) as (_, now):
        mig.destroy(now, _again(now.instances, gi))


@exports.add("nvmlDeviceGetGpuInstances", GPU, UINT, ADDRESS, OUT_UINT)
def gi_list(call: Call, device: Device, profile_id: int, out: int | None, count: Any) -> None:
    """The caller's array must have room for all that the profile can have (nvml.h)."""
    profile = mig.profile_of(device.enabled_table(), profile_id)
    found = [i for i in device.now.instances if i.profile == profile.id]
    _put_handles([_gi_handle(call, device, i) for i in found], out, count)


@exports.add("nvmlDeviceGetGpuInstanceById", GPU, UINT, OUT_HANDLE)
def gi_by_id(call: Call, device: Device, identity: int, out: Any) -> None:
    device.enabled_table()
    instance = device.now.instance(identity)
    if instance is None:
        raise Refused(Code.NOT_FOUND)
    out.value = _gi_handle(call, device, instance)


@exports.add("nvmlGpuInstanceGetInfo", GI, Out(GiInfo))
def gi_info(call: Call, gi: Device, out: Any) -> None:
    instance = _instance(gi)
    out.device = call.session.hand_out(GpuHandle(gi.spec.uuid))
    out.id, out.profile = instance.id, instance.profile
    out.placement.start, out.placement.size = instance.start, instance.size


# --- compute instances --------------------------------------------------------------------------------


@exports.add("nvmlGpuInstanceGetComputeInstanceProfileInfo", GI, UINT, UINT, Out(CiProfileInfo))
@exports.add(
    "nvmlGpuInstanceGetComputeInstanceProfileInfoV",
    GI,
    UINT,
    UINT,
    Versioned(((CiProfileInfoV2, 2), (CiProfileInfoV3, 3))),
)
def ci_profile_info(call: Call, gi: Device, enum: int, engines: int, out: Any) -> None:
    if enum >= CI_PROFILES or engines != 0:
        raise Refused(Code.INVALID_ARGUMENT)
    _, parent = _parent(gi)
    profile = mig.ci_profile_of(gi.table(), parent, enum)
    out.id, out.slices, out.instances, out.sm = profile.id, profile.slices, len(profile.starts), profile.sm
    shared = parent.engines
    out.ce, out.dec, out.enc, out.jpeg, out.ofa = shared.ce, shared.dec, shared.enc, shared.jpeg, shared.ofa
    if isinstance(out, CiProfileInfoV2 | CiProfileInfoV3):
        out.name = f"MIG {profile.name}".encode()
    if isinstance(out, CiProfileInfoV3):
        out.capabilities = CAPABILITY_GRAPHICS if parent.graphics else 0


@exports.add("nvmlGpuInstanceGetComputeInstancePossiblePlacements", GI, UINT, ADDRESS, OUT_UINT)
def ci_placements(call: Call, gi: Device, profile_id: int, out: int | None, count: Any) -> None:
    profile = _ci_profile(gi, profile_id)
    _put_placements([(start, profile.slices) for start in profile.starts], out, count)


@exports.add("nvmlGpuInstanceGetComputeInstanceRemainingCapacity", GI, UINT, OUT_UINT)
def ci_remaining(call: Call, gi: Device, profile_id: int, out: Any) -> None:
    out.value = len(mig.free_ci_starts(_instance(gi), _ci_profile(gi, profile_id)))


@exports.add("nvmlGpuInstanceCreateComputeInstance", GI, UINT, OUT_HANDLE)
def create_ci(call: Call, gi: Device, profile_id: int, out: Any) -> None:
    _create_ci(call, gi, profile_id, None, out)


@exports.add("nvmlGpuInstanceCreateComputeInstanceWithPlacement", GI, UINT, Out(Placement), OUT_HANDLE)
def create_ci_at(call: Call, gi: Device, profile_id: int, placement: Any, out: Any) -> None:
    profile = _ci_profile(gi, profile_id)
    if placement.size != profile.slices or placement.start not in profile.starts:
        raise Refused(Code.INVALID_ARGUMENT)
    _create_ci(call, gi, profile_id, placement.start, out)


def _create_ci(call: Call, gi: Device, profile_id: int, start: int | None, out: Any) -> None:
    profile = _ci_profile(gi, profile_id)
    with call.node.partition(gi.spec.uuid) as (_, now):
        compute = mig.create_ci(now, gi.spec.uuid, _again(now.instances, gi), profile, start)
    out.value = _ci_handle(call, gi, compute)


@exports.add("nvmlGpuInstanceGetComputeInstances", GI, UINT, ADDRESS, OUT_UINT)
def ci_list(call: Call, gi: Device, profile_id: int, out: int | None, count: Any) -> None:
    profile = _ci_profile(gi, profile_id)
    found = [c for c in _instance(gi).compute if c.profile == profile.id]
    _put_handles([_ci_handle(call, gi, c) for c in found], out, count)


@exports.add("nvmlGpuInstanceGetComputeInstanceById", GI, UINT, OUT_HANDLE)
def ci_by_id(call: Call, gi: Device, identity: int, out: Any) -> None:
    for compute in _instance(gi).compute:
        if compute.id == identity:
            out.value = _ci_handle(call, gi, compute)
            return
    raise Refused(Code.NOT_FOUND)


@exports.add("nvmlComputeInstanceDestroy", CI)
def destroy_ci(call: Call, ci: Device) -> None:
    wanted = _compute(ci)
    with call.node.partition(ci.spec.uuid) as (_, now):
        instance = _again(now.instances, ci)
        compute = next((c for c in instance.compute if c.uuid == wanted.uuid), None)
        if compute is None:
            raise Refused(Code.INVALID_ARGUMENT)
        mig.destroy_ci(now, instance, compute)


@exports.add("nvmlComputeInstanceGetInfo_v2", CI, Out(CiInfo))
def ci_info(call: Call, ci: Device, out: Any) -> None:
    """``device`` is the MIG device's handle. The header's comment says parent; NVIDIA's drivers use it so."""
    compute = _compute(ci)
    out.device = call.session.hand_out(MigHandle(ci.spec.uuid, compute.uuid))
    out.gpu_instance = _gi_handle(call, ci, _instance(ci))
    out.id, out.profile = compute.id, compute.profile
    out.placement.start, out.placement.size = compute.start, compute.size


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
    out.value = _instance(device).id


@exports.add("nvmlDeviceGetComputeInstanceId", MIG, OUT_UINT)
def ci_id(call: Call, device: Device, out: Any) -> None:
    out.value = _compute(device).id


@exports.add("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", MIG, OUT_HANDLE)
def parent_of_mig(call: Call, device: Device, out: Any) -> None:
    out.value = call.session.hand_out(GpuHandle(device.spec.uuid))


@exports.add("nvmlDeviceGetAttributes_v2", MIG, Out(DeviceAttributes))
def attributes(call: Call, device: Device, out: Any) -> None:
    _, profile = _parent(device)
    compute = _compute(device)
    out.sm = mig.ci_profile_of(device.table(), profile, compute.profile).sm
    _, out.ce, out.dec, out.enc, out.jpeg, out.ofa = profile.engines.values()
    out.gi_slices, out.ci_slices, out.memory_mib = profile.slices, compute.size, profile.memory_mib


def _instance(device: Device) -> GpuInstance:
    if device.instance is None:
        raise Refused(Code.INVALID_ARGUMENT)
    return device.instance


def _compute(device: Device) -> ComputeInstance:
    if device.compute is None:
        raise Refused(Code.INVALID_ARGUMENT)
    return device.compute


def _parent(device: Device) -> tuple[MigTable, GiProfile]:
    table = device.table()
    return table, mig.profile_of(table, _instance(device).profile)


def _ci_profile(gi: Device, profile_id: int) -> mig.CiProfile:
    table, parent = _parent(gi)
    return mig.ci_profile_of(table, parent, profile_id)


def _again(instances: list[GpuInstance], device: Device) -> GpuInstance:
    """The instance in the copy that is being changed; somebody may have destroyed it meanwhile."""
    for instance in instances:
        if instance.serial == _instance(device).serial:
            return instance
    raise Refused(Code.INVALID_ARGUMENT)


def _gi_handle(call: Call, device: Device, instance: GpuInstance) -> int:
    return call.session.hand_out(GiHandle(device.spec.uuid, instance.serial))


def _ci_handle(call: Call, device: Device, compute: ComputeInstance) -> int:
    return call.session.hand_out(CiHandle(device.spec.uuid, compute.uuid))


def _put_placements(placements: list[tuple[int, int]], out: int | None, count: Any) -> None:
    if out is not None:
        if count.value < len(placements):
            raise Refused(Code.INSUFFICIENT_SIZE)
        for position, (start, size) in enumerate(placements):
            entry = Placement.from_address(out + position * sizeof(Placement))
            entry.start, entry.size = start, size
    count.value = len(placements)


def _put_handles(handles: list[int], out: int | None, count: Any) -> None:
    if out is None and handles:
        raise Refused(Code.INVALID_ARGUMENT)
    if out is not None:
        array = (c_void_p * len(handles)).from_address(out)
        for position, handle in enumerate(handles):
            array[position] = handle
    count.value = len(handles)
