"""``dracore cel``: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from dracore.cli.cel import command
from dracore.errors import ConfigError

SLICES: list[dict[str, Any]] = [
    {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "spec": {
            "driver": "gpu.example.com",
            "pool": {"name": "node-1", "generation": generation, "resourceSliceCount": 1},
            "devices": [
                {"name": f"gpu-{generation}", "attributes": {"cores": {"int": 100 + generation}}},
                {"name": "bare"},
            ],
        },
    }
    for generation in (1, 2)
] + [
    {
        "apiVersion": "resource.k8s.io/v1beta1",
        "kind": "ResourceSlice",
        "spec": {
            "driver": "nic.example.com",
            "pool": {"name": "node-1", "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": "eth0", "basic": {"attributes": {"speed": {"int": 100}}}}],
        },
    }
]


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(command, list(arguments), input=stdin)


def test_check_says_type_cost_and_libraries() -> None:
    done = run(
        "check", "quantity('1Gi').isGreaterThan(quantity('1')) && 'a'.lowerAscii() == 'a'", "-o", "json"
    )
    answer = json.loads(done.stdout)
    assert done.exit_code == 0
    assert list(answer) == ["ok", "type", "cost", "libraries", "error", "position"]
    assert (answer["ok"], answer["type"], answer["error"], answer["position"]) == (True, "bool", None, None)
    assert answer["libraries"] == [
        {"name": "quantity", "since": "1.28"},
        {"name": "strings", "since": "1.29"},
    ]
    assert 3 <= answer["cost"] <= 10


def test_what_is_nested_too_deeply_has_no_place() -> None:
    answer = json.loads(run("check", "(" * 10_000, "-o", "json").stdout)
    assert answer["error"] == (
        "compilation failed: ERROR: <input>:-1:0: expression recursion limit exceeded: 250"
    )
    assert answer["position"] is None


def test_check_says_where_it_does_not_compile() -> None:
    done = run("check", "true &&\n  device.foo", "-o", "json")
    answer = json.loads(done.stdout)
    assert done.exit_code == 1
    assert answer["position"] == {"line": 2, "column": 9}
    assert "undefined field 'foo'" in answer["error"]
    assert not answer["ok"]


@pytest.mark.parametrize(
    ("text", "version", "ok"),
    [
        ("[1, 2].exists(i, v, v == 2)", "1.32", False),
        ("[1, 2].exists(i, v, v == 2)", "1.33", True),
        ("semver('1.0.0').major() == 1", "1.31", True),
        ("isSemver('1.0.0')", "1.33", True),
        ("semver('1.0', true).major() == 1", "1.33", False),
        ("semver('1.0', true).major() == 1", "1.34", True),
        ("ip('::1').family() == 6", "1.31", True),
        ("format.uuid().validate('').hasValue()", "1.31", False),
        ("format.uuid().validate('').hasValue()", "1.32", True),
        ("cel.bind(x, 1, x == 1)", "1.31", True),
        ("[2, 1].sort() == [1, 2]", "1.34", False),
        ("[2, 1].sort() == [1, 2]", "1.35", True),
        ("device.allowMultipleAllocations", "1.35", False),
        ("device.allowMultipleAllocations", "1.36", True),
        ("device.attributes['a'].b.includes(1)", "1.37", False),
        ("device.attributes['a'].all(a, device.attributes['a'].all(b, device.attributes['a'].all(c, "
         "device.attributes['a'].all(d, a == b && c == d))))", "1.37", False),
    ],
)  # fmt: skip
def test_check_for_a_server_version(text: str, version: str, ok: bool) -> None:
    assert run("check", text).exit_code == 0
    assert (run("check", text, "--server-version", version).exit_code == 0) is ok


@pytest.mark.parametrize(
    ("text", "arguments", "ok"),
    [
        ("device.allowMultipleAllocations", ["--gates", "DRAConsumableCapacity=false"], False),
        ("device.allowMultipleAllocations",
         ["--server-version", "1.35", "--gates", "DRAConsumableCapacity=true"], True),
        ("device.attributes['a'].b.includes(1)",
         ["--gates", "DRAListTypeAttributes=true,DRAAdminAccess=true"], True),
        ("device.attributes['a'].b.exists(x, x == 1)", ["--gates", ""], False),
        ("device.attributes['a'].b.exists(x, x == 1)", ["--gates", "DRAAdminAccess=true"], False),
    ],
)  # fmt: skip
def test_check_for_gates(text: str, arguments: list[str], ok: bool) -> None:
    done = run("check", text, *arguments, "-o", "json")
    assert json.loads(done.stdout)["ok"] is ok
    assert (done.exit_code == 0) is ok


@pytest.mark.parametrize("gates", ["DRANothing=true", "DRAConsumableCapacity", "DRAConsumableCapacity=1"])
def test_gates_that_are_not_known(gates: str) -> None:
    assert run("check", "true", "--gates", gates).exit_code != 0


def test_the_words_about_a_gated_field_are_the_api_servers() -> None:
    done = run("check", "device.allowMultipleAllocations", "--server-version", "1.35", "-o", "json")
    answer = json.loads(done.stdout)
    assert answer["error"].splitlines()[0] == (
        "compilation failed: ERROR: <input>:1:7: undefined field 'allowMultipleAllocations'"
    )
    assert answer["position"] == {"line": 1, "column": 7}


@pytest.mark.parametrize("version", ["1.20", "9.99", "x", "1", "1.36.2.x" * 9])
def test_versions_that_are_not_known(version: str) -> None:
    done = run("check", "true", "--server-version", version)
    assert (done.exit_code == 2) is (version != "1.36.2.x" * 9)


def test_eval_over_slices_takes_the_newest_generation(tmp_path: Path) -> None:
    path = tmp_path / "slices.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": SLICES}))
    text = "device.attributes['gpu.example.com'].cores > 100"
    done = run("eval", text, "--slices", str(path), "-o", "json")
    rows = json.loads(done.stdout)
    assert done.exit_code == 0
    assert [(row["driver"], row["pool"], row["device"], row["result"]) for row in rows] == [
        ("gpu.example.com", "node-1", "gpu-2", True),
        ("gpu.example.com", "node-1", "bare", None),
        ("nic.example.com", "node-1", "eth0", None),
    ]
    assert rows[0]["error"] is None
    assert rows[1]["error"].startswith("no such key: cores")


def test_eval_reads_yaml_documents_from_standard_input() -> None:
    text = yaml.safe_dump_all(SLICES)
    done = run(
        "eval", "device.attributes['nic.example.com'].?speed.orValue(0) == 100", "--slices", "-", stdin=text
    )
    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert [line.split()[-1] for line in lines[1:]] == ["false", "false", "true"]


def test_eval_over_a_configuration(examples: Path) -> None:
    config = str(examples / "nodes" / "dgx-h100.yaml")
    text = "device.capacity['gpu.nvidia.com'].memory.isGreaterThan(quantity('40Gi'))"
    rows = json.loads(run("eval", text, "--config", config, "-o", "json").stdout)
    assert len(rows) == 8
    assert all(row["result"] is True and row["driver"] == "gpu.nvidia.com" for row in rows)


def test_eval_of_what_does_not_compile(tmp_path: Path) -> None:
    path = tmp_path / "slices.yaml"
    path.write_text(yaml.safe_dump_all(SLICES))
    done = run("eval", "device.nope", "--slices", str(path), "-o", "json")
    (row,) = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (row["driver"], row["pool"], row["device"], row["result"]) == (None, None, None, None)
    assert "undefined field" in row["error"]


def test_the_first_line_of_an_error_is_kubernetes_own(tmp_path: Path) -> None:
    path = tmp_path / "slices.yaml"
    path.write_text(yaml.safe_dump_all(SLICES))
    text = "device.attributes['gpu.example.com'].core > 1"
    (first, *_) = json.loads(run("eval", text, "--slices", str(path), "-o", "json").stdout)
    assert first["error"].splitlines() == ["no such key: core", "did you mean 'cores'?"]
    assert (
        "error: no such key: core; did you mean 'cores'?" in run("eval", text, "--slices", str(path)).stdout
    )


def test_eval_as_a_new_expression(tmp_path: Path) -> None:
    path = tmp_path / "slices.yaml"
    path.write_text(yaml.safe_dump_all(SLICES))
    text = "[2, 1].sort() == [1, 2]"
    assert run("eval", text, "--slices", str(path), "--server-version", "1.34").exit_code == 1
    assert run("eval", text, "--slices", str(path), "--server-version", "1.35").exit_code == 0


def test_a_line_ends_where_it_is_broken_and_nowhere_else(tmp_path: Path) -> None:
    path, many = tmp_path / "slices.yaml", tmp_path / "expressions.txt"
    path.write_text(yaml.safe_dump(SLICES[0]))
    many.write_bytes("'a\u2028b'.size() == 3\r\ntrue".encode())
    rows = json.loads(run("eval", "--expressions", str(many), "--slices", str(path), "-o", "json").stdout)
    assert [row["result"] for row in rows] == [True] * 4


def test_eval_of_many_expressions(tmp_path: Path) -> None:
    path, many = tmp_path / "slices.yaml", tmp_path / "expressions.txt"
    path.write_text(yaml.safe_dump_all(SLICES))
    many.write_text("true\n\ndevice.nope\nfalse\n")
    done = run("eval", "--expressions", str(many), "--slices", str(path), "-o", "json")
    rows = json.loads(done.stdout)
    assert done.exit_code == 0
    assert [(row["expression"], row["result"]) for row in rows] == [
        *[("true", True)] * 3,
        ("device.nope", None),
        *[("false", False)] * 3,
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "slices.yaml: line [12]: is neither JSON nor YAML"),
        ("[" * 5000, "is neither JSON nor YAML"),
        ("items: 5", "document 1: items"),
        ("items: [5]", r"items\[0\]: is not an object"),
        ("kind: ResourceSlice\nspec: {}", "spec.driver"),
        ("kind: ResourceSlice\nspec: {driver: a, pool: {}}", "spec.pool.name"),
        (
            "kind: ResourceSlice\nspec: {driver: a, pool: {name: b}, devices: 5}",
            "spec.devices: is not a list",
        ),
        ("kind: ResourceSlice\nspec: {driver: a, pool: {name: b}, devices: [{}]}", r"spec.devices\[0\]"),
        (
            "kind: ResourceSlice\nspec: {driver: a, pool: {name: b}, devices: [{name: c}, 5]}",
            r"spec.devices\[1\]: has no name",
        ),
        (
            "kind: ResourceSlice\nspec: {driver: a, pool: {name: b}, devices: [{name: c, capacity: 5}]}",
            "capacity",
        ),
    ],
)
def test_slices_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "slices.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        CliRunner().invoke(command, ["eval", "true", "--slices", str(path)], catch_exceptions=False)


@pytest.mark.parametrize(
    "arguments",
    [["eval", "true"], ["eval", "--slices", "-"], ["eval", "true", "--slices", "-", "--config", "x"]],
)
def test_wrong_usage(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2
