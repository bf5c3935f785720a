"""The answers of the released Kubernetes library, as they were written down: ours are the same.

`tests/oracle/allocator/answers.py` writes them; `make cluster-test` asks the library itself, and more.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from typing import Any

import pytest
from answers import CLUSTERS_FILE, DERIVED_FILE, FILE, digest
from cases import case, derived_case
from clusters import Cluster
from compare import ask, plain
from whole import gave_up, simulate, verdict

PARTS = 12
LINES: list[Any] = [json.loads(line) for line in gzip.decompress(FILE.read_bytes()).splitlines()]
CLUSTERS: list[Any] = [json.loads(line) for line in gzip.decompress(CLUSTERS_FILE.read_bytes()).splitlines()]

DERIVED: list[Any] = [json.loads(line) for line in gzip.decompress(DERIVED_FILE.read_bytes()).splitlines()]


@pytest.mark.parametrize("part", range(PARTS))
def test_the_same_devices_or_the_same_refusal(part: int) -> None:
    for line in LINES[part::PARTS]:
        asked = case(line["seed"])
        assert digest(asked) == line["case"], "the generator has changed: write the answers anew"
        assert plain(ask(asked, limit=3_000_000)) == line["answer"], f"seed {line['seed']}"


def test_derived_attributes_are_compared_alike() -> None:
    for line in DERIVED:
        asked = derived_case(line["seed"])
        assert digest(asked) == line["case"], "the generator has changed: write the answers anew"
        assert plain(ask(asked, limit=3_000_000)) == line["answer"], f"seed {line['seed']}"
    fit = [line for line in DERIVED if line["answer"].get("allocations")]
    failed = [line for line in DERIVED if "derived attribute" in line["answer"].get("error", "")]
    assert min(len(fit), len(failed)) >= 25


@pytest.mark.parametrize("part", range(PARTS))
def test_whole_clusters_are_allocated_alike(part: int) -> None:
    for line in CLUSTERS[part::PARTS]:
        cluster = Cluster(line["seed"])
        asked = [cluster.objects, cluster.gates]
        assert digest(asked) == line["case"], "the generator has changed: write the answers anew"
        ours = simulate(cluster.objects, cluster.gates, 3_000_000)
        assert gave_up(ours) or list(map(verdict, ours)) == line["answer"], f"seed {line['seed']}"


def test_the_clusters_are_of_all_kinds() -> None:
    claims = [claim for line in CLUSTERS for claim in line["answer"]]
    assert len(CLUSTERS) >= 400
    assert sum(claim["allocated"] for claim in claims) >= len(claims) // 6
    assert sum(len(claim["results"]) > 1 for claim in claims) >= 50


def test_the_answers_are_of_all_kinds() -> None:
    kinds = Counter(
        "error" if "error" in line["answer"] else "fits" if line["answer"]["allocations"] else "refused"
        for line in LINES
    )
    assert len(LINES) >= 1000
    assert min(kinds["fits"], kinds["refused"], kinds["error"]) >= len(LINES) // 8
