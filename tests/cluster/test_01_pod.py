"""Scenario 1: a pod from a claim template."""

from __future__ import annotations

import json
from collections.abc import Callable

from realcluster.driver import GPU, Driver
from realcluster.manifests import container, template
from realcluster.node import Node
from realcluster.process import wait_for
from realcluster.workspace import Workspace


def test_a_pod_gets_exactly_its_gpu_and_leaves_nothing(
    node: Node, start_driver: Callable[..., Driver], workspace: Workspace
) -> None:
    driver = start_driver(node)
    workspace.apply(template("one"))
    workspace.pod("with", template="one")
    workspace.pod("without", containers=[container()])
    with_gpu, _ = workspace.wait_running("with", "without")
    claim = workspace.claim_of(with_gpu)
    uid = claim["metadata"]["uid"]
    [result] = claim["status"]["allocation"]["devices"]["results"]
    assert (result["driver"], result["pool"]) == (GPU, node.name)
    minor = result["device"].removeprefix("gpu-")

    # The container has its GPU and no other, and all that the CDI spec promises.
    assert workspace.gpu_nodes("with") == [f"/dev/nvidia{minor}"]
    assert workspace.environment("with")["NVIDIA_VISIBLE_DEVICES"] == "void"
    [spec_file] = node.cdi_files()
    assert spec_file.name == f"dracore-{GPU}-{uid}.json"
    check_spec_is_in_container(json.loads(spec_file.read_text()), uid, result["device"], workspace, "with")
    [status] = with_gpu["status"]["containerStatuses"]
    assert node.cdi_devices(status["containerID"]) == [f"k8s.{GPU}/claim={uid}-{result['device']}"]

    # A pod without a claim has nothing of it.
    assert "nvidia" not in workspace.exec("without", "ls", "-R", "/dev")
    assert not any("nvidia" in mount for mount in workspace.mounts("without"))

    record = driver.prepared()[uid]
    assert record["state"] == "prepared"
    assert (record["namespace"], record["name"]) == (workspace.name, claim["metadata"]["name"])
    assert [d["device"] for d in record["devices"]] == [result["device"]]
    assert driver.journal_rows()["claims"] == 1

    workspace.delete_pod("with")
    wait_for("the claim is gone", lambda: workspace.claims() == [], timeout=15)
    driver.wait_nothing_left(timeout=5)
    assert node.cdi_files() == []
    assert not any(driver.journal_rows().values())


def check_spec_is_in_container(spec: dict, uid: str, device: str, workspace: Workspace, pod: str) -> None:  # type: ignore[type-arg]
    """Every device node, mount and variable of the spec is in the container; GPUs there are stand-ins."""
    assert spec["kind"] == f"k8s.{GPU}/claim"
    [entry] = spec["devices"]
    assert entry["name"] == f"{uid}-{device}"
    edits = [spec.get("containerEdits", {}), entry["containerEdits"]]
    nodes = [item["path"] for edit in edits for item in edit.get("deviceNodes", [])]
    mounts = [item for edit in edits for item in edit.get("mounts", [])]
    variables = [text.split("=", 1) for edit in edits for text in edit.get("env", [])]
    assert "/dev/nvidiactl" in nodes
    assert any("libcuda.so." in item["containerPath"] for item in mounts)
    assert any(item["containerPath"].endswith("/nvidia-smi") for item in mounts)
    lines = workspace.exec(pod, "ls", "-l", *nodes).splitlines()
    assert len(lines) == len(nodes)
    # Simulated: the kernel's null device stands for each.
    assert all(line.startswith("c") and line.split()[4:6] == ["1,", "3"] for line in lines), lines
    seen = workspace.mounts(pod)
    assert {item["containerPath"] for item in mounts} <= seen.keys()
    assert all("ro" in seen[item["containerPath"]].split(",") for item in mounts if "ro" in item["options"])
    environment = workspace.environment(pod)
    assert {name: environment.get(name) for name, _ in variables} == dict(variables)
