"""MIG: compute instances, their profiles and placements."""

from __future__ import annotations

from typing import Any

from dracore_nvidia_gpu.sim import mig
from dracore_nvidia_gpu.sim.codes import Code, Refused
from dracore_nvidia_gpu.sim.skin.call import (
    ADDRESS,
    CI,
    GI,
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
    ci_handle,
    ci_profile,
    compute_of,
    gi_handle,
    instance_of,
    profile_of_parent,
    put_handles,
    put_placements,
)
from dracore_nvidia_gpu.sim.skin.session import MigHandle
from dracore_nvidia_gpu.sim.skin.structs import (
    CiInfo,
    CiProfileInfo,
    CiProfileInfoV2,
    CiProfileInfoV3,
    Placement,
)

CI_PROFILES = 9
"""NVML_COMPUTE_INSTANCE_PROFILE_COUNT."""

exports = Exports()


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
    _, parent = profile_of_parent(gi)
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
    profile = ci_profile(gi, profile_id)
    put_placements([(start, profile.slices) for start in profile.starts], out, count)


@exports.add("nvmlGpuInstanceGetComputeInstanceRemainingCapacity", GI, UINT, OUT_UINT)
def ci_remaining(call: Call, gi: Device, profile_id: int, out: Any) -> None:
    out.value = len(mig.free_ci_starts(instance_of(gi), ci_profile(gi, profile_id)))


@exports.add("nvmlGpuInstanceCreateComputeInstance", GI, UINT, OUT_HANDLE)
def create_ci(call: Call, gi: Device, profile_id: int, out: Any) -> None:
    _create_ci(call, gi, profile_id, None, out)


@exports.add("nvmlGpuInstanceCreateComputeInstanceWithPlacement", GI, UINT, Out(Placement), OUT_HANDLE)
def create_ci_at(call: Call, gi: Device, profile_id: int, placement: Any, out: Any) -> None:
    profile = ci_profile(gi, profile_id)
    if placement.size != profile.slices or placement.start not in profile.starts:
        raise Refused(Code.INVALID_ARGUMENT)
    _create_ci(call, gi, profile_id, placement.start, out)


def _create_ci(call: Call, gi: Device, profile_id: int, start: int | None, out: Any) -> None:
    profile = ci_profile(gi, profile_id)
    with call.node.partition(gi.spec.uuid) as (_, now):
        compute = mig.create_ci(now, gi.spec.uuid, again(now.instances, gi), profile, start)
    out.value = ci_handle(call, gi, compute)


@exports.add("nvmlGpuInstanceGetComputeInstances", GI, UINT, ADDRESS, OUT_UINT)
def ci_list(call: Call, gi: Device, profile_id: int, out: int | None, count: Any) -> None:
    profile = ci_profile(gi, profile_id)
    found = [c for c in instance_of(gi).compute if c.profile == profile.id]
    put_handles([ci_handle(call, gi, c) for c in found], out, count)


@exports.add("nvmlGpuInstanceGetComputeInstanceById", GI, UINT, OUT_HANDLE)
def ci_by_id(call: Call, gi: Device, identity: int, out: Any) -> None:
    for compute in instance_of(gi).compute:
        if compute.id == identity:
            out.value = ci_handle(call, gi, compute)
            return
    raise Refused(Code.NOT_FOUND)


@exports.add("nvmlComputeInstanceDestroy", CI)
def destroy_ci(call: Call, ci: Device) -> None:
    wanted = compute_of(ci)
    with call.node.partition(ci.spec.uuid) as (_, now):
        instance = again(now.instances, ci)
        compute = next((c for c in instance.compute if c.uuid == wanted.uuid), None)
        if compute is None:
            raise Refused(Code.INVALID_ARGUMENT)
        mig.destroy_ci(now, instance, compute)


@exports.add("nvmlComputeInstanceGetInfo_v2", CI, Out(CiInfo))
def ci_info(call: Call, ci: Device, out: Any) -> None:
    """``device`` is the MIG device's handle. The header's comment says parent; NVIDIA's drivers use it so."""
    compute = compute_of(ci)
    out.device = call.session.hand_out(MigHandle(ci.spec.uuid, compute.uuid))
    out.gpu_instance = gi_handle(call, ci, instance_of(ci))
    out.id, out.profile = compute.id, compute.profile
    out.placement.start, out.placement.size = compute.start, compute.size
