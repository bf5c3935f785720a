"""Scenario 12: a rolling update, with the old and the new driver side by side for a while."""

from __future__ import annotations

from collections.abc import Callable

from realcluster.cluster import Cluster
from realcluster.driver import GPU, Driver
from realcluster.manifests import template
from realcluster.node import Node
from realcluster.process import stays_true, wait_for
from realcluster.workspace import Workspace

TAG = "site.dracore.test/tag"


def plugins(tag: str) -> dict[str, object]:
    return {"nvidia_gpu": {}, "site": {"tag": tag}}


def tags(driver: Driver) -> set[str]:
    return {device["attributes"][TAG]["string"] for device in driver.devices().values()}


def test_one_handover_and_the_new_one_unprepares(
    cluster: Cluster, node: Node, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    old = start_driver(node, plugins=plugins("old"), instance="old")
    workspace.apply(template("one"))
    workspace.pod("before", template="one")
    [before] = workspace.wait_running("before")
    uid = workspace.claim_of(before)["metadata"]["uid"]
    assert tags(old) == {"old"}
    assert len(node.registration_sockets(GPU)) == 1

    new = start_driver(node, plugins=plugins("new"), instance="new")
    wait_for("the new instance publishes", lambda: tags(new) == {"new"}, timeout=20)
    assert old.running
    assert len(node.registration_sockets(GPU)) == 2
    user = f"driver-{node.short}"
    writes = len(cluster.plane.writes(user))
    versions = {part["metadata"]["name"]: part["metadata"]["resourceVersion"] for part in new.slices()}

    def quiet() -> bool:
        now = {part["metadata"]["name"]: part["metadata"]["resourceVersion"] for part in new.slices()}
        return now == versions and len(cluster.plane.writes(user)) == writes

    stays_true("nobody writes slices any more", quiet, seconds=30)

    # While both run: what the old one prepared, whoever is asked takes back.
    workspace.pod("between", template="one")
    [between] = workspace.wait_running("between")
    assert workspace.allocated(between) != workspace.allocated(before)

    assert old.stop() == 0
    assert len(node.registration_sockets(GPU)) == 1
    assert new.prepared().keys() >= {uid}
    workspace.delete_pod("before")
    new.wait_nothing_left(timeout=10, claim_uid=uid)
    workspace.pod("after", template="one")
    workspace.wait_running("after")
    assert tags(new) == {"new"}
    assert quiet()  # the end of the old one was no reason to write
