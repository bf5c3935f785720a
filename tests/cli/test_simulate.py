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


def test_a_claim_of_a_pod_that_has_ended_is_there_for_others(tmp_path: Path) -> None:
    pod = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": "p", "namespace": "ns"},
        "spec": {"resourceClaims": [{"name": "g", "resourceClaimName": "a"}]},
        "status": {"phase": "Succeeded"},
    }
    items = {"kind": "List", "apiVersion": "v1", "items": [pod, json.loads(claim("a"))]}
    found = answer(run("simulate", "-o", "json", files=(json.dumps(items),), folder=tmp_path))
    assert [(one["name"], one["allocated"]) for one in found["claims"]] == [("a", True)]


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


PARTITIONS = """
kind: ResourceSlice
apiVersion: resource.k8s.io/v1
metadata: {name: totals}
spec:
  driver: gpu.example.com
  nodeName: node-1
  pool: {name: parts, generation: 1, resourceSliceCount: 2}
  sharedCounters: [{name: gpu, counters: {memory: {value: 8Gi}}}]
---
kind: ResourceSlice
apiVersion: resource.k8s.io/v1
metadata: {name: parts}
spec:
  driver: gpu.example.com
  nodeName: node-1
  pool: {name: parts, generation: 1, resourceSliceCount: 2}
  devices:
  - {name: half, consumesCounters: [{counterSet: gpu, counters: {memory: {value: 4Gi}}}]}
"""


def test_partitions_are_not_left_where_their_gate_is_off(tmp_path: Path) -> None:
    def left(*options: str) -> list[str]:
        result = run("simulate", "-o", "json", *options, files=(PARTITIONS,), folder=tmp_path)
        return [item["device"] for item in answer(result)["left"]]

    assert left() == ["gpu-0", "gpu-1", "gpu-2", "half"]
    assert left("--gates", "DRAPartitionableDevices=false") == ["gpu-0", "gpu-1", "gpu-2"]


@pytest.mark.parametrize(("release", "compiles"), [("1.34", False), ("1.36", True), ("v1.37.2", True)])
def test_the_release_decides_which_functions_there_are(release: str, compiles: bool, tmp_path: Path) -> None:
    text = claim("a", "device.attributes['gpu.example.com'].?model.orValue('').includes('B')")
    found = answer(run("simulate", "-o", "json", "--server-version", release, files=(text,), folder=tmp_path))
    (one,) = found["claims"]
    assert one["allocated"] == compiles
    assert compiles or "CEL compile error" in one["reason"]
    assert not compiles or one["results"][0]["device"] == "gpu-1"


@pytest.mark.parametrize(
    ("release", "gate", "says"),
    [
        ("1.37", "DRAAdminAccess=false", "DRAAdminAccess is locked on since 1.36"),
        ("1.35", "DRAAdminAccess=false", ""),
        ("1.36", "DRADerivedAttributes=true", "DRADerivedAttributes came with 1.37"),
        (
            "1.36",
            "DRADeviceTaints=false,DRADeviceTaintRules=true",
            "DRADeviceTaintRules needs DRADeviceTaints",
        ),
        ("1.37", "DRASchedulerFilterTimeout=false", "DRASchedulerFilterTimeout changes nothing here"),
    ],
    ids=range(5),
)
def test_gates_that_no_server_has_are_told_of(release: str, gate: str, says: str, tmp_path: Path) -> None:
    options = ("--server-version", release, "--gates", gate)
    result = run("simulate", "-o", "json", *options, files=(claim("a"),), folder=tmp_path)
    assert answer(result)["claims"][0]["allocated"]
    assert says in result.stderr if says else not result.stderr


def test_a_pod_stays_off_a_node_whose_taint_it_does_not_tolerate(tmp_path: Path) -> None:
    taint = {"key": "dedicated", "value": "infra", "effect": "NoSchedule"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}, "spec": {"taints": [taint]}}
    pod: dict[str, Any] = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": "p", "namespace": "ns"},
        "spec": {"resourceClaims": [{"name": "g", "resourceClaimName": "a"}]},
    }

    def allocated(**spec: Any) -> tuple[bool, str]:
        items = [node, {**pod, "spec": {**pod["spec"], **spec}}, json.loads(claim("a"))]
        content = json.dumps({"kind": "List", "apiVersion": "v1", "items": items})
        (found,) = answer(run("simulate", "-o", "json", files=(content,), folder=tmp_path))["claims"]
        return found["allocated"], found["reason"] or ""

    assert allocated() == (
        False,
        "no node is open to the pod (node-1: it is tainted dedicated=infra:NoSchedule,"
        " which the pod does not tolerate)",
    )
    assert allocated(tolerations=[{"key": "dedicated", "operator": "Exists"}])[0]
    assert not allocated(tolerations=[{"key": "dedicated", "value": "other"}])[0]
    taint["effect"] = "PreferNoSchedule"
    assert allocated()[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: Pod\nkind: Node\n", "file-0.yaml: line 2: 'kind' stands twice in one object"),
        ('{"kind": "Pod",\n"kind": "Node"}', "file-0.yaml: document 1, line 2: 'kind' stands twice"),
        (claim("a", count=-1), "spec.devices.requests[0].exactly.count is less than one"),
        (claim("a", count=10**30), "count is beyond 64 bits"),
        (claim("a").replace('"a"', '"' + "a" * 10_000 + '"').replace("exactly", "x"), "aaa: spec.devices"),
    ],
    ids=range(5),
)
def test_a_fault_is_told_with_its_place_and_in_few_words(text: str, says: str, tmp_path: Path) -> None:
    result = run("simulate", "-o", "json", files=(text,), folder=tmp_path)
    assert result.exit_code == 2
    told = json.loads(result.stdout)["error"]
    assert says in told
    assert len(told) < 500


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


