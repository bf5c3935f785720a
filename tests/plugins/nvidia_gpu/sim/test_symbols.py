"""Every exported symbol, called once through pynvml as a driver would."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest
from dracore_nvidia_gpu.sim import Simulation

TABLE = [
    "nvmlInitWithFlags",
    "nvmlShutdown",
    "nvmlSystemGetDriverVersion",
    "nvmlSystemGetNVMLVersion",
    "nvmlSystemGetDriverBranch",
    "nvmlSystemGetCudaDriverVersion",
    "nvmlSystemGetCudaDriverVersion_v2",
    "nvmlDeviceGetCount_v2",
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetHandleByUUID",
    "nvmlDeviceGetHandleByPciBusId_v2",
    "nvmlDeviceGetHandleBySerial",
    "nvmlDeviceGetHandleByUUIDV",
    "nvmlDeviceGetIndex",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetMinorNumber",
    "nvmlDeviceGetName",
    "nvmlDeviceGetSerial",
    "nvmlDeviceGetBoardId",
    "nvmlDeviceGetModuleId",
    "nvmlDeviceGetBrand",
    "nvmlDeviceGetArchitecture",
    "nvmlDeviceGetCudaComputeCapability",
    "nvmlDeviceGetPciInfo_v3",
    "nvmlDeviceGetPciInfoExt",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetBAR1MemoryInfo",
    "nvmlDeviceGetNumaNodeId",
    "nvmlDeviceGetCpuAffinity",
    "nvmlDeviceGetCpuAffinityWithinScope",
    "nvmlDeviceGetMemoryAffinity",
    "nvmlDeviceGetAddressingMode",
    "nvmlDeviceGetTopologyCommonAncestor",
    "nvmlDeviceGetTopologyNearestGpus",
    "nvmlDeviceGetP2PStatus",
    "nvmlDeviceGetNvLinkState",
    "nvmlDeviceGetNvLinkVersion",
    "nvmlDeviceGetNvLinkCapability",
    "nvmlDeviceGetNvLinkRemoteDeviceType",
    "nvmlDeviceGetNvLinkRemotePciInfo_v2",
    "nvmlDeviceGetGpuFabricInfo",
    "nvmlDeviceGetGpuFabricInfoV",
    "nvmlDeviceGetPlatformInfo",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceSetMigMode",
    "nvmlDeviceGetMaxMigDeviceCount",
    "nvmlDeviceGetGpuInstanceProfileInfo",
    "nvmlDeviceGetGpuInstanceProfileInfoV",
    "nvmlDeviceGetGpuInstanceProfileInfoByIdV",
    "nvmlDeviceGetGpuInstancePossiblePlacements_v2",
    "nvmlDeviceGetGpuInstanceRemainingCapacity",
    "nvmlDeviceCreateGpuInstance",
    "nvmlDeviceCreateGpuInstanceWithPlacement",
    "nvmlGpuInstanceDestroy",
    "nvmlDeviceGetGpuInstances",
    "nvmlDeviceGetGpuInstanceById",
    "nvmlGpuInstanceGetInfo",
    "nvmlGpuInstanceGetComputeInstanceProfileInfo",
    "nvmlGpuInstanceGetComputeInstanceProfileInfoV",
    "nvmlGpuInstanceGetComputeInstancePossiblePlacements",
    "nvmlGpuInstanceGetComputeInstanceRemainingCapacity",
    "nvmlGpuInstanceCreateComputeInstance",
    "nvmlGpuInstanceCreateComputeInstanceWithPlacement",
    "nvmlGpuInstanceGetComputeInstances",
    "nvmlGpuInstanceGetComputeInstanceById",
    "nvmlComputeInstanceDestroy",
    "nvmlComputeInstanceGetInfo_v2",
    "nvmlDeviceGetMigDeviceHandleByIndex",
    "nvmlDeviceIsMigDeviceHandle",
    "nvmlDeviceGetGpuInstanceId",
    "nvmlDeviceGetComputeInstanceId",
    "nvmlDeviceGetDeviceHandleFromMigDeviceHandle",
    "nvmlDeviceGetAttributes_v2",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetMPSComputeRunningProcesses_v3",
    "nvmlDeviceGetGraphicsRunningProcesses_v3",
    "nvmlDeviceGetComputeMode",
    "nvmlDeviceSetComputeMode",
    "nvmlDeviceGetPersistenceMode",
    "nvmlDeviceSetPersistenceMode",
    "nvmlEventSetCreate",
    "nvmlEventSetFree",
    "nvmlDeviceGetSupportedEventTypes",
    "nvmlDeviceRegisterEvents",
    "nvmlEventSetWait_v2",
    "nvmlDeviceGetEccMode",
    "nvmlDeviceGetTotalEccErrors",
    "nvmlDeviceGetMemoryErrorCounter",
    "nvmlDeviceGetRemappedRows",
    "nvmlDeviceGetRowRemapperHistogram",
    "nvmlSystemGetConfComputeState",
    "nvmlSystemGetConfComputeSettings",
    "nvmlSystemGetConfComputeGpusReadyState",
    "nvmlSystemGetConfComputeCapabilities",
    "nvmlDeviceGetVirtualizationMode",
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetPowerManagementLimit",
    "nvmlDeviceGetGpuFabricInfo_v4",
    "nvmlDeviceGetRemappedRows_v2",
    "nvmlInit_v2",
    "nvmlSimGetInfo",
]


def placements(
    pynvml: Any, call: Callable[..., Any], on: Any, profile: int, struct: Any
) -> list[tuple[int, int]]:
    count = ctypes.c_uint()
    call(on, profile, None, ctypes.byref(count))
    array = (struct * count.value)()
    call(on, profile, array, ctypes.byref(count))
    return [(p.start, p.size) for p in array]


def listed(struct: Any, call: Callable[..., Any], on: Any, profile: int) -> list[Any]:
    count, array = ctypes.c_uint(8), (struct * 8)()
    call(on, profile, array, ctypes.byref(count))
    return list(array[: count.value])


def test_every_symbol_answers(
    start: Callable[..., tuple[Simulation, Any]], simulate: Any, attach: Any
) -> None:
    """One node has it all: a GB200 tray under a driver that is newer than the one it comes with."""
    simulation = simulate("gb200-node")
    simulation.node.reload_driver("615.71")
    nv = attach(simulation)
    nv.nvmlInitWithFlags(1)
    library = nv.nvmlLib
    byref = ctypes.byref

    assert nv.nvmlSystemGetDriverVersion() == "615.71"
    assert nv.nvmlSystemGetNVMLVersion() == "13.615.71"
    assert nv.nvmlSystemGetDriverBranch().branch == "r615_71"
    assert nv.nvmlSystemGetCudaDriverVersion() == nv.nvmlSystemGetCudaDriverVersion_v2() == 13000
    assert nv.nvmlDeviceGetCount() == 4

    spec = simulation.spec.gpus[2]
    gpu = nv.nvmlDeviceGetHandleByIndex(2)
    same = [
        nv.nvmlDeviceGetHandleByUUID(spec.uuid),
        nv.nvmlDeviceGetHandleByUUIDV(spec.uuid.encode(), nv.NVML_UUID_TYPE_ASCII),
        nv.nvmlDeviceGetHandleByUUIDV(
            bytes.fromhex(spec.uuid[4:].replace("-", "")), nv.NVML_UUID_TYPE_BINARY
        ),
        nv.nvmlDeviceGetHandleByPciBusId("00000018:01:00.0"),
        nv.nvmlDeviceGetHandleByPciBusId("0018:01:00.0"),
    ]
    assert {ctypes.cast(h, ctypes.c_void_p).value for h in [gpu, *same]} == {
        ctypes.cast(gpu, ctypes.c_void_p).value
    }
    with pytest.raises(nv.NVMLError_InvalidArgument):  # two GPUs of one board have one serial
        nv.nvmlDeviceGetHandleBySerial(spec.serial)

    assert nv.nvmlDeviceGetIndex(gpu) == 2
    assert nv.nvmlDeviceGetUUID(gpu) == spec.uuid
    assert nv.nvmlDeviceGetMinorNumber(gpu) == 2
    assert nv.nvmlDeviceGetName(gpu) == "NVIDIA GB200"
    assert nv.nvmlDeviceGetSerial(gpu) == spec.serial
    assert nv.nvmlDeviceGetBoardId(gpu) == 0x180100
    assert nv.nvmlDeviceGetModuleId(gpu, ctypes.c_uint()) == 4
    assert nv.nvmlDeviceGetBrand(gpu) == nv.NVML_BRAND_NVIDIA
    assert nv.nvmlDeviceGetArchitecture(gpu) == nv.NVML_DEVICE_ARCH_BLACKWELL
    assert nv.nvmlDeviceGetCudaComputeCapability(gpu) == (10, 0)
    pci = nv.nvmlDeviceGetPciInfo(gpu)
    assert (pci.busId, pci.busIdLegacy, pci.domain) == ("00000018:01:00.0", "0018:01:00.0", 0x18)
    assert (pci.pciDeviceId, pci.pciSubSystemId) == (0x294110DE, 0x204610DE)
    ext = nv.nvmlPciInfoExt_v1_t(version=nv.nvmlPciInfoExt_v1)
    nv.nvmlDeviceGetPciInfoExt(gpu, byref(ext))
    assert (ext.busId, ext.baseClass, ext.subClass) == ("00000018:01:00.0", 3, 2)

    memory = nv.nvmlDeviceGetMemoryInfo(gpu)
    assert memory.total == memory.free + memory.used == 189471 << 20
    second = nv.nvmlDeviceGetMemoryInfo(gpu, version=nv.nvmlMemory_v2)
    assert (second.total, second.used) == (memory.total, 0)
    assert second.reserved == memory.used
    with pytest.raises(nv.NVMLError_NotSupported):  # no BAR where CPU and GPU are coherent
        nv.nvmlDeviceGetBAR1MemoryInfo(gpu)
    assert nv.nvmlDeviceGetNumaNodeId(gpu) == 18
    assert list(nv.nvmlDeviceGetCpuAffinity(gpu, 3)) == [0, 2**64 - 2**8, 2**16 - 1]
    assert list(nv.nvmlDeviceGetCpuAffinityWithinScope(gpu, 1, 0)) == [0]
    assert list(nv.nvmlDeviceGetMemoryAffinity(gpu, 1, 0)) == [0b10]
    assert nv.nvmlDeviceGetAddressingMode(gpu) == 2
    assert nv.nvmlDeviceGetVirtualizationMode(gpu) == nv.NVML_GPU_VIRTUALIZATION_MODE_NONE

    other = nv.nvmlDeviceGetHandleByIndex(3)
    assert nv.nvmlDeviceGetTopologyCommonAncestor(gpu, other) == nv.NVML_TOPOLOGY_NODE
    assert [
        nv.nvmlDeviceGetIndex(h) for h in nv.nvmlDeviceGetTopologyNearestGpus(gpu, nv.NVML_TOPOLOGY_NODE)
    ] == [3]
    assert nv.nvmlDeviceGetP2PStatus(gpu, other, nv.NVML_P2P_CAPS_INDEX_NVLINK) == nv.NVML_P2P_STATUS_OK
    assert nv.nvmlDeviceGetNvLinkState(gpu, 17) == 1
    assert nv.nvmlDeviceGetNvLinkVersion(gpu, 0) == 5
    assert nv.nvmlDeviceGetNvLinkCapability(gpu, 0, 0) == 1
    assert nv.nvmlDeviceGetNvLinkRemoteDeviceType(gpu, 0) == nv.NVML_NVLINK_DEVICE_TYPE_SWITCH
    with pytest.raises(nv.NVMLError_NotSupported):  # the rack's switches are not on this machine's bus
        nv.nvmlDeviceGetNvLinkRemotePciInfo(gpu, 0)

    assert simulation.spec.fabric
    cluster = bytes.fromhex(simulation.spec.fabric.cluster.replace("-", ""))
    for info, ask in (
        (nv.c_nvmlGpuFabricInfo_t(), nv.nvmlDeviceGetGpuFabricInfo),
        (nv.c_nvmlGpuFabricInfo_v2_t(), nv.nvmlDeviceGetGpuFabricInfoV),
        (nv.c_nvmlGpuFabricInfo_v3_t(), nv.nvmlDeviceGetGpuFabricInfoV),
        (nv.c_nvmlGpuFabricInfo_v4_t(), nv.nvmlDeviceGetGpuFabricInfo_v4),
    ):
        ask(gpu, byref(info))
        clique = info.cliqueId if hasattr(info, "cliqueId") else info.cliques[0].id
        assert (bytes(info.clusterUuid), info.state, info.status, clique) == (cluster, 3, 0, 32766)
        assert getattr(info, "healthSummary", 1) == 1
    platform = nv.c_nvmlPlatformInfo_v2_t()
    nv.nvmlDeviceGetPlatformInfo(gpu, byref(platform))
    assert (platform.chassisSerialNumber, ord(platform.slotNumber), ord(platform.moduleId)) == (
        "1821224190114",
        5,
        4,
    )

    assert nv.nvmlDeviceGetComputeMode(gpu) == 0
    nv.nvmlDeviceSetComputeMode(gpu, nv.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS)
    assert nv.nvmlDeviceGetComputeMode(gpu) == nv.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS
    nv.nvmlDeviceSetPersistenceMode(gpu, 1)
    assert nv.nvmlDeviceGetPersistenceMode(gpu) == 1
    assert nv.nvmlDeviceGetComputeRunningProcesses(gpu) == []
    assert nv.nvmlDeviceGetMPSComputeRunningProcesses(gpu) == []
    assert nv.nvmlDeviceGetGraphicsRunningProcesses_v3(gpu) == []
    assert nv.nvmlDeviceGetEccMode(gpu) == [1, 1]
    assert (
        nv.nvmlDeviceGetTotalEccErrors(gpu, nv.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nv.NVML_VOLATILE_ECC) == 0
    )
    assert nv.nvmlDeviceGetMemoryErrorCounter(gpu, 0, 0, nv.NVML_MEMORY_LOCATION_DRAM) == 0
    assert nv.nvmlDeviceGetRemappedRows(gpu) == (0, 0, 0, 0)
    rows = nv.c_nvmlRemappedRowsInfo_v2_t(bPending=7)
    nv.nvmlDeviceGetRemappedRows_v2(gpu, byref(rows))
    assert rows.bPending == 0
    assert nv.nvmlDeviceGetRowRemapperHistogram(gpu).max == 640
    assert nv.nvmlDeviceGetUtilizationRates(gpu).gpu == 0
    assert nv.nvmlDeviceGetTemperature(gpu, nv.NVML_TEMPERATURE_GPU) == 35
    assert nv.nvmlDeviceGetPowerUsage(gpu) == 150_000
    assert nv.nvmlDeviceGetPowerManagementLimit(gpu) == 1_200_000
    assert nv.nvmlDeviceGetFieldValues(gpu, [1, 2])[1].nvmlReturn == nv.NVML_ERROR_NOT_SUPPORTED
    assert nv.nvmlSystemGetConfComputeState().ccFeature == 0
    settings = nv.c_nvmlSystemConfComputeSettings_v1_t()
    assert nv.nvmlSystemGetConfComputeSettings(byref(settings)) == 0
    assert nv.nvmlSystemGetConfComputeGpusReadyState() == 0
    assert nv.nvmlSystemGetConfComputeCapabilities().gpusCaps == 1

    events = nv.nvmlEventSetCreate()
    assert nv.nvmlDeviceGetSupportedEventTypes(gpu) & nv.nvmlEventTypeXidCriticalError
    nv.nvmlDeviceRegisterEvents(gpu, nv.nvmlEventTypeXidCriticalError, events)
    with pytest.raises(nv.NVMLError_Timeout):
        nv.nvmlEventSetWait(events, 0)
    nv.nvmlEventSetFree(events)

    assert nv.nvmlDeviceGetMaxMigDeviceCount(gpu) == 0
    assert nv.nvmlDeviceSetMigMode(gpu, 1) == 0
    assert nv.nvmlDeviceGetMigMode(gpu) == [1, 1]
    assert nv.nvmlDeviceGetMaxMigDeviceCount(gpu) == 7
    profile = nv.nvmlDeviceGetGpuInstanceProfileInfo(gpu, nv.NVML_GPU_INSTANCE_PROFILE_3_SLICE)
    assert (profile.id, profile.name, profile.sliceCount) == (9, "MIG 3g.93gb", 3)
    assert nv.nvmlDeviceGetGpuInstanceProfileInfo(gpu, 2, version=1).id == 9
    assert nv.nvmlDeviceGetGpuInstanceProfileInfoById(gpu, 9).memorySizeMB == profile.memorySizeMB
    assert placements(
        nv, nv.nvmlDeviceGetGpuInstancePossiblePlacements, gpu, 9, nv.c_nvmlGpuInstancePlacement_t
    ) == [(0, 4), (4, 4)]
    assert nv.nvmlDeviceGetGpuInstanceRemainingCapacity(gpu, 9) == 2
    first = nv.nvmlDeviceCreateGpuInstance(gpu, 9)
    assert (nv.nvmlGpuInstanceGetInfo(first).id, nv.nvmlGpuInstanceGetInfo(first).placement.start) == (2, 4)
    low = nv.c_nvmlGpuInstancePlacement_t(0, 4)
    gi = nv.nvmlDeviceCreateGpuInstanceWithPlacement(gpu, 9, byref(low))
    assert len(listed(nv.c_nvmlGpuInstance_t, nv.nvmlDeviceGetGpuInstances, gpu, 9)) == 2
    assert nv.nvmlGpuInstanceGetInfo(nv.nvmlDeviceGetGpuInstanceById(gpu, 1)).placement.start == 0

    ci_profile = nv.nvmlGpuInstanceGetComputeInstanceProfileInfo(gi, 0, 0)
    assert (ci_profile.name, ci_profile.instanceCount) == ("MIG 1c.3g.93gb", 3)
    assert nv.nvmlGpuInstanceGetComputeInstanceProfileInfo(gi, 2, 0, version=1).multiprocessorCount == 76
    assert placements(
        nv, nv.nvmlGpuInstanceGetComputeInstancePossiblePlacements, gi, 0, nv.c_nvmlComputeInstancePlacement_t
    ) == [(0, 1), (1, 1), (2, 1)]
    nv.nvmlGpuInstanceCreateComputeInstance(gi, 0)
    assert nv.nvmlGpuInstanceGetComputeInstanceRemainingCapacity(gi, 0) == 2
    place = nv.c_nvmlComputeInstancePlacement_t(2, 1)
    ci = nv.nvmlGpuInstanceCreateComputeInstanceWithPlacement(gi, 0, byref(place))
    assert len(listed(nv.c_nvmlComputeInstance_t, nv.nvmlGpuInstanceGetComputeInstances, gi, 0)) == 2
    info = nv.nvmlComputeInstanceGetInfo(nv.nvmlGpuInstanceGetComputeInstanceById(gi, 1))
    assert (info.id, info.placement.start) == (1, 2)
    device = info.device
    assert nv.nvmlDeviceIsMigDeviceHandle(device).value == 1
    assert nv.nvmlDeviceGetName(device) == "NVIDIA GB200 MIG 1c.3g.93gb"
    assert nv.nvmlDeviceGetIndex(device) == 1
    assert nv.nvmlDeviceGetUUID(nv.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 1)) == nv.nvmlDeviceGetUUID(
        device
    )
    assert nv.nvmlDeviceGetGpuInstanceId(device) == 1
    assert nv.nvmlDeviceGetComputeInstanceId(device) == 1
    assert nv.nvmlDeviceGetUUID(nv.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device)) == spec.uuid
    attributes = nv.nvmlDeviceGetAttributes(device)
    assert (attributes.gpuInstanceSliceCount, attributes.computeInstanceSliceCount) == (3, 1)
    nv.nvmlComputeInstanceDestroy(ci)
    nv.nvmlGpuInstanceDestroy(first)

    buffer = ctypes.create_string_buffer(200)
    assert library.nvmlSimGetInfo(buffer, 200) == 0
    assert buffer.value == b'{"simulated": true, "node": "gb200-node"}'
    assert nv.nvmlErrorString(15) == "GPU is lost"
    assert library.nvmlInit_v2() == 0
    nv.nvmlShutdown()
    nv.nvmlShutdown()

    called = set(library._made) - {name for name in library._made if name.startswith("text ")}
    assert called == library.symbols.keys() | {"nvmlErrorString"}
    assert library.symbols.keys() == set(TABLE)


def test_a_driver_has_only_the_symbols_of_its_time(start: Any, tmp_path: Any) -> None:
    _simulation, nv = start("gb200-node")
    assert set(TABLE) - nv.nvmlLib.symbols.keys() == {
        "nvmlDeviceGetGpuFabricInfo_v4",
        "nvmlDeviceGetRemappedRows_v2",
    }
    with pytest.raises(nv.NVMLError_FunctionNotFound):
        nv.nvmlDeviceGetGpuFabricInfo_v4(None, None)


def test_a_node_file_can_take_symbols_away(start: Any, tmp_path: Any) -> None:
    file = tmp_path / "old.yaml"
    file.write_text(
        "driver: {version: 470.256.02, cuda: 11040, missing: [nvmlDeviceGetAddressingMode]}\n"
        'gpus: [{product: t4, pci: "0000:01:00.0"}]\n'
    )
    _, nv = start(file)
    handle = nv.nvmlDeviceGetHandleByIndex(0)
    with pytest.raises(nv.NVMLError_FunctionNotFound):
        nv.nvmlDeviceGetAddressingMode(handle)
    assert nv.nvmlDeviceGetName(handle) == "Tesla T4"
