"""Which claims would have to end: ``dracore explain`` tries it before it says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from dracore.cli.app import app

D = "gpu.example.com"
GROUP = "resource.k8s.io/v1"
POOL = {"name": "p", "generation": 1, "resourceSliceCount": 2}


def draws(memory: str) -> dict[str, Any]:
    return {"consumesCounters": [{"counterSet": "set", "counters": {"mem": {"value": memory}}}]}


def explain(folder: Path, *devices: Any, held: dict[str, str], count: int = 1, **slice_spec: Any) -> Any:
    """Output and explanation for a claim beside claims that hold a device each."""
    body = {"deviceClassName": "gpu", "count": count}
    sets = [{"name": "set", "counters": {"mem": {"value": "8"}}}]
    spec = {"driver": D, "pool": POOL, **(slice_spec or {"nodeName": "n1"})}
    totals = {"driver": D, "pool": POOL, "allNodes": True, "sharedCounters": sets}
    claim = {"apiVersion": GROUP, "kind": "ResourceClaim"}
    wanted = {"devices": {"requests": [{"name": "r", "exactly": body}]}}
    items: list[Any] = [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}},
        {"apiVersion": GROUP, "kind": "DeviceClass", "metadata": {"name": "gpu"}, "spec": {}},
        {"apiVersion": GROUP, "kind": "ResourceSlice", "metadata": {"name": "t"}, "spec": totals},
        {
            "apiVersion": GROUP,
            "kind": "ResourceSlice",
            "metadata": {"name": "s"},
            "spec": {**spec, "devices": list(devices)},
        },
        {**claim, "metadata": {"name": "c", "namespace": "ns"}, "spec": wanted},
    ]
    for name, device in held.items():
        used = {"request": "r", "driver": D, "pool": "p", "device": device}
        status = {"allocation": {"devices": {"results": [used]}}}
        items.append({**claim, "metadata": {"name": name, "namespace": "ns"}, "status": status})
    file = folder / "cluster.json"
    file.write_text("\n".join(map(json.dumps, items)))
    text = CliRunner().invoke(app, ["explain", "-f", str(file), "--node", "n1"]).stdout
    answer = CliRunner().invoke(app, ["explain", "-f", str(file), "--node", "n1", "-o", "json"])
    return text, json.loads(answer.stdout)["claims"][0]["explanation"]


def test_any_of_several_claims(tmp_path: Path) -> None:
    text, found = explain(tmp_path, {"name": "a"}, {"name": "b"}, held={"x": "a", "y": "b"})
    assert found["ends"] == [["ns/x"], ["ns/y"]]
    assert "would be enough: the end of ns/x, or of ns/y" in text


def test_several_claims_together(tmp_path: Path) -> None:
    text, found = explain(tmp_path, {"name": "a"}, {"name": "b"}, held={"x": "a", "y": "b"}, count=2)
    assert found["ends"] == [["ns/x", "ns/y"]]
    assert "would be enough: the end of ns/x and ns/y" in text


def test_no_claim_is_enough(tmp_path: Path) -> None:
    text, found = explain(tmp_path, {"name": "a"}, held={"x": "a"}, count=2)
    assert found["ends"] == []
    assert "would free a device, though not enough: the end of ns/x" in text


def test_a_device_of_another_node_draws_on_the_same_counters(tmp_path: Path) -> None:
    devices = (
        {"name": "here", "nodeName": "n1", **draws("8")},
        {"name": "there", "nodeName": "n2", **draws("8")},
    )
    _, found = explain(tmp_path, *devices, held={"x": "there"}, perDeviceNodeSelection=True)
    assert found["ends"] == [["ns/x"]]
    assert found["requests"][0]["frees"] == ["the end of ns/x"]


def test_whoever_draws_on_other_counters_is_not_named(tmp_path: Path) -> None:
    big, small = {"name": "big", **draws("8")}, {"name": "small", **draws("4")}
    _, found = explain(tmp_path, big, small, {"name": "plain"}, held={"x": "small", "y": "plain"})
    reasons = {one["device"]: one["reason"] for one in found["requests"][0]["devices"]}
    assert "counter mem of set has 4 left, it draws 8" in reasons["big"]
    assert ["ns/x"] in found["ends"]
