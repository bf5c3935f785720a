"""The MIG allocator of one GPU: which instances can exist side by side, and under which ids.

Pure functions over a product's table and the GPU's state. Rules, and how sure they are: memory slices of two
instances never overlap (nvml.h); compute slices and engines add up to at most what the full-GPU profile has
(MIG user guide: one media-extension instance, a graphics card's ``+me.all`` leaves no engine to others); ids
follow the position in the buddy tree (derived from four real listings, not documented).
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

from dracore_nvidia_gpu.sim.codes import Code, Refused
from dracore_nvidia_gpu.sim.hardware import Engines, GiProfile, MigTable
from dracore_nvidia_gpu.sim.names import mig_uuid
from dracore_nvidia_gpu.sim.state import ComputeInstance, GpuInstance, GpuState

_CI_ENUMS = {1: 0, 2: 1, 3: 2, 4: 3, 7: 4}
"""NVML_COMPUTE_INSTANCE_PROFILE_*_SLICE by slices; the profile's id is the same number."""

_NO_ENGINES = Engines(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class CiProfile:
    """A compute instance profile of one GPU instance; the engines are shared with its siblings."""

    id: int
    slices: int
    starts: tuple[int, ...]
    sm: int
    name: str


def profile_of(table: MigTable, profile_id: int) -> GiProfile:
    """:raises Refused: the GPU has no such profile."""
    profile = table.by_id(profile_id)
    if profile is None:
        raise Refused(Code.NOT_SUPPORTED)
    return profile


def instance_id(table: MigTable, start: int, size: int) -> int:
    """Position in the buddy tree, counted level by level: 0 is the whole GPU, 1 and 2 its halves."""
    return table.memory_slices // size - 1 + start // size


def free_starts(table: MigTable, gpu: GpuState, profile: GiProfile) -> list[int]:
    """Where one more instance of the profile could be put now."""
    if not _within_limits(table, gpu, profile):
        return []
    taken = {s for i in gpu.instances for s in range(i.start, i.start + i.size)}
    return [start for start in profile.starts if taken.isdisjoint(range(start, start + profile.size))]


def remaining(table: MigTable, gpu: GpuState, profile: GiProfile) -> int:
    """How many more instances of the profile fit beside those that exist."""
    trial = deepcopy(gpu)
    count = 0
    while starts := free_starts(table, trial, profile):
        create(table, trial, profile, starts[0])
        count += 1
    return count


def create(table: MigTable, gpu: GpuState, profile: GiProfile, start: int | None = None) -> GpuInstance:
    """:param start: None: the highest free place, as real drivers choose.
    :raises Refused: INSUFFICIENT_RESOURCES when it does not fit there."""
    starts = free_starts(table, gpu, profile)
    if start is None and starts:
        start = max(starts)
    if start is None or start not in starts:
        raise Refused(Code.INSUFFICIENT_RESOURCES)
    identity = instance_id(table, start, profile.size)
    gpu.made += 1
    instance = GpuInstance(identity, profile.id, start, profile.size, gpu.made)
    gpu.instances.append(instance)
    gpu.instances.sort(key=lambda i: i.start)
    return instance


def destroy(gpu: GpuState, instance: GpuInstance) -> None:
    """:raises Refused: IN_USE while compute instances or processes are in it."""
    if instance.compute or any(p.instance == instance.id for p in gpu.processes):
        raise Refused(Code.IN_USE)
    gpu.instances.remove(instance)


def ci_profiles(table: MigTable, profile: GiProfile) -> Iterator[CiProfile]:
    """How a GPU instance can be divided. Sizes are those of the MIG user guide; starts are derived."""
    for slices, identity in _CI_ENUMS.items():
        if slices > profile.slices or (slices == 3 and profile.slices == 4):
            continue
        whole = slices == profile.slices
        step = 4 if slices == 3 else slices
        yield CiProfile(
            id=identity,
            slices=slices,
            starts=tuple(range(0, profile.slices - slices + 1, step)),
            sm=profile.engines.sm if whole else slices * table.sm_per_slice(),
            name=profile.name if whole else f"{slices}c.{profile.name}",
        )


def ci_profile_of(table: MigTable, profile: GiProfile, ci_profile_id: int) -> CiProfile:
    """:raises Refused: the instance cannot be divided so."""
    for candidate in ci_profiles(table, profile):
        if candidate.id == ci_profile_id:
            return candidate
    raise Refused(Code.NOT_SUPPORTED)


def free_ci_starts(instance: GpuInstance, profile: CiProfile) -> list[int]:
    taken = {s for c in instance.compute for s in range(c.start, c.start + c.size)}
    return [s for s in profile.starts if taken.isdisjoint(range(s, s + profile.slices))]


def create_ci(
    gpu: GpuState, parent: str, instance: GpuInstance, profile: CiProfile, start: int | None = None
) -> ComputeInstance:
    """:param parent: uuid of the GPU.
    :raises Refused: INSUFFICIENT_RESOURCES when it does not fit there."""
    starts = free_ci_starts(instance, profile)
    if start is None and starts:
        start = starts[0]
    if start is None or start not in starts:
        raise Refused(Code.INSUFFICIENT_RESOURCES)
    identity = _lowest_free(c.id for c in instance.compute)
    gpu.made += 1
    compute = ComputeInstance(
        id=identity,
        profile=profile.id,
        start=start,
        size=profile.slices,
        uuid=mig_uuid(parent, instance.id, identity, gpu.made),
        slot=_lowest_free(c.slot for i in gpu.instances for c in i.compute),
    )
    instance.compute.append(compute)
    return compute


def destroy_ci(gpu: GpuState, instance: GpuInstance, compute: ComputeInstance) -> None:
    """:raises Refused: IN_USE while processes are in it."""
    if any(p.instance == instance.id and p.compute == compute.id for p in gpu.processes):
        raise Refused(Code.IN_USE)
    instance.compute.remove(compute)


def _within_limits(table: MigTable, gpu: GpuState, profile: GiProfile) -> bool:
    existing = [p for i in gpu.instances if (p := table.by_id(i.profile)) is not None]
    slices = sum(p.slices for p in existing) + profile.slices
    engines = sum((p.engines for p in existing), start=_NO_ENGINES) + profile.engines
    return (
        sum(p.id == profile.id for p in existing) < profile.max
        and slices <= table.compute_slices
        and engines.within(table.full.engines)
    )


def _lowest_free(taken: Iterator[int]) -> int:
    used = set(taken)
    return next(n for n in range(len(used) + 1) if n not in used)
