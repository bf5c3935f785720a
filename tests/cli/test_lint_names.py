"""``dracore lint`` on names: what nobody has is told, with the right place, and what is usual is no alarm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dracore.cli.app import app

D = "gpu.example.com"
GROUP = "resource.k8s.io/v1"
CLASS = f"device.driver == '{D}' && device.attributes['{D}'].type == 'gpu'"


def lint(folder: Path, *more: Any, selector: str = "", devices: Any = None, **body: Any) -> dict[str, str]:
    """Message to severity."""
    device = {
        "name": "a",
        "attributes": {"type": {"string": "gpu"}},
        "capacity": {"memory": {"value": "1Gi"}},
    }
    pool = {"name": "p", "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": D, "pool": pool, "nodeName": "n1", "devices": [device]}
    exactly = {"deviceClassName": "gpu", **body}
    if selector:
        exactly["selectors"] = [{"cel": {"expression": selector}}]
    of_claim = {"devices": {"requests": [{"name": "r", "exactly": exactly}], **(devices or {})}}
    items: list[Any] = [
        {"apiVersion": GROUP, "kind": "ResourceSlice", "metadata": {"name": "s"}, "spec": spec},
        {
            "apiVersion": GROUP,
            "kind": "DeviceClass",
            "metadata": {"name": "gpu"},
            "spec": {"selectors": [{"cel": {"expression": CLASS}}]},
        },
        {"apiVersion": GROUP, "kind": "ResourceClaim", "metadata": {"name": "c"}, "spec": of_claim},
        *more,
    ]
    file = folder / "objects.json"
    file.write_text("\n".join(map(json.dumps, items)))
    result = CliRunner().invoke(app, ["lint", "-o", "json", "-f", str(file)])
    return {one["message"]: one["severity"] for one in json.loads(result.stdout)}


def test_a_class_for_the_devices_of_its_driver_is_no_alarm(tmp_path: Path) -> None:
    assert lint(tmp_path) == {}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"selector": f"device.attributes['{D}'].memory == 1"},
            f"no device has the attribute {D}/memory; did you mean device.capacity['{D}'].memory?",
        ),
        (
            {"capacity": {"requests": {"memry": "1Gi"}}},
            "no device has the capacity memry; did you mean memory?",
        ),
        (
            {"capacity": {"requests": {f"{D}/memory": "1Gi"}}},
            f"no device has the capacity {D}/memory; did you mean memory?",
        ),
        (
            {"devices": {"config": [{"opaque": {"driver": "gpu.exmple.com", "parameters": {}}}]}},
            f"no slice is of driver gpu.exmple.com; did you mean {D}?",
        ),
    ],
)
def test_a_name_that_nobody_has(options: dict[str, Any], says: str, tmp_path: Path) -> None:
    assert lint(tmp_path, **options)[says] == "warning"


@pytest.mark.parametrize(
    ("labels", "severity"),
    [(None, "warning"), ({}, "error"), ({"resource.kubernetes.io/admin-access": "true"}, None)],
)
def test_admin_access_needs_a_label_of_the_namespace(
    labels: dict[str, str] | None, severity: str | None, tmp_path: Path
) -> None:
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default", "labels": labels}}
    found = lint(tmp_path, *(() if labels is None else (space,)), adminAccess=True)
    told = [kind for message, kind in found.items() if "unless namespace default has the label" in message]
    assert told == ([severity] if severity else [])


def test_two_ways_to_ask_at_once_are_told_as_such(tmp_path: Path) -> None:
    both = [{"name": "b", "exactly": {"deviceClassName": "gpu"}, "firstAvailable": [{"name": "s"}]}]
    (message,) = lint(tmp_path, devices={"requests": both})
    assert message.endswith("has both exactly and firstAvailable; one of them is allowed")
