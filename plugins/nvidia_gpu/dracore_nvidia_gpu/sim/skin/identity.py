"""What a device is: names, numbers, PCI, memory, where it sits."""

from __future__ import annotations

from typing import Any

from dracore_nvidia_gpu.sim.codes import Code, Refused
from dracore_nvidia_gpu.sim.hardware import ADDRESSING, ARCHITECTURES, BRANDS, NVIDIA_VENDOR
from dracore_nvidia_gpu.sim.mig import ci_profile_of, profile_of
from dracore_nvidia_gpu.sim.names import MIB
from dracore_nvidia_gpu.sim.skin.call import (
    ADDRESS,
    DEVICE,
    GPU,
    OUT_INT,
    OUT_UINT,
    UINT,
    Call,
    Device,
    Exports,
    Out,
    Versioned,
    put_text,
)
from dracore_nvidia_gpu.sim.skin.structs import (
    AddressingMode,
    Bar1Memory,
    Memory,
    MemoryV2,
    PciInfo,
    PciInfoExt,
    PlatformInfoV1,
    PlatformInfoV2,
)

RESERVED_MIB = 500
"""Memory that the driver keeps for itself; of the size seen on real GPUs, exact for none."""
BAR1_MIB = 256

exports = Exports()


@exports.add("nvmlDeviceGetIndex", DEVICE, OUT_UINT)
def index(call: Call, device: Device, out: Any) -> None:
    if device.compute is not None:
        out.value = device.compute.slot
    else:
        out.value = call.node.visible(call.state).index(device.spec)


@exports.add("nvmlDeviceGetUUID", DEVICE, ADDRESS, UINT)
def uuid(call: Call, device: Device, text: int | None, length: int) -> None:
    put_text(text, length, device.uuid)


@exports.add("nvmlDeviceGetMinorNumber", GPU, OUT_UINT)
def minor(call: Call, device: Device, out: Any) -> None:
    out.value = device.spec.minor


@exports.add("nvmlDeviceGetName", DEVICE, ADDRESS, UINT)
def name(call: Call, device: Device, text: int | None, length: int) -> None:
    put_text(text, length, device.spec.product.name + _mig_suffix(device))


@exports.add("nvmlDeviceGetSerial", GPU, ADDRESS, UINT)
def serial(call: Call, device: Device, text: int | None, length: int) -> None:
    put_text(text, length, device.spec.serial)


@exports.add("nvmlDeviceGetBoardId", GPU, OUT_UINT)
def board_id(call: Call, device: Device, out: Any) -> None:
    pci = device.spec.pci
    out.value = pci.domain << 16 | pci.bus << 8 | pci.device


@exports.add("nvmlDeviceGetModuleId", GPU, OUT_UINT)
def module_id(call: Call, device: Device, out: Any) -> None:
    out.value = device.spec.module


@exports.add("nvmlDeviceGetBrand", GPU, OUT_UINT)
def brand(call: Call, device: Device, out: Any) -> None:
    out.value = BRANDS[device.spec.product.brand]


@exports.add("nvmlDeviceGetArchitecture", GPU, OUT_UINT)
def architecture(call: Call, device: Device, out: Any) -> None:
    out.value = ARCHITECTURES[device.spec.product.architecture]


@exports.add("nvmlDeviceGetCudaComputeCapability", GPU, OUT_INT, OUT_INT)
def compute_capability(call: Call, device: Device, major: Any, minor: Any) -> None:
    major.value, minor.value = device.spec.product.compute_capability


@exports.add("nvmlDeviceGetPciInfo_v3", GPU, Out(PciInfo))
def pci_info(call: Call, device: Device, out: Any) -> None:
    pci = device.spec.pci
    out.legacy, out.text = pci.legacy.encode(), pci.nvml.encode()
    out.domain, out.bus, out.device = pci.domain, pci.bus, pci.device
    out.id, out.subsystem = _pci_ids(device)


