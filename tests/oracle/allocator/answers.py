"""Writes the oracle's answers to generated cases, clusters and derived attributes, for machines without Go.

python tests/oracle/allocator/answers.py 1200 500 400    asks as many of each and writes the three files
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FILE = HERE / "answers.jsonl.gz"
CLUSTERS_FILE = HERE / "clusters.jsonl.gz"
DERIVED_FILE = HERE / "derived.jsonl.gz"


def digest(case: Any) -> str:
    """Tells whether a case is the one that was asked."""
    return hashlib.sha256(json.dumps(case, sort_keys=True).encode()).hexdigest()[:12]


def main(cases: int, clusters: int, derived: int) -> None:
    """A number of 0 leaves a file as it is."""
    from oracle import Oracle, build

    with Oracle(build()) as oracle:
        for file, number, ask in (
            (FILE, cases, _case),
            (CLUSTERS_FILE, clusters, _cluster),
            (DERIVED_FILE, derived, _derived),
        ):
            if number:
                _write(file, [line for seed in range(number) if (line := ask(oracle, seed))])


def _case(oracle: Any, seed: int) -> Any:
    from cases import case

    return _asked(oracle, seed, case(seed))


def _derived(oracle: Any, seed: int) -> Any:
    from cases import derived_case

    return _asked(oracle, seed, derived_case(seed))


def _asked(oracle: Any, seed: int, asked: Any) -> Any:
    from compare import plain

    answer = oracle.ask({**asked, "seconds": 1})
    if answer.get("gaveUp"):
        return None
    return {"seed": seed, "case": digest(asked), "answer": plain(answer)}


def _cluster(oracle: Any, seed: int) -> Any:
    from clusters import Cluster
    from scheduler import GaveUp, schedule
    from whole import verdict

    cluster = Cluster(seed)
    try:
        claims = schedule(oracle.ask, cluster.objects, cluster.gates, cluster.variant)
    except GaveUp:
        return None
    asked = [cluster.objects, cluster.gates]
    return {"seed": seed, "case": digest(asked), "answer": list(map(verdict, claims))}


def _write(file: Path, answers: list[Any]) -> None:
    lines = [json.dumps(line, sort_keys=True, separators=(",", ":")) for line in answers]
    file.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0))
    print(f"{file.name}: {len(lines)} answers, {file.stat().st_size} bytes")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
