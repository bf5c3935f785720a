"""/dev of a simulated node: which device nodes there would be, by their numbers. None is ever made."""

from __future__ import annotations

from dataclasses import dataclass

from dracore_nvidia_gpu.sim.hardware import NodeSpec
from dracore_nvidia_gpu.sim.procfs import CONFIG_MINOR, MONITOR_MINOR, ci_minor, gi_minor
from dracore_nvidia_gpu.sim.state import NodeState


@dataclass(frozen=True)
class DevNode:
    """A character device node that real hardware would have."""

    path: str
    major: int
    minor: int


def device_nodes(spec: NodeSpec, state: NodeState) -> dict[str, DevNode]:
    """The nodes by path; none while the driver is not loaded."""
    if not state.driver.loaded:
        return {}
    majors = spec.majors
    nodes = [
        DevNode("/dev/nvidiactl", majors.nvidia, 255),
        DevNode("/dev/nvidia-modeset", majors.nvidia, 254),
        DevNode("/dev/nvidia-uvm", majors.uvm, 0),
        DevNode("/dev/nvidia-uvm-tools", majors.uvm, 1),
        DevNode(f"/dev/nvidia-caps/nvidia-cap{CONFIG_MINOR}", majors.caps, CONFIG_MINOR),
        DevNode(f"/dev/nvidia-caps/nvidia-cap{MONITOR_MINOR}", majors.caps, MONITOR_MINOR),
    ]
    for gpu in spec.gpus:
        now = state.gpus[gpu.uuid]
        if now.removed:
            continue
        card, render = spec.card_minor(gpu), spec.render_minor(gpu)
        nodes.append(DevNode(f"/dev/nvidia{gpu.minor}", majors.nvidia, gpu.minor))
        nodes.append(DevNode(f"/dev/dri/card{card}", majors.drm, card))
        nodes.append(DevNode(f"/dev/dri/renderD{render}", majors.drm, render))
        for instance in now.instances if now.mig else ():
            minors = [gi_minor(gpu.minor, instance.id)]
            minors += [ci_minor(gpu.minor, instance.id, c.id) for c in instance.compute]
            nodes += [DevNode(f"/dev/nvidia-caps/nvidia-cap{m}", majors.caps, m) for m in minors]
    return {node.path: node for node in nodes}
