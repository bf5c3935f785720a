"""Ranges of sizes and costs, saturating at 64 bits as the API server's do."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

MAX = (1 << 64) - 1
_TOP = 2.0**64


def _scaled(value: int, factor: float) -> int:
    real = float(value)
    if real > 0 and factor > 0 and real > _TOP / factor:
        return MAX
    product = ceil(real * factor)
    return MAX if product >= _TOP else product


class Range(NamedTuple):
    """From `low` to `high`, a size or a cost."""

    low: int
    high: int

    def plus(self, other: Range) -> Range:
        """Both together."""
        return Range(min(self.low + other.low, MAX), min(self.high + other.high, MAX))

    def times(self, other: Range) -> Range:
        """One for each of the other."""
        return Range(min(self.low * other.low, MAX), min(self.high * other.high, MAX))

    def scaled(self, factor: float) -> Range:
        """Times a factor, rounded up."""
        return Range(_scaled(self.low, factor), _scaled(self.high, factor))

    def union(self, other: Range) -> Range:
        """Either."""
        return Range(min(self.low, other.low), max(self.high, other.high))


def fixed(value: int) -> Range:
    """Exactly `value`."""
    return Range(value, value)


ZERO, ONE, UNKNOWN = fixed(0), fixed(1), Range(0, MAX)
