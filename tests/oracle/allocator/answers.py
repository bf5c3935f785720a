"""Writes the oracle's answers to generated cases, for machines without Go.

python tests/oracle/allocator/answers.py 1200    asks the first 1,200 and writes answers.jsonl.gz
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parent / "answers.jsonl.gz"


def digest(case: Any) -> str:
    """Tells whether a case is the one that was asked."""
    return hashlib.sha256(json.dumps(case, sort_keys=True).encode()).hexdigest()[:12]


def main(count: int) -> None:
    from cases import case
    from compare import plain
    from oracle import Oracle, build

    lines = []
    with Oracle(build()) as oracle:
        for seed in range(count):
            asked = case(seed)
            answer = oracle.ask({**asked, "seconds": 1})
            if not answer.get("gaveUp"):
                line = {"seed": seed, "case": digest(asked), "answer": plain(answer)}
                lines.append(json.dumps(line, sort_keys=True, separators=(",", ":")))
    data = ("\n".join(lines) + "\n").encode()
    FILE.write_bytes(gzip.compress(data, 9, mtime=0))
    print(f"{len(lines)} answers, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main(int(sys.argv[1]))
