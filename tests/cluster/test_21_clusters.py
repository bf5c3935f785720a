"""Scenario 21, second half: whole clusters by lot, as `dracore simulate` and as the library allocate them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from realcluster.binaries import find_go

ORACLE = Path(__file__).resolve().parent.parent / "oracle" / "allocator"
sys.path.insert(0, str(ORACLE))

from clusters import Cluster  # noqa: E402
from oracle import Oracle, build  # noqa: E402
from scheduler import GaveUp, comparable, schedule  # noqa: E402
from whole import gave_up, same_error, simulate, verdict  # noqa: E402

from dracore.allocate.features import GATES, INTRODUCED, LOCKED, RELEASES  # noqa: E402

CLUSTERS = range(10_000, 14_000)
PARTS = 4
EASY = 3_000_000


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with Oracle(build(str(find_go(print)))) as running:
        yield running


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_clusters_as_the_library_allocates_them(oracle: Oracle, part: int) -> None:
    kinds: Counter[str] = Counter()
    for seed in CLUSTERS[part::PARTS]:
        cluster = Cluster(seed)
        try:
            theirs = schedule(oracle.ask, cluster.objects, cluster.gates, cluster.variant)
        except GaveUp:
            kinds["given up by the library"] += 1
            continue
        ours = simulate(cluster.objects, cluster.gates, EASY)
        if gave_up(ours):
            kinds["given up by us"] += 1
            continue
        assert list(map(verdict, ours)) == list(map(verdict, theirs)), f"seed {seed}"
        for mine, other in zip(ours, theirs, strict=True):
            assert same_error(mine, other), f"seed {seed}"
            kinds["error" if other["error"] else "fits" if other["allocated"] else "refused"] += 1
        kinds["clusters"] += 1
    print(dict(kinds))
    assert kinds["clusters"] >= len(CLUSTERS) / PARTS * 0.97
    assert kinds["fits"] >= kinds["clusters"] / 3
    assert kinds["given up by us"] <= kinds["clusters"] / 500


@pytest.mark.timeout(600)
@pytest.mark.parametrize("release", RELEASES)
def test_clusters_under_the_gates_of_each_release(oracle: Oracle, release: str) -> None:
    """Schedulers of 1.34 and 1.35 took the middle allocator for these gates, later ones what is picked."""
    defaults = {gate: on[RELEASES.index(release)] for gate, (_, on) in GATES.items()}
    variant = "incubating" if release in ("1.34", "1.35") else ""
    kinds: Counter[str] = Counter()
    for seed in range(30_000, 30_520):
        objects = Cluster(seed).objects
        ours = simulate(objects, {}, EASY, release, plain=True)
        try:
            theirs = schedule(oracle.ask, objects, defaults, variant)
        except GaveUp:
            continue
        _compare(ours, theirs, seed, kinds)
    print(dict(kinds))
    assert kinds["clusters"] >= 500
    assert kinds["fits"] >= 100


@pytest.mark.timeout(600)
def test_the_plainest_allocator(oracle: Oracle) -> None:
    """It is taken where shares and binding conditions are off. Its order of pools is that of a Go map, and of
    slices that of the cache, so only clusters of one pool are compared, with the slices by name.
    """
    off = {"DRAConsumableCapacity": False, "DRADeviceBindingConditions": False}
    kinds: Counter[str] = Counter()
    for seed in range(50_000, 55_000):
        objects = sorted(Cluster(seed).objects, key=_slices_last)
        pools = {
            (one["spec"]["driver"], one["spec"]["pool"]["name"])
            for one in objects
            if one["kind"] == "ResourceSlice"
        }
        if len(pools) != 1:
            continue
        gates = off | {gate: False for index, gate in enumerate(sorted(GATES)) if (seed >> 3) % 32 == index}
        try:
            theirs = schedule(oracle.ask, objects, gates)
        except GaveUp:
            continue
        ours = simulate(objects, gates, EASY, plain=True)
        _compare(ours, theirs, seed, kinds)
    print(dict(kinds))
    assert kinds["clusters"] >= 400
    assert kinds["fits"] >= 100


def _slices_last(item: dict[str, Any]) -> tuple[bool, bytes]:
    is_slice = item["kind"] == "ResourceSlice"
    return is_slice, item["metadata"]["name"].encode() if is_slice else b""


def _compare(ours: list[Any], theirs: list[Any], seed: int, kinds: Counter[str]) -> None:
    if not gave_up(ours):
        _assert_alike(ours, theirs, seed)
        kinds["clusters"] += 1
        kinds["fits"] += sum(claim["allocated"] for claim in theirs)


def _assert_alike(ours: list[Any], theirs: list[Any], seed: int) -> None:
    assert list(map(verdict, ours)) == list(map(verdict, theirs)), f"seed {seed}"
    for mine, other in zip(ours, theirs, strict=True):
        assert same_error(mine, other), f"seed {seed}"


@pytest.mark.timeout(300)
def test_the_command_says_the_same(oracle: Oracle, tmp_path: Path) -> None:
    """`simulate --each`: a file is a case, in all the forms that a file may have."""
    expected = []
    command = [sys.executable, "-m", "dracore.cli", "simulate", "--each", "-o", "json"]
    for seed in range(20_000, 20_400):
        cluster = Cluster(seed)
        if cluster.gates:
            continue
        try:
            expected.append(schedule(oracle.ask, cluster.objects, {}))
        except GaveUp:
            continue
        file = tmp_path / f"{seed}.json"
        separate = "\n".join(map(json.dumps, cluster.objects))
        whole = json.dumps({"apiVersion": "v1", "kind": "List", "items": cluster.objects}, indent=1)
        file.write_text((separate, whole, separate.replace("\n", "\n---\n"))[seed % 3])
        command += ["-f", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(expected) >= 150
    for line, claims in zip(lines, expected, strict=True):
        assert set(line) == {"claims", "left"}
        assert list(map(comparable, line["claims"])) == list(map(comparable, claims))


def test_the_gates_are_those_of_kubernetes() -> None:
    """The versioned table of gates, out of the released sources."""
    go = str(find_go(print))
    cache = subprocess.run(
        [go, "env", "GOMODCACHE"], check=True, capture_output=True, text=True
    ).stdout.strip()
    sources = sorted(Path(cache).glob("k8s.io/kubernetes@v1.37.*/pkg/features/kube_features.go"))
    if not sources:
        pytest.skip("the sources of Kubernetes 1.37 are not in Go's cache: build.py brings them there")
    text = sources[-1].read_text()
    for gate, (_, defaults) in GATES.items():
        block = re.search(rf"^\t{gate}: \{{\n(.*?)^\t\}},", text, re.MULTILINE | re.DOTALL)
        assert block is not None, gate
        rows = re.findall(r'MustParse\("1\.(\d+)"\), Default: (true|false)(.*)', block[1])
        rows = [row for row in rows if "MinCompatibilityVersion" not in row[2]]
        rows = [(*row[:2], row[2].partition("//")[0]) for row in rows]
        for release, default in zip(RELEASES, defaults, strict=True):
            known = [row for row in rows if int(row[0]) <= int(release[2:])]
            assert default == (bool(known) and known[-1][1] == "true"), (gate, release)
        first = min(int(row[0]) for row in rows)
        assert INTRODUCED.get(gate) == (f"1.{first}" if first > 34 else None), gate
        locked = [f"1.{row[0]}" for row in rows if "LockToDefault: true" in row[2]]
        assert LOCKED.get(gate) == (locked[0] if locked else None), gate
