"""Partitions: modes, instances and what of them can exist at the same time."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from dracore_nvidia_gpu.sim import Simulation, mig
from dracore_nvidia_gpu.sim.catalog import build, describe
from dracore_nvidia_gpu.sim.codes import Code, Refused
from dracore_nvidia_gpu.sim.hardware import Engines, MigTable
from dracore_nvidia_gpu.sim.state import GpuState, Process
from hypothesis import given, settings
from hypothesis import strategies as st

Start = Callable[..., tuple[Simulation, Any]]


def table_of(product: str) -> MigTable:
    description = describe("single-t4")
    description["gpus"] = [{"product": product, "pci": "0000:01:00.0"}]
    from dracore_nvidia_gpu.sim.catalog import load_table

    description["products"] = {product: load_table(f"products/{product}.yaml")}
    description["migFamilies"] = load_table("mig-families.yaml")
    table = build(description).gpus[0].product.mig
    assert table is not None
    return table


TABLES = {
    key: table_of(key)
    for key in ("a100-sxm4-40gb", "h100-sxm5-80gb", "a30", "b200-180gb", "gb200-189gb", "rtx-pro-6000-96gb")
}


def create(table: MigTable, gpu: GpuState, name: str, start: int | None = None) -> int:
    profile = next(p for p in table.profiles if p.name == name)
    return mig.create(table, gpu, profile, start).id


# --- the allocator ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("product", "placed", "ids"),
    [
        # Four listings of real hardware (nvidia-smi mig -lgi).
        ("h100-sxm5-80gb", [("1g.10gb", 0), ("1g.10gb", 1), ("1g.10gb", 5)], [7, 8, 12]),
        ("h100-sxm5-80gb", [("1g.20gb", 4)], [5]),
        ("a30", [("1g.6gb", 0), ("1g.6gb", 1), ("1g.6gb", 2), ("1g.6gb", 3)], [3, 4, 5, 6]),
        ("a100-sxm4-40gb", [("1g.5gb", n) for n in range(7)], [7, 8, 9, 10, 11, 12, 13]),
        # Twelve units behave as four.
        ("rtx-pro-6000-96gb", [("1g.24gb", 0), ("1g.24gb", 3), ("2g.48gb", 6)], [3, 4, 2]),
    ],
)
def test_ids_follow_the_position(product: str, placed: list[tuple[str, int]], ids: list[int]) -> None:
    gpu = GpuState(mig=1)
    assert [create(TABLES[product], gpu, name, start) for name, start in placed] == ids


def test_memory_that_is_free_may_still_be_of_no_use() -> None:
    """Two 3g take all of the memory and six of seven compute slices: the seventh is lost."""
    table, gpu = TABLES["a100-sxm4-40gb"], GpuState(mig=1)
    create(table, gpu, "3g.20gb")
    create(table, gpu, "3g.20gb")
    assert all(mig.remaining(table, gpu, profile) == 0 for profile in table.profiles)


def test_there_is_one_media_extension() -> None:
    table, gpu = TABLES["h100-sxm5-80gb"], GpuState(mig=1)
    create(table, gpu, "1g.10gb+me")
    with pytest.raises(Refused) as refused:
        create(table, gpu, "1g.10gb+me")
    assert refused.value.code == Code.INSUFFICIENT_RESOURCES
    assert mig.remaining(table, gpu, next(p for p in table.profiles if p.name == "1g.10gb")) == 6


def test_compute_slices_end_before_memory_does() -> None:
    """No product's table shows this by itself; a table of the user's may."""
    full = replace(TABLES["a30"].full, engines=Engines(99, 99, 99, 99, 99, 99))
    small = replace(
        full, key="1g", id=9, slices=2, size=1, starts=(0, 1, 2, 3), max=4, engines=Engines(1, 0, 0, 0, 0, 0)
    )
    table = MigTable(memory_slices=4, compute_slices=5, profiles=(full, small))
    assert mig.remaining(table, GpuState(mig=1), small) == 2


def test_all_engines_in_one_instance_leave_none_to_others() -> None:
    table, gpu = TABLES["rtx-pro-6000-96gb"], GpuState(mig=1)
    create(table, gpu, "1g.24gb+me.all")
    left = {p.name: mig.remaining(table, gpu, p) for p in table.profiles}
    assert left["1g.24gb-me"] == 3
    assert left["2g.48gb-me"] == 1
    assert left["1g.24gb"] == left["2g.48gb"] == left["1g.24gb+gfx"] == 0


def test_the_highest_place_is_taken_first() -> None:
    table, gpu = TABLES["a100-sxm4-40gb"], GpuState(mig=1)
    assert [create(table, gpu, name) for name in ("1g.5gb", "2g.10gb", "4g.20gb")] == [13, 5, 1]


step = st.tuples(st.integers(0, 99), st.integers(0, 99), st.booleans())


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(TABLES)), st.lists(step, max_size=25))
def test_instances_never_share_what_is_not_there_twice(
    product: str, steps: list[tuple[int, int, bool]]
) -> None:
    table, gpu = TABLES[product], GpuState(mig=1)
    for which, where, make in steps:
        if not make and gpu.instances:
            mig.destroy(gpu, gpu.instances[which % len(gpu.instances)])
            continue
        profile = table.profiles[which % len(table.profiles)]
        start = profile.starts[where % len(profile.starts)]
        possible = start in mig.free_starts(table, gpu, profile)
        capacity = mig.remaining(table, gpu, profile)
        assert 0 <= capacity <= profile.max
        assert not possible or capacity
        if possible:
            mig.create(table, gpu, profile, start)
            assert mig.remaining(table, gpu, profile) == capacity - 1
        else:
            with pytest.raises(Refused) as refused:
                mig.create(table, gpu, profile, start)
            assert refused.value.code == Code.INSUFFICIENT_RESOURCES

        taken = [s for i in gpu.instances for s in range(i.start, i.start + i.size)]
        assert len(taken) == len(set(taken))
        assert set(taken) <= set(range(table.memory_slices))
        profiles = [mig.profile_of(table, i.profile) for i in gpu.instances]
        assert sum(p.slices for p in profiles) <= table.compute_slices
        total = sum((p.engines for p in profiles), start=Engines(0, 0, 0, 0, 0, 0))
        assert total.within(table.full.engines)
        ids = [i.id for i in gpu.instances]
        assert len(ids) == len(set(ids))
        serials = [i.serial for i in gpu.instances]
        assert len(serials) == len(set(serials))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(TABLES)), st.lists(step, max_size=15))
def test_compute_instances_share_their_parent(product: str, steps: list[tuple[int, int, bool]]) -> None:
    table, gpu = TABLES[product], GpuState(mig=1)
    instance = mig.create(table, gpu, table.full)
    uuids: set[str] = set()
    for which, where, make in steps:
        if not make and instance.compute:
            mig.destroy_ci(gpu, instance, instance.compute[which % len(instance.compute)])
            continue
        profiles = list(mig.ci_profiles(table, table.full))
        profile = profiles[which % len(profiles)]
        free = mig.free_ci_starts(instance, profile)
        start = profile.starts[where % len(profile.starts)]
        try:
            compute = mig.create_ci(gpu, "GPU-x", instance, profile, start)
        except Refused:
            assert start not in free
            continue
        assert start in free
        assert compute.uuid not in uuids
        uuids.add(compute.uuid)
        taken = [s for c in instance.compute for s in range(c.start, c.start + c.size)]
        assert len(taken) == len(set(taken)) <= table.compute_slices
        assert len({c.slot for c in instance.compute}) == len(instance.compute)
        assert all(c.slot < table.compute_slices and c.id < 8 for c in instance.compute)


# --- through pynvml -----------------------------------------------------------------------------------


def test_partitions_end_with_the_order_that_drivers_must_keep(start: Start, code: Any) -> None:
    simulation, nv = start()
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    assert code(nv.nvmlDeviceCreateGpuInstance, gpu, 19) == nv.NVML_ERROR_NOT_SUPPORTED
    assert nv.nvmlDeviceSetMigMode(gpu, 1) == 0
    gi = nv.nvmlDeviceCreateGpuInstance(gpu, 19)
    ci = nv.nvmlGpuInstanceCreateComputeInstance(gi, 0)
    device = nv.nvmlComputeInstanceGetInfo(ci).device
    uuid = nv.nvmlDeviceGetUUID(device)
    assert uuid.startswith("MIG-")
    assert nv.nvmlDeviceGetMemoryInfo(device).total == 4864 << 20
    assert code(nv.nvmlDeviceGetMinorNumber, device) == nv.NVML_ERROR_NOT_SUPPORTED
    assert code(nv.nvmlDeviceGetGpuInstanceId, gpu) == nv.NVML_ERROR_INVALID_ARGUMENT

    assert nv.nvmlDeviceSetMigMode(gpu, 0) == nv.NVML_ERROR_IN_USE
    assert nv.nvmlDeviceGetMigMode(gpu) == [1, 0]
    assert code(nv.nvmlGpuInstanceDestroy, gi) == nv.NVML_ERROR_IN_USE
    simulation.node.start_process("0", Process(1, 0, "compute", 13, 0))
    assert [p.gpuInstanceId for p in nv.nvmlDeviceGetComputeRunningProcesses(device)] == [13]
    assert code(nv.nvmlComputeInstanceDestroy, ci) == nv.NVML_ERROR_IN_USE
    simulation.node.end_process("0", 1)
    nv.nvmlComputeInstanceDestroy(ci)
    assert code(nv.nvmlComputeInstanceDestroy, ci) == nv.NVML_ERROR_INVALID_ARGUMENT
    assert code(nv.nvmlDeviceGetUUID, device) == nv.NVML_ERROR_INVALID_ARGUMENT
    assert code(nv.nvmlDeviceGetHandleByUUID, uuid) == nv.NVML_ERROR_NOT_FOUND
    nv.nvmlGpuInstanceDestroy(gi)
    assert code(nv.nvmlGpuInstanceGetInfo, gi) == nv.NVML_ERROR_INVALID_ARGUMENT
    assert nv.nvmlDeviceSetMigMode(gpu, 0) == 0


def test_a_new_instance_in_an_old_place_is_another(start: Start) -> None:
    _, nv = start()
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    nv.nvmlDeviceSetMigMode(gpu, 1)
    seen = set()
    for _ in range(2):
        gi = nv.nvmlDeviceCreateGpuInstance(gpu, 19)
        ci = nv.nvmlGpuInstanceCreateComputeInstance(gi, 0)
        seen.add(nv.nvmlDeviceGetUUID(nv.nvmlComputeInstanceGetInfo(ci).device))
        assert nv.nvmlGpuInstanceGetInfo(gi).id == 13
        nv.nvmlComputeInstanceDestroy(ci)
        nv.nvmlGpuInstanceDestroy(gi)
    assert len(seen) == 2


def test_the_same_place_is_not_given_twice(start: Start, code: Any) -> None:
    _, nv = start()
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    nv.nvmlDeviceSetMigMode(gpu, 1)

    def make(profile: int, start: int, size: int) -> int:
        place = nv.c_nvmlGpuInstancePlacement_t(start, size)
        return int(code(nv.nvmlDeviceCreateGpuInstanceWithPlacement, gpu, profile, ctypes.byref(place)))

    assert make(9, 0, 4) == 0
    assert make(9, 0, 4) == nv.NVML_ERROR_INSUFFICIENT_RESOURCES
    assert make(19, 3, 1) == nv.NVML_ERROR_INSUFFICIENT_RESOURCES
    assert make(9, 1, 4) == nv.NVML_ERROR_INVALID_ARGUMENT
    assert make(9, 4, 3) == nv.NVML_ERROR_INVALID_ARGUMENT
    assert make(2, 0, 4) == nv.NVML_ERROR_NOT_SUPPORTED
    assert make(19, 4, 1) == 0
    assert nv.nvmlDeviceGetGpuInstanceRemainingCapacity(gpu, 19) == 2


def test_empty_slots_are_not_found(start: Start, code: Any) -> None:
    _, nv = start()
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    assert code(nv.nvmlDeviceGetMigDeviceHandleByIndex, gpu, 0) == nv.NVML_ERROR_NOT_SUPPORTED
    nv.nvmlDeviceSetMigMode(gpu, 1)
    instances = [nv.nvmlDeviceCreateGpuInstance(gpu, 19) for _ in range(3)]
    computes = [nv.nvmlGpuInstanceCreateComputeInstance(gi, 0) for gi in instances]
    nv.nvmlComputeInstanceDestroy(computes[1])
    slots = [code(nv.nvmlDeviceGetMigDeviceHandleByIndex, gpu, n) for n in range(8)]
    missing, beyond = nv.NVML_ERROR_NOT_FOUND, nv.NVML_ERROR_INVALID_ARGUMENT
    assert slots == [0, missing, 0, missing, missing, missing, missing, beyond]
    assert code(nv.nvmlDeviceGetGpuInstanceById, gpu, 0) == nv.NVML_ERROR_NOT_FOUND
    assert code(nv.nvmlGpuInstanceGetComputeInstanceById, instances[1], 0) == nv.NVML_ERROR_NOT_FOUND


def test_a_busy_gpu_changes_its_mode_when_it_is_reset(start: Start, code: Any) -> None:
    simulation, nv = start()
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    simulation.node.start_process("0", Process(1, 0))
    assert nv.nvmlDeviceSetMigMode(gpu, 1) == nv.NVML_ERROR_IN_USE
    assert nv.nvmlDeviceGetMigMode(gpu) == [0, 1]
    with pytest.raises(Refused):
        simulation.node.reset("0")
    simulation.node.end_process("0", 1)
    assert nv.nvmlDeviceGetMigMode(gpu) == [0, 1]
    simulation.node.reset("0")
    assert nv.nvmlDeviceGetMigMode(gpu) == [1, 1]


def test_profiles_and_places_are_known_before_mig_is_on(start: Start) -> None:
    _, nv = start("dgx-h100")
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    found = {}
    for enum in range(nv.NVML_GPU_INSTANCE_PROFILE_COUNT):
        try:
            info = nv.nvmlDeviceGetGpuInstanceProfileInfo(gpu, enum)
        except nv.NVMLError_NotSupported:
            continue
        found[info.name] = (info.id, info.multiprocessorCount, info.memorySizeMB)
    assert found["MIG 1g.20gb"] == (15, 26, 20096)
    assert found["MIG 3g.40gb"] == (9, 60, 40448)
    assert len(found) == 7
    count = ctypes.c_uint(2)
    small = (nv.c_nvmlGpuInstancePlacement_t * 2)()
    ask = nv.nvmlLib.nvmlDeviceGetGpuInstancePossiblePlacements_v2
    assert ask(gpu, 19, small, ctypes.byref(count)) == nv.NVML_ERROR_INSUFFICIENT_SIZE
