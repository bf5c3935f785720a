"""Scenario 9: SIGKILL for the driver, under a running pod and in the middle of a prepare."""

from __future__ import annotations

from collections.abc import Callable

from realcluster.driver import TESTBED, Driver
from realcluster.manifests import devices, request, template
from realcluster.node import Node
from realcluster.process import wait_for
from realcluster.testbed import Testbed
from realcluster.workspace import Workspace


def test_killed_under_a_running_pod(
    node: Node, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    driver = start_driver(node)
    workspace.apply(template("one"))
    workspace.pod("runs", template="one")
    [pod] = workspace.wait_running("runs")
    uid = workspace.claim_of(pod)["metadata"]["uid"]
    [before] = node.cdi_files()
    content = before.read_bytes()

    driver.kill()
    assert len(workspace.gpu_nodes("runs")) == 1  # the container does not care
    driver.start()
    driver.wait_published()
    assert driver.prepared()[uid]["state"] == "prepared"
    assert before.read_bytes() == content

    # Killed again, and away while its pod is deleted: the kubelet keeps the pod until it is unprepared.
    driver.kill()
    workspace.delete_pod("runs", wait=False)
    wait_for("the container has ended", lambda: node.container_pids() == [], timeout=15)
    assert before.exists()
    driver.start()
    workspace.wait_gone("runs", timeout=40)
    driver.wait_nothing_left(timeout=10)


def test_killed_while_a_prepare_is_running(
    node: Node, testbed: Testbed, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    driver = start_driver(node, plugins={"nvidia_gpu": {}, "testbed": testbed.settings})
    workspace.apply(template("both", devices(request(), request("widget", TESTBED))))
    testbed.hold("widget-0")
    workspace.pod("interrupted", template="both")
    testbed.wait_applying("widget-0")
    assert testbed.marks() == ["widget-0"]  # done, and not yet in the journal

    driver.kill()
    testbed.let_go("widget-0")
    driver.start()
    [pod] = workspace.wait_running("interrupted", timeout=60)
    # An intent without an outcome is taken back, never adopted; then everything is done anew, once.
    assert testbed.events("widget-0") == ["apply", "revert", "apply"]
    assert testbed.marks() == ["widget-0"]
    assert len(workspace.gpu_nodes("interrupted")) == 1
    assert workspace.environment("interrupted")["WIDGET_0"] == "widget-0"
    uid = workspace.claim_of(pod)["metadata"]["uid"]
    assert driver.prepared().keys() == {uid}

    workspace.delete_pod("interrupted")
    driver.wait_nothing_left(timeout=10)
    assert testbed.marks() == []


def test_killed_while_a_prepare_is_running_and_the_pod_deleted(
    node: Node, testbed: Testbed, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    driver = start_driver(node, plugins={"nvidia_gpu": {}, "testbed": testbed.settings})
    workspace.apply(template("widget", devices(request("widget", TESTBED))))
    testbed.hold("widget-0")
    workspace.pod("never", template="widget")
    testbed.wait_applying("widget-0")
    driver.kill()
    testbed.let_go("widget-0")
    workspace.delete_pod("never", wait=False)
    driver.start()
    workspace.wait_gone("never", timeout=60)
    driver.wait_nothing_left(timeout=10)
    assert testbed.marks() == []
    assert testbed.events("widget-0")[-1] == "revert"
