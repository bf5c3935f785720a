"""Scenario 2: more pods than GPUs."""

from __future__ import annotations

from collections.abc import Callable

from realcluster.driver import Driver
from realcluster.manifests import template
from realcluster.node import Node
from realcluster.workspace import Workspace


def test_eight_pods_take_eight_gpus_and_the_ninth_waits(
    node: Node, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    start_driver(node)
    workspace.apply(template("one"))
    names = [f"pod-{number}" for number in range(8)]
    for name in names:
        workspace.pod(name, template="one")
    pods = workspace.wait_running(*names)
    devices = [workspace.allocated(pod)[0] for pod in pods]
    assert sorted(devices) == [f"gpu-{number}" for number in range(8)]
    seen = [workspace.gpu_nodes(name) for name in names]
    assert seen == [[f"/dev/nvidia{device.removeprefix('gpu-')}"] for device in devices]

    workspace.pod("ninth", template="one")
    workspace.wait_unschedulable("ninth", "cannot allocate all claims")
    workspace.delete_pod("pod-5")
    [ninth] = workspace.wait_running("ninth")
    assert workspace.allocated(ninth) == [devices[5]]
    assert workspace.gpu_nodes("ninth") == seen[5]
