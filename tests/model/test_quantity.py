from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dracore import Quantity


@pytest.mark.parametrize(
    ("text", "value", "canonical"),
    [
        ("24Gi", 24 * 2**30, "24Gi"),
        ("24576Mi", 24 * 2**30, "24Gi"),
        ("1.5Gi", 3 * 2**29, "1536Mi"),
        ("100m", Decimal("0.1"), "100m"),
        ("0.1n", Decimal("1e-9"), "1n"),
        ("1e3", 1000, "1e3"),
        ("1E3", 1000, "1e3"),
        ("12e2", 1200, "1200"),
        ("1e-3", Decimal("0.001"), "1e-3"),
        ("5e-1", Decimal("0.5"), "500e-3"),
        ("0e5", 0, "0"),
        ("0.9765625Ki", 1000, "1k"),
        ("9Ei", 2**63 - 1, "9223372036854775807"),
        ("1E", 10**18, "1E"),
        (".5", Decimal("0.5"), "500m"),
        ("-2Ki", -2048, "-2Ki"),
        ("+3", 3, "3"),
        ("0", 0, "0"),
        ("81559Mi", 81559 * 2**20, "81559Mi"),
    ],
)
def test_reads_and_writes_the_canonical_form(text: str, value: object, canonical: str) -> None:
    quantity = Quantity.parse(text)
    assert quantity.value == value
    assert str(quantity) == canonical


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "1gi", "0x10", "1e", "1.2.3", "--1", "1Mi5", "\uff11"])
def test_refuses_what_is_not_a_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        Quantity.parse(text)


@pytest.mark.parametrize("text", ["1e999999999", "-1e-99999999999999999999"])
def test_refuses_powers_that_nobody_can_calculate(text: str) -> None:
    with pytest.raises(ValueError, match="beyond any quantity"):
        Quantity.parse(text)


def test_compares_by_value_across_suffixes() -> None:
    assert Quantity.parse("1Ki") == Quantity.parse("1024")
    assert hash(Quantity.parse("1Ki")) == hash(Quantity.parse("1024"))
    assert Quantity.parse("1001m") > Quantity.parse("1")
    assert int(Quantity.parse("1001m")) == 2


@given(st.integers(-(2**62), 2**62), st.sampled_from(["", "k", "M", "Ki", "Mi", "Gi", "m", "u", "n"]))
def test_canonical_form_reads_back_as_the_same_value(number: int, suffix: str) -> None:
    quantity = Quantity.parse(f"{number}{suffix}")
    assert Quantity.parse(str(quantity)) == quantity


@given(st.integers(0, 2**50), st.integers(0, 2**50))
def test_addition_and_subtraction_are_exact(a: int, b: int) -> None:
    x, y = Quantity.parse(f"{a}m"), Quantity.parse(f"{b}Ki")
    assert x + y - y == x
