"""The nearest miss of ``dracore explain`` names all that is in the way, and promises only what is so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dracore.cli.app import app

D = "gpu.example.com"
A, C = f"device.attributes['{D}']", f"device.capacity['{D}']"
GROUP = "resource.k8s.io/v1"
TAINTS = [{"key": "k", "effect": "NoSchedule"}, {"key": "z", "effect": "NoExecute"}]


def device(name: str, n: int = 4, **more: Any) -> dict[str, Any]:
    return {"name": name, "attributes": {"n": {"int": n}, "m": {"int": 1}}, **more}


def nearest(
    folder: Path,
    *devices: Any,
    selectors: tuple[str, ...] = (),
    of_class: str = "",
    held: str = "",
    **more: Any,
) -> str | None:
    """The nearest miss of the one request of a claim."""
    body = {"deviceClassName": "gpu", "selectors": [{"cel": {"expression": text}} for text in selectors]}
    requests = [{"name": "r", "exactly": {**body, **more}}]
    pool = {"name": "n1", "generation": 1, "resourceSliceCount": 1}
    spec = {"driver": D, "pool": pool, "nodeName": "n1", "devices": list(devices)}
    of = {"selectors": [{"cel": {"expression": of_class}}]} if of_class else {}
    items: list[Any] = [
        {"apiVersion": GROUP, "kind": "DeviceClass", "metadata": {"name": "gpu"}, "spec": of},
        {"apiVersion": GROUP, "kind": "ResourceSlice", "metadata": {"name": "s"}, "spec": spec},
    ]
    claim = {"apiVersion": GROUP, "kind": "ResourceClaim", "metadata": {"name": "c", "namespace": "ns"}}
    items.append({**claim, "spec": {"devices": {"requests": requests}}})
    if held:
        used = {"request": "r", "driver": D, "pool": "n1", "device": held}
        status = {"allocation": {"devices": {"results": [used]}}}
        items.append({**claim, "metadata": {"name": "other", "namespace": "ns"}, "status": status})
    file = folder / "cluster.json"
    file.write_text("\n".join(map(json.dumps, items)))
    result = CliRunner().invoke(app, ["explain", "-o", "json", "-f", str(file)])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["claims"][0]
    assert not found["allocated"]
    (request,) = found["explanation"]["requests"]
    return request["nearest"] and str(request["nearest"]["text"])


@pytest.mark.parametrize(
    ("devices", "options", "text"),
    [
        (
            [device("a", taints=TAINTS)],
            {},
            "a would do if the request tolerated k:NoSchedule and the request tolerated z:NoExecute",
        ),
        (
            [device("a", taints=TAINTS[:1])],
            {"held": "a"},
            "a would do if the request tolerated k:NoSchedule and it were free: ns/other holds it",
        ),
        (
            [device("a")],
            {"held": "a", "selectors": (f"{A}.n >= 5",)},
            "a would do if n were ≥ 5: it is 4 and it were free: ns/other holds it",
        ),
        (
            [device("a")],
            {"selectors": (f"{A}.n >= 5", f"{A}.m >= 2")},
            "a would do if n were ≥ 5: it is 4 and m were ≥ 2: it is 1",
        ),
        (
            [device("a")],
            {"of_class": f"{A}.n >= 5", "selectors": (f"{A}.m >= 2",)},
            "a would do if n were ≥ 5: it is 4 and m were ≥ 2: it is 1",
        ),
        (
            [device("a", capacity={"m": {"value": "1"}, "k": {"value": "1"}})],
            {"capacity": {"requests": {"m": "2", "k": "2"}}},
            "a would do if m left were ≥ 2: it is 1 and k left were ≥ 2: it is 1",
        ),
    ],
    ids=["two taints", "taint and holder", "selector and holder", "two selectors", "class too", "capacities"],
)
def test_everything_is_in_it(devices: Any, options: dict[str, Any], text: str, tmp_path: Path) -> None:
    assert nearest(tmp_path, *devices, **options) == text


def test_a_capacity_is_asked_for_by_the_name_that_it_is_published_with(tmp_path: Path) -> None:
    one = device("a", capacity={"memory": {"value": "1Gi"}})
    text = nearest(tmp_path, one, capacity={"requests": {f"{D}/memory": "1Gi"}})
    assert text == f"a would do if the request asked for memory, not {D}/memory"


def test_the_device_with_the_fewest_obstacles_comes_first(tmp_path: Path) -> None:
    devices = device("a", 5, taints=TAINTS), device("b", 1)
    assert nearest(tmp_path, *devices, selectors=(f"{A}.n >= 5",)) == "b would do if n were ≥ 5: it is 1"


@pytest.mark.parametrize(
    "expression",
    [
        f"{A}.n == 4 && {A}.n == 5",
        f"{A}.n > 4 && {A}.n < 3",
        f"{A}.n == 5 && {A}.n != 5",
        "false",
    ],
)
def test_what_nothing_can_mend_has_no_nearest_miss(expression: str, tmp_path: Path) -> None:
    assert nearest(tmp_path, device("a"), selectors=(expression,)) is None


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (f"{A}.n >= 5 && {A}.n >= 8", "n were ≥ 5: it is 4 and n were ≥ 8: it is 4"),
        (f"{A}.n > 4 && {A}.n != 5", "n were > 4: it is 4"),
        (f"{C}.x.compareTo(quantity('2Gi')) > 0", "x were > 2Gi: it is 1Gi"),
        (f"{A}.v.compareTo(semver('2.0.0')) >= 0", "v were ≥ 2.0.0: it is 1.0.0"),
        (f"!{A}.b", "b were false: it is true"),
        (f"{A}.s != 'x'", "s were ≠ x: it is x"),
        (f"8 <= {A}.n", "n were ≥ 8: it is 4"),
        (f"!({A}.n < 8)", "n were ≥ 8: it is 4"),
        (f"{A}.n > 4 ? true : false", "n were > 4: it is 4"),
        (f"{A}.n in [7, 5]", "n were 5: it is 4"),
        (f"{A}.n > 4.5", "n were > 4.5: it is 4"),
        (f"quantity('2Gi').isLessThan({C}.x)", "x were > 2Gi: it is 1Gi"),
        (f"!({C}.x.isLessThan(quantity('2Gi')))", "x were ≥ 2Gi: it is 1Gi"),
        (f"quantity('2Gi').compareTo({C}.x) <= 0", "x were ≥ 2Gi: it is 1Gi"),
        (f"{C}.x.compareTo(quantity('2Gi')) == 1", "x were > 2Gi: it is 1Gi"),
        (f"{C}.x.compareTo(quantity('2Gi')) != -1", "x were ≥ 2Gi: it is 1Gi"),
        (f"{C}.x == quantity('2Gi')", "x were 2Gi: it is 1Gi"),
        (f"{C}.x.asInteger() > 2000000000", "x were > 2000000000: it is 1Gi"),
        (f"{A}.v.major() >= 2", "v.major() were ≥ 2: it is 1.0.0"),
        (f"{A}.?zz.orValue(1) > 5", "it had zz > 5"),
    ],
)
def test_what_can_be_mended_is_tried_on_the_device(expression: str, text: str, tmp_path: Path) -> None:
    attributes = {"n": {"int": 4}, "v": {"version": "1.0.0"}, "b": {"bool": True}, "s": {"string": "x"}}
    one = {"name": "a", "attributes": attributes, "capacity": {"x": {"value": "1Gi"}}}
    assert nearest(tmp_path, one, selectors=(expression,)) == f"a would do if {text}"
