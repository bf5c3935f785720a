"""Scenario 4: two containers of one pod."""

from __future__ import annotations

from collections.abc import Callable

from realcluster.driver import Driver
from realcluster.manifests import container, devices, request, template
from realcluster.node import Node
from realcluster.workspace import Workspace


def test_containers_share_a_request_or_have_one_each(
    node: Node, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    driver = start_driver(node)
    workspace.apply(template("one"), template("two", devices(request("left"), request("right"))))
    workspace.pod("sharing", template="one", containers=[container("a", ["gpu"]), container("b", ["gpu"])])
    each = [
        container("a", [("gpu", "left")]),
        container("b", [("gpu", "right")]),
        container("both", ["gpu"]),
        container("none"),
    ]
    workspace.pod("each", template="two", containers=each)
    sharing, each_own = workspace.wait_running("sharing", "each")

    [shared] = paths(workspace.allocated(sharing))
    assert workspace.gpu_nodes("sharing", "a") == workspace.gpu_nodes("sharing", "b") == [shared]

    left, right = paths(workspace.allocated(each_own))
    assert left != right
    assert workspace.gpu_nodes("each", "a") == [left]
    assert workspace.gpu_nodes("each", "b") == [right]
    assert workspace.gpu_nodes("each", "both") == sorted([left, right])
    assert "nvidia" not in workspace.exec("each", "ls", "-R", "/dev", container="none")

    uid = workspace.claim_of(each_own)["metadata"]["uid"]
    record = driver.prepared()[uid]
    assert sorted(d["device"] for d in record["devices"]) == sorted(workspace.allocated(each_own))


def paths(devices: list[str]) -> list[str]:
    return [f"/dev/nvidia{device.removeprefix('gpu-')}" for device in devices]
