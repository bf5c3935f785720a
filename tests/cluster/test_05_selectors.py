"""Scenario 5: CEL selectors and constraints, evaluated by the scheduler on what the driver published."""

from __future__ import annotations

from collections.abc import Callable

from realcluster.driver import Driver
from realcluster.manifests import devices, request, template
from realcluster.node import Node
from realcluster.workspace import Workspace

ATTRIBUTES = "device.attributes['gpu.nvidia.com']"
MEMORY = "device.capacity['gpu.nvidia.com'].memory"
PCIE_ROOT = "resource.kubernetes.io/pcieRoot"

SATISFIED = {
    "product": f"{ATTRIBUTES}.productName.lowerAscii().contains('a100')",
    "memory": f"{MEMORY}.compareTo(quantity('40Gi')) > 0 && {MEMORY}.compareTo(quantity('80Gi')) <= 0",
    "version": f"{ATTRIBUTES}.driverVersion.isGreaterThan(semver('450.0.0'))",
}


def test_selectors_and_a_shared_pcie_root(
    node: Node, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    driver = start_driver(node, simulate="dgx-a100-80")
    published = driver.devices()
    assert len(published) == 8

    for name, expression in SATISFIED.items():
        workspace.apply(template(name, devices(request(select=expression))))
        workspace.pod(name, template=name)
    workspace.apply(template("pair", devices(request(count=2), match=PCIE_ROOT)))
    workspace.pod("pair", template="pair")
    impossible = f"{ATTRIBUTES}.productName == 'NVIDIA T4'"
    workspace.apply(template("impossible", devices(request(select=impossible))))
    workspace.pod("impossible", template="impossible")

    workspace.wait_running(*SATISFIED, "pair")
    for name in SATISFIED:
        assert len(workspace.gpu_nodes(name)) == 1
    pair = workspace.allocated(workspace.get_pod("pair"))
    roots = {published[device]["attributes"][PCIE_ROOT]["string"] for device in pair}
    assert len(pair) == len(workspace.gpu_nodes("pair")) == 2
    assert len(roots) == 1

    reason = workspace.wait_unschedulable("impossible", "cannot allocate all claims")
    assert "0/" in reason  # how many nodes would do
