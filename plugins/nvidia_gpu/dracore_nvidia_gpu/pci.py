"""What sysfs says of a PCI device. Where it is, is a parameter: tests and the simulator render their own."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_BUS_ID = re.compile(r"([0-9A-Fa-f]{4,8}):([0-9A-Fa-f]{2}):([0-9A-Fa-f]{2})\.([0-7])")
_NVIDIA = "0x10de"
_DISPLAY = "0x03"  # base class of display controllers (PCI code and ID assignment specification)
_ROOT = re.compile(r"pci[0-9a-f]{4,8}:[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class DrmNode:
    """A node of the Direct Rendering Manager: ``card1`` or ``renderD128``, with its numbers."""

    name: str
    major: int | None
    minor: int | None


def bus_id(text: str) -> str:
    """The address as sysfs writes it: NVML's ``00000000:07:00.0`` is ``0000:07:00.0``; large domains stay.

    :raises ValueError: with the text.
    """
    found = _BUS_ID.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a PCI address (domain:bus:device.function)")
    domain, bus, device, function = found.groups()
    return f"{int(domain, 16):04x}:{bus.lower()}:{device.lower()}.{function}"


def bus_order(address: str) -> tuple[int, int, int, int]:
    """Sorts addresses by number, not by text."""
    domain, bus, rest = address.split(":")
    device, function = rest.split(".")
    return int(domain, 16), int(bus, 16), int(device, 16), int(function, 16)


class Pci:
    """The PCI devices below ``<root>/bus/pci/devices``."""

    def __init__(self, root: str = "/sys") -> None:
        self.root = root.rstrip("/")

    def path(self, address: str, *more: str) -> str:
        return "/".join((self.root, "bus/pci/devices", address, *more))

    def present(self, address: str) -> bool:
        return os.path.lexists(self.path(address))

    def gpus(self) -> tuple[str, ...]:
        """The addresses of all NVIDIA display controllers, whatever driver has them, in bus order."""
        try:
            names = os.listdir(f"{self.root}/bus/pci/devices")
        except OSError:
            return ()
        return tuple(
            sorted(
                (
                    name
                    for name in names
                    if _BUS_ID.fullmatch(name)
                    and _read(self.path(name, "vendor")) == _NVIDIA
                    and (_read(self.path(name, "class")) or "").startswith(_DISPLAY)
                ),
                key=bus_order,
            )
        )

    def pcie_root(self, address: str) -> str | None:
        """The root complex that the device hangs under, ``pci0000:15``: the first such part of its path."""
        try:
            target = os.readlink(self.path(address))
        except OSError:
            return None
        return next((part for part in target.split("/") if _ROOT.fullmatch(part)), None)

    def numa_node(self, address: str) -> int | None:
        """The CPU-side NUMA node; None where the firmware names none (-1)."""
        text = _read(self.path(address, "numa_node"))
        try:
            node = int(text) if text else -1
        except ValueError:
            return None
        return node if node >= 0 else None

    def driver(self, address: str) -> str | None:
        """The kernel driver that the device is bound to."""
        try:
            return os.path.basename(os.readlink(self.path(address, "driver")))
        except OSError:
            return None

    def drm_nodes(self, address: str) -> tuple[DrmNode, ...]:
        """The DRM nodes of the device, in the order of their names."""
        try:
            names = os.listdir(self.path(address, "drm"))
        except OSError:
            return ()
        nodes = []
        for name in sorted(names):
            if re.fullmatch(r"(card|renderD)\d+", name):
                numbers = re.fullmatch(r"(\d+):(\d+)", _read(self.path(address, "drm", name, "dev")) or "")
                major, minor = (int(numbers[1]), int(numbers[2])) if numbers else (None, None)
                nodes.append(DrmNode(name, major, minor))
        return tuple(nodes)


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None
