"""Cases on the simulated nodes of ``examples/nodes``, with the slices that `dracore slices` prints."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from handmade import TAINT, Case, alternatives, body, request

JSON = Any
EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "nodes"
DRIVER = "gpu.nvidia.com"
NODE = "node-of-a-case"
ATTRIBUTES = f"device.attributes['{DRIVER}']"
MEMORY = f"device.capacity['{DRIVER}'].memory.compareTo(quantity('{{}}')) >= 0"
NUMA = "device.attributes['resource.kubernetes.io'].numaNode == {}"
SAME_NUMA = {"matchAttribute": "resource.kubernetes.io/numaNode"}


@dataclass
class Simulated(Case):
    """A case on a node of simulated hardware."""

    hardware: str = ""

    @property
    def driver(self) -> str:
        return DRIVER

    def slice_objects(self) -> list[JSON]:
        found = []
        for index, item in enumerate(json.loads(_slices(self.hardware).replace(NODE, self.node))["items"]):
            item["metadata"] = {"name": f"{self.name}-{index}"}
            found.append(item)
        return found


@lru_cache(maxsize=64)
def _slices(hardware: str) -> str:
    """What `dracore slices` prints for an example node that is called :data:`NODE`."""
    content = yaml.safe_load((EXAMPLES / f"{hardware}.yaml").read_text())
    content["node"] = NODE
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "node.yaml"
        config.write_text(yaml.safe_dump(content))
        command = [sys.executable, "-m", "dracore.cli", "slices", "--config", str(config), "-o", "json"]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def _case(name: str, hardware: str, requests: list[JSON], **more: Any) -> Simulated:
    return Simulated(f"sim-{name}", requests=requests, hardware=hardware, **more)


SIMULATED = [
    _case("one", "dgx-h100", [request()]),
    _case("all", "dgx-h100", [request(allocationMode="All")]),
    _case("all-in-use", "dgx-h100", [request(allocationMode="All")], fits=False, held=[{"device": "gpu-7"}]),
    _case("nine", "dgx-h100", [request(count=9)], fits=False),
    _case("numa", "dgx-h100", [request("r", NUMA.format(1)), request("s", count=3)], constraints=[SAME_NUMA]),
    _case("numa-five", "dgx-h100", [request(count=5)], constraints=[SAME_NUMA], fits=False),
    _case("numa-apart", "dgx-h100", [request("r", NUMA.format(0)), request("s", NUMA.format(1))],
          constraints=[SAME_NUMA], fits=False),
    _case("numa-in-use", "dgx-h100", [request(count=4)], constraints=[SAME_NUMA],
          held=[{"device": "gpu-1"}]),
    _case("roots", "dgx-h100", [request(count=8)],
          constraints=[{"distinctAttribute": "resource.kubernetes.io/pcieRoot"}]),
    _case("one-root", "dgx-h100", [request(count=2)], fits=False,
          constraints=[{"matchAttribute": "resource.kubernetes.io/pcieRoot"}]),
    _case("large", "single-t4", [request("r", MEMORY.format("40Gi"))], fits=False),
    _case("model", "l40s-x8", [request("r", f"{ATTRIBUTES}.productName.contains('L40S')", count=2)]),
    _case("first", "dgx-a100-40", [
        alternatives("r", body(MEMORY.format("79Gi"), count=2), body(MEMORY.format("39Gi"), count=4))]),
    _case("first-none", "dgx-a100-80", [
        alternatives("r", body(MEMORY.format("100Gi")), body(count=9))], fits=False),
    _case("version", "hgx-b200", [
        request("r", f"{ATTRIBUTES}.driverVersion.compareTo(semver('570.0.0')) >= 0", count=8)]),
    _case("version-none", "hgx-h200", [
        request("r", f"{ATTRIBUTES}.driverVersion.isGreaterThan(semver('999.0.0'))")], fits=False),
    _case("architecture", "gb200-node", [
        request("r", f"{ATTRIBUTES}.architecture == 'Blackwell'"), request("s", count=2)]),
    _case("fails", "dgx-h100", [request("r", f"{ATTRIBUTES}.profile == '1g.10gb'")], fits=False),
    _case("rule", "gb200-node", [request()], rule={
        "deviceSelector": {"driver": "{D}", "pool": "{N}", "device": "gpu-0"}, "taint": TAINT}),
    _case("rule-all", "gb10", [request()], fits=False, rule={
        "deviceSelector": {"driver": "{D}", "pool": "{N}"}, "taint": TAINT}),
    _case("admin", "gb10", [request(adminAccess=True)], held=[{"device": "gpu-0"}]),
    _case("two-claims", "gb200-node", [request(count=2)], more_claims=[[request("s", count=2)]]),
    _case("extended", "l40s-x8", [], extended={"{C}.example.com/gpu": "3"},
          class_spec={"extendedResourceName": "{C}.example.com/gpu"}),
    _case("extended-none", "single-t4", [], fits=False,
          extended={"deviceclass.resource.kubernetes.io/{C}": "2"}),
]  # fmt: skip
