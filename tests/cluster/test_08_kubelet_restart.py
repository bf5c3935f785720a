"""Scenario 8: the kubelet restarts under a running pod."""

from __future__ import annotations

from collections.abc import Callable

from realcluster.cluster import Cluster
from realcluster.driver import GPU, Driver
from realcluster.manifests import template
from realcluster.node import Node
from realcluster.process import wait_for
from realcluster.workspace import Workspace


def test_slices_come_back_and_claims_go_on(
    cluster: Cluster, node: Node, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    driver = start_driver(node)
    workspace.apply(template("one"))
    workspace.pod("first", template="one")
    [first] = workspace.wait_running("first")
    before = driver.devices()

    node.kubelet.stop()
    wiped = len(wipes(cluster))
    node.kubelet.start()
    wait_for(
        "the kubelet has wiped the node's slices", lambda: len(wipes(cluster)) > wiped, timeout=30, every=0.05
    )
    wait_for("the slices are back", lambda: driver.devices() == before, timeout=5)

    workspace.pod("second", template="one")
    [second] = workspace.wait_running("second")
    assert workspace.allocated(second) != workspace.allocated(first)
    restarts = workspace.get_pod("first")["status"]["containerStatuses"][0]["restartCount"]
    assert restarts == 0
    driver.wait_published()  # registered with the new kubelet, too

    uid = workspace.claim_of(first)["metadata"]["uid"]
    workspace.delete_pod("first")
    driver.wait_nothing_left(timeout=10, claim_uid=uid)
    assert workspace.claim_of(second)["metadata"]["uid"] in driver.prepared()


def wipes(cluster: Cluster) -> list[dict]:  # type: ignore[type-arg]
    """What kubelets deleted of slices, all at once as they do when they start."""
    return [record for record in cluster.plane.writes("kubelet") if record["verb"] == "deletecollection"]


def test_the_driver_is_registered_again_by_a_kubelet_that_was_away(
    node: Node, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    """A pod that is bound while the kubelet is down starts when it is back."""
    driver = start_driver(node)
    workspace.apply(template("one"))
    node.kubelet.stop()
    workspace.pod("patient", template="one")
    wait_for("the pod is bound", lambda: workspace.get_pod("patient")["spec"].get("nodeName"), timeout=20)
    node.kubelet.start()
    workspace.wait_running("patient")
    assert driver.slices(GPU)
