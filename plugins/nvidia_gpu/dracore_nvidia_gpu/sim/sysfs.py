"""/sys as the kernel would show it: the GPUs' PCI devices, their roots, groups and DRM nodes."""

from __future__ import annotations

import os

from dracore_nvidia_gpu.sim.hardware import NVIDIA_VENDOR, GpuSpec, NodeSpec, PciAddress
from dracore_nvidia_gpu.sim.render import File, Link, Tree
from dracore_nvidia_gpu.sim.state import NodeState

CLASS_3D = 0x030200
CLASS_BRIDGE_OTHER = 0x068000
"""What an NVSwitch is: on the bus, of the same vendor, and no GPU."""
MODULES = ("nvidia", "nvidia_uvm", "nvidia_modeset", "nvidia_drm")


def sysfs(spec: NodeSpec, state: NodeState, version: str) -> Tree:
    """The tree below /sys."""
    tree: Tree = {}
    for gpu in spec.gpus:
        if not state.gpus[gpu.uuid].removed:
            _gpu(tree, spec, gpu, loaded=state.driver.loaded)
    for number, address in enumerate(spec.nvswitches):
        _switch(tree, PciAddress.parse(address), len(spec.gpus) + number)
    if state.driver.loaded:
        for module in MODULES:
            tree[f"module/{module}/version"] = File(f"{version}\n")
            tree[f"module/{module}/initstate"] = File("live\n")
        tree["bus/pci/drivers/nvidia/module"] = Link("../../../../module/nvidia")
    for node, cpus in spec.numa.items():
        tree[f"devices/system/node/node{node}/cpulist"] = File(f"{cpus}\n")
    return tree


def device_path(gpu: GpuSpec) -> str:
    """The device's folder, from /sys."""
    return "/".join(("devices", gpu.root, *gpu.bridges, gpu.pci.sysfs))


def _gpu(tree: Tree, spec: NodeSpec, gpu: GpuSpec, *, loaded: bool) -> None:
    folder = device_path(gpu)
    _pci(tree, folder, gpu.pci, CLASS_3D, gpu.position, gpu.product.pci_device, gpu.product.pci_subsystem)
    tree[f"{folder}/numa_node"] = File(f"{gpu.numa}\n")
    tree[f"{folder}/local_cpulist"] = File(f"{spec.numa.get(gpu.numa, '')}\n")
    if not loaded:
        return
    tree[f"{folder}/driver"] = _link(folder, "bus/pci/drivers/nvidia")
    tree[f"bus/pci/drivers/nvidia/{gpu.pci.sysfs}"] = Link(f"../../../../{folder}")
    for name, minor in (
        (_card(spec, gpu), spec.card_minor(gpu)),
        (_render(spec, gpu), spec.render_minor(gpu)),
    ):
        tree[f"{folder}/drm/{name}/dev"] = File(f"{spec.majors.drm}:{minor}\n")
        tree[f"{folder}/drm/{name}/device"] = Link(f"../../../{gpu.pci.sysfs}")
        tree[f"class/drm/{name}"] = Link(f"../../{folder}/drm/{name}")


def _switch(tree: Tree, pci: PciAddress, group: int) -> None:
    folder = f"devices/pci{pci.domain:04x}:00/{pci.sysfs}"
    _pci(tree, folder, pci, CLASS_BRIDGE_OTHER, group, 0, 0)
    tree[f"{folder}/numa_node"] = File("-1\n")


def _pci(
    tree: Tree, folder: str, pci: PciAddress, kind: int, group: int, device: int, subsystem: int
) -> None:
    for name, value in (("vendor", NVIDIA_VENDOR), ("device", device), ("subsystem_device", subsystem)):
        tree[f"{folder}/{name}"] = File(f"0x{value:04x}\n")
    tree[f"{folder}/subsystem_vendor"] = File(f"0x{NVIDIA_VENDOR:04x}\n")
    tree[f"{folder}/class"] = File(f"0x{kind:06x}\n")
    tree[f"{folder}/iommu_group"] = _link(folder, f"kernel/iommu_groups/{group}")
    tree[f"kernel/iommu_groups/{group}/devices/{pci.sysfs}"] = Link(f"../../../../{folder}")
    tree[f"bus/pci/devices/{pci.sysfs}"] = Link(f"../../../{folder}")


def _link(folder: str, target: str) -> Link:
    return Link(os.path.relpath(target, folder))


def _card(spec: NodeSpec, gpu: GpuSpec) -> str:
    return f"card{spec.card_minor(gpu)}"


def _render(spec: NodeSpec, gpu: GpuSpec) -> str:
    return f"renderD{spec.render_minor(gpu)}"
