"""What a simulated node is made of: values that never change while it runs.

State (MIG instances, processes, faults) lives in :mod:`.state`; these are the tables of ``data/``, resolved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from dracore_nvidia_gpu.sim.names import MIB

ARCHITECTURES = {
    "Turing": 6,
    "Ampere": 7,
    "Ada Lovelace": 8,
    "Hopper": 9,
    "Blackwell": 10,
    "Rubin": 13,
}
"""NVML_DEVICE_ARCH_* by the name that NVIDIA's own tools print."""

BRANDS = {"tesla": 2, "quadro": 1, "geforce": 5, "nvidia-rtx": 13, "nvidia": 14}
"""NVML_BRAND_*."""

ADDRESSING = {"none": 0, "hmm": 1, "ats": 2}
"""NVML_DEVICE_ADDRESSING_MODE_*."""

FABRIC_STATES = {"not-supported": 0, "not-started": 1, "in-progress": 2, "completed": 3}
"""NVML_GPU_FABRIC_STATE_*."""

NVIDIA_VENDOR = 0x10DE
CONFIRMED = "console"


@dataclass(frozen=True)
class Engines:
    """Fixed-function engines and multiprocessors of an instance."""

    sm: int
    ce: int
    dec: int
    enc: int
    jpeg: int
    ofa: int

    def __add__(self, other: Engines) -> Engines:
        return Engines(*(a + b for a, b in zip(self.values(), other.values(), strict=True)))

    def values(self) -> tuple[int, ...]:
        return (self.sm, self.ce, self.dec, self.enc, self.jpeg, self.ofa)

    def within(self, limit: Engines) -> bool:
        return all(a <= b for a, b in zip(self.values(), limit.values(), strict=True))


@dataclass(frozen=True)
class GiProfile:
    """A GPU instance profile. ``enum`` asks for it, ``id`` names it in every other call."""

    key: str
    name: str
    enum: int
    id: int
    slices: int
    size: int
    starts: tuple[int, ...]
    max: int
    memory_mib: int
    engines: Engines
    graphics: bool
    source: str
    confidence: str
    unconfirmed: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        return self.confidence == CONFIRMED and not self.unconfirmed


@dataclass(frozen=True)
class MigTable:
    """How a product can be partitioned."""

    memory_slices: int
    compute_slices: int
    profiles: tuple[GiProfile, ...]

    @cached_property
    def full(self) -> GiProfile:
        """The profile that takes the whole GPU; its engines are all there are under MIG."""
        return max((p for p in self.profiles if "+" not in p.key), key=lambda p: p.size)

    def by_id(self, profile_id: int) -> GiProfile | None:
        return next((p for p in self.profiles if p.id == profile_id), None)

    def by_enum(self, enum: int) -> GiProfile | None:
        return next((p for p in self.profiles if p.enum == enum), None)

    def sm_per_slice(self) -> int:
        """Multiprocessors of one compute slice; larger instances have a few more than a multiple of it."""
        return min(p.engines.sm for p in self.profiles)


@dataclass(frozen=True)
class Product:
    """A GPU product, as NVML describes it."""

    key: str
    name: str
    architecture: str
    compute_capability: tuple[int, int]
    brand: str
    pci_device: int
    pci_subsystem: int
    memory_mib: int | None
    multiprocessors: int
    nvlinks: int
    nvlink_version: int
    power_limit_watts: int
    addressing_mode: str
    coherent: bool
    mig: MigTable | None
    source: str
    confidence: str
    unconfirmed: tuple[str, ...]

    @property
    def memory_bytes(self) -> int | None:
        """None where NVML answers NOT_SUPPORTED, because GPU and CPU share one memory."""
        return None if self.memory_mib is None else self.memory_mib * MIB

    @property
    def verified(self) -> bool:
        return self.confidence == CONFIRMED and not self.unconfirmed

    @property
    def keeps_mig_mode(self) -> bool:
        """MIG mode survives a reboot on Ampere only; from Hopper on it ends with the driver.

        NVIDIA MIG user guide, deployment considerations ("persistent across reboots" is said of Ampere).
        """
        return self.architecture == "Ampere"


