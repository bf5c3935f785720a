"""/proc as the driver fills it: versions, GPUs, majors, and the capability files of MIG."""

from __future__ import annotations

from functools import lru_cache

from dracore_nvidia_gpu.sim.hardware import ARCHITECTURES, GpuSpec, NodeSpec
from dracore_nvidia_gpu.sim.render import File, Tree
from dracore_nvidia_gpu.sim.state import NodeState

CONFIG_MINOR = 1
MONITOR_MINOR = 2
FABRIC_MINOR = 4323
"""After the last capability of MIG; not confirmed."""
_GPUS, _INSTANCES, _COMPUTES = 32, 15, 8


def gi_minor(gpu: int, instance: int) -> int:
    """Minor of a GPU instance's capability: a closed form of what the driver's mig-minors file lists."""
    return 3 + gpu * _INSTANCES * (_COMPUTES + 1) + instance * (_COMPUTES + 1)


def ci_minor(gpu: int, instance: int, compute: int) -> int:
    """Minor of a compute instance's capability."""
    return gi_minor(gpu, instance) + 1 + compute


def procfs(spec: NodeSpec, state: NodeState, version: str) -> Tree:
    """The tree below /proc. Without the driver only the kernel's own part."""
    tree: Tree = {"devices": File(_devices(spec, loaded=state.driver.loaded))}
    if not state.driver.loaded:
        return tree
    tree["driver/nvidia/version"] = File(
        f"NVRM version: NVIDIA UNIX Open Kernel Module for {spec.machine}  {version}  "
        "Release Build  (simulated)\n"
    )
    tree["driver/nvidia/params"] = File(
        "ModifyDeviceFiles: 1\nDeviceFileUID: 0\nDeviceFileGID: 0\nDeviceFileMode: 438\n"
    )
    tree["driver/nvidia-caps/mig-minors"] = File(mig_minors())
    for gpu in spec.gpus:
        if not state.gpus[gpu.uuid].removed:
            tree[f"driver/nvidia/gpus/{gpu.pci.sysfs}/information"] = File(_information(gpu))
    tree |= _capabilities(spec, state)
    return tree


def _devices(spec: NodeSpec, *, loaded: bool) -> str:
    majors = {1: ["mem"], 5: ["/dev/tty", "ptmx"], 10: ["misc"], spec.majors.drm: ["drm"]}
    if loaded:
        majors[spec.majors.nvidia] = ["nvidia", "nvidia-modeset", "nvidiactl"]
        majors[spec.majors.imex] = ["nvidia-caps-imex-channels"]
        majors[spec.majors.caps] = ["nvidia-caps"]
        majors[spec.majors.uvm] = ["nvidia-uvm"]
    lines = [f"{major:3} {name}" for major, names in sorted(majors.items()) for name in names]
    return "\n".join(["Character devices:", *lines, "", "Block devices:", "259 blkext", ""])


def _information(gpu: GpuSpec) -> str:
    return (
        f"Model: \t\t {gpu.product.name}\n"
        f"IRQ:   \t\t {64 + gpu.position}\n"
        f"GPU UUID: \t {gpu.uuid}\n"
        "Video BIOS: \t ??.??.??.??.??\n"
        "Bus Type: \t PCIe\n"
        "DMA Size: \t 52 bits\n"
        "DMA Mask: \t 0xfffffffffffff\n"
        f"Bus Location: \t {gpu.pci.sysfs}\n"
        f"Device Minor: \t {gpu.minor}\n"
        "GPU Excluded:\t No\n"
    )


def _capabilities(spec: NodeSpec, state: NodeState) -> Tree:
    root = "driver/nvidia/capabilities"
    tree: Tree = {
        f"{root}/mig/config": _capability(CONFIG_MINOR, 0o400),
        f"{root}/mig/monitor": _capability(MONITOR_MINOR, 0o444),
    }
    if spec.fabric and any(
        ARCHITECTURES[g.product.architecture] >= ARCHITECTURES["Hopper"] for g in spec.gpus
    ):
        tree[f"{root}/fabric-imex-mgmt"] = _capability(FABRIC_MINOR, 0o400)
    for gpu in spec.gpus:
        now = state.gpus[gpu.uuid]
        for instance in now.instances if now.mig and not now.removed else ():
            folder = f"{root}/gpu{gpu.minor}/mig/gi{instance.id}"
            tree[f"{folder}/access"] = _capability(gi_minor(gpu.minor, instance.id), 0o444)
            for compute in instance.compute:
                tree[f"{folder}/ci{compute.id}/access"] = _capability(
                    ci_minor(gpu.minor, instance.id, compute.id), 0o444
                )
    return tree


def _capability(minor: int, mode: int) -> File:
    return File(f"DeviceFileMinor: {minor}\nDeviceFileMode: {mode}\nDeviceFileModify: 1\n", 0o444)


@lru_cache(maxsize=1)
def mig_minors() -> str:
    """The file that lists every capability there can be, whether or not it exists now."""
    lines = [f"config {CONFIG_MINOR}", f"monitor {MONITOR_MINOR}"]
    for gpu in range(_GPUS):
        for instance in range(_INSTANCES):
            lines.append(f"gpu{gpu}/gi{instance}/access {gi_minor(gpu, instance)}")
            lines += [
                f"gpu{gpu}/gi{instance}/ci{compute}/access {ci_minor(gpu, instance, compute)}"
                for compute in range(_COMPUTES)
            ]
    return "\n".join([*lines, ""])
