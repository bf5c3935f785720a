"""Functions that selectors of the field use and cel-python lacks: quantity, semver, ASCII case."""

from __future__ import annotations

import logging
import string
from collections.abc import Callable
from typing import Any

from celpy import celtypes

from dracore.model.quantity import Quantity
from dracore.model.semver import Semver
from dracore.selectors.values import number, quantity


def _semver(text: Any, normalize: Any = False) -> Semver:
    return Semver.coerce(str(text)) if normalize else Semver.parse(str(text))


def _parses(parse: Callable[..., Any]) -> Callable[..., Any]:
    def is_one(*arguments: Any) -> celtypes.BoolType:
        try:
            parse(*arguments)
        except ValueError:
            return celtypes.BoolType(False)
        return celtypes.BoolType(True)

    return is_one


def _other(own: Any, value: Any) -> Any:
    return number(value) if isinstance(own, Quantity) else value


def _compare(own: Any, value: Any) -> celtypes.IntType:
    other = _other(own, value)
    return celtypes.IntType((own > other) - (own < other))


def _greater(own: Any, value: Any) -> celtypes.BoolType:
    return celtypes.BoolType(own > _other(own, value))


def _less(own: Any, value: Any) -> celtypes.BoolType:
    return celtypes.BoolType(own < _other(own, value))


_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "lowerAscii": lambda own: celtypes.StringType(own.translate(_LOWER)),
    "upperAscii": lambda own: celtypes.StringType(own.translate(_UPPER)),
    "quantity": quantity,
    "isQuantity": _parses(quantity),
    "semver": _semver,
    "isSemver": _parses(_semver),
    "compareTo": _compare,
    "isGreaterThan": _greater,
    "isLessThan": _less,
    "asInteger": lambda own: celtypes.IntType(int(own)),
    "isInteger": lambda own: celtypes.BoolType(own.value == own.value.to_integral_value()),
    "asApproximateFloat": lambda own: celtypes.DoubleType(float(own.value)),
    "sign": lambda own: celtypes.IntType((own.value > 0) - (own.value < 0)),
    "add": lambda own, value: own + number(value),
    "sub": lambda own, value: own - number(value),
    "major": lambda own: celtypes.IntType(own.major),
    "minor": lambda own: celtypes.IntType(own.minor),
    "patch": lambda own: celtypes.IntType(own.patch),
}


def quiet() -> None:
    """cel-python logs an error for each selector that is false by an error; nobody can act on these."""
    logging.getLogger("celpy").setLevel(logging.CRITICAL + 1)
