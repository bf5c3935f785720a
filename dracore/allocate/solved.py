"""Comparisons of one value with arithmetic around it, solved for the value: ``x * 2 >= 100`` is ``x >= 50``.

Only where that is so for all whole numbers, or quantities; of anything else nothing is said.
"""

from __future__ import annotations

import re

from dracore.model.quantity import Quantity

_PRODUCT = re.compile(r"(?<![\w.])(-?\d{1,18})\s*\*\s*(\d{1,18})(?![\w.])")
_SUM = re.compile(r"(?<![\w.])(-?\d{1,18})\s*([+-])\s*(\d{1,18})(?!\s*[*/%])(?![\w.])")
_BEFORE = "(,=<>&|?:[!"
"""What may stand before a sum that is calculated by itself; before a product also ``+`` and ``-``."""
_QUOTED = re.compile(r"""["'][^"'\\]*["']""")


def folded(term: str) -> str:
    """The term with products and sums of whole numbers calculated; quoted texts stay as they are."""
    parts, last = [], 0
    for match in _QUOTED.finditer(term):
        parts += [_calculated(term[last : match.start()]), match[0]]
        last = match.end()
    return "".join([*parts, _calculated(term[last:])])


def _calculated(text: str) -> str:
    for _ in range(20):
        for pattern, before in ((_PRODUCT, f"{_BEFORE}+-"), (_SUM, _BEFORE)):
            match = next((one for one in pattern.finditer(text) if _stands_free(text, one, before)), None)
            if match is not None:
                break
        else:
            return text
        if pattern is _PRODUCT:
            number = int(match[1]) * int(match[2])
        else:
            number = int(match[1]) + (int(match[3]) if match[2] == "+" else -int(match[3]))
        text = f"{text[: match.start()]}{number}{text[match.end() :]}"
    return text


def _stands_free(text: str, match: re.Match[str], before: str) -> bool:
    return text[: match.start()].rstrip()[-1:] in before


def whole(sign: str, number: int, operator: str, bound: int) -> tuple[str, int] | None:
    """What ``x SIGN number OPERATOR bound`` says of a whole number x; None where it is no such comparison."""
    if sign in "+-":
        return operator, bound - number if sign == "+" else bound + number
    if number <= 0:
        return None
    if sign == "*":
        if operator in ("==", "!="):
            return (operator, bound // number) if bound % number == 0 else None
        # The least that is enough, and the most that is not too much.
        upward = operator in (">=", "<")
        return operator, -(-bound // number) if upward else bound // number
    if sign != "/" or bound < 0 or (bound == 0 and operator in (">=", "<")):
        return None  # it rounds to zero, from both sides
    if operator in (">=", "<"):
        return operator, bound * number
    if operator in (">", "<="):
        return {">": ">=", "<=": "<"}[operator], (bound + 1) * number
    return None


def amount(method: str, number: str, bound: str) -> str | None:
    """What is left of a bound where an amount is added to the value before, or taken off."""
    try:
        one, other = Quantity.parse(number), Quantity.parse(bound)
        return str(other - one if method == "add" else other + one)
    except (ValueError, ArithmeticError):
        return None
