"""``results`` of ``dracore simulate`` are what the API server would store, as it writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dracore.cli.app import app

GROUP = "resource.k8s.io/v1"


def simulate(folder: Path, device: Any, **request: Any) -> Any:
    """The answer for one claim and one device."""
    pool = {"name": "n1", "generation": 1, "resourceSliceCount": 1}
    slice_spec: Any = {"driver": "d.example.com", "pool": pool, "nodeName": "n1"}
    slice_spec["devices"] = [{"name": "a", **device}]
    body = {"deviceClassName": "gpu", **request}
    claim_spec = {"devices": {"requests": [{"name": "r", "exactly": body}]}}
    items = [
        {"apiVersion": GROUP, "kind": "DeviceClass", "metadata": {"name": "gpu"}, "spec": {}},
        {"apiVersion": GROUP, "kind": "ResourceSlice", "metadata": {"name": "s"}, "spec": slice_spec},
        {"apiVersion": GROUP, "kind": "ResourceClaim", "metadata": {"name": "c"}, "spec": claim_spec},
    ]
    file = folder / "cluster.json"
    file.write_text("\n".join(map(json.dumps, items)))
    result = CliRunner().invoke(app, ["simulate", "-o", "json", "-f", str(file)])
    found = json.loads(result.stdout)
    return found if result.exit_code else found["claims"][0]


def test_a_toleration_has_the_operator_that_the_api_server_fills_in(tmp_path: Path) -> None:
    taints = [{"key": "k", "value": "v", "effect": "NoSchedule"}]
    wanted = [{"key": "k", "value": "v"}]
    (result,) = simulate(tmp_path, {"taints": taints}, tolerations=wanted)["results"]
    assert result["tolerations"] == [{"key": "k", "value": "v", "operator": "Equal"}]


@pytest.mark.parametrize("amount", ["1e3", "1e-3", "1500m", "2Ki"])
def test_an_amount_is_written_in_the_form_in_which_it_was_asked_for(amount: str, tmp_path: Path) -> None:
    device = {"allowMultipleAllocations": True, "capacity": {"memory": {"value": "1M"}}}
    (result,) = simulate(tmp_path, device, capacity={"requests": {"memory": amount}})["results"]
    assert result["consumedCapacity"] == {"memory": amount}


def test_an_amount_that_cannot_be_calculated_with_is_told_as_the_scheduler_does(tmp_path: Path) -> None:
    policy = {"default": "1", "validRange": {"min": "1", "max": "8", "step": "1"}}
    memory = {"value": "8", "requestPolicy": policy}
    device = {"allowMultipleAllocations": True, "capacity": {"memory": memory}}
    claim = simulate(tmp_path, device, capacity={"requests": {"memory": "1e30"}})
    assert (
        'capacity "memory": capacity request cannot be represented in the device\'s range arithmetic:'
        " request 1e30 exceeds MaxInt64" in claim["reason"]
    )


def test_an_absurd_amount_is_one_clear_error(tmp_path: Path) -> None:
    found = simulate(tmp_path, {}, capacity={"requests": {"memory": "1e4000"}})
    assert "capacity.requests.memory '1e4000' is beyond any quantity" in found["error"]
