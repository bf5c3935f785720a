"""Scenario 3: one claim, several pods."""

from __future__ import annotations

from collections.abc import Callable

from realcluster.driver import TESTBED, Driver
from realcluster.manifests import claim, devices, request
from realcluster.node import Node
from realcluster.process import wait_for
from realcluster.testbed import Testbed
from realcluster.workspace import Workspace


def test_a_claim_of_three_pods_is_prepared_once_and_taken_up_again(
    node: Node, testbed: Testbed, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    driver = start_driver(node, plugins={"nvidia_gpu": {}, "testbed": testbed.settings})
    workspace.apply(claim("shared", devices(request(), request("widget", TESTBED))))
    names = ["first", "second", "third"]
    for name in names:
        workspace.pod(name, claim="shared")
    pods = workspace.wait_running(*names)
    uid = workspace.claim_of(pods[0])["metadata"]["uid"]
    gpu, widget = workspace.allocated(pods[0])

    expected = [f"/dev/nvidia{gpu.removeprefix('gpu-')}"]
    assert [workspace.gpu_nodes(name) for name in names] == [expected] * 3
    ids = [node.cdi_devices(pod["status"]["containerStatuses"][0]["containerID"]) for pod in pods]
    assert ids[0] == ids[1] == ids[2]
    assert len(ids[0]) == 2  # one a driver
    assert testbed.count("apply", widget) == 1

    for name in names[:2]:
        workspace.delete_pod(name)
    assert driver.prepared()[uid]["state"] == "prepared"
    assert testbed.count("revert", widget) == 0
    assert workspace.gpu_nodes("third") == expected

    workspace.delete_pod("third")
    driver.wait_nothing_left(timeout=10)
    assert testbed.count("revert", widget) == 1
    free = wait_for(
        "the claim stays and is free",
        lambda: [c for c in workspace.claims() if not c.get("status", {}).get("reservedFor")],
        timeout=10,
    )
    assert free[0]["metadata"]["uid"] == uid

    workspace.pod("fourth", claim="shared")
    workspace.wait_running("fourth")
    assert driver.prepared()[uid]["state"] == "prepared"
    assert testbed.count("apply") == 2
    assert len(workspace.gpu_nodes("fourth")) == 1
