"""Kubernetes quantities: exact decimal numbers with a suffix (``resource.Quantity``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal, localcontext
from functools import total_ordering

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_PATTERN = re.compile(
    r"(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))(?P<suffix>Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?\d+)?",
    re.ASCII,
)
_NANO = Decimal("1e-9")
_LARGEST = Decimal(2**63 - 1)
_EXACT = Context(prec=100)
_EXPONENT_DIGITS = 8
"""Of longer ones, with ``e`` and sign, nobody can calculate the power."""


@total_ordering
@dataclass(frozen=True, eq=False, slots=True)
class Quantity:
    """A number, exact to 1e-9, and the family of suffixes in which it is written.

    Comparison is by value: ``Quantity.parse("24Gi") == Quantity.parse("24576Mi")``.
    """

    value: Decimal
    binary: bool = False
    exponent: bool = False
    """Written as ``1e3``; one that is read as such is written as such."""

    @classmethod
    def parse(cls, text: str | int | Decimal | Quantity) -> Quantity:
        """Reads ``1536Mi``, ``0.5``, ``100m``, ``1e3``; finer than 1n rounds up, and
        what has a binary suffix ends at 2**63 - 1.

        :raises ValueError: with the text and the allowed forms.
        """
        if isinstance(text, Quantity):
            return text
        if isinstance(text, int | Decimal):
            return cls(Decimal(text))
        found = _PATTERN.fullmatch(text)
        if not found:
            raise ValueError(
                f"{text!r} is not a quantity (a number, then nothing, n u m k M G T P E, Ki … Ei or eN)"
            )
        suffix = found["suffix"] or ""
        with localcontext(_EXACT):
            number = Decimal(found["number"])
            if suffix in _BINARY:
                return cls(_capped(_up_to_nano(number * _BINARY[suffix])), binary=True)
            if suffix in _DECIMAL:
                return cls(_up_to_nano(number.scaleb(_DECIMAL[suffix])))
            if len(suffix) > _EXPONENT_DIGITS:
                raise ValueError(f"{text[:40]!r} is beyond any quantity")
            return cls(_up_to_nano(number.scaleb(int(suffix[1:]))), exponent=True)

    @classmethod
    def bytes(cls, count: int) -> Quantity:
        """A number of bytes, written with binary suffixes."""
        return cls(Decimal(count), binary=True)

    def like(self, value: Decimal) -> Quantity:
        """Another number, written in the same family of suffixes."""
        return Quantity(value, self.binary, self.exponent)

    def __int__(self) -> int:
        """The value rounded up to a whole number, as the API server's ``Value()``."""
        return int(self.value.to_integral_value(ROUND_CEILING))

    def __eq__(self, other: object) -> bool:
        return self.value == other.value if isinstance(other, Quantity) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.value < other.value if isinstance(other, Quantity) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.value)

    def __add__(self, other: Quantity) -> Quantity:
        with localcontext(_EXACT):
            return self.like(self.value + other.value)

    def __sub__(self, other: Quantity) -> Quantity:
        with localcontext(_EXACT):
            return self.like(self.value - other.value)

    def __str__(self) -> str:
        """The canonical form: the largest suffix that leaves a whole number."""
        with localcontext(_EXACT):
            value = self.value
            if not value:
                return "0"
            if self.binary and value == value.to_integral_value() and abs(value) >= _BINARY["Ki"]:
                whole = int(value)
                for suffix, factor in reversed(_BINARY.items()):
                    if whole % factor == 0:
                        return f"{whole // factor}{suffix}"
                return str(whole)
            if self.exponent:
                exponent = int(value.normalize().as_tuple().exponent) // 3 * 3
                return f"{int(value.scaleb(-exponent))}" + (f"e{exponent}" if exponent else "")
            for suffix, exponent in sorted(_DECIMAL.items(), key=lambda item: -item[1]):
                scaled = value.scaleb(-exponent)
                if scaled == scaled.to_integral_value():
                    return f"{int(scaled)}{suffix}"
            raise ValueError(f"{value} is finer than 1n")


def _capped(number: Decimal) -> Decimal:
    """As the API server reads powers of two; other numbers may be larger."""
    return max(-_LARGEST, min(number, _LARGEST))


def _up_to_nano(number: Decimal) -> Decimal:
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent >= -9:
        return number
    return number if number == number.quantize(_NANO) else number.quantize(_NANO, ROUND_CEILING)
