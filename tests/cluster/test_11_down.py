"""Scenario 11: the driver is down while its pod is force-deleted, in three ways side by side."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from realcluster.driver import Driver
from realcluster.manifests import template
from realcluster.node import Node
from realcluster.process import wait_for
from realcluster.workspace import Workspace

A, B, C = "kubelet-untouched", "kubelet-forgot", "container-runs"
WITH_KUBELET, WITHOUT_KUBELET = 70.0, 150.0  # seconds until nothing is left


@pytest.mark.timeout(600)
def test_what_is_released_and_when(
    nodes: Callable[..., list[Node]], start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    first, second, third = nodes("a", "b", "c")
    drivers = {A: start_driver(first), B: start_driver(second), C: start_driver(third)}
    workspace.apply(template("one"))
    for name, driver in drivers.items():
        workspace.pod(name, template="one", node=driver.node.name)
    pods = workspace.wait_running(*drivers)
    uids = {pod["metadata"]["name"]: workspace.claim_of(pod)["metadata"]["uid"] for pod in pods}
    for driver in drivers.values():
        driver.kill()

    third.kubelet.stop()
    second.kubelet.stop()
    containers = third.container_pids()
    workspace.delete_pod(*drivers, force=True)
    (second.kubelet_dir / "dra_manager_state").unlink()
    second.kubelet.start()
    wait_for("the server has forgotten the claims", lambda: workspace.claims() == [], timeout=30)
    wait_for(
        "the kubelet has ended the forgotten container", lambda: second.container_pids() == [], timeout=60
    )

    started = time.monotonic()
    for name, driver in drivers.items():
        assert driver.journal_rows()["claims"] == 1, name
        driver.start()
    drivers[A].wait_published()
    drivers[B].wait_published()

    def passed() -> float:
        return time.monotonic() - started

    drivers[A].wait_nothing_left(timeout=WITH_KUBELET - passed())
    drivers[B].wait_nothing_left(timeout=WITHOUT_KUBELET - passed())

    # (c) The container still runs: until the kubelet says what it holds, nothing may go.
    def kept() -> bool:
        record = drivers[C].prepared().get(uids[C])
        return record is not None and bool(third.cdi_files(claim_uid=uids[C]))

    while passed() < WITHOUT_KUBELET:
        assert kept(), f"released after {passed():.0f} s although its container may run"
        time.sleep(2)
    assert third.container_pids() == containers

    third.kubelet.start()
    drivers[C].wait_nothing_left(timeout=WITHOUT_KUBELET)
    assert third.container_pids() == []
    third.wait_ready()
