"""Scenario 14: claims with devices of two drivers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from realcluster.cluster import Cluster
from realcluster.driver import GPU, TESTBED, Driver
from realcluster.manifests import devices, request, template
from realcluster.node import Node
from realcluster.testbed import Testbed
from realcluster.workspace import Workspace

ABSENT = "absent.dracore.test"


def test_both_served_by_one_process(
    node: Node, testbed: Testbed, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    driver = start_driver(node, plugins={"nvidia_gpu": {}, "testbed": testbed.settings})
    workspace.apply(template("both", devices(request(), request("widget", TESTBED, count=2))))
    workspace.pod("both", template="both")
    [pod] = workspace.wait_running("both")
    claim = workspace.claim_of(pod)
    uid = claim["metadata"]["uid"]
    assert len(workspace.gpu_nodes("both")) == 1
    assert workspace.environment("both").items() >= {"WIDGET_0": "widget-0", "WIDGET_1": "widget-1"}.items()
    assert "/dev/widget-0" in workspace.exec("both", "ls", "/dev/widget-0")
    names = [path.name for path in node.cdi_files(claim_uid=uid)]
    assert names == sorted(f"dracore-{driver}-{uid}.json" for driver in (GPU, TESTBED))
    seen = {
        (device["driver"], device["device"])
        for record in driver.status()["claims"]
        if record["uid"] == uid
        for device in record["devices"]
    }
    results = claim["status"]["allocation"]["devices"]["results"]
    assert seen == {(result["driver"], result["device"]) for result in results}
    workspace.delete_pod("both")
    driver.wait_nothing_left(timeout=10)
    assert testbed.marks() == []


@pytest.fixture
def absent(cluster: Cluster, node: Node) -> object:
    """A device whose driver somebody published and then took away."""
    slice_ = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": f"{node.name}-{ABSENT}"},
        "spec": {
            "driver": ABSENT,
            "nodeName": node.name,
            "pool": {"name": node.name, "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": "ghost"}],
        },
    }
    class_ = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "DeviceClass",
        "metadata": {"name": ABSENT},
        "spec": {"selectors": [{"cel": {"expression": f"device.driver == '{ABSENT}'"}}]},
    }
    cluster.api.apply(slice_, class_)
    yield
    cluster.api.delete("ResourceSlice", f"{node.name}-{ABSENT}")
    cluster.api.delete("DeviceClass", ABSENT)


@pytest.mark.usefixtures("absent")
def test_one_of_them_is_not_there(
    node: Node, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    driver = start_driver(node)
    workspace.apply(template("both", devices(request(), request("ghost", ABSENT))), template("one"))
    workspace.pod("haunted", template="both")
    message = workspace.wait_event("haunted", ABSENT, timeout=40)
    assert "not registered" in message or "not found" in message
    haunted = workspace.claim_of(workspace.get_pod("haunted"))["metadata"]["uid"]

    # Others are served; nothing is kept for the claim that cannot be.
    workspace.pod("fine", template="one")
    [fine] = workspace.wait_running("fine")
    assert driver.prepared().keys() == {workspace.claim_of(fine)["metadata"]["uid"]}
    workspace.delete_pod("haunted")
    driver.wait_nothing_left(timeout=5, claim_uid=haunted)
