"""``explain`` on one refusal after the other: the true cause is said, and first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dracore.cli.app import app

JSON = Any
D = "gpu.example.com"
A, C = f"device.attributes['{D}']", f"device.capacity['{D}']"
ROOT = "resource.kubernetes.io/pcieRoot"


def obj(kind: str, name: str, spec: JSON = None, api: str = "resource.k8s.io/v1", **meta: Any) -> JSON:
    found = {"apiVersion": api, "kind": kind, "metadata": {"name": name, **meta}}
    return found if spec is None else {**found, "spec": spec}


def node(name: str = "n1", labels: JSON = None, **spec: Any) -> JSON:
    return obj("Node", name, spec or None, "v1", labels=labels or {})


def dev(name: str, memory: str = "80Gi", numa: int = 0, **more: Any) -> JSON:
    attributes = {"model": {"string": "H100"}, "numa": {"int": numa}, ROOT: {"string": f"pci0000:0{numa}"}}
    return {"name": name, "attributes": attributes, "capacity": {"memory": {"value": memory}}, **more}


def sl(*devices: JSON, on: str = "n1", name: str = "", count: int = 1, driver: str = D, **spec: Any) -> JSON:
    pool = {"name": on, "generation": 1, "resourceSliceCount": count}
    where = {} if "perDeviceNodeSelection" in spec else {"nodeName": on}
    content = {"driver": driver, "pool": pool, **where, **spec}
    if devices:
        content["devices"] = list(devices)
    return obj("ResourceSlice", name or f"s-{on}", content)


def cls(name: str = "gpu", expression: str = f"device.driver == '{D}'") -> JSON:
    return obj("DeviceClass", name, {"selectors": [{"cel": {"expression": expression}}]})


def req(name: str = "gpu", *selectors: str, **more: Any) -> JSON:
    body = {"deviceClassName": "gpu", **more}
    if selectors:
        body["selectors"] = [{"cel": {"expression": text}} for text in selectors]
    return {"name": name, "exactly": body}


def claim(*requests: JSON, match: str = "", distinct: str = "", name: str = "c") -> JSON:
    devices: JSON = {"requests": list(requests)}
    if match or distinct:
        rule = {"matchAttribute": match} if match else {"distinctAttribute": distinct}
        devices["constraints"] = [rule]
    return obj("ResourceClaim", name, {"devices": devices}, namespace="team")


def held(*devices: str, pool: str = "n1", **more: Any) -> JSON:
    results = [{"request": "r", "driver": D, "pool": pool, "device": one, **more} for one in devices]
    return {**claim(req("r"), name="other"), "status": {"allocation": {"devices": {"results": results}}}}


def pod(*claims: str, **spec: Any) -> JSON:
    entries = [{"name": one, "resourceClaimName": one} for one in claims]
    return obj("Pod", "p", {"containers": [], "resourceClaims": entries, **spec}, "v1", namespace="team")


def counters(total: str, *devices: JSON) -> list[JSON]:
    sets = [{"name": "gpu-0", "counters": {"memory": {"value": total}}}]
    return [sl(name="totals", count=2, sharedCounters=sets), sl(*devices, name="parts", count=2)]


def draws(memory: str) -> JSON:
    return {"consumesCounters": [{"counterSet": "gpu-0", "counters": {"memory": {"value": memory}}}]}


POOL = {"name": "n1", "generation": 1, "resourceSliceCount": 1}
FOUR = [dev(f"gpu-{index}", numa=index // 2) for index in range(4)]
TAINT = {"key": "xid", "value": "79", "effect": "NoExecute"}
RANGE = {"default": "1Gi", "validRange": {"min": "1Gi", "max": "20Gi", "step": "1Gi"}}
SHARED = {"allowMultipleAllocations": True}
HUGE = f"{C}.memory.isGreaterThan(quantity('141Gi'))"
SHARE = "11111111-1111-1111-1111-111111111111"
BIG = f"{C}.memory.compareTo(quantity('40Gi')) >= 0"

CASES: dict[str, tuple[list[JSON], tuple[str, ...]]] = {
    "memory": (
        [sl(dev("gpu-0", "16Gi"), dev("gpu-3", "39Gi")), claim(req("gpu", BIG))],
        ("of 2 devices 0 match its selectors; gpu-3 would do if memory were ≥ 40Gi: it is 39Gi",),
    ),
    "two terms": (
        [sl(dev("gpu-0", "40Gi"), dev("gpu-1", "16Gi", 1)), claim(req("gpu", f"{BIG} && {A}.numa == 1"))],
        ("gpu-1 would do if memory were ≥ 40Gi: it is 16Gi",),
    ),
    "either term": (
        [sl(*FOUR), claim(req("gpu", f"({A}.model == 'B200') || {HUGE}"))],
        ("gpu-0 would do if memory were > 141Gi: it is 80Gi",),
    ),
    "guarded": (
        [sl({"name": "bare"}), claim(req("gpu", f"has({C}.memory) && {BIG}"))],
        ("bare would do if it had memory ≥ 40Gi",),
    ),
    "version": (
        [
            sl(dev("gpu-0", attributes={"v": {"version": "550.54.15"}})),
            claim(req("gpu", f"{A}.v.compareTo(semver('560.0.0')) >= 0")),
        ],
        ("gpu-0 would do if v were ≥ 560.0.0: it is 550.54.15",),
    ),
    "no such class": (
        [sl(*FOUR), claim(req(deviceClassName="gqu"))],
        ('"gqu" not found; did you mean gpu?',),
    ),
    "class of another driver": (
        [sl(dev("nic-0"), driver="nic.example.com"), claim(req())],
        ("nic-0 would do if its driver were gpu.example.com: it is nic.example.com",),
    ),
    "in use": (
        [sl(*FOUR[:2]), held("gpu-0", "gpu-1"), claim(req())],
        ("0 are free; gpu-0 would do if it were free: team/other holds it", "the end of team/other"),
    ),
    "match": (
        [sl(*FOUR), claim(req(count=3), match=f"{D}/numa")],
        (
            "the 3 devices of request gpu must have the same gpu.example.com/numa: on node n1 at most 2 do"
            " (numa 0: gpu-0 and gpu-1; numa 1: gpu-2 and gpu-3)",
            "numa 0 would do with one more device of it",
            "gpu-2, gpu-3: its numa is 1, as of 1 other",
            "2  constraints",
        ),
    ),
    "match, half in use": (
        [sl(*FOUR), held("gpu-0", "gpu-2"), claim(req(count=2), match=f"{D}/numa")],
        ("at most 1 does", "numa 0 would do if gpu-0 could be had: team/other holds it"),
    ),
    "match over requests": (
        [
            cls("nic", "device.driver == 'nic.example.com'"),
            sl(*FOUR),
            sl(dev("nic-0", numa=7), name="nics", driver="nic.example.com"),
            claim(req(), req("nic", deviceClassName="nic"), match=ROOT),
        ],
        ("no value is there for all of them", "pcieRoot pci0000:07: gpu none, nic nic-0", "0  constraints"),
    ),
    "match without the attribute": (
        [sl(*FOUR), claim(req(count=2), match=f"{D}/nvlink")],
        ("0 have the attributes of its constraints; gpu-0 would do if it had gpu.example.com/nvlink",),
    ),
    "distinct": (
        [sl(*FOUR), claim(req(count=3), distinct=f"{D}/numa")],
        ("must have different gpu.example.com/numa: on node n1 there are 2 values",),
    ),
    "all against a constraint": (
        [sl(*FOUR), claim(req(allocationMode="All"), match=f"{D}/numa")],
        ("a claim constraint would not be satisfied; the 4 devices of request gpu must have the same",),
    ),
    "taint": (
        [sl(dev("gpu-0", taints=[TAINT])), claim(req())],
        ("0 are not tainted; gpu-0 would do if the request tolerated xid=79:NoExecute",),
    ),
    "taint of another effect": (
        [
            sl(dev("gpu-0", taints=[TAINT])),
            claim(req(tolerations=[{"key": "xid", "operator": "Exists", "effect": "NoSchedule"}])),
        ],
        ("0 are not tainted", "the request tolerates xid with the effect NoSchedule only",),
    ),
    "taint of a rule": (
        [
            sl(dev("gpu-0")),
            obj("DeviceTaintRule", "works", {"deviceSelector": {"driver": D}, "taint": TAINT}),
            claim(req()),
        ],
        ("0 are not tainted", "it is tainted xid=79:NoExecute by DeviceTaintRule works",),
    ),
    "counters": (
        [
            *counters("80Gi", dev("a", "40Gi", **draws("40Gi")), dev("b", "60Gi", **draws("60Gi"))),
            held("a"),
            claim(req("gpu", f"{C}.memory.isGreaterThan(quantity('50Gi'))")),
        ],
        (
            "0 are within the counters; b would do if counter memory of gpu-0 had 60Gi left: it has 40Gi",
            "the end of team/other",
        ),
    ),
    "counters of one claim": (
        [
            *counters("80Gi", dev("a", "50Gi", **draws("50Gi")), dev("b", "60Gi", **draws("60Gi"))),
            claim(req(count=2)),
        ],
        ("counter memory of gpu-0 has 80Gi left: a draws 50Gi and b draws 60Gi",),
    ),
    "room": (
        [
            sl(dev("gpu-0", **SHARED)),
            held("gpu-0", shareID=SHARE, consumedCapacity={"memory": "60Gi"}),
            claim(req(capacity={"requests": {"memory": "40Gi"}})),
        ],
        ("gpu-0 would do if memory left were ≥ 40Gi: it is 20Gi", "the end of team/other"),
    ),
    "room for two": (
        [
            sl(dev("gpu-0", **SHARED)),
            claim(*(req(one, capacity={"requests": {"memory": "50Gi"}}) for one in "ab")),
        ],
        ("gpu-0 has 80Gi of memory left: a takes 50Gi and b takes 50Gi",),
    ),
    "policy": (
        [
            sl(dev("gpu-0", **SHARED, capacity={"memory": {"value": "80Gi", "requestPolicy": RANGE}})),
            claim(req(capacity={"requests": {"memory": "40Gi"}})),
        ],
        ("0 are large enough", "40Gi of memory is not allowed: a request takes 1Gi to 20Gi in steps of 1Gi"),
    ),
    "no such capacity": (
        [sl(*FOUR), claim(req(capacity={"requests": {"cores": "1"}}))],
        ("gpu-0 would do if it had cores",),
    ),
    "selector fails": (
        [sl(*FOUR), claim(req("gpu", f"{A}.ecc == true"))],
        (
            "selector #0 on device gpu.example.com/n1/gpu-0: CEL runtime error: no such key: ecc; guard it",
            "The first error of a selector ends the scheduler's attempt",
        ),
    ),
    "selector does not compile": (
        [sl(*FOUR), claim(req("gpu", f"{A}.model = 'H100'"))],
        ("selector #0: CEL compile error: not valid at line 1",),
    ),
    "incomplete": (
        [sl(*FOUR, count=2), claim(req())],
        ("pool gpu.example.com/n1 is incomplete: 1 of 2 slices of generation 1 are there",),
    ),
    "invalid": (
        [sl(dev("gpu-0"), dev("gpu-0")), claim(req())],
        ("pools were encountered; pool gpu.example.com/n1 is invalid: duplicate device name gpu-0",),
    ),
    "admin access takes the device first": (
        [
            sl(dev("gpu-0")),
            claim(req("a", adminAccess=True), name="c1"),
            claim(req(), name="c2"),
            pod("c1", "c2"),
        ],
        ("team/c1: a with admin access and the other requests want the same devices of node n1",),
    ),
    "outdated": (
        [
            sl(*FOUR, count=2),
            sl(dev("gpu-9"), on="n2", name="new", pool={**POOL, "generation": 2}),
            claim(req()),
        ],
        ("pool gpu.example.com/n1 is left out: it is outdated: generation 2 is on n2, here is 1",),
    ),
    "all, one in use": (
        [sl(*FOUR), held("gpu-2"), claim(req(allocationMode="All"))],
        ("3 are free; gpu-2 cannot be had: team/other holds it",),
    ),
    "all, another pool": (
        [sl(*FOUR), sl(name="x", driver="nic.example.com", count=2), claim(req(allocationMode="All"))],
        ("is currently being updated; pool nic.example.com/n1 is incomplete: 1 of 2 slices",),
    ),
    "too many": (
        [sl(*(dev(f"g-{index}") for index in range(40))), claim(req(count=33))],
        ("adding 33 devices exceeds the claim limit of 32",),
    ),
    "spread": (
        [node("n2"), sl(*FOUR[:2]), sl(*FOUR[2:], on="n2"), claim(req(count=3))],
        ("4 match its selectors, 4 are free, at most 2 on one node",),
    ),
    "each request on another node": (
        [
            node("n2"),
            sl(dev("gpu-0", numa=0)),
            sl(dev("gpu-0", numa=1), on="n2"),
            claim(req("a", f"{A}.numa == 0"), req("b", f"{A}.numa == 1")),
        ],
        ("no node has enough for all requests: node n1 has too little for b; node n2 has too little for a",),
    ),
    "no alternative": (
        [
            sl(*FOUR),
            claim(
                {
                    "name": "gpu",
                    "firstAvailable": [
                        {"name": "a", "deviceClassName": "gpu", "count": 8},
                        {**req("b", f"{A}.model == 'B200'")["exactly"], "name": "b"},
                    ],
                }
            ),
        ],
        ("request gpu/a wants 8: of 4 devices", "request gpu/b wants 1", "model were B200: it is H100"),
    ),
    "compete": (
        [sl(dev("gpu-0"), dev("gpu-1", "16Gi")), claim(req("a", BIG), req("b", BIG))],
        ("requests a and b want 2 devices together, and on node n1 only gpu-0 is for them",),
    ),
    "claims compete": (
        [sl(dev("gpu-0")), claim(req()), claim(req(), name="d"), pod("c", "d")],
        ("requests team/c: gpu and team/d: gpu want 2 devices together",),
    ),
    "per device": (
        [sl(dev("gpu-0", nodeName="n2"), dev("gpu-1", nodeName="n1", taints=[TAINT]),
            on="shared", perDeviceNodeSelection=True), claim(req())],
        ("gpu-1 would do if the request tolerated", "1  reach the node", "gpu-0: node n1 does not reach it"),
    ),
    "other nodes": (
        [sl(*FOUR, on="n9"), claim(req())],
        ("no ResourceSlice is for node n1: there are some for n9",),
    ),
    "nothing": ([claim(req())], ("there are no ResourceSlices",)),
    "node selector": (
        [sl(*FOUR), claim(req()), pod("c", nodeSelector={"zone": "b"})],
        ("no node is open to the pod (n1: label zone is a, the pod's node selector wants b)",),
    ),
    "node taint": (
        [
            node("n2", taints=[{"key": "dedicated", "effect": "NoSchedule"}]),
            sl(*FOUR, on="n2"),
            claim(req()),
            pod("c"),
        ],
        ("no ResourceSlice is for node n1", "1 of 2 nodes is open to the pod (n2: it is tainted dedicated:"),
    ),
    "missing claim": ([sl(*FOUR), pod("nope")], ("pod p needs claim nope, which does not exist",)),
    "gated pod": (
        [sl(*FOUR), claim(req()), pod("c", schedulingGates=[{"name": "quota"}])],
        ("pod p has the scheduling gate quota",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_cause_is_said(name: str, tmp_path: Path) -> None:
    items, expected = CASES[name]
    content = {"kind": "List", "apiVersion": "v1", "items": [node(labels={"zone": "a"}), cls(), *items]}
    file = tmp_path / "cluster.json"
    file.write_text(json.dumps(content))
    text = CliRunner().invoke(app, ["explain", "-f", str(file)])
    assert text.exit_code == 0, text.output
    first = text.stdout.splitlines()[0]
    assert "cannot be allocated: " in first
    assert expected[0] in first, text.stdout
    for line in expected[1:]:
        assert line in text.stdout, text.stdout
    found = CliRunner().invoke(app, ["explain", "-f", str(file), "-o", "json"])
    claims = json.loads(found.stdout)["claims"]
    assert not any(one["allocated"] for one in claims)
    assert all(one["reason"] in text.stdout for one in claims)


@pytest.mark.parametrize(
    ("gate", "says"),
    [
        ("DRAPartitionableDevices", "(1 cannot be used with these gates); a would do if the gate"),
        ("DRAAdminAccess", "admin access is requested, but the feature is disabled"),
    ],
)
def test_a_gate_that_is_off_is_named(gate: str, says: str, tmp_path: Path) -> None:
    items = [node(), cls(), *counters("80Gi", dev("a", **draws("1Gi")))]
    items.append(claim(req(adminAccess=True) if "Admin" in gate else req()))
    file = tmp_path / "cluster.json"
    file.write_text("\n".join(map(json.dumps, items)))
    result = CliRunner().invoke(app, ["explain", "-f", str(file), "--gates", f"{gate}=false"])
    assert says in result.stdout


def test_claims_that_ask_for_the_same_have_explanations_of_their_own(tmp_path: Path) -> None:
    wants = req("gpu", f"{C}.memory.compareTo(quantity('90Gi')) >= 0")
    items = [node(), cls(), sl(*FOUR), claim(wants), claim(wants, name="d")]
    file = tmp_path / "cluster.json"
    file.write_text("\n".join(map(json.dumps, items)))
    result = CliRunner().invoke(app, ["explain", "-f", str(file), "-o", "json"])
    claims = json.loads(result.stdout)["claims"]
    assert [one["explanation"]["requests"][0]["claim"] for one in claims] == ["team/c", "team/d"]
    assert len({one["reason"] for one in claims}) == 1
