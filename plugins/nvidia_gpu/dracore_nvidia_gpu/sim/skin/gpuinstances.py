"""MIG: GPU instances, their profiles and placements."""

from __future__ import annotations

from typing import Any

from dracore_nvidia_gpu.sim import mig
from dracore_nvidia_gpu.sim.codes import Code, Refused
from dracore_nvidia_gpu.sim.hardware import GiProfile
from dracore_nvidia_gpu.sim.skin.call import (
    ADDRESS,
    GI,
    GPU,
    OUT_HANDLE,
    OUT_UINT,
    UINT,
    Call,
    Device,
    Exports,
    Out,
    Versioned,
)
from dracore_nvidia_gpu.sim.skin.mighandles import (
    CAPABILITY_GRAPHICS,
    again,
    gi_handle,
    instance_of,
    put_handles,
    put_placements,
)
from dracore_nvidia_gpu.sim.skin.session import GpuHandle
from dracore_nvidia_gpu.sim.skin.structs import (
    GiInfo,
    GiProfileInfo,
    GiProfileInfoV2,
    GiProfileInfoV3,
    Placement,
)

GI_PROFILES = 18
"""NVML_GPU_INSTANCE_PROFILE_COUNT; larger numbers are no profile at all."""

exports = Exports()


# --- profiles -----------------------------------------------------------------------------------------


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
    put_placements([(start, profile.size) for start in profile.starts], out, count)


@exports.add("nvmlDeviceGetGpuInstanceRemainingCapacity", GPU, UINT, OUT_UINT)
def gi_remaining(call: Call, device: Device, profile_id: int, out: Any) -> None:
    table = device.enabled_table()
    out.value = mig.remaining(table, device.now, mig.profile_of(table, profile_id))


# --- instances ----------------------------------------------------------------------------------------


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
    out.value = gi_handle(call, device, instance)


@exports.add("nvmlGpuInstanceDestroy", GI)
def destroy_gi(call: Call, gi: Device) -> None:
    with call.node.partition(gi.spec.uuid) as (_, now):
        mig.destroy(now, again(now.instances, gi))


@exports.add("nvmlDeviceGetGpuInstances", GPU, UINT, ADDRESS, OUT_UINT)
def gi_list(call: Call, device: Device, profile_id: int, out: int | None, count: Any) -> None:
    """The caller's array must have room for all that the profile can have (nvml.h)."""
    profile = mig.profile_of(device.enabled_table(), profile_id)
    found = [i for i in device.now.instances if i.profile == profile.id]
    put_handles([gi_handle(call, device, i) for i in found], out, count)


@exports.add("nvmlDeviceGetGpuInstanceById", GPU, UINT, OUT_HANDLE)
def gi_by_id(call: Call, device: Device, identity: int, out: Any) -> None:
    device.enabled_table()
    instance = device.now.instance(identity)
    if instance is None:
        raise Refused(Code.NOT_FOUND)
    out.value = gi_handle(call, device, instance)


@exports.add("nvmlGpuInstanceGetInfo", GI, Out(GiInfo))
def gi_info(call: Call, gi: Device, out: Any) -> None:
    instance = instance_of(gi)
    out.device = call.session.hand_out(GpuHandle(gi.spec.uuid))
    out.id, out.profile = instance.id, instance.profile
    out.placement.start, out.placement.size = instance.start, instance.size
