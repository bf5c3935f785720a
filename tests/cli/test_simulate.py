"""``simulate``, ``explain`` and ``lint`` as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from dracore.cli.app import app
from dracore.testing.apiserver import EmbeddedAPI

NODE = """
kind: DeviceClass
apiVersion: resource.k8s.io/v1
metadata: {name: gpu}
spec: {selectors: [{cel: {expression: "device.driver == 'gpu.example.com'"}}]}
---
kind: ResourceSlice
apiVersion: resource.k8s.io/v1
metadata: {name: s}
spec:
  driver: gpu.example.com
  nodeName: node-1
  pool: {name: node-1, generation: 1, resourceSliceCount: 1}
  devices:
  - {name: gpu-0, attributes: {model: {string: A}}, capacity: {memory: {value: 39Gi}}}
  - {name: gpu-1, attributes: {model: {string: B}}, capacity: {memory: {value: 16Gi}}}
  - name: gpu-2
    capacity: {memory: {value: 80Gi}}
    taints: [{key: broken, effect: NoSchedule}]
"""
MEMORY = "device.capacity['gpu.example.com'].memory.compareTo(quantity('{}')) >= 0"


def claim(name: str, expression: str = "", **more: Any) -> str:
    body: dict[str, Any] = {"deviceClassName": "gpu", **more}
    if expression:
        body["selectors"] = [{"cel": {"expression": expression}}]
    return json.dumps(
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaim",
            "metadata": {"name": name, "namespace": "ns"},
            "spec": {"devices": {"requests": [{"name": "gpu", "exactly": body}]}},
        }
    )


def run(*arguments: str, files: tuple[str, ...] = (), folder: Path, stdin: str = "") -> Result:
    (folder / "slices.yaml").write_text(NODE)
    options = ["--slices", str(folder / "slices.yaml")]
    for index, text in enumerate(files):
        path = folder / f"file-{index}.yaml"
        path.write_text(text)
        options += ["-f", str(path)]
    return CliRunner().invoke(app, [*arguments, *options], input=stdin)


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_simulate(tmp_path: Path) -> None:
    files = (claim("a"), claim("b"), claim("c"))
    found = answer(run("simulate", "-o", "json", files=files, folder=tmp_path))
    assert found["claims"][0] == {
        "namespace": "ns",
        "name": "a",
        "node": "node-1",
        "allocated": True,
        "results": [
            {
                "request": "gpu",
                "driver": "gpu.example.com",
                "pool": "node-1",
                "device": "gpu-0",
                "shareID": None,
                "consumedCapacity": {},
                "adminAccess": False,
                "tolerations": [],
            }
        ],
        "reason": None,
    }
    assert [one["allocated"] for one in found["claims"]] == [True, True, False]
    assert "0 are free" in found["claims"][2]["reason"]
    left = {"node": "node-1", "driver": "gpu.example.com", "pool": "node-1", "device": "gpu-2"}
    assert found["left"] == [left]


def test_each_file_is_a_case_of_its_own(tmp_path: Path) -> None:
    files = (claim("a", count=2), "kind: 1", claim("b"))
    result = run("simulate", "--each", files=files, folder=tmp_path)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 2
    assert [device["device"] for device in lines[0]["claims"][0]["results"]] == ["gpu-0", "gpu-1"]
    assert "no kind" in lines[1]["error"]
    assert [device["device"] for device in lines[2]["claims"][0]["results"]] == ["gpu-0"]


def test_pods_with_templates_and_claims_in_use(tmp_path: Path) -> None:
    template = json.loads(claim("t"))
    template = {**template, "kind": "ResourceClaimTemplate", "spec": {"spec": template["spec"]}}
    pods = [
        {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"name": f"p{n}", "namespace": "ns"},
            "spec": {"resourceClaims": [{"name": "g", "resourceClaimTemplateName": "t"}]},
        }
        for n in range(2)
    ]
    used = json.loads(claim("used"))
    result = {"request": "gpu", "driver": "gpu.example.com", "pool": "node-1", "device": "gpu-0"}
    used["status"] = {"allocation": {"devices": {"results": [result]}}}
    items = {"kind": "List", "apiVersion": "v1", "items": [template, *pods, used]}
    found = answer(run("simulate", "-o", "json", files=(json.dumps(items),), folder=tmp_path))
    assert [(one["name"], one["allocated"]) for one in found["claims"]] == [("p0-g", True), ("p1-g", False)]
    assert found["claims"][0]["results"][0]["device"] == "gpu-1"


@pytest.mark.parametrize(
    ("arguments", "text", "says"),
    [
        (("--gates", "Nope=true"), claim("a"), "Nope is no gate"),
        (("--gates", "DRAAdminAccess"), claim("a"), "not of the form"),
        (("--server-version", "1.20"), claim("a"), "1.20 are not known"),
        (("-f", "does-not-exist.yaml"), claim("a"), "cannot be read"),
        ((), claim("a").replace('"exactly"', '"exactli"'), "did you mean exactly"),
    ],
    ids=range(5),
)
def test_wrong_input(arguments: tuple[str, ...], text: str, says: str, tmp_path: Path) -> None:
    result = run("simulate", "-o", "json", *arguments, files=(text,), folder=tmp_path)
    assert result.exit_code == 2
    assert says in json.loads(result.stdout)["error"]
    told = run("simulate", *arguments, files=(text,), folder=tmp_path)
    assert told.exit_code == 2
    assert says in told.stderr


def test_a_configuration_is_a_cluster_of_one_node() -> None:
    config = Path(__file__).resolve().parents[2] / "examples" / "nodes" / "single-t4.yaml"
    wanted = json.dumps(
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaim",
            "metadata": {"name": "a"},
            "spec": {
                "devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu.nvidia.com"}}]}
            },
        }
    )
    arguments = ["simulate", "--config", str(config), "-f", "-", "-o", "json"]
    found = answer(CliRunner().invoke(app, arguments, input=wanted))
    assert found["claims"][0]["allocated"]
    assert found["left"] == []


# --------------------------------------------------------------------------------- explain


def test_explain_tells_the_funnel_and_the_nearest_miss(tmp_path: Path) -> None:
    files = (claim("c", MEMORY.format("40Gi")),)
    text = run("explain", files=files, folder=tmp_path).stdout
    assert "ns/c: cannot be allocated" in text
    for left, stage in ((3, "devices seen"), (3, "class selectors"), (1, "request selectors"), (0, "taints")):
        assert any(
            line.split(None, 1) and line.strip().startswith(f"{left}  {stage}") for line in text.splitlines()
        )
    assert "gpu-0: selector #0 of request gpu is false: memory is 39Gi" in text
    assert "gpu-2: it is tainted broken:NoSchedule" in text
    assert "nearest miss: gpu-2 would do if the request tolerated broken:NoSchedule" in text


def test_explain_compares_numbers(tmp_path: Path) -> None:
    files = (
        claim("c", MEMORY.format("100Gi")),
        claim("d", MEMORY.format("40Gi") + " && device.driver != 'x'"),
    )
    found = answer(
        run("explain", "-o", "json", "--gates", "DRADeviceTaints=false", files=files, folder=tmp_path)
    )
    first, second = found["claims"]
    (request,) = first["explanation"]["requests"]
    assert request["nearest"]["text"] == "gpu-2 would do if memory were ≥ 100Gi: it is 80Gi"
    assert second["allocated"]


def test_explain_names_who_holds_a_device(tmp_path: Path) -> None:
    found = answer(run("explain", "-o", "json", files=(claim("a", count=2), claim("b")), folder=tmp_path))
    (request,) = found["claims"][1]["explanation"]["requests"]
    assert request["frees"] == [
        "the end of ns/a",
        "a toleration for broken:NoSchedule, or the end of the taint",
    ]
    reasons = {device["device"]: device["reason"] for device in request["devices"]}
    assert reasons["gpu-0"] == "ns/a holds it"


def test_explain_one_claim_of_many(tmp_path: Path) -> None:
    files = (claim("a"), claim("b"))
    text = run("explain", "claim/b", "-n", "ns", files=files, folder=tmp_path).stdout
    assert "ns/b: would be allocated on node-1: gpu.example.com/node-1/gpu-0" in text
    missing = run("explain", "claim/zzz", "-n", "ns", files=files, folder=tmp_path)
    assert missing.exit_code == 2
    assert "there is no claim/zzz in namespace ns" in missing.stderr


def test_explain_an_error_of_a_selector(tmp_path: Path) -> None:
    text = run(
        "explain", files=(claim("c", "device.attributes['gpu.example.com'].model == 'Z'"),), folder=tmp_path
    )
    assert "selector #0 on device gpu.example.com/node-1/gpu-2" in text.stdout


# ------------------------------------------------------------------------------------ lint


def findings(tmp_path: Path, *files: str) -> dict[str, str]:
    result = run("lint", "-o", "json", files=files, folder=tmp_path)
    found = json.loads(result.stdout)
    assert result.exit_code == (1 if any(one["severity"] == "error" for one in found) else 0)
    return {one["message"]: one["severity"] for one in found}


def test_lint_finds_nothing_in_a_good_claim(tmp_path: Path) -> None:
    guarded = "'memory' in device.capacity['gpu.example.com'] && " + MEMORY.format("40Gi")
    assert findings(tmp_path, claim("a", guarded)) == {}
    (message,) = findings(tmp_path, claim("a", MEMORY.format("40Gi")))
    assert message.startswith("can fail on a device without memory, which ends the scheduler's attempt")


@pytest.mark.parametrize(
    ("text", "severity", "says"),
    [
        (
            claim("a", "device.attributes['gpu.example.com'].model == 'A'"),
            "warning",
            "fails on a device without model",
        ),
        (
            claim("a", "device.attributes['gpu.example.com'].modell == 'A'"),
            "warning",
            "did you mean gpu.example.com/model",
        ),
        (
            claim("a", "device.attributes['gpu.exmple.com'].model == 'A'"),
            "warning",
            "has the domain gpu.exmple.com",
        ),
        (claim("a", MEMORY.format("1Ti")), "warning", "matches none of 3 devices"),
        (claim("a", "device.driver =="), "error", "not valid"),
        (claim("a", count=33), "error", "asks for 33 devices"),
        (claim("a").replace('"gpu"}', '"gqu"}'), "error", "there is no DeviceClass gqu; did you mean gpu?"),
        (claim("a").replace("/v1", "/v1beta2"), "warning", "v1beta2 is deprecated since 1.36"),
        (claim("a", "'" + "x" * 10_241 + "' == ''"), "error", "10240 are allowed"),
    ],
    ids=range(9),
)
def test_lint(text: str, severity: str, says: str, tmp_path: Path) -> None:
    found = findings(tmp_path, text)
    assert [kind for message, kind in found.items() if says in message] == [severity], found


def test_lint_goes_on_after_a_fault(tmp_path: Path) -> None:
    found = findings(tmp_path, claim("a").replace("exactly", "exactli"), claim("b", count=40))
    assert len(found) == 2


# ------------------------------------------------------------------------------- a cluster


def test_a_pod_of_a_cluster_is_explained(embedded_api: EmbeddedAPI, tmp_path: Path) -> None:
    for content in yaml.safe_load_all(NODE):
        embedded_api.create(content)
    for text in (claim("wanted", MEMORY.format("40Gi")), claim("other")):
        content = json.loads(text)
        content["metadata"]["namespace"] = "default"
        embedded_api.create(content)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {
            "containers": [{"name": "c", "image": "i"}],
            "resourceClaims": [{"name": "g", "resourceClaimName": "wanted"}],
        },
    }
    embedded_api.create(pod)
    kubeconfig = str(embedded_api.write_kubeconfig(tmp_path / "kubeconfig"))
    runner = CliRunner()
    result = runner.invoke(app, ["explain", "pod/p", "--kubeconfig", kubeconfig])
    assert result.exit_code == 0, result.output
    assert "default/wanted: cannot be allocated" in result.stdout
    assert "gpu-2 would do if the request tolerated broken:NoSchedule" in result.stdout
    assert "default/other" not in result.stdout

    missing = runner.invoke(app, ["explain", "pod/q", "--kubeconfig", kubeconfig])
    assert missing.exit_code == 2
    assert "pods" in missing.stderr

    found = answer(
        runner.invoke(app, ["simulate", "--kubeconfig", kubeconfig, "-f", "-", "-o", "json"], input="")
    )
    assert {one["name"]: one["allocated"] for one in found["claims"]} == {"wanted": False, "other": True}
