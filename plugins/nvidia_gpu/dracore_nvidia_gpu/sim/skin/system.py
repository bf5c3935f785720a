"""Life cycle, versions, enumeration: calls that name no device."""

from __future__ import annotations

import json
from typing import Any

from dracore_nvidia_gpu.sim.codes import Code, Refused
from dracore_nvidia_gpu.sim.hardware import ARCHITECTURES, GpuSpec, PciAddress
from dracore_nvidia_gpu.sim.skin.call import (
    ADDRESS,
    OUT_HANDLE,
    OUT_INT,
    OUT_UINT,
    TEXT,
    UINT,
    Call,
    Exports,
    Out,
    Versioned,
    put_text,
)
from dracore_nvidia_gpu.sim.skin.session import MigHandle
from dracore_nvidia_gpu.sim.skin.structs import CcCapabilities, CcSettings, CcState, DriverBranch, Uuid

INIT_NO_GPUS = 1
"""NVML_INIT_FLAG_NO_GPUS."""
UUID_ASCII = 1
UUID_BINARY = 2
CONFIDENTIAL_SINCE = 9
"""First architecture (Hopper) with confidential computing."""

exports = Exports()


@exports.add("nvmlInitWithFlags", UINT, session=False)
def init_with_flags(call: Call, flags: int) -> None:
    driver = call.state.driver
    if not driver.loaded:
        raise Refused(Code.DRIVER_NOT_LOADED)
    if driver.mismatch:
        raise Refused(Code.LIB_RM_VERSION_MISMATCH)
    if not flags & INIT_NO_GPUS and not call.node.visible(call.state):
        raise Refused(Code.NOT_FOUND)
    call.session.open(driver.loads)


@exports.add("nvmlInit_v2", session=False)
def init(call: Call) -> None:
    init_with_flags(call, 0)


@exports.add("nvmlShutdown", session=False)
def shutdown(call: Call) -> None:
    call.session.close()


@exports.add("nvmlSimGetInfo", ADDRESS, UINT, session=False)
def sim_get_info(call: Call, text: int | None, length: int) -> None:
    """The marker by which everybody can tell: no real library has this symbol."""
    put_text(text, length, json.dumps({"simulated": True, "node": call.node.spec.name}))


@exports.add("nvmlSystemGetDriverVersion", ADDRESS, UINT)
def driver_version(call: Call, text: int | None, length: int) -> None:
    put_text(text, length, call.node.driver_version(call.state))


@exports.add("nvmlSystemGetNVMLVersion", ADDRESS, UINT)
def nvml_version(call: Call, text: int | None, length: int) -> None:
    cuda = call.node.cuda_version(call.state) // 1000
    put_text(text, length, f"{cuda}.{call.node.driver_version(call.state)}")


@exports.add("nvmlSystemGetDriverBranch", Versioned(((DriverBranch, 1),)), UINT)
def driver_branch(call: Call, out: Any, length: int) -> None:
    major, minor = call.node.driver_version(call.state).split(".")[:2]
    branch = f"r{major}_{minor}"
    if length <= len(branch):
        raise Refused(Code.INSUFFICIENT_SIZE)
    out.branch = branch.encode()


@exports.add("nvmlSystemGetCudaDriverVersion", OUT_INT)
@exports.add("nvmlSystemGetCudaDriverVersion_v2", OUT_INT)
def cuda_driver_version(call: Call, out: Any) -> None:
    out.value = call.node.cuda_version(call.state)


@exports.add("nvmlDeviceGetCount_v2", OUT_UINT)
def device_count(call: Call, out: Any) -> None:
    out.value = len(call.node.visible(call.state))


@exports.add("nvmlDeviceGetHandleByIndex_v2", UINT, OUT_HANDLE)
def handle_by_index(call: Call, index: int, out: Any) -> None:
    gpus = call.node.visible(call.state)
    if index >= len(gpus):
        raise Refused(Code.INVALID_ARGUMENT)
    out.value = call.gpu_handle(gpus[index])


@exports.add("nvmlDeviceGetHandleByUUID", TEXT, OUT_HANDLE)
def handle_by_uuid(call: Call, uuid: str, out: Any) -> None:
    gpus = call.node.visible(call.state)
    for gpu in gpus:
        if gpu.uuid == uuid:
            out.value = call.gpu_handle(gpu)
            return
        for instance in call.state.gpus[gpu.uuid].instances:
            if any(compute.uuid == uuid for compute in instance.compute):
                call.gpu_handle(gpu)
                out.value = call.session.hand_out(MigHandle(gpu.uuid, uuid))
                return
    raise Refused(Code.NOT_FOUND)


@exports.add("nvmlDeviceGetHandleByUUIDV", Versioned(((Uuid, 1),)), OUT_HANDLE)
def handle_by_uuid_v(call: Call, uuid: Any, out: Any) -> None:
    if uuid.type == UUID_ASCII:
        handle_by_uuid(call, uuid.value.text.decode(errors="replace"), out)
    elif uuid.type == UUID_BINARY:
        digits = bytes(uuid.value.raw).hex()
        parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
        handle_by_uuid(call, "GPU-" + "-".join(parts), out)
    else:
        raise Refused(Code.INVALID_ARGUMENT)


@exports.add("nvmlDeviceGetHandleByPciBusId_v2", TEXT, OUT_HANDLE)
def handle_by_pci(call: Call, text: str, out: Any) -> None:
    try:
        wanted = PciAddress.parse(text)
    except ValueError:
        raise Refused(Code.INVALID_ARGUMENT) from None
    _only(call, [gpu for gpu in call.node.visible(call.state) if gpu.pci == wanted], out)


@exports.add("nvmlDeviceGetHandleBySerial", TEXT, OUT_HANDLE)
def handle_by_serial(call: Call, serial: str, out: Any) -> None:
    found = [gpu for gpu in call.node.visible(call.state) if gpu.serial == serial]
    if len(found) > 1:  # boards with several GPUs have one serial (nvml.h)
        raise Refused(Code.INVALID_ARGUMENT)
    _only(call, found, out)


def _only(call: Call, found: list[GpuSpec], out: Any) -> None:
    if not found:
        raise Refused(Code.NOT_FOUND)
    out.value = call.gpu_handle(found[0])


# --- confidential computing: off, on machines that could --------------------------------------------------


def _confidential(call: Call) -> None:

    if not any(ARCHITECTURES[g.product.architecture] >= CONFIDENTIAL_SINCE for g in call.node.spec.gpus):
        raise Refused(Code.NOT_SUPPORTED)


@exports.add("nvmlSystemGetConfComputeState", Out(CcState))
def cc_state(call: Call, out: Any) -> None:
    _confidential(call)
    out.environment = out.feature = out.dev_tools = 0


@exports.add("nvmlSystemGetConfComputeSettings", Versioned(((CcSettings, 1),)))
def cc_settings(call: Call, out: Any) -> None:
    _confidential(call)
    out.environment = out.feature = out.dev_tools = out.multi_gpu = 0


@exports.add("nvmlSystemGetConfComputeGpusReadyState", OUT_UINT)
def cc_ready(call: Call, out: Any) -> None:
    _confidential(call)
    out.value = 0


@exports.add("nvmlSystemGetConfComputeCapabilities", Out(CcCapabilities))
def cc_capabilities(call: Call, out: Any) -> None:
    _confidential(call)
    out.cpu, out.gpus = 0, 1
