"""What a GPU is set to and what runs on it: modes, processes, errors, telemetry."""

from __future__ import annotations

from ctypes import c_ulonglong, sizeof
from typing import Any

from dracore_nvidia_gpu.sim.codes import Code, Refused
from dracore_nvidia_gpu.sim.hardware import ARCHITECTURES
from dracore_nvidia_gpu.sim.node import COMPUTE_MODES
from dracore_nvidia_gpu.sim.skin.call import (
    ADDRESS,
    DEVICE,
    GPU,
    INT,
    OUT_UINT,
    UINT,
    Call,
    Device,
    Exports,
    Out,
)
from dracore_nvidia_gpu.sim.skin.structs import (
    FieldValue,
    ProcessInfo,
    RemappedRows,
    RowHistogram,
    Utilization,
)

NO_INSTANCE = 0xFFFFFFFF
"""What stands for a GPU or compute instance id where there is none."""
ROW_REMAPPING_SINCE = 7
"""First architecture (Ampere) that remaps rows instead of retiring pages."""
IDLE_CELSIUS = 35
IDLE_SHARE = 8
"""An idle GPU draws about an eighth of its power limit."""
UNCORRECTED = 1
"""NVML_MEMORY_ERROR_TYPE_UNCORRECTED."""

exports = Exports()


# --- modes --------------------------------------------------------------------------------------------


@exports.add("nvmlDeviceGetComputeMode", GPU, OUT_UINT)
def get_compute_mode(call: Call, device: Device, out: Any) -> None:
    out.value = device.now.compute_mode


@exports.add("nvmlDeviceSetComputeMode", GPU, UINT)
def set_compute_mode(call: Call, device: Device, mode: int) -> None:
    if mode not in COMPUTE_MODES.values():
        raise Refused(Code.INVALID_ARGUMENT)
    with call.node.change() as state:
        state.gpus[device.spec.uuid].compute_mode = mode


@exports.add("nvmlDeviceGetPersistenceMode", GPU, OUT_UINT)
def get_persistence_mode(call: Call, device: Device, out: Any) -> None:
    out.value = device.now.persistence


@exports.add("nvmlDeviceSetPersistenceMode", GPU, UINT)
def set_persistence_mode(call: Call, device: Device, mode: int) -> None:
    if mode not in (0, 1):
        raise Refused(Code.INVALID_ARGUMENT)
    with call.node.change() as state:
        state.gpus[device.spec.uuid].persistence = mode


# --- processes ----------------------------------------------------------------------------------------


@exports.add("nvmlDeviceGetComputeRunningProcesses_v3", DEVICE, OUT_UINT, ADDRESS)
def compute_processes(call: Call, device: Device, count: Any, out: int | None) -> None:
    _processes(device, "compute", count, out)


@exports.add("nvmlDeviceGetMPSComputeRunningProcesses_v3", DEVICE, OUT_UINT, ADDRESS)
def mps_processes(call: Call, device: Device, count: Any, out: int | None) -> None:
    _processes(device, "mps", count, out)


@exports.add("nvmlDeviceGetGraphicsRunningProcesses_v3", DEVICE, OUT_UINT, ADDRESS)
def graphics_processes(call: Call, device: Device, count: Any, out: int | None) -> None:
    _processes(device, "graphics", count, out)


def _processes(device: Device, kind: str, count: Any, out: int | None) -> None:
    found = [p for p in device.now.processes if p.kind == kind]
    if device.instance is not None and device.compute is not None:
        where = (device.instance.id, device.compute.id)
        found = [p for p in found if (p.instance, p.compute) == where]
    room, count.value = count.value, len(found)
    if room < len(found):
        raise Refused(Code.INSUFFICIENT_SIZE)
    if not found:
        return
    if not out:
        raise Refused(Code.INVALID_ARGUMENT)
    for position, process in enumerate(found):
        entry = ProcessInfo.from_address(out + position * sizeof(ProcessInfo))
        entry.pid, entry.memory = process.pid, process.memory
        entry.gi = NO_INSTANCE if process.instance is None else process.instance
        entry.ci = NO_INSTANCE if process.compute is None else process.compute


