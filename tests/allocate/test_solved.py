"""Arithmetic around one value, solved for the value: compared with calculating it."""

from __future__ import annotations

import operator
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dracore.allocate.rewritten import rewritten
from dracore.allocate.solved import amount, folded, whole

COMPARED: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


def calculated(x: int, sign: str, number: int) -> int:
    """As CEL: division rounds towards zero."""
    if sign == "/":
        return abs(x) // number * (1 if x >= 0 else -1)
    return {"+": x + number, "-": x - number, "*": x * number}[sign]


@given(
    st.sampled_from("+-*/"),
    st.integers(1, 12),
    st.sampled_from(sorted(COMPARED)),
    st.integers(-60, 60),
)
def test_the_solution_says_the_same_of_every_number(sign: str, number: int, compare: str, bound: int) -> None:
    solved = whole(sign, number, compare, bound)
    if solved is None:
        assert sign in "*/"
        return
    for x in range(-800, 800):
        assert COMPARED[compare](calculated(x, sign, number), bound) == COMPARED[solved[0]](x, solved[1])


@pytest.mark.parametrize(
    ("term", "is_"),
    [
        ("x >= 40 * 1024 * 1024", "x >= 41943040"),
        ("x >= 2 + 3 * 4", "x >= 14"),
        ("x >= 10 - 2 - 3", "x >= 5"),
        ("x - 2 + 3 > 1", "x - 2 + 3 > 1"),
        ("x / 2 * 3 > 1", "x / 2 * 3 > 1"),
        ("x == '2 * 3'", "x == '2 * 3'"),
        ("x > 1.5 * 2", "x > 1.5 * 2"),
        ("x > 2u * 3u", "x > 2u * 3u"),
    ],
)
def test_constants_are_calculated(term: str, is_: str) -> None:
    assert folded(term) == is_


X, M = "device.attributes['d'].x", "device.capacity['d'].m"


@pytest.mark.parametrize(
    ("term", "is_"),
    [
        (f"{X} * 2 >= 99", f"{X} >= 50"),
        (f"100 <= {X} * 2", f"{X} >= 50"),
        (f"{X} - 4 > 50 * 2", f"{X} > 104"),
        (f"{M}.asInteger() / 1024 >= 3", f"{M}.compareTo(quantity('3072')) >= 0"),
        (
            f"{M}.add(quantity('1Gi')).compareTo(quantity('40Gi')) >= 0",
            f"{M}.compareTo(quantity('39Gi')) >= 0",
        ),
        (f"{M}.sub(quantity('1Gi')).isLessThan(quantity('4Gi'))", f"{M}.compareTo(quantity('5Gi')) < 0"),
        (f"{X} + {X} > 3", f"{X} + {X} > 3"),
        (f"{X} % 2 == 0", f"{X} % 2 == 0"),
    ],
)
def test_terms_of_selectors(term: str, is_: str) -> None:
    assert rewritten(term) == is_


def test_amounts() -> None:
    assert amount("add", "1Gi", "40Gi") == "39Gi"
    assert amount("add", "x", "40Gi") is None