@dataclass(frozen=True, order=True)
class PciAddress:
    """Domain, bus, device; the function of a GPU is 0."""

    domain: int
    bus: int
    device: int

    @classmethod
    def parse(cls, text: str) -> PciAddress:
        """From ``0000:07:00.0``, with 4 or 8 digits of domain. ValueError when it is none."""
        domain, bus, rest = text.split(":")
        device, function = rest.split(".")
        address = cls(int(domain, 16), int(bus, 16), int(device, 16))
        if len(domain) not in (4, 8) or address.bus > 0xFF or address.device > 0x1F or int(function, 16) != 0:
            raise ValueError(f"not the PCI address of a GPU: {text}")
        return address

    @property
    def sysfs(self) -> str:
        return f"{self.domain:04x}:{self.bus:02x}:{self.device:02x}.0"

    @property
    def nvml(self) -> str:
        return f"{self.domain:08X}:{self.bus:02X}:{self.device:02X}.0"

    @property
    def legacy(self) -> str:
        return f"{self.domain:04X}:{self.bus:02X}:{self.device:02X}.0"


@dataclass(frozen=True)
class GpuSpec:
    """One GPU in its slot."""

    position: int
    minor: int
    uuid: str
    serial: str
    board: int
    product: Product
    pci: PciAddress
    root: str
    bridges: tuple[str, ...]
    numa: int
    module: int
    memory_numa: int | None


@dataclass(frozen=True)
class Fabric:
    """What the fabric manager told the GPUs when the machine started."""

    state: str
    cluster: str
    clique: int


@dataclass(frozen=True)
class Platform:
    """Where the tray sits in its rack."""

    chassis_serial: str
    slot: int
    tray: int
    host: int
    peer: int


@dataclass(frozen=True)
class Majors:
    """Character device majors. 195 is fixed; the others are handed out when the driver loads."""

    nvidia: int = 195
    uvm: int = 510
    caps: int = 237
    imex: int = 236
    drm: int = 226


@dataclass(frozen=True)
class NodeSpec:
    """A machine."""

    name: str
    description: str
    driver_version: str
    cuda_version: int
    missing: frozenset[str]
    """Symbols that this driver's library does not have."""
    machine: str
    gpus: tuple[GpuSpec, ...]
    numa: dict[int, str]
    nvswitches: tuple[str, ...]
    fabric: Fabric | None
    platform: Platform | None
    majors: Majors
    drm_first_card: int
    source: str
    confidence: str
    unconfirmed: tuple[str, ...]

    @cached_property
    def by_uuid(self) -> dict[str, GpuSpec]:
        return {gpu.uuid: gpu for gpu in self.gpus}

    @property
    def libdir(self) -> str:
        return f"usr/lib/{self.machine}-linux-gnu"

    def render_minor(self, gpu: GpuSpec) -> int:
        """Minor of the GPU's /dev/dri/renderD node."""
        return 128 + gpu.position

    def card_minor(self, gpu: GpuSpec) -> int:
        """Minor of the GPU's /dev/dri/card node; the first cards may be the board controller's."""
        return self.drm_first_card + gpu.position

    def unverified(self) -> Iterator[str]:
        """What in this node no real hardware has confirmed, one line each."""
        if self.confidence != CONFIRMED:
            yield f"node {self.name}: {self.confidence}"
        for field in self.unconfirmed:
            yield f"node {self.name}: {field}"
        for product in {gpu.product.key: gpu.product for gpu in self.gpus}.values():
            if product.confidence != CONFIRMED:
                yield f"product {product.key}: {product.confidence}"
            for field in product.unconfirmed:
                yield f"product {product.key}: {field}"
            for profile in product.mig.profiles if product.mig else ():
                if not profile.verified:
                    yield f"product {product.key}: MIG profile {profile.name}"


def cpus(text: str) -> set[int]:
    """The members of a list as the kernel writes it, ``0-15,32-47``. ValueError when it is none."""
    members: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        members.update(range(int(first), int(last or first) + 1))
    return members
