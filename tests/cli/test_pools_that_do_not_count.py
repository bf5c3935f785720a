"""Why a pool does not count is told as it is, and a node that is not there is an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dracore.cli.app import app

GROUP = "resource.k8s.io/v1"
CLASS = {"apiVersion": GROUP, "kind": "DeviceClass", "metadata": {"name": "gpu"}, "spec": {}}


def published(name: str, on: str = "n1", of: int = 1, generation: int = 1, **spec: Any) -> dict[str, Any]:
    pool = {"name": "p", "generation": generation, "resourceSliceCount": of}
    content = {"driver": "d.example.com", "pool": pool, "nodeName": on, "devices": [{"name": name}], **spec}
    return {"apiVersion": GROUP, "kind": "ResourceSlice", "metadata": {"name": name}, "spec": content}


def explain(
    folder: Path, *slices: Any, node: str = "n1", more: tuple[Any, ...] = (), gates: str = ""
) -> Result:
    devices = {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}
    claim = {"apiVersion": GROUP, "kind": "ResourceClaim", "metadata": {"name": "c"}}
    file = folder / "cluster.json"
    items = [CLASS, *slices, *more, {**claim, "spec": {"devices": devices}}]
    file.write_text("\n".join(map(json.dumps, items)))
    return CliRunner().invoke(app, ["explain", "-f", str(file), "--node", node, "--gates", gates])


def test_more_slices_than_announced(tmp_path: Path) -> None:
    text = explain(tmp_path, published("a"), published("b")).stdout
    assert "2 slices of generation 1 are there, more than its resourceSliceCount of 1" in text


def test_a_slice_that_a_gate_hides_is_missing(tmp_path: Path) -> None:
    draws = [{"counterSet": "s", "counters": {"m": {"value": "1"}}, "compatibilityGroups": ["g"]}]
    hidden = published("b", of=2, devices=[{"name": "b", "consumesCounters": draws}])
    text = explain(tmp_path, published("a", of=2), hidden).stdout
    assert (
        "1 of 2 slices of generation 1 are there; slice b needs the gate DRADeviceCompatibilityGroups" in text
    )


def test_a_newer_generation_on_another_node(tmp_path: Path) -> None:
    text = explain(tmp_path, published("a", of=2), published("b", on="n2", of=2, generation=2)).stdout
    assert "no pool for node n1 counts; pool d.example.com/p is left out: it is outdated" in text
    assert "generation 2 is on n2, here is 1" in text


def test_a_node_that_cannot_skip_what_a_slice_wants_skipped(tmp_path: Path) -> None:
    one = published("a", skipNodeOperations=["NodePrepareResources"])
    text = explain(tmp_path, one, gates="DRAOptionalNodeOperations=true").stdout
    assert "of 1 device 1 matches its selectors, 0 of them on these nodes" in text
    assert "a would do if node n1 declared DRAOptionalNodeOperations" in text


@pytest.mark.parametrize("named", [True, False])
def test_a_node_that_is_not_there(named: bool, tmp_path: Path) -> None:
    nodes = ({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}},) if named else ()
    result = explain(tmp_path, published("a"), node="n11", more=nodes)
    assert result.exit_code == 2
    assert "there is no node n11; did you mean n1?" in result.stderr


def test_any_node_where_a_slice_is_for_all(tmp_path: Path) -> None:
    anywhere = published("a", nodeName="", allNodes=True)
    assert "would be allocated on somewhere" in explain(tmp_path, anywhere, node="somewhere").stdout
