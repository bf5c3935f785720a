"""What a container gets for one GPU: its node, its DRM nodes, and the links to those."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from dracore import ContainerEdits
from dracore_nvidia_gpu.cdihook import HookProgram
from dracore_nvidia_gpu.devnodes import DeviceNodes
from dracore_nvidia_gpu.driverroot import Stamp, stamp, unchanged
from dracore_nvidia_gpu.pci import Pci


@dataclass(frozen=True, slots=True)
class _Kept:
    key: tuple[int, HookProgram | None, int]
    stamps: tuple[tuple[str, bool, Stamp], ...]
    edits: ContainerEdits


class GpuEdits:
    """Builds the edits of GPUs and keeps them while the nodes that they name stay as they are.

    Safe from any thread.
    """

    def __init__(self, nodes: DeviceNodes, pci: Pci) -> None:
        self._nodes = nodes
        self._pci = pci
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def get(self, minor: int, address: str, hook: HookProgram | None, generation: int) -> ContainerEdits:
        """The edits of the GPU with this minor number at this PCI address.

        :param generation: counts the driver's reloads.
        """
        key = (minor, hook, generation)
        kept = self._kept.get(address)
        if kept and kept.key == key and unchanged(kept.stamps):
            return kept.edits
        with self._lock:
            # Stamps first: what changes while the edits are built makes them be built again.
            paths = [
                self._nodes.dev.path_here(f"/dev/nvidia{minor}"),
                self._nodes.dev.path_here("/dev/dri/by-path"),
                self._pci.path(address, "drm"),
            ]
            stamps = tuple((path, True, stamp(path)) for path in paths)
            kept = _Kept(key, stamps, self._build(minor, address, hook))
            self._kept[address] = kept
        return kept.edits

    def _build(self, minor: int, address: str, hook: HookProgram | None) -> ContainerEdits:
        drm = {node.name: node for node in self._pci.drm_nodes(address)}
        links = self._nodes.by_path_links(drm) if hook else []
        return ContainerEdits(
            device_nodes=(
                self._nodes.gpu(minor),
                *(self._nodes.node(f"/dev/dri/{node.name}", node.major, node.minor) for node in drm.values()),
            ),
            hooks=tuple(hook.create_symlinks(links)) if hook else (),
        )
