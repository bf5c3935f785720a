"""The cluster itself, before any driver: what later tests stand on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from realcluster.api import ApiError
from realcluster.cluster import Cluster
from realcluster.controlplane import ApiServer
from realcluster.manifests import container
from realcluster.network import namespaces
from realcluster.node import Node
from realcluster.process import alive, wait_for
from realcluster.workspace import Workspace

HERE = Path(__file__).resolve().parent


def test_server_is_the_release_that_the_tests_mean(cluster: Cluster) -> None:
    assert cluster.api.version()["gitVersion"].startswith("v1.37.")
    assert cluster.api.list("ResourceSlice") == []
    gates = cluster.api.gates()
    assert gates["DRADeviceTaints"]
    assert not gates["DRAListTypeAttributes"]


def test_a_plain_pod_runs_and_its_log_is_read(node: Node, workspace: Workspace) -> None:
    command = ["sh", "-c", "trap 'exit 0' TERM; echo from $(id -u); sleep 1000 & wait"]
    workspace.pod("plain", containers=[container(command=command)], node=node.name)
    workspace.wait_running("plain")
    assert workspace.log("plain") == "from 0\n"
    assert workspace.gpu_nodes("plain") == []
    assert "nvidia" not in workspace.exec("plain", "ls", "/dev")
    assert workspace.environment("plain")["PATH"] == "/bin"
    workspace.delete_pod("plain")
    wait_for("its containers are gone", lambda: node.container_pids() == [], timeout=10)


def test_two_nodes_work(nodes: Callable[..., list[Node]], workspace: Workspace) -> None:
    first, second = nodes("a", "b")
    for node in (first, second):
        workspace.pod(f"on-{node.short}", node=node.name)
    pods = workspace.wait_running("on-a", "on-b")
    assert [pod["status"]["hostIP"] for pod in pods] == [first.address, second.address]
    assert len(first.container_pids()) == len(second.container_pids()) == 2  # sandbox and container each


def test_a_kubelet_restart_leaves_containers_alone(node: Node, workspace: Workspace) -> None:
    workspace.pod("stays", node=node.name)
    before = workspace.wait_running("stays")[0]["status"]["containerStatuses"][0]["containerID"]
    old = node.kubelet.pid
    node.restart_kubelet()
    node.wait_ready()
    assert node.kubelet.pid != old
    workspace.pod("later", node=node.name)
    workspace.wait_running("later")
    assert workspace.get_pod("stays")["status"]["containerStatuses"][0]["containerID"] == before


def test_a_reboot_empties_the_node_and_the_pod_comes_back(node: Node, workspace: Workspace) -> None:
    workspace.pod("back", node=node.name)
    workspace.wait_running("back")
    (node.cdi / "leftover.json").write_text("{}")
    boot, processes = node.boot_id.read_text(), node.processes()
    node.power_off()
    assert node.processes() == []
    assert not any(alive(pid) for pid in processes)
    node.power_on()
    assert node.boot_id.read_text() != boot
    assert list(node.cdi.iterdir()) == []

    def restarted() -> bool:
        status = workspace.get_pod("back")["status"]["containerStatuses"][0]
        return status["restartCount"] == 1 and "running" in status["state"]

    wait_for("the pod runs again", restarted, timeout=60)


@pytest.mark.parametrize(("version", "rules"), [("1.34", False), ("1.36", False)])
def test_an_emulated_server_answers(emulated: Callable[[str], ApiServer], version: str, rules: bool) -> None:
    server = emulated(version)
    gates = server.api.gates()
    assert gates.get("DRADeviceTaintRules", False) is rules
    assert gates.get("DRADeviceTaints", False) is (version == "1.36")
    assert server.api.list("ResourceSlice") == []
    with pytest.raises(ApiError, match="404"):
        server.api.request("GET", "/apis/resource.k8s.io/v1/devicetaintrules")


def test_the_stand_alone_server_prints_a_kubeconfig_and_ends_cleanly() -> None:
    command = [sys.executable, str(HERE / "serve.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        kubeconfig = Path(server.stdout.readline().strip())
        kubectl = Path(sys.executable).parent / "kubectl"
        done = subprocess.run(
            [str(kubectl), f"--kubeconfig={kubeconfig}", "get", "namespaces", "-o", "json"],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    assert "default" in [item["metadata"]["name"] for item in json.loads(done.stdout)["items"]]
    assert len(children) == 2
    assert not any(alive(int(pid)) for pid in children)
    assert not kubeconfig.parent.exists()


def test_nothing_is_left_of_a_run_that_is_killed(tmp_path: Path) -> None:
    """A second cluster beside this one, in a process that is killed as `kill -9` does it."""
    program = f"""
import sys, time
sys.path.insert(0, {str(HERE)!r})
from pathlib import Path
from realcluster.binaries import Binaries
from realcluster.cluster import Cluster
cluster = Cluster(Binaries(), Path({str(tmp_path)!r}))
cluster.start()
cluster.nodes("k")
print(cluster.network.name, cluster.folder, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        network, folder = run.stdout.readline().split()
        assert namespaces(network) == [f"{network}-k"]
        started = _processes_of(folder)
        assert len(started) >= 6  # etcd, API server, scheduler, controller manager, containerd, kubelet
        os.kill(run.pid, signal.SIGKILL)
    wait_for("its namespaces are gone", lambda: not namespaces(network), timeout=30)
    wait_for("its processes are gone", lambda: not _processes_of(folder), timeout=30)
    wait_for("its folder is gone", lambda: not Path(folder).exists(), timeout=30)
    # The kernel takes a namespace apart, and its links with it, when it has given up the last connection
    # in it: nobody answers there any more, and it repeats itself for up to some minutes.
    wait_for("its links are gone", lambda: network not in _links(), timeout=300)


def _links() -> str:
    return subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout


def _processes_of(folder: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if folder in text and alive(int(path.parent.name)):
            found.append(int(path.parent.name))
    return found
