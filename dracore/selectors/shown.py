"""Values inside messages, as Go prints them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from dracore.selectors.values import from_key

_QUOTED = {7: "\\a", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t", 11: "\\v", 92: "\\\\", 34: '\\"'}
_WIDEST = 6
"""A double with more digits before its point is written with an exponent."""


def show(value: Any) -> str:
    """A value inside a message, roughly as Go prints it."""
    if value is None:
        return "null"
    if value.__class__ is bool:
        return "true" if value else "false"
    if value.__class__ is float:
        return show_double(value)
    if value.__class__ is list:
        return "[" + ", ".join(map(show, value)) + "]"
    if isinstance(value, dict):
        pairs = ((show(from_key(key)), "0" if each is None else show(each)) for key, each in value.items())
        return "{" + ", ".join(f"{key}: {each}" for key, each in pairs) + "}"
    return str(value)


def show_double(value: float) -> str:
    """The shortest text that reads back the same, in Go's ``%g``."""
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    sign, numbers, point = Decimal(repr(value)).normalize().as_tuple()
    digits = "".join(map(str, numbers))
    exponent = len(digits) - 1 + int(point)
    head = "-" if sign else ""
    if exponent < -4 or exponent >= _WIDEST:
        mantissa = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
        return f"{head}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{head}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    rest = digits[exponent + 1 :]
    return f"{head}{whole}.{rest}" if rest else head + whole


_ESCAPES = {7: "\\a", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t", 11: "\\v", 92: "\\\\", 34: '\\"'}


def quoted(text: str) -> str:
    """A text in double quotes, as Go's ``%q`` writes it."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    code = ord(character)
    if code in _ESCAPES:
        return _ESCAPES[code]
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quote(text: str) -> str:
    """In double quotes, control characters and quotes escaped."""
    return '"' + text.translate(_QUOTED) + '"'
