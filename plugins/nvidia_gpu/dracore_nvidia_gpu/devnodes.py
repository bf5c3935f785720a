"""Device nodes of the driver: those on the host, and those that the kernel would make when first used.

``nvidia-modprobe`` makes ``/dev/nvidia-uvm`` and its like lazily. A node that is not there yet is given to
the container by its numbers, so that the first container after a boot gets the same as all others.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from dracore import DeviceNode
from dracore_nvidia_gpu.driverroot import Root

NVIDIA_MAJOR = 195
"""Assigned to the driver for good (kernel, ``Documentation/admin-guide/devices.txt``)."""
_CONTROL_MINOR = 255
_MODESET_MINOR = 254


class DeviceNodes:
    """Makes :class:`~dracore.DeviceNode` values.

    :param dev: the root whose ``/dev`` has the nodes.
    :param proc: where procfs is.
    """

    def __init__(self, dev: Root, proc: str = "/proc") -> None:
        self.dev = dev
        self.proc = proc.rstrip("/")

    def majors(self) -> dict[str, int]:
        """Character device majors by the name of their driver, from ``/proc/devices``."""
        majors: dict[str, int] = {}
        try:
            with open(f"{self.proc}/devices", encoding="ascii", errors="replace") as file:
                for line in file.read().partition("Block devices:")[0].splitlines():
                    number, _, name = line.strip().partition(" ")
                    if number.isdigit():
                        majors.setdefault(name.strip(), int(number))
        except OSError:
            return {}
        return majors

    def gpu(self, minor: int) -> DeviceNode:
        """The node of one GPU."""
        return self.node(f"/dev/nvidia{minor}", NVIDIA_MAJOR, minor)

    def control(self) -> list[DeviceNode]:
        """The nodes that every container with a GPU needs: control, unified memory, mode setting."""
        majors = self.majors()
        uvm = majors.get("nvidia-uvm")
        loaded = not majors.keys().isdisjoint({"nvidia", "nvidiactl", "nvidia-frontend"})
        wanted = (
            ("/dev/nvidia-modeset", (NVIDIA_MAJOR, _MODESET_MINOR) if "nvidia-modeset" in majors else None),
            ("/dev/nvidia-uvm-tools", (uvm, 1) if uvm is not None else None),
            ("/dev/nvidia-uvm", (uvm, 0) if uvm is not None else None),
            ("/dev/nvidiactl", (NVIDIA_MAJOR, _CONTROL_MINOR) if loaded else None),
        )
        return [
            self.node(path, *(numbers or (None, None)))
            for path, numbers in wanted
            if numbers is not None or self.on_host(path)
        ]

    def node(self, path: str, major: int | None = None, minor: int | None = None) -> DeviceNode:
        """The node at `path`: as it is on the host, or by its numbers where the host has none."""
        if self.on_host(path):
            host = self.dev.path_host(path)
            return DeviceNode(path, host_path="" if host == path else host)
        return DeviceNode(path, type="c", major=major, minor=minor)

    def on_host(self, path: str) -> bool:
        try:
            return stat.S_ISCHR(os.stat(self.dev.path_here(path)).st_mode)
        except OSError:
            return False

    def by_path_links(self, names: Mapping[str, object]) -> list[tuple[str, str]]:
        """Links in ``/dev/dri/by-path`` to the DRM nodes of these names: (what the link says, its path)."""
        folder = "/dev/dri/by-path"
        here = self.dev.path_here(folder)
        links = []
        try:
            entries = sorted(os.listdir(here))
        except OSError:
            return []
        for entry in entries:
            try:
                target = os.readlink(f"{here}/{entry}")
            except OSError:
                continue
            if os.path.basename(target) in names:
                links.append((target, f"{folder}/{entry}"))
        return links
