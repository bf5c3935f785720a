"""What was found out for the latest few sorts of requests, so that memory does not grow with their number."""

from __future__ import annotations

from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
_KEPT = 8


class Latest(Generic[K, V]):
    """Dictionaries by the sort of request; of the sorts the ones asked for last are kept."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._most = kept
        self._kept: dict[str, dict[K, V]] = {}

    def of(self, sort: str) -> dict[K, V]:
        """What is known for a sort of request, to be added to."""
        found = self._kept.pop(sort, None)
        if found is None:
            found = {}
            while len(self._kept) >= self._most:
                del self._kept[next(iter(self._kept))]
        self._kept[sort] = found
        return found
