"""The example plugin: installed as a package, loaded beside a bundled one, and run."""

from __future__ import annotations

import ast
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dracore.config import load
from dracore.inventory import look
from dracore.testing.apiserver import EmbeddedAPI
from dracore.testing.cdi import container_view
from dracore.testing.crash.report import Report
from dracore.testing.kubelet import FakeKubelet
from dracore.testing.kubelet.model import pod_uid
from dracore.testing.waiting import until

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/plugins/nics"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, built and installed by pip into a folder, without network."""
    target = tmp_path_factory.mktemp("site")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", target, EXAMPLE],
        check=True,
        timeout=100,
    )
    return target


@pytest.fixture
def found(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(installed)
    yield
    sys.modules.pop("nics", None)


CONFIGURATION = """
node: here
plugins:
  nics:
  nvidia_gpu:
simulation: {node: dgx-h100, stateDir: state}
"""


@pytest.mark.usefixtures("found")
def test_it_offers_the_interfaces_of_this_machine_beside_simulated_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "node.yaml").write_text(CONFIGURATION)
    loaded = load("node.yaml", {})
    assert loaded.plugins.drivers() == ("nics.example.com", "gpu.nvidia.com")
    assert str(loaded.plugins.distribution("nics")) == "dra-nics 1.0.0"
    found = look(loaded.plugins, loaded.configuration.node, simulation=loaded.configuration.simulated())
    (nics,) = found["nics.example.com"].pools
    assert {device.attributes["interface"] for device in nics.devices} == {
        path.name for path in Path("/sys/class/net").iterdir() if path.is_dir()
    }
    for device in nics.devices:
        interface = Path("/sys/class/net", str(device.attributes["interface"]))
        assert device.attributes["mtu"] == int((interface / "mtu").read_text())
        prepared = loaded.plugins.call(
            "nics", "dra_prepare", device=device, ctx=None, result=None, config=None
        )
        assert list(prepared.edits.env.values()) == [interface.name]
    assert found["gpu.nvidia.com"].complete
    assert len(found["gpu.nvidia.com"].pools[0].devices) == 8


def test_one_process_serves_it_beside_nvidia_gpu(
    installed: Path, embedded_api: EmbeddedAPI, fake_kubelet: FakeKubelet, kubelet_root: Path
) -> None:
    """``dracore run`` with both: a pod gets the loopback interface and a GPU by one claim."""
    folder = kubelet_root / "w"
    folder.mkdir()
    (folder / "node.yaml").write_text(
        f"""
node: node-1
plugins: {{nics: , nvidia_gpu: }}
simulation: {{node: single-t4, stateDir: sim}}
kube: {{kubeconfig: {embedded_api.write_kubeconfig(folder / "kubeconfig")}}}
kubelet: {{rootDir: {fake_kubelet.root}}}
host: {{statusSocket: s.sock}}
cdi: {{dir: cdi}}
"""
    )
    embedded_api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}})
    wanted = {"nics.example.com": "lo", "gpu.nvidia.com": "gpu-0"}
    child = subprocess.Popen(
        [sys.executable, "-m", "dracore.cli", "run", "--config", "node.yaml"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "POD_UID"}
        | {"PYTHONPATH": str(installed)},
    )
    try:

        def published() -> bool:
            assert child.poll() is None
            return {item["spec"]["driver"] for item in embedded_api.list("resourceslices")} == set(wanted)

        until(published, "both drivers' slices", 60)
        results = [
            {"request": name, "driver": driver, "pool": "node-1", "device": name}
            for driver, name in wanted.items()
        ]
        requests = [
            {"name": result["request"], "exactly": {"deviceClassName": result["driver"]}}
            for result in results
        ]
        embedded_api.create(
            {
                "apiVersion": "resource.k8s.io/v1",
                "kind": "ResourceClaim",
                "metadata": {"name": "both", "namespace": "default"},
                "spec": {"devices": {"requests": requests}},
                "status": {
                    "allocation": {"devices": {"results": results}},
                    "reservedFor": [{"resource": "pods", "name": "both", "uid": pod_uid("both")}],
                },
            }
        )
        (ids,) = fake_kubelet.run_pod("both", ["both"]).values()
        container = container_view(folder / "cdi", ids)
        assert container.env["NIC_LO"] == "lo"
        assert "/dev/nvidia0" in {node["path"] for node in container.device_nodes}
        fake_kubelet.delete_pod("both")
        assert list((folder / "cdi").iterdir()) == []
    finally:
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0


@pytest.mark.usefixtures("found")
def test_an_interface_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nics  # type: ignore[import-not-found]

    from dracore import Device, DracoreError

    monkeypatch.setattr(nics, "INTERFACES", tmp_path)
    (tmp_path / "Eth0.100").mkdir()
    (tmp_path / "Eth0.100/speed").write_text("-1\n")
    (tmp_path / "bonding_masters").write_text("")
    (device,) = nics.dra_discover(None)
    assert device == Device("eth0100", "nic", attributes={"interface": "Eth0.100", "virtual": True})
    assert nics.dra_prepare(device).edits.env == {"NIC_ETH0100": "Eth0.100"}
    (tmp_path / "Eth0.100/speed").unlink()
    (tmp_path / "Eth0.100").rmdir()
    with pytest.raises(DracoreError, match=r"interface Eth0\.100 is gone; plug it in again"):
        nics.dra_prepare(device)


def test_it_is_small_and_has_two_hooks() -> None:
    source = (EXAMPLE / "nics.py").read_text()
    assert len(source.splitlines()) <= 60
    hooks = {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
    assert {name for name in hooks if name.startswith("dra_")} == {"dra_discover", "dra_prepare"}


def test_its_proof(monkeypatch: pytest.MonkeyPatch, crash_matrix: Callable[..., Report]) -> None:
    """What the guide shows as the proof, with a few points of each scenario."""
    monkeypatch.syspath_prepend(EXAMPLE)
    proof = importlib.import_module("test_nics")
    (mark,) = proof.test_nothing_is_lost.pytestmark
    reports: list[Report] = []

    def some(*what: Any, **options: Any) -> None:
        reports.append(crash_matrix(*what, **options, modes=("drill", "kill"), every=20))

    for scenario in mark.args[1]:
        proof.test_nothing_is_lost(some, scenario)
    assert len(reports) == 4
    assert all(row.runs for report in reports for row in report.rows)
    for name in ("test_nics", "nics"):
        sys.modules.pop(name)