@exports.add("nvmlDeviceGetPciInfoExt", GPU, Versioned(((PciInfoExt, 1),)))
def pci_info_ext(call: Call, device: Device, out: Any) -> None:
    pci = device.spec.pci
    out.domain, out.bus, out.device, out.text = pci.domain, pci.bus, pci.device, pci.nvml.encode()
    out.id, out.subsystem = _pci_ids(device)
    out.base_class, out.sub_class = 0x03, 0x02


@exports.add("nvmlDeviceGetMemoryInfo", DEVICE, Out(Memory))
def memory(call: Call, device: Device, out: Any) -> None:
    total, reserved, used = _memory(device)
    out.total, out.used, out.free = total, reserved + used, total - reserved - used


@exports.add("nvmlDeviceGetMemoryInfo_v2", DEVICE, Versioned(((MemoryV2, 2),)))
def memory_v2(call: Call, device: Device, out: Any) -> None:
    total, reserved, used = _memory(device)
    out.total, out.reserved, out.used, out.free = total, reserved, used, total - reserved - used


@exports.add("nvmlDeviceGetBAR1MemoryInfo", GPU, Out(Bar1Memory))
def bar1_memory(call: Call, device: Device, out: Any) -> None:
    if device.spec.product.coherent:
        raise Refused(Code.NOT_SUPPORTED)
    out.total, out.used, out.free = BAR1_MIB * MIB, MIB, (BAR1_MIB - 1) * MIB


@exports.add("nvmlDeviceGetNumaNodeId", GPU, OUT_INT)
def numa_node_id(call: Call, device: Device, out: Any) -> None:
    """The node of the GPU's own memory, which only coherent GPUs have; not where the GPU is plugged in."""
    if device.spec.memory_numa is None:
        raise Refused(Code.NOT_SUPPORTED)
    out.value = device.spec.memory_numa


@exports.add("nvmlDeviceGetAddressingMode", GPU, Versioned(((AddressingMode, 1),)))
def addressing_mode(call: Call, device: Device, out: Any) -> None:
    out.value = ADDRESSING[device.spec.product.addressing_mode]


@exports.add("nvmlDeviceGetVirtualizationMode", GPU, OUT_INT)
def virtualization_mode(call: Call, device: Device, out: Any) -> None:
    out.value = 0


@exports.add("nvmlDeviceGetPlatformInfo", GPU, Versioned(((PlatformInfoV2, 2), (PlatformInfoV1, 1))))
def platform_info(call: Call, device: Device, out: Any) -> None:
    platform = call.node.spec.platform
    if platform is None:
        raise Refused(Code.NOT_SUPPORTED)
    if isinstance(out, PlatformInfoV2):
        for position, byte in enumerate(platform.chassis_serial.encode()[:15] + b"\0"):
            out.chassis_serial[position] = byte
    out.slot, out.tray, out.host = platform.slot, platform.tray, platform.host
    out.peer, out.module = platform.peer, device.spec.module


def _pci_ids(device: Device) -> tuple[int, int]:
    product = device.spec.product
    return product.pci_device << 16 | NVIDIA_VENDOR, product.pci_subsystem << 16 | NVIDIA_VENDOR


def _mig_suffix(device: Device) -> str:
    if device.instance is None or device.compute is None:
        return ""
    table = device.table()
    profile = profile_of(table, device.instance.profile)
    return f" MIG {ci_profile_of(table, profile, device.compute.profile).name}"


def _memory(device: Device) -> tuple[int, int, int]:
    """Total, reserved and used by processes, in bytes."""
    if device.instance is not None:
        used = sum(p.memory for p in device.now.processes if p.instance == device.instance.id)
        return profile_of(device.table(), device.instance.profile).memory_mib * MIB, 0, used
    total = device.spec.product.memory_bytes
    if total is None:
        raise Refused(Code.NOT_SUPPORTED)
    return total, RESERVED_MIB * MIB, sum(p.memory for p in device.now.processes)
