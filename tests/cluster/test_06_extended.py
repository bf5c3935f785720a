"""Scenario 6: GPUs as an extended resource, for manifests that know no claims."""

from __future__ import annotations

from collections.abc import Callable

from realcluster.driver import Driver
from realcluster.manifests import container
from realcluster.node import Node
from realcluster.process import wait_for
from realcluster.workspace import Workspace


def test_a_limit_of_one_gpu_and_no_claim_written(
    node: Node, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    driver = start_driver(node)
    plain, asking = container("plain"), container("asking", limits={"nvidia.com/gpu": "1"})
    workspace.pod("old-style", containers=[plain, asking])
    [pod] = workspace.wait_running("old-style")
    made = pod["status"]["extendedResourceClaimStatus"]["resourceClaimName"]
    [claim] = workspace.claims()
    assert claim["metadata"]["name"] == made
    [result] = claim["status"]["allocation"]["devices"]["results"]

    assert workspace.gpu_nodes("old-style", "asking") == [
        f"/dev/nvidia{result['device'].removeprefix('gpu-')}"
    ]
    assert workspace.gpu_nodes("old-style", "plain") == []
    assert claim["metadata"]["uid"] in driver.prepared()

    workspace.delete_pod("old-style")
    wait_for("the claim is gone", lambda: workspace.claims() == [], timeout=15)
    driver.wait_nothing_left(timeout=5)
