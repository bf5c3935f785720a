"""What a C library checks about its arguments, and what it does when they are wrong."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest
from dracore_nvidia_gpu.sim import Simulation
from dracore_nvidia_gpu.sim.skin import structs
from dracore_nvidia_gpu.sim.skin.structs import version_word
from dracore_nvidia_gpu.sim.state import Process

Start = Callable[..., tuple[Simulation, Any]]
Code = Callable[..., int]


def test_structs_have_the_sizes_of_the_header() -> None:
    """Sizes and version words as pynvml 13.615.71 has them, where it has them."""
    import pynvml as nv

    for ours, theirs in (
        (structs.Memory, nv.c_nvmlMemory_t),
        (structs.MemoryV2, nv.c_nvmlMemory_v2_t),
        (structs.Bar1Memory, nv.c_nvmlBAR1Memory_t),
        (structs.PciInfo, nv.nvmlPciInfo_t),
        (structs.PciInfoExt, nv.nvmlPciInfoExt_v1_t),
        (structs.AddressingMode, nv.c_nvmlDeviceAddressingMode_t),
        (structs.DriverBranch, nv.c_nvmlSystemDriverBranchInfo_v1_t),
        (structs.Uuid, nv.c_nvmlUUID_t),
        (structs.Placement, nv.c_nvmlGpuInstancePlacement_t),
        (structs.GiProfileInfo, nv.c_nvmlGpuInstanceProfileInfo_t),
        (structs.GiProfileInfoV2, nv.c_nvmlGpuInstanceProfileInfo_v2_t),
        (structs.GiInfo, nv.c_nvmlGpuInstanceInfo_t),
        (structs.CiProfileInfo, nv.c_nvmlComputeInstanceProfileInfo_t),
        (structs.CiProfileInfoV2, nv.c_nvmlComputeInstanceProfileInfo_v2_t),
        (structs.CiInfo, nv.c_nvmlComputeInstanceInfo_t),
        (structs.DeviceAttributes, nv.c_nvmlDeviceAttributes),
        (structs.ProcessInfo, nv.c_nvmlProcessInfo_v3_t),
        (structs.EventData, nv.c_nvmlEventData_t),
        (structs.FabricInfo, nv.c_nvmlGpuFabricInfo_t),
        (structs.FabricInfoV2, nv.c_nvmlGpuFabricInfo_v2_t),
        (structs.FabricInfoV3, nv.c_nvmlGpuFabricInfo_v3_t),
        (structs.FabricInfoV4, nv.c_nvmlGpuFabricInfo_v4_t),
        (structs.PlatformInfoV1, nv.c_nvmlPlatformInfo_v1_t),
        (structs.PlatformInfoV2, nv.c_nvmlPlatformInfo_v2_t),
        (structs.RemappedRows, nv.c_nvmlRemappedRowsInfo_v2_t),
        (structs.RowHistogram, nv.c_nvmlRowRemapperHistogramValues),
        (structs.CcState, nv.c_nvmlConfComputeSystemState_t),
        (structs.CcSettings, nv.c_nvmlSystemConfComputeSettings_v1_t),
        (structs.FieldValue, nv.c_nvmlFieldValue_t),
    ):
        assert ctypes.sizeof(ours) == ctypes.sizeof(theirs), ours
        offsets = [getattr(ours, field[0]).offset for field in ours._fields_]
        assert offsets == [getattr(theirs, field[0]).offset for field in theirs._fields_], ours
    assert version_word(structs.MemoryV2, 2) == nv.nvmlMemory_v2
    assert version_word(structs.PciInfoExt, 1) == nv.nvmlPciInfoExt_v1
    assert version_word(structs.GiProfileInfoV2, 2) == nv.nvmlGpuInstanceProfileInfo_v2
    assert version_word(structs.GiProfileInfoV3, 3) == 0x03000098
    assert version_word(structs.CiProfileInfoV2, 2) == nv.nvmlComputeInstanceProfileInfo_v2
    assert version_word(structs.CiProfileInfoV3, 3) == 0x0300008C


def test_a_wrong_version_word_is_refused(start: Start, code: Code) -> None:
    _, nv = start("gb200-node")
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    nv.nvmlDeviceSetMigMode(gpu, 1)
    gi = nv.nvmlDeviceCreateGpuInstance(gpu, 0)
    lib = nv.nvmlLib
    room = (ctypes.c_uint * 1024)()
    for ask, arguments in (
        (lib.nvmlDeviceGetMemoryInfo_v2, (gpu, room)),
        (lib.nvmlDeviceGetPciInfoExt, (gpu, room)),
        (lib.nvmlDeviceGetAddressingMode, (gpu, room)),
        (lib.nvmlDeviceGetPlatformInfo, (gpu, room)),
        (lib.nvmlDeviceGetGpuFabricInfoV, (gpu, room)),
        (lib.nvmlDeviceGetGpuInstanceProfileInfoV, (gpu, 0, room)),
        (lib.nvmlDeviceGetGpuInstanceProfileInfoByIdV, (gpu, 0, room)),
        (lib.nvmlGpuInstanceGetComputeInstanceProfileInfoV, (gi, 0, 0, room)),
        (lib.nvmlSystemGetConfComputeSettings, (room,)),
        (lib.nvmlSystemGetDriverBranch, (room, 80)),
        (lib.nvmlDeviceGetHandleByUUIDV, (room, room)),
    ):
        for word in (0, 0x02000001, 0x09000028):
            room[0] = word
            assert ask(*arguments) == nv.NVML_ERROR_ARGUMENT_VERSION_MISMATCH
            assert list(room[1:]) == [0] * 1023
    with pytest.raises(nv.NVMLError) as error:
        nv.nvmlDeviceGetMemoryInfo(gpu, version=0x01000028)
    assert error.value.value == nv.NVML_ERROR_ARGUMENT_VERSION_MISMATCH
    assert str(error.value).endswith("Argument version mismatch")


def test_the_third_profile_struct_says_graphics(start: Start, tmp_path: Any) -> None:
    file = tmp_path / "rtx.yaml"
    file.write_text(
        "driver: {version: 580.95.05, cuda: 13000}\n"
        'gpus: [{product: rtx-pro-6000-96gb, pci: "0000:01:00.0"}]\n'
    )
    _, nv = start(file)
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    info = structs.GiProfileInfoV3(version=0x03000098)
    graphics = {}
    for enum in range(nv.NVML_GPU_INSTANCE_PROFILE_COUNT):
        if nv.nvmlLib.nvmlDeviceGetGpuInstanceProfileInfoV(gpu, enum, ctypes.byref(info)) == 0:
            graphics[info.name.decode()] = info.capabilities
    assert graphics["MIG 1g.24gb+gfx"] == graphics["MIG 4g.96gb+gfx"] == 2
    assert graphics["MIG 1g.24gb"] == graphics["MIG 1g.24gb+me.all"] == 0
    assert len(graphics) == 11


def test_strings_need_room_for_their_end(start: Start) -> None:
    _, nv = start()
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    name = b"NVIDIA A100-SXM4-40GB"
    ask = nv.nvmlLib.nvmlDeviceGetName
    buffer = ctypes.create_string_buffer(b"x" * 64)
    assert ask(gpu, buffer, len(name)) == nv.NVML_ERROR_INSUFFICIENT_SIZE
    assert buffer.raw.startswith(b"xxxx")
    assert ask(gpu, buffer, len(name) + 1) == 0
    assert buffer.raw[: len(name) + 2] == name + b"\0x"
    assert ask(gpu, None, 64) == nv.NVML_ERROR_INVALID_ARGUMENT


def test_null_pointers_and_foreign_handles_are_refused(start: Start, code: Code) -> None:
    _, nv = start()
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    lib, invalid = nv.nvmlLib, nv.NVML_ERROR_INVALID_ARGUMENT
    out = ctypes.byref(ctypes.c_uint())
    assert lib.nvmlDeviceGetMinorNumber(gpu, None) == invalid
    assert lib.nvmlDeviceGetMinorNumber(None, out) == invalid
    stray = ctypes.cast(ctypes.pointer(ctypes.c_uint(3)), ctypes.c_void_p)
    assert lib.nvmlDeviceGetMinorNumber(stray, out) == invalid
    assert lib.nvmlDeviceGetHandleByUUID(None, ctypes.byref(ctypes.c_void_p())) == invalid
    assert lib.nvmlDeviceGetGpuInstanceProfileInfoV(gpu, 0, None) == invalid
    events = nv.nvmlEventSetCreate()
    assert lib.nvmlDeviceGetMinorNumber(events, out) == invalid
    assert lib.nvmlEventSetFree(gpu) == invalid
    assert code(nv.nvmlDeviceGetHandleByIndex, 8) == invalid
    assert code(nv.nvmlDeviceGetHandleByUUID, "GPU-none") == nv.NVML_ERROR_NOT_FOUND
    assert code(nv.nvmlDeviceGetHandleByPciBusId, "0000:08:00.0") == nv.NVML_ERROR_NOT_FOUND
    assert code(nv.nvmlDeviceGetHandleByPciBusId, "rubbish") == invalid
    assert code(nv.nvmlDeviceGetGpuInstanceProfileInfo, gpu, 18) == invalid
    assert code(nv.nvmlDeviceGetGpuInstanceProfileInfo, gpu, 10) == nv.NVML_ERROR_NOT_SUPPORTED


def test_a_handle_is_the_same_until_the_last_shutdown(start: Start, code: Code) -> None:
    _, nv = start()
    nv.nvmlInitWithFlags(1)
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    address = ctypes.cast(gpu, ctypes.c_void_p).value
    assert ctypes.cast(nv.nvmlDeviceGetHandleByIndex(0), ctypes.c_void_p).value == address
    nv.nvmlShutdown()
    assert nv.nvmlDeviceGetMinorNumber(gpu) == 0
    nv.nvmlShutdown()
    assert code(nv.nvmlDeviceGetMinorNumber, gpu) == nv.NVML_ERROR_UNINITIALIZED
    assert code(nv.nvmlShutdown) == nv.NVML_ERROR_UNINITIALIZED
    nv.nvmlInitWithFlags(1)
    assert code(nv.nvmlDeviceGetMinorNumber, gpu) == nv.NVML_ERROR_INVALID_ARGUMENT
    assert code(nv.nvmlDeviceGetMinorNumber, nv.nvmlDeviceGetHandleByIndex(0)) == 0


def test_nothing_answers_before_init(simulate: Any, attach: Any, code: Code) -> None:
    nv = attach(simulate())
    assert code(nv.nvmlDeviceGetCount) == nv.NVML_ERROR_UNINITIALIZED
    assert code(nv.nvmlSystemGetDriverVersion) == nv.NVML_ERROR_UNINITIALIZED


def test_init_wants_gpus_unless_told(start: Start, simulate: Any, attach: Any, code: Code) -> None:
    simulation = simulate("single-t4")
    simulation.node.remove("0")
    nv = attach(simulation)
    assert code(nv.nvmlInit) == nv.NVML_ERROR_NOT_FOUND
    assert code(nv.nvmlInitWithFlags, nv.NVML_INIT_FLAG_NO_GPUS) == 0
    assert nv.nvmlDeviceGetCount() == 0


def test_an_unknown_symbol_is_missing_as_in_a_library(start: Start) -> None:
    _, nv = start()
    with pytest.raises(AttributeError):
        _ = nv.nvmlLib.nvmlDeviceGetFanSpeed
    assert not hasattr(nv.nvmlLib, "__wrapped__")
    with pytest.raises(nv.NVMLError_FunctionNotFound):
        nv.nvmlDeviceGetFanSpeed(nv.nvmlDeviceGetHandleByIndex(0))


def test_a_defect_becomes_unknown_error(start: Start, caplog: Any) -> None:
    simulation, nv = start()
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    (simulation.state_dir / "state.json").write_text("{")
    with pytest.raises(nv.NVMLError_Unknown):
        nv.nvmlDeviceGetName(gpu)
    assert "simulated NVML call failed: nvmlDeviceGetName" in caplog.text


def test_every_code_has_a_text(start: Start) -> None:
    _, nv = start()
    texts = {nv.nvmlErrorString(getattr(nv, name)) for name in dir(nv) if name.startswith("NVML_ERROR_")}
    assert len(texts) == len([n for n in dir(nv) if n.startswith("NVML_ERROR_")])
    assert nv.nvmlErrorString(12345) == "Unknown Error"


def test_arguments_reach_c_unchecked_as_in_a_library(start: Start) -> None:
    """pynvml passes signed integers where the header has unsigned ones; a typed pointer would refuse them."""
    _, nv = start()
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    values = (structs.FieldValue * 1)()
    assert nv.nvmlLib.nvmlDeviceGetFieldValues(gpu, ctypes.c_uint(1), values) == 0
    assert nv.nvmlLib.nvmlDeviceGetMinorNumber(gpu, ctypes.pointer(ctypes.c_int())) == 0


def test_processes_are_counted_first(start: Start) -> None:
    simulation, nv = start()
    gpu = nv.nvmlDeviceGetHandleByIndex(1)
    before = nv.nvmlDeviceGetMemoryInfo(gpu).used
    simulation.node.start_process("1", Process(4711, 5 << 20))
    simulation.node.start_process("1", Process(4712, 7 << 20, "mps"))
    found = nv.nvmlDeviceGetComputeRunningProcesses(gpu)
    assert [(p.pid, p.usedGpuMemory, p.gpuInstanceId, p.computeInstanceId) for p in found] == [
        (4711, 5 << 20, 0xFFFFFFFF, 0xFFFFFFFF)
    ]
    assert [p.pid for p in nv.nvmlDeviceGetMPSComputeRunningProcesses(gpu)] == [4712]
    assert nv.nvmlDeviceGetMemoryInfo(gpu).used == before + (12 << 20)
    count = ctypes.c_uint(0)
    ask = nv.nvmlLib.nvmlDeviceGetComputeRunningProcesses_v3
    assert ask(gpu, ctypes.byref(count), None) == nv.NVML_ERROR_INSUFFICIENT_SIZE
    assert count.value == 1
    simulation.node.end_process("1", 4711)
    assert nv.nvmlDeviceGetComputeRunningProcesses(gpu) == []


def test_setters_refuse_values_that_mean_nothing(start: Start, code: Code) -> None:
    _, nv = start()
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    assert code(nv.nvmlDeviceSetComputeMode, gpu, 7) == nv.NVML_ERROR_INVALID_ARGUMENT
    assert code(nv.nvmlDeviceSetPersistenceMode, gpu, 2) == nv.NVML_ERROR_INVALID_ARGUMENT
    assert code(nv.nvmlDeviceSetMigMode, gpu, 2) == nv.NVML_ERROR_INVALID_ARGUMENT


def test_what_products_do_not_have_is_not_supported(start: Start, code: Code) -> None:
    _, nv = start("single-t4")
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    unsupported = nv.NVML_ERROR_NOT_SUPPORTED
    for ask in (
        nv.nvmlDeviceGetMigMode,
        nv.nvmlDeviceGetNumaNodeId,
        nv.nvmlDeviceGetRemappedRows,
        lambda h: nv.nvmlDeviceGetNvLinkState(h, 0),
        lambda h: nv.nvmlDeviceGetGpuFabricInfoV(h, ctypes.byref(nv.c_nvmlGpuFabricInfo_v2_t())),
        lambda h: nv.nvmlDeviceGetPlatformInfo(h, ctypes.byref(nv.c_nvmlPlatformInfo_v2_t())),
        lambda h: nv.nvmlDeviceGetGpuInstanceProfileInfo(h, 0),
        lambda h: nv.nvmlSystemGetConfComputeState(),
    ):
        assert code(ask, gpu) == unsupported
    assert nv.nvmlDeviceGetMaxMigDeviceCount(gpu) == 0
    assert nv.nvmlDeviceGetBAR1MemoryInfo(gpu).bar1Total == 256 << 20


def test_unified_memory_has_no_size(start: Start, code: Code) -> None:
    _, nv = start("gb10")
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    assert code(nv.nvmlDeviceGetMemoryInfo, gpu) == nv.NVML_ERROR_NOT_SUPPORTED
    assert (
        code(lambda: nv.nvmlDeviceGetMemoryInfo(gpu, version=nv.nvmlMemory_v2)) == nv.NVML_ERROR_NOT_SUPPORTED
    )
    assert nv.nvmlDeviceGetPciInfo(gpu).busId == "0000000F:01:00.0"


def test_topology_of_a_machine_with_switches(start: Start, code: Code) -> None:
    _, nv = start("dgx-a100-80")
    gpus = [nv.nvmlDeviceGetHandleByIndex(i) for i in range(8)]
    level = nv.nvmlDeviceGetTopologyCommonAncestor
    assert level(gpus[0], gpus[0]) == nv.NVML_TOPOLOGY_INTERNAL
    assert level(gpus[0], gpus[1]) == nv.NVML_TOPOLOGY_SINGLE
    assert level(gpus[0], gpus[2]) == nv.NVML_TOPOLOGY_SYSTEM
    assert nv.nvmlDeviceGetNvLinkRemotePciInfo(gpus[0], 0).busId == "00000000:C4:00.0"
    assert code(nv.nvmlDeviceGetNvLinkState, gpus[0], 12) == nv.NVML_ERROR_INVALID_ARGUMENT


def test_nvlink_without_a_rack_is_a_completed_fabric_of_zeros(start: Start) -> None:
    _, nv = start("dgx-h100")
    info = nv.c_nvmlGpuFabricInfo_v2_t()
    nv.nvmlDeviceGetGpuFabricInfoV(nv.nvmlDeviceGetHandleByIndex(0), ctypes.byref(info))
    assert (info.state, bytes(info.clusterUuid)) == (3, bytes(16))
