"""Names of slices: the index comes first, so that it survives the API server's truncation and sorts.

``<index>-<driver>-<owner>-<random>``, the index in lower-case hex with at least five digits. The scheduler
reads the slices of a pool in the order of their names, so the index decides which devices come first.
"""

from __future__ import annotations

import re

MIN_DIGITS = 5
_INDEX = re.compile(r"[0-9a-f]+(?=-)")


def prefix(index: int, count: int, driver: str, owner: str = "") -> str:
    """The ``generateName`` of slice `index` of `count`."""
    parts = [f"{index:0{digits(count)}x}", driver.lower(), *([owner] if owner else [])]
    return "-".join(parts) + "-"


def digits(count: int) -> int:
    """How many digits an index has in a pool of `count` slices."""
    return max(MIN_DIGITS, len(f"{max(0, count - 1):x}"))


def index_of(name: str, count: int) -> int | None:
    """The index in a slice's name; None where it is not one of a pool of `count` slices."""
    found = _INDEX.match(name)
    if not found or len(found[0]) != digits(count):
        return None
    index = int(found[0], 16)
    return index if index < count else None
