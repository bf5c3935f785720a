"""``quantity()`` and ``semver()``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from dracore.model.quantity import Quantity
from dracore.model.semver import Semver
from dracore.selectors.amounts import Sum, add, amount, approximately, of
from dracore.selectors.declarations import Library, library
from dracore.selectors.faults import Fault
from dracore.selectors.values import INT_MAX


def is_quantity(text: str) -> bool:
    """Whether ``quantity(text)`` succeeds."""
    try:
        amount(text)
    except Fault:
        return False
    return True


def as_integer(value: Quantity) -> int:
    """The amount, if its form is a whole number of 64 bits."""
    whole = of(value).integer()
    if whole is None:
        raise Fault("cannot convert value to integer")
    return whole


def compare(one: Any, other: Any) -> int:
    """-1, 0 or 1, of two quantities or two versions."""
    return int(one > other) - int(one < other)


def _subtract(one: Quantity, other: Quantity | int) -> Sum:
    return add(one, other, -1)


QUANTITIES: Library = library(
    "quantity",
    (1, 28),
    {
        "quantity": {"string_to_quantity": ("(string) -> Quantity", amount)},
        "isQuantity": {"is_quantity_string": ("(string) -> bool", is_quantity)},
        "sign": {"quantity_sign": ("(Quantity) -> int", lambda q: (q.value > 0) - (q.value < 0))},
        "isGreaterThan": {
            "quantity_is_greater_than": ("Quantity.(Quantity) -> bool", lambda a, b: a.value > b.value)
        },
        "isLessThan": {
            "quantity_is_less_than": ("Quantity.(Quantity) -> bool", lambda a, b: a.value < b.value)
        },
        "compareTo": {
            "quantity_compare_to": ("Quantity.(Quantity) -> int", lambda a, b: compare(a.value, b.value))
        },
        "asApproximateFloat": {"quantity_get_float": ("Quantity.() -> double", approximately)},
        "asInteger": {"quantity_get_int": ("Quantity.() -> int", as_integer)},
        "isInteger": {"quantity_is_integer": ("Quantity.() -> bool", lambda q: of(q).integer() is not None)},
        "add": {
            "quantity_add": ("Quantity.(Quantity) -> Quantity", add),
            "quantity_add_int": ("Quantity.(int) -> Quantity", add),
        },
        "sub": {
            "quantity_sub": ("Quantity.(Quantity) -> Quantity", _subtract),
            "quantity_sub_int": ("Quantity.(int) -> Quantity", _subtract),
        },
    },
)


# --- versions ---------------------------------------------------------------------------------------------

_DIGITS = re.compile(r"[0-9]*", re.ASCII)
_LETTERS = re.compile(r"[0-9A-Za-z-]*", re.ASCII)


@lru_cache(maxsize=4096)
def semver(text: str, normalize: bool = False) -> Semver:
    """The version that `text` says; `normalize` adds missing parts, drops a ``v`` and leading zeros.

    :raises Fault: in the API server's words.
    """
    if normalize:
        text = _normalized(text)
    if not text:
        raise Fault("Version string empty")
    parts = text.split(".", 2)
    if len(parts) != 3:
        raise Fault("No Major.Minor.Patch elements found")
    major, minor = _number(parts[0], "major", "Major"), _number(parts[1], "minor", "Minor")
    rest, plus, build = parts[2].partition("+")
    rest, dash, pre = rest.partition("-")
    patch = _number(rest, "patch", "Patch")
    if dash:
        for part in pre.split("."):
            if not part:
                raise Fault("Prerelease is empty")
            if _DIGITS.fullmatch(part):
                if len(part) > 1 and part[0] == "0":
                    raise Fault(f'Numeric PreRelease version must not contain leading zeroes "{part}"')
                _fits(part)
            elif not _LETTERS.fullmatch(part):
                raise Fault(f'Invalid character(s) found in prerelease "{part}"')
    if plus:
        for part in build.split("."):
            if not part:
                raise Fault("Build meta data is empty")
            if not _LETTERS.fullmatch(part):
                raise Fault(f'Invalid character(s) found in build meta data "{part}"')
    return Semver(major, minor, patch, tuple(pre.split(".")) if dash else (), build)


def _number(text: str, name: str, title: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise Fault(f'Invalid character(s) found in {name} number "{text}"')
    if len(text) > 1 and text[0] == "0":
        raise Fault(f'{title} number must not contain leading zeroes "{text}"')
    return _fits(text)


def _fits(text: str) -> int:
    if not text:
        raise Fault('strconv.ParseUint: parsing "": invalid syntax')
    if len(text) > 20 or int(text) >= 1 << 64:
        raise Fault(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def _normalized(text: str) -> str:
    parts = text.removeprefix("v").split(".", 2)
    for index, part in enumerate(parts):
        if len(part) > 1:
            stripped = part.lstrip("0")
            parts[index] = stripped if stripped[:1] in tuple("0123456789") else "0" + stripped
    if len(parts) < 3:
        if "+" in parts[-1] or "-" in parts[-1]:
            raise Fault("short version cannot contain PreRelease/Build meta data")
        parts += ["0"] * (3 - len(parts))
    return ".".join(parts)


def is_semver(text: str, normalize: bool = False) -> bool:
    """Whether ``semver(text)`` succeeds."""
    try:
        semver(text, normalize)
    except Fault:
        return False
    return True


def _part(name: str) -> Any:
    def part(version: Semver) -> int:
        number: int = getattr(version, name)
        return number if number <= INT_MAX else number - (1 << 64)  # as Go converts it

    return part


SEMVERS: Library = library(
    "semver",
    (1, 33),
    {
        "semver": {
            "string_to_semver": ("(string) -> Semver", semver),
            "string_bool_to_semver": ("(string, bool) -> Semver", semver),
        },
        "isSemver": {
            "is_semver_string": ("(string) -> bool", is_semver),
            "is_semver_string_bool": ("(string, bool) -> bool", is_semver),
        },
        "isGreaterThan": {"semver_is_greater_than": ("Semver.(Semver) -> bool", lambda a, b: a > b)},
        "isLessThan": {"semver_is_less_than": ("Semver.(Semver) -> bool", lambda a, b: a < b)},
        "compareTo": {"semver_compare_to": ("Semver.(Semver) -> int", compare)},
        "major": {"semver_major": ("Semver.() -> int", _part("major"))},
        "minor": {"semver_minor": ("Semver.() -> int", _part("minor"))},
        "patch": {"semver_patch": ("Semver.() -> int", _part("patch"))},
    },
)
