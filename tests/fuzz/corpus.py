"""Writes what coverage.py begins with: our own expressions, and the odd literals of each library.

python tests/fuzz/corpus.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "oracle"))

import cel_oracle
import mutations

TARGETS = {
    "quantity": mutations.QUANTITIES,
    "semver": mutations.VERSIONS,
    "format": (*mutations.FORMATTED, *mutations.FORMATS),
    "time": (*mutations.TIMES, *mutations.DURATIONS, *(f"{mutations.TIMES[0]}|{z}" for z in mutations.ZONES)),
    "address": (*mutations.ADDRESSES, *mutations.NETWORKS, *mutations.ADDRESSES_OF_WEB),
    "regex": (*mutations.REGEXES, *mutations.NUMBERS),
}


def main(folder: Path) -> None:
    """One file each, in a folder for each target."""
    targets = {**TARGETS, "expression": tuple(request["expression"] for request, _ in cel_oracle.load())}
    for name, texts in targets.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(texts):
            (folder / name / f"{number:05}").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