def test_a_funnel_ends_where_nothing_is_left(tmp_path: Path) -> None:
    text = run("explain", files=(claim("c", MEMORY.format("100Gi")),), folder=tmp_path).stdout
    assert "      0  request selectors\n" in text
    assert "taints tolerated" not in text


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


NVIDIA = """
apiVersion: resource.k8s.io/v1
kind: ResourceClaimTemplate
metadata: {name: two-parts}
spec:
  spec:
    devices:
      requests:
      - name: gpu
        exactly: {deviceClassName: gpu.nvidia.com}
      - name: large
        exactly:
          deviceClassName: gpu.nvidia.com
          selectors:
          - cel:
              expression: |-
                device.attributes['gpu.nvidia.com'].productName.lowerAscii().matches('^.*h100.*$') &&
                device.capacity['gpu.nvidia.com'].memory.compareTo(quantity('40Gi')) >= 0
      constraints:
      - requests: [gpu, large]
        matchAttribute: resource.kubernetes.io/numaNode
      config:
      - requests: [gpu]
        opaque:
          driver: gpu.nvidia.com
          parameters:
            apiVersion: resource.nvidia.com/v1beta1
            kind: GpuConfig
            sharing: {strategy: TimeSlicing, timeSlicingConfig: {interval: Long}}
"""


def test_lint_raises_no_false_alarm_on_the_usual_claims(tmp_path: Path) -> None:
    config = Path(__file__).resolve().parents[2] / "examples" / "nodes" / "dgx-h100.yaml"
    file = tmp_path / "claims.yaml"
    file.write_text(NVIDIA)
    result = CliRunner().invoke(app, ["lint", "--config", str(config), "-f", str(file)])
    assert result.exit_code == 0
    assert result.stdout == "0 errors, 0 warnings\n"
    # Without the class it is unknown which devices the selector meets.
    alone = CliRunner().invoke(app, ["lint", "-f", str(file)])
    assert alone.exit_code == 0
    assert "unless class gpu.nvidia.com keeps such devices out" in alone.stdout
    assert "0 errors, 1 warnings" in alone.stdout


@pytest.mark.parametrize(
    ("options", "more", "says"),
    [
        (
            ("--server-version", "1.35"),
            {"tolerations": [{"operator": "Exists"}]},
            "DRADeviceTaints, which is off",
        ),
        (
            ("--server-version", "1.35"),
            {"capacity": {"requests": {"m": "1"}}},
            "DRAConsumableCapacity, which is",
        ),
        (("--gates", "DRAAdminAccess=false"), {"adminAccess": True}, "DRAAdminAccess, which is off"),
        ((), {"adminAccess": True}, ""),
        (("--server-version", "1.37"), {"tolerations": [{"operator": "Exists"}]}, ""),
    ],
    ids=range(5),
)
def test_lint_knows_what_a_server_drops(
    options: tuple[str, ...], more: dict[str, Any], says: str, tmp_path: Path
) -> None:
    file = tmp_path / "claim.json"
    file.write_text(claim("a", **more))
    result = CliRunner().invoke(app, ["lint", "-f", str(file), *options])
    assert result.exit_code == bool(says)
    assert says in result.stdout if says else "0 errors" in result.stdout


def test_lint_takes_selectors_as_new_ones_where_a_version_is_given(tmp_path: Path) -> None:
    file = tmp_path / "claim.json"
    file.write_text(claim("a", "device.attributes['gpu.example.com'].model.includes('B')"))
    stored = CliRunner().invoke(app, ["lint", "-f", str(file)])
    new = CliRunner().invoke(app, ["lint", "-f", str(file), "--server-version", "1.36"])
    assert (stored.exit_code, new.exit_code) == (0, 1)
    assert "undeclared reference to 'includes'" in new.stdout


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("allocationMode", "Some"), "Some is neither ExactCount nor All"),
        (("allocationMode", "All", "count", 2), "is not allowed with allocationMode All"),
        (("deviceClassName", ""), "is required"),
    ],
    ids=range(3),
)
def test_lint_knows_what_the_api_refuses(change: tuple[Any, ...], says: str, tmp_path: Path) -> None:
    more = dict(zip(change[::2], change[1::2], strict=True))
    assert says in findings(tmp_path, claim("a", **more))


def test_lint_says_what_a_selector_may_cost(tmp_path: Path) -> None:
    costly = "[1,2,3,4,5,6,7,8,9,10].all(a, " * 7 + "true" + ")" * 7
    assert any("the API server admits 1,000,000" in text for text in findings(tmp_path, claim("a", costly)))


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
    assert "there is no pod q in namespace default; see -n NAMESPACE" in missing.stderr

    found = answer(
        runner.invoke(app, ["simulate", "--kubeconfig", kubeconfig, "-f", "-", "-o", "json"], input="")
    )
    assert {one["name"]: one["allocated"] for one in found["claims"]} == {"wanted": False, "other": True}
