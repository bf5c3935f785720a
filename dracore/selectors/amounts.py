"""Quantities as the API server computes with them: a mantissa and a scale, or a big decimal.

``isInteger``, ``asInteger`` and ``asApproximateFloat`` depend on how a quantity was written, not only on its
value: ``1000m`` is no integer there. So this is kept beside the value (``resource.Quantity``).
"""

from __future__ import annotations

import re
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from typing import Any

from dracore.model.quantity import Quantity
from dracore.selectors.equality import register_accepting
from dracore.selectors.faults import Fault
from dracore.selectors.values import BY_IDENTITY, INT_MAX, INT_MIN, NO_OVERLOAD, register

_WRONG = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_SHAPE = re.compile(
    r"(?P<sign>[+-]?)(?P<num>[0-9]*)(?:\.(?P<denom>[0-9]*))?(?P<suffix>[eEinumkKMGTP]*[-+]?[0-9]*)"
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]{1,9})")
_LONGEST = 10_000
_WIDEST = 100_000
_NANO = -9


class Amount(Quantity):
    """A quantity with its form: `mantissa` times ten to the `scale`, `big` where no 64 bits hold it."""

    __slots__ = ("big", "mantissa", "scale")
    mantissa: int
    scale: int
    big: bool

    def __init__(self, mantissa: int, scale: int, *, big: bool, binary: bool = False) -> None:
        with localcontext(_context(len(str(abs(mantissa))) if abs(mantissa) < 10**4000 else 10_100)):
            super().__init__(Decimal(mantissa).scaleb(scale), binary)
        object.__setattr__(self, "mantissa", mantissa)
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "big", big)

    def integer(self) -> int | None:
        """The amount, where its form says that it is a whole number of 64 bits."""
        if self.big or self.scale < 0 or self.scale > 18:
            return 0 if not self.big and self.scale >= 0 and self.mantissa == 0 else None
        value = self.mantissa * 10**self.scale
        return value if INT_MIN <= value <= INT_MAX else None


class Sum(Amount):
    """What ``add`` and ``sub`` give: no quantity on the left of ``==`` knows it (a quirk upstream)."""

    __slots__ = ()


def _context(digits: int) -> Context:
    return Context(prec=max(100, digits + 40), Emax=999_999_999, Emin=-999_999_999)


@lru_cache(maxsize=4096)
def amount(text: str) -> Amount:
    """The quantity that `text` says.

    :raises Fault: in the API server's words.
    """
    found = _SHAPE.fullmatch(text) if 0 < len(text) <= _LONGEST else None
    if found is None:
        raise Fault(_WRONG)
    num, denom, suffix = found["num"].lstrip("0") or "0", found["denom"] or "", found["suffix"]
    sign = -1 if found["sign"] == "-" else 1
    if suffix in _BINARY:
        return _binary(sign, num, denom, _BINARY[suffix])
    exponent = _DECIMAL.get(suffix)
    if exponent is None:
        number = _EXPONENT.fullmatch(suffix)
        if number is None:
            raise Fault("unable to parse quantity's suffix")
        exponent = int(number[1])
    return _decimal(sign, num, denom, exponent)


def _decimal(sign: int, num: str, denom: str, exponent: int) -> Amount:
    scale = exponent - len(denom)
    if 18 - len(num) - len(denom) >= 0 and scale >= _NANO:
        return Amount(sign * int(num + denom), scale, big=False)
    if abs(scale) > _WIDEST:
        raise Fault("a quantity with an exponent beyond 100000 is not computed with here")
    mantissa = _digits(num + denom)
    if scale < _NANO:
        mantissa, scale = _to_nano(mantissa, scale)
    return Amount(sign * mantissa, scale, big=True)


def _binary(sign: int, num: str, denom: str, shift: int) -> Amount:
    if not denom and 15 - len(num) - int(shift * 3 / 10) - 1 >= 0:
        return Amount(sign * (int(num) << shift), 0, big=False, binary=True)
    mantissa, scale = _digits(num + denom) << shift, -len(denom)
    if scale < _NANO:
        mantissa, scale = _to_nano(mantissa, scale)
    if mantissa > INT_MAX * 10**-scale:
        mantissa, scale = INT_MAX, 0
    return Amount(sign * mantissa, scale, big=True, binary=True)


def _digits(text: str) -> int:
    """Python bounds how many digits it reads at once; in pieces there is no bound."""
    value = 0
    for at in range(0, len(text), 4000):
        part = text[at : at + 4000]
        value = value * 10 ** len(part) + int(part)
    return value


def _to_nano(mantissa: int, scale: int) -> tuple[int, int]:
    """Finer than 1n rounds away from zero."""
    divisor = 10 ** (_NANO - scale)
    return -(-mantissa // divisor), _NANO


def of(quantity: Quantity) -> Amount:
    """The form that a published quantity has: that of its canonical text."""
    if isinstance(quantity, Amount):
        return quantity
    return amount(str(quantity))


def add(one: Quantity, other: Quantity | int, sign: int = 1) -> Sum:
    """The sum, exactly; with `sign` -1 the difference."""
    first = of(one)
    second = of(other) if isinstance(other, Quantity) else Amount(other, 0, big=False)
    mantissa = sign * second.mantissa
    big = first.big or second.big
    if not big:
        if not mantissa:
            return Sum(first.mantissa, first.scale, big=False, binary=first.binary)
        if not first.mantissa:
            return Sum(mantissa, second.scale, big=False, binary=second.binary)
    if abs(first.scale - second.scale) > _WIDEST:
        raise Fault(NO_OVERLOAD)
    scale = min(first.scale, second.scale)
    left = first.mantissa * 10 ** (first.scale - scale)
    right = mantissa * 10 ** (second.scale - scale)
    total = left + right
    big = big or not all(INT_MIN <= each <= INT_MAX for each in (left, right, total))
    return Sum(total, scale, big=big, binary=first.binary)


def approximately(quantity: Quantity) -> float:
    """The amount as a double, with the error of computing it as Go does."""
    form = of(quantity)
    try:
        base = float(form.mantissa)
        return base if form.scale == 0 else base * float(f"1e{form.scale}")
    except OverflowError:
        return float("inf") if form.mantissa > 0 else float("-inf")


_QUANTITIES = frozenset({Quantity, Amount})
for _kind, _accepted in ((Quantity, _QUANTITIES), (Amount, _QUANTITIES), (Sum, _QUANTITIES)):
    register(_kind, "kubernetes.Quantity", "*cel.Quantity" if _kind is Sum else "")
    BY_IDENTITY.add(_kind)
    register_accepting(_kind, _accepted, lambda one, other: one.value == other.value)
QUANTITY_CLASSES: tuple[type[Any], ...] = (Quantity, Amount, Sum)
