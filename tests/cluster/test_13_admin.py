"""Scenario 13: admin access."""

from __future__ import annotations

from collections.abc import Callable

from realcluster.driver import Driver
from realcluster.manifests import devices, request, template
from realcluster.node import Node
from realcluster.workspace import Workspace

LABEL = "resource.kubernetes.io/admin-access"


def test_an_admin_sees_gpus_in_use_and_disturbs_nothing(
    node: Node, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    driver = start_driver(node)
    workspace.label({LABEL: "true"})
    everything = request(allocationMode="All", adminAccess=True)
    workspace.apply(template("one"), template("watch", devices(everything)))
    workspace.pod("user", template="one")
    [user] = workspace.wait_running("user")
    used = workspace.gpu_nodes("user")
    uid = workspace.claim_of(user)["metadata"]["uid"]
    record = driver.prepared()[uid]
    files = {path.name: path.read_bytes() for path in node.cdi_files(claim_uid=uid)}

    workspace.pod("admin", template="watch")
    workspace.wait_running("admin")
    seen = workspace.gpu_nodes("admin")
    assert len(seen) == 8
    assert set(used) < set(seen)

    # What is free stays free for others, and what is in use stays as it is.
    workspace.pod("another", template="one")
    [another] = workspace.wait_running("another")
    assert workspace.gpu_nodes("another") != used
    workspace.delete_pod("admin")
    assert driver.prepared()[uid] == record
    assert {path.name: path.read_bytes() for path in node.cdi_files(claim_uid=uid)} == files
    assert workspace.gpu_nodes("user") == used
    assert driver.prepared().keys() == {uid, workspace.claim_of(another)["metadata"]["uid"]}
