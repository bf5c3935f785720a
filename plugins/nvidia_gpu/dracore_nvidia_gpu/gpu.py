"""One GPU, as NVML and sysfs describe it. A query that fails costs that answer and no other."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from dracore_nvidia_gpu.calls import ABSENT, GPU_IS_LOST, STALE, Nvml, NvmlFailure
from dracore_nvidia_gpu.pci import Pci, bus_id

T = TypeVar("T")

ARCHITECTURES = {
    2: "Kepler",
    3: "Maxwell",
    4: "Pascal",
    5: "Volta",
    6: "Turing",
    7: "Ampere",
    8: "Ada Lovelace",
    9: "Hopper",
    10: "Blackwell",
    11: "Orin",
    13: "Rubin",
}
"""NVML's numbers in the words that NVIDIA's driver publishes (NVIDIA/go-nvlib, package device)."""

BRANDS = {
    0: "Unknown",
    1: "Quadro",
    2: "Tesla",
    3: "NVS",
    4: "Grid",
    5: "GeForce",
    6: "Titan",
    7: "NvidiaVApps",
    8: "NvidiaVPC",
    9: "NvidiaVCS",
    10: "NvidiaVWS",
    11: "NvidiaCloudGaming",
    12: "QuadroRTX",
    13: "NvidiaRTX",
    14: "Nvidia",
    15: "GeForceRTX",
    16: "TitanRTX",
}
ADDRESSING_MODES = {0: "None", 1: "HMM", 2: "ATS"}
DISPLAY_ONLY = ("DGX Display", "NVIDIA DGX Display")
"""Display adapters of workstations, which NVIDIA's own tools skip."""


class GpuLost(Exception):
    """NVML answered GPU_IS_LOST."""


class Unidentified(Exception):
    """The GPU cannot be told from others: uuid, minor number or PCI address failed."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells a GPU from all others."""

    uuid: str
    minor: int
    bus_id: str
    """As sysfs writes it."""

    @property
    def device(self) -> str:
        """The name of its device."""
        return f"gpu-{self.minor}"

    def __str__(self) -> str:
        return f"{self.device} ({self.uuid} at {self.bus_id})"


@dataclass(frozen=True, slots=True)
class Gpu:
    """What is published of a GPU. None: the query failed, or there is no such thing here.

    :param memory: bytes; None where GPU and CPU share one memory.
    :param addressing_mode: empty where the driver or the GPU knows none.
    :param mig: MIG mode is on; None: that cannot be told.
    """

    identity: Identity
    handle: Any
    product: str | None = None
    brand: str | None = None
    architecture: str | None = None
    compute_capability: str | None = None
    memory: int | None = None
    addressing_mode: str = ""
    pcie_root: str | None = None
    numa_node: int | None = None
    mig: bool | None = False


def read_gpu(nvml: Nvml, handle: Any, pci: Pci, problems: list[str]) -> Gpu:
    """Asks NVML for everything of one GPU; what fails is said in `problems`.

    :raises GpuLost: it has fallen off the bus.
    :raises Unidentified: it cannot be published.
    :raises NvmlFailure: the driver is gone or was reloaded; no other code.
    """
    identity = _identify(nvml, handle)

    def ask(what: str, call: str, convert: Callable[[Any], T], default: Any = None) -> T | Any:
        try:
            return convert(nvml.call(call, handle))
        except NvmlFailure as failure:
            _raise_if_fatal(failure)
            if failure.code not in ABSENT:
                problems.append(f"{identity}: no {what}, {failure}")
        except (KeyError, ValueError) as error:
            problems.append(f"{identity}: no {what}, NVML's answer {error} means nothing to this version")
        return default

    return Gpu(
        identity,
        handle,
        product=ask("productName", "nvmlDeviceGetName", _text),
        brand=ask("brand", "nvmlDeviceGetBrand", BRANDS.__getitem__),
        architecture=ask("architecture", "nvmlDeviceGetArchitecture", ARCHITECTURES.__getitem__),
        compute_capability=ask(
            "cudaComputeCapability", "nvmlDeviceGetCudaComputeCapability", lambda pair: f"{pair[0]}.{pair[1]}"
        ),
        memory=ask("memory", "nvmlDeviceGetMemoryInfo", lambda info: int(info.total)),
        addressing_mode=ask("addressingMode", "nvmlDeviceGetAddressingMode", _addressing, ""),
        pcie_root=pci.pcie_root(identity.bus_id),
        numa_node=pci.numa_node(identity.bus_id),
        mig=mig_mode(nvml, handle),
    )


def mig_mode(nvml: Nvml, handle: Any) -> bool | None:
    """Whether MIG mode is on; None where that cannot be told.

    :raises GpuLost: it has fallen off the bus.
    :raises NvmlFailure: the driver is gone or was reloaded; no other code.
    """
    try:
        return bool(nvml.call("nvmlDeviceGetMigMode", handle)[0])
    except NvmlFailure as failure:
        _raise_if_fatal(failure)
        return False if failure.code in ABSENT else None


def _identify(nvml: Nvml, handle: Any) -> Identity:
    try:
        return Identity(
            uuid=_text(nvml.call("nvmlDeviceGetUUID", handle)),
            minor=int(nvml.call("nvmlDeviceGetMinorNumber", handle)),
            bus_id=bus_id(_text(nvml.call("nvmlDeviceGetPciInfo", handle).busId)),
        )
    except NvmlFailure as failure:
        _raise_if_fatal(failure)
        raise Unidentified(str(failure)) from None
    except ValueError as error:
        raise Unidentified(str(error)) from None


def _raise_if_fatal(failure: NvmlFailure) -> None:
    if failure.code == GPU_IS_LOST:
        raise GpuLost from None
    if failure.code in STALE:
        raise failure


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _addressing(answer: Any) -> str:
    return ADDRESSING_MODES[int(getattr(answer, "value", answer))]


def read_lost(proc: str, address: str) -> tuple[Identity, str] | None:
    """Identity and product of a GPU that NVML cannot name, from the driver's own files in procfs."""
    try:
        with open(
            f"{proc.rstrip('/')}/driver/nvidia/gpus/{address}/information", encoding="utf-8", errors="replace"
        ) as file:
            pairs = (line.partition(":") for line in file)
            known = {key.strip(): value.strip() for key, _, value in pairs}
    except OSError:
        return None
    uuid, minor = known.get("GPU UUID", ""), known.get("Device Minor", "")
    if not re.fullmatch(r"GPU-[0-9a-f-]+", uuid) or not minor.isdigit():
        return None  # the driver writes question marks for a GPU that it never initialised
    return Identity(uuid, int(minor), address), known.get("Model", "")
