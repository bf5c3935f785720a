"""Scenario 10: the node reboots."""

from __future__ import annotations

from collections.abc import Callable

from realcluster.api import Object
from realcluster.driver import TESTBED, Driver
from realcluster.manifests import devices, request, template
from realcluster.node import Node
from realcluster.process import wait_for
from realcluster.testbed import Testbed
from realcluster.workspace import Workspace, describe


def test_the_pod_comes_back_with_its_devices(
    node: Node, testbed: Testbed, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    driver = start_driver(node, plugins={"nvidia_gpu": {}, "testbed": testbed.settings})
    workspace.apply(template("both", devices(request(), request("widget", TESTBED))))
    workspace.pod("back", template="both")
    [pod] = workspace.wait_running("back")
    uid = workspace.claim_of(pod)["metadata"]["uid"]
    gpu = workspace.gpu_nodes("back")
    files = {path.name: path.read_bytes() for path in node.cdi_files(claim_uid=uid)}
    journal = driver.journal_rows()

    node.power_off()
    driver.kill()  # is dead already
    assert node.cdi_files() == []
    assert driver.journal_rows() == journal
    node.power_on()
    driver.start()

    def again() -> Object:
        now = workspace.get_pod("back")
        [status] = now["status"]["containerStatuses"]
        assert status["restartCount"] == 1, describe(now)
        assert "running" in status["state"], describe(now)
        return now

    wait_for("the pod runs again", again, timeout=90)
    assert workspace.gpu_nodes("back") == gpu
    assert workspace.environment("back")["WIDGET_0"] == "widget-0"
    assert {path.name: path.read_bytes() for path in node.cdi_files(claim_uid=uid)} == files
    assert driver.prepared()[uid]["state"] == "prepared"
    assert testbed.marks() == ["widget-0"]

    workspace.delete_pod("back")
    driver.wait_nothing_left(timeout=10)
    assert testbed.marks() == []