# --- memory errors ------------------------------------------------------------------------------------


@exports.add("nvmlDeviceGetEccMode", GPU, OUT_UINT, OUT_UINT)
def ecc_mode(call: Call, device: Device, current: Any, pending: Any) -> None:
    _has_ecc(device)
    current.value = pending.value = 1


@exports.add("nvmlDeviceGetTotalEccErrors", GPU, UINT, UINT, Out(c_ulonglong))
def total_ecc_errors(call: Call, device: Device, kind: int, counter: int, out: Any) -> None:
    _has_ecc(device)
    out.value = device.now.ecc_uncorrected if kind == UNCORRECTED else device.now.ecc_corrected


@exports.add("nvmlDeviceGetMemoryErrorCounter", GPU, UINT, UINT, UINT, Out(c_ulonglong))
def memory_error_counter(
    call: Call, device: Device, kind: int, counter: int, location: int, out: Any
) -> None:
    total_ecc_errors(call, device, kind, counter, out)


@exports.add("nvmlDeviceGetRemappedRows", GPU, OUT_UINT, OUT_UINT, OUT_UINT, OUT_UINT)
def remapped_rows(call: Call, device: Device, corr: Any, unc: Any, pending: Any, failed: Any) -> None:
    _remaps_rows(device)
    corr.value, unc.value, pending.value, failed.value = device.now.remapped


@exports.add("nvmlDeviceGetRemappedRows_v2", GPU, Out(RemappedRows), since=581)
def remapped_rows_v2(call: Call, device: Device, out: Any) -> None:
    _remaps_rows(device)
    out.corr_active, out.unc_active, out.pending, out.failed = device.now.remapped
    out.corr_inactive = out.unc_inactive = 0


@exports.add("nvmlDeviceGetRowRemapperHistogram", GPU, Out(RowHistogram))
def row_remapper_histogram(call: Call, device: Device, out: Any) -> None:
    """Bank counts are those of an 80 GB A100 listing; other products have others."""
    _remaps_rows(device)
    used = min(640, device.now.remapped[0] + device.now.remapped[1])
    out.max, out.high, out.partial, out.low, out.none = 640 - used, used, 0, 0, 0


def _has_ecc(device: Device) -> None:
    if device.spec.product.memory_bytes is None:
        raise Refused(Code.NOT_SUPPORTED)


def _remaps_rows(device: Device) -> None:
    _has_ecc(device)
    if ARCHITECTURES[device.spec.product.architecture] < ROW_REMAPPING_SINCE:
        raise Refused(Code.NOT_SUPPORTED)


# --- telemetry: an idle machine -----------------------------------------------------------------------


@exports.add("nvmlDeviceGetUtilizationRates", GPU, Out(Utilization))
def utilization(call: Call, device: Device, out: Any) -> None:
    if device.now.mig:
        raise Refused(Code.NOT_SUPPORTED)
    out.gpu = out.memory = 0


@exports.add("nvmlDeviceGetTemperature", GPU, UINT, OUT_UINT)
def temperature(call: Call, device: Device, sensor: int, out: Any) -> None:
    if sensor != 0:
        raise Refused(Code.INVALID_ARGUMENT)
    out.value = IDLE_CELSIUS


@exports.add("nvmlDeviceGetPowerUsage", GPU, OUT_UINT)
def power_usage(call: Call, device: Device, out: Any) -> None:
    out.value = device.spec.product.power_limit_watts * 1000 // IDLE_SHARE


@exports.add("nvmlDeviceGetPowerManagementLimit", GPU, OUT_UINT)
def power_limit(call: Call, device: Device, out: Any) -> None:
    out.value = device.spec.product.power_limit_watts * 1000


@exports.add("nvmlDeviceGetFieldValues", DEVICE, INT, ADDRESS)
def field_values(call: Call, device: Device, count: int, out: int | None) -> None:
    """No field is simulated; each says so for itself, and the call succeeds, as NVML has it."""
    if not out or count < 1:
        raise Refused(Code.INVALID_ARGUMENT)
    for position in range(count):
        FieldValue.from_address(out + position * sizeof(FieldValue)).code = Code.NOT_SUPPORTED
