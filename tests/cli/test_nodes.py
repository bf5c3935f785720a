"""Every ready configuration: it passes the check, and says what the node would offer, without state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

NODES = {
    "single-t4": 1,
    "l40s-x8": 8,
    "dgx-a100-40": 8,
    "dgx-a100-80": 8,
    "dgx-h100": 8,
    "hgx-h200": 8,
    "hgx-b200": 8,
    "gb200-node": 4,
    "gb10": 1,
}


def test_every_example_is_here(examples: list[Path]) -> None:
    assert {path.stem for path in examples} == set(NODES)


@pytest.mark.parametrize("name", NODES)
def test_an_example(in_process: Any, examples: list[Path], name: str, folder: Path) -> None:
    file = next(path for path in examples if path.stem == name)
    # No root, no variable of the environment, no existing folder: an empty one is all there is.
    env = {"NODE_NAME": "", "KUBECONFIG": "", "HOME": str(folder)}
    done = in_process("config", "check", str(file), env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"ok; node {name}, simulated as {name} offers gpu.nvidia.com (nvidia_gpu)" in done.stdout
    done = in_process("slices", "--config", str(file), "-o", "json", env=env)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert (content["apiVersion"], content["kind"]) == ("v1", "List")
    devices = [device for item in content["items"] for device in item["spec"]["devices"]]
    assert len(devices) == NODES[name]
    for item in content["items"]:
        assert (item["apiVersion"], item["kind"]) == ("resource.k8s.io/v1", "ResourceSlice")
        assert item["spec"]["nodeName"] == name
        assert item["spec"]["pool"] == {
            "name": name,
            "generation": 1,
            "resourceSliceCount": len(content["items"]),
        }
    assert all(device["attributes"]["simulated"] == {"bool": True} for device in devices)
    assert ("memory" in devices[0].get("capacity", {})) == (name != "gb10")
    assert list(folder.iterdir()) == [], "no state is written"


def test_an_api_server_takes_the_slices(dracore: Any, examples: list[Path], embedded_api: Any) -> None:
    file = next(path for path in examples if path.stem == "dgx-a100-80")
    for item in json.loads(dracore("slices", "--config", str(file), "-o", "json").stdout)["items"]:
        embedded_api.create(item)
    (stored,) = embedded_api.list("resourceslices")
    assert len(stored["spec"]["devices"]) == 8


def test_yaml_and_table_say_the_same(in_process: Any, examples: list[Path]) -> None:
    file = next(path for path in examples if path.stem == "dgx-h100")
    as_json = json.loads(in_process("slices", "--config", str(file), "-o", "json").stdout)
    assert yaml.safe_load(in_process("slices", "--config", str(file), "-o", "yaml").stdout) == as_json
    lines = in_process("slices", "--config", str(file)).stdout.splitlines()
    assert lines[0].split() == ["DRIVER", "POOL", "DEVICE", "CAPACITY", "TAINTS", "ATTRIBUTES"]
    assert [line.split()[2] for line in lines[1:]] == [f"gpu-{i}" for i in range(8)]


def test_the_filter_holds_back(dracore: Any, examples: list[Path], folder: Path) -> None:
    file = next(path for path in examples if path.stem == "dgx-h100")
    text = file.read_text() + "filter: device.attributes['resource.kubernetes.io'].numaNode == 1\n"
    (folder / "node.yaml").write_text(text)
    (item,) = json.loads(dracore("slices", "--config", "node.yaml", "-o", "json").stdout)["items"]
    assert [device["name"] for device in item["spec"]["devices"]] == ["gpu-4", "gpu-5", "gpu-6", "gpu-7"]


def test_manifests(dracore: Any, examples: list[Path], embedded_api: Any) -> None:
    done = dracore("manifests", "--config", str(examples[0]))
    (device_class,) = yaml.safe_load_all(done.stdout)
    assert device_class["metadata"]["name"] == "gpu.nvidia.com"
    assert device_class["spec"]["extendedResourceName"] == "nvidia.com/gpu"
    embedded_api.create(device_class)
