"""``left`` of ``dracore simulate``: only devices that a further claim could have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dracore.cli.app import app

DRIVER = "gpu.example.com"


def left(folder: Path, *options: str, declared: tuple[str, ...] = (), spec: Any, device: Any) -> list[str]:
    """The devices left on one node whose slice holds a plain device and `device`."""
    pool = {"name": "n1", "generation": 1, "resourceSliceCount": 1}
    common = {"driver": DRIVER, "pool": pool, "nodeName": "n1"}
    items = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": "n1"},
            "status": {"declaredFeatures": list(declared)},
        },
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceSlice",
            "metadata": {"name": "s"},
            "spec": {**common, **spec, "devices": [{"name": "special", **device}]},
        },
    ]
    file = folder / "cluster.json"
    file.write_text("\n".join(map(json.dumps, items)))
    result = CliRunner().invoke(app, ["simulate", "-o", "json", "-f", str(file), *options])
    assert result.exit_code == 0, result.output
    return [item["device"] for item in json.loads(result.stdout)["left"]]


DRAWS = {"consumesCounters": [{"counterSet": "set", "counters": {"mem": {"value": "1"}}}]}
BINDS = {"bindingConditions": ["ready"], "bindingFailureConditions": ["failed"]}


@pytest.mark.parametrize(
    ("options", "device", "expected"),
    [
        (("--server-version", "1.35"), DRAWS, []),
        (("--gates", "DRAPartitionableDevices=false"), DRAWS, []),
        (("--gates", "DRADeviceBindingConditions=false"), BINDS, []),
        ((), BINDS, ["special"]),
    ],
)
def test_what_needs_a_gate_that_is_off_is_not_left(
    options: tuple[str, ...], device: Any, expected: list[str], tmp_path: Path
) -> None:
    assert left(tmp_path, *options, spec={}, device=device) == expected


def test_what_skips_operations_is_left_only_on_a_node_that_can(tmp_path: Path) -> None:
    gates = ("--gates", "DRAOptionalNodeOperations=true")
    spec = {"skipNodeOperations": ["NodePrepareResources"]}
    assert left(tmp_path, *gates, spec=spec, device={}) == []
    assert left(tmp_path, *gates, declared=("DRAOptionalNodeOperations",), spec=spec, device={}) == [
        "special"
    ]
    assert left(tmp_path, "--gates", "DRAListTypeAttributes=true", spec=spec, device={}) == []
