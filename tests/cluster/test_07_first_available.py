"""Scenario 7: a prioritized list."""

from __future__ import annotations

from collections.abc import Callable

from realcluster.driver import Driver
from realcluster.manifests import container, devices, first_available, request, template
from realcluster.node import Node
from realcluster.workspace import Workspace


def test_the_second_choice_is_taken_where_the_first_cannot_be_met(
    node: Node, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    driver = start_driver(node)
    huge = request("huge", select="device.capacity['gpu.nvidia.com'].memory.compareTo(quantity('1Ti')) > 0")
    usual = request("usual", count=2)
    workspace.apply(template("choice", devices(first_available("gpu", huge, usual))))
    workspace.pod("chooser", template="choice", containers=[container(uses=[("gpu", "gpu")])])
    [pod] = workspace.wait_running("chooser")

    claim = workspace.claim_of(pod)
    results = claim["status"]["allocation"]["devices"]["results"]
    assert [result["request"] for result in results] == ["gpu/usual"] * 2
    assert len(workspace.gpu_nodes("chooser")) == 2
    record = driver.prepared()[claim["metadata"]["uid"]]
    assert sorted(d["device"] for d in record["devices"]) == sorted(result["device"] for result in results)
