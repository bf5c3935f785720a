"""A pod that asks for an extended resource which nobody offers waits for ever, and is told so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dracore.cli.app import app

GROUP = "resource.k8s.io/v1"
CLASS = {"apiVersion": GROUP, "kind": "DeviceClass", "metadata": {"name": "gpu"}}
SLICE = {
    "driver": "d.example.com",
    "pool": {"name": "n1", "generation": 1, "resourceSliceCount": 1},
    "nodeName": "n1",
    "devices": [{"name": "a"}, {"name": "b"}],
}
CLAIM = {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}}


def call(folder: Path, command: str, resource: str, *options: str, claims: bool = False, **node: Any) -> str:
    spec: dict[str, Any] = {"containers": [{"name": "c", "resources": {"limits": {resource: "1"}}}]}
    if claims:
        spec["resourceClaims"] = [{"name": "r", "resourceClaimName": "c"}]
    items = [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}, "status": node},
        {**CLASS, "spec": {"extendedResourceName": "example.com/gpu"}},
        {"apiVersion": GROUP, "kind": "ResourceSlice", "metadata": {"name": "s"}, "spec": SLICE},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec},
    ]
    if claims:
        items.append({"apiVersion": GROUP, "kind": "ResourceClaim", "metadata": {"name": "c"}, "spec": CLAIM})
    file = folder / "cluster.json"
    file.write_text("\n".join(map(json.dumps, items)))
    result = CliRunner().invoke(app, [command, "-f", str(file), *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_it_has_a_row_with_the_nearest_name(tmp_path: Path) -> None:
    (row,) = json.loads(call(tmp_path, "simulate", "example.com/gpus", "-o", "json"))["claims"]
    assert row["name"] == "p-extended-resources"
    assert not row["allocated"]
    assert row["reason"] == (
        "no DeviceClass has extendedResourceName example.com/gpus; did you mean example.com/gpu?;"
        " no node advertises it"
    )


def test_it_keeps_the_pods_claims_from_being_allocated(tmp_path: Path) -> None:
    answer = json.loads(call(tmp_path, "simulate", "nobody.io/x", "-o", "json", claims=True))
    assert [(row["name"], row["allocated"]) for row in answer["claims"]] == [
        ("c", False),
        ("p-extended-resources", False),
    ]
    assert len(answer["left"]) == 2


def test_what_a_device_plugin_advertises_is_left_to_it(tmp_path: Path) -> None:
    status = {"allocatable": {"nobody.io/x": "1"}}
    answer = json.loads(call(tmp_path, "simulate", "nobody.io/x", "-o", "json", claims=True, **status))
    assert [(row["name"], row["allocated"]) for row in answer["claims"]] == [("c", True)]


def test_a_node_that_lacks_it_is_closed_to_the_pod(tmp_path: Path) -> None:
    items: list[Any] = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "tainted"},
            "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]},
            "status": {"allocatable": {"nobody.io/x": "1"}},
        },
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "without"}},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "c", "resources": {"limits": {"nobody.io/x": "1"}}}]},
        },
    ]
    file = tmp_path / "cluster.json"
    file.write_text("\n".join(map(json.dumps, items)))
    result = CliRunner().invoke(app, ["simulate", "-f", str(file), "-o", "json"])
    (row,) = json.loads(result.stdout)["claims"]
    assert "without: no DeviceClass has extendedResourceName nobody.io/x" in row["reason"]


@pytest.mark.parametrize("command", ["explain", "lint"])
def test_explain_and_lint_say_so_too(command: str, tmp_path: Path) -> None:
    text = call(tmp_path, command, "nobody.io/x")
    assert "no DeviceClass has extendedResourceName nobody.io/x; no node advertises it" in text


def test_a_class_is_of_no_use_where_the_gate_is_off(tmp_path: Path) -> None:
    text = call(tmp_path, "explain", "example.com/gpu", "--server-version", "1.35")
    assert "devices for example.com/gpu need the gate DRAExtendedResource, which is off" in text
