"""``'%s: %d'.format([…])``, as version 2 of the strings library does it in the locale en_US."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from dracore.selectors.faults import Fault
from dracore.selectors.shown import quote
from dracore.selectors.values import Duration, Timestamp, TypeValue, UInt, from_key, type_name

_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_STRING_KINDS = "strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps"
_ALL_DIGITS = 1100  # more than the fraction of any double has
WRONG = {
    "s": f"string clause can only be used on {_STRING_KINDS}",
    "d": "decimal clause can only be used on integers",
    "f": "fixed-point clause can only be used on doubles",
    "e": "scientific clause can only be used on doubles",
    "b": "only integers and bools can be formatted as binary",
    "x": "only integers, byte buffers, and strings can be formatted as hex",
    "X": "only integers, byte buffers, and strings can be formatted as hex",
    "o": "octal clause can only be used on integers",
}
_NOT_NUMBERS = ("NaN", "Infinity", "-Infinity")


def clauses(text: str, count: int) -> Iterator[str | tuple[str, int | None, int]]:
    """A format as literal parts and clauses (letter, precision, index of its argument).

    :raises Fault: a clause that is none, or one without its argument.
    """
    at, argument = 0, 0
    while at < len(text):
        percent = text.find("%", at)
        if percent < 0:
            yield text[at:]
            break
        yield text[at:percent]
        at = percent + 1
        if text[at : at + 1] == "%":
            yield "%"
            at += 1
            continue
        if at >= len(text):
            raise Fault("unexpected end of string")
        if argument >= count:
            raise Fault(f"index {argument} out of range")
        precision: int | None = None
        if text[at] == ".":
            precision, at = _precision(text, at + 1)
        letter = text[at : at + 1]
        if letter not in WRONG or not letter:
            shown = letter.encode("utf-8", "surrogatepass")[:1].decode("latin-1")  # Go reads a byte
            raise Fault(f'could not parse formatting clause: unrecognized formatting clause "{shown}"')
        yield letter, precision, argument
        argument += 1
        at += 1


def _precision(text: str, at: int) -> tuple[int, int]:
    failed = "could not parse formatting clause: error while parsing precision:"
    found = re.compile(r"\d*", re.ASCII).match(text, at)
    digits = found[0] if found else ""
    if at + len(digits) >= len(text):
        raise Fault(f"{failed} could not find end of precision specifier")
    conversion = f"{failed} error while converting precision to integer: strconv.Atoi: parsing"
    if not digits:
        raise Fault(f'{conversion} "": invalid syntax')
    if len(digits) > 18:
        raise Fault(f'{conversion} "{digits}": value out of range')
    return int(digits), at + len(digits)


def format_text(text: str, arguments: list[Any]) -> str:
    """The text with its clauses filled in."""
    out: list[str] = []
    for part in clauses(text, len(arguments)):
        if isinstance(part, str):
            out.append(part)
            continue
        letter, precision, index = part
        try:
            out.append(_FORMATTERS[letter](arguments[index], precision))
        except Fault as fault:
            raise Fault(f"error during formatting: {fault.message}") from None
    return "".join(out)


def wrong(letter: str, name: str) -> Fault:
    """A value of a type that the clause does not take."""
    return Fault(f"{WRONG[letter]}, was given {name}")


def _string(value: Any, _precision: int | None = None) -> str:
    from dracore.selectors.library.conversions import to_string

    if value is None:
        return "null"
    if isinstance(value, list):
        return "[" + ", ".join(map(_quoted, value)) + "]"
    if isinstance(value, dict):
        pairs = sorted((_quoted(from_key(key)), _quoted(item)) for key, item in value.items())
        return "{" + ", ".join(f"{key}:{item}" for key, item in pairs) + "}"
    if isinstance(value, str | bool | int | float | bytes | Duration | Timestamp | TypeValue):
        try:
            return to_string(value)
        except Fault as fault:  # bytes that are no UTF-8
            raise Fault(f'could not convert argument "{fault.message}" to string') from None
    raise wrong("s", type_name(value))


def _quoted(value: Any) -> str:
    """A value inside a list or map."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bytes):
        return "b" + quote(_string(value))
    if isinstance(value, float):
        text = f"{value:.6f}"
        return {"nan": '"NaN"', "inf": '"+Inf"', "-inf": '"-Inf"'}.get(text, text)
    if isinstance(value, Timestamp):
        return f"timestamp({quote(_string(value))})"
    if isinstance(value, Duration):
        return f"duration({quote(_string(value))})"
    if isinstance(value, TypeValue):
        return value.name
    if not isinstance(value, str | bool | int | list | dict | None):
        raise Fault(f"no formatting function for {type_name(value)}")
    return _string(value)


def _decimal(value: Any, _precision: int | None) -> str:
    if value.__class__ is int or value.__class__ is UInt:
        return str(int(value))
    raise wrong("d", type_name(value))


def _double(value: Any, letter: str) -> float:
    if value.__class__ is float:
        return value
    if value.__class__ is str and value in _NOT_NUMBERS:
        return float(value)
    raise wrong(letter, type_name(value))


def _special(number: float) -> str | None:
    if number != number:
        return "NaN"
    if number in (float("inf"), float("-inf")):
        return "∞" if number > 0 else "-∞"
    return None


def _fixed(value: Any, precision: int | None) -> str:
    number = _double(value, "f")
    digits = 6 if precision is None else precision
    number = number or 0.0  # there is no negative zero in a locale
    special = _special(number)
    if special is not None:
        return special
    # In Go the most digits are two bytes (below zero: as few as tell the number), the least are one byte.
    most, least = (digits + 0x8000) % 0x10000 - 0x8000, digits % 0x100
    text = f"{Decimal(repr(number)):,f}" if most < 0 else f"{number:,.{min(most, _ALL_DIGITS)}f}"
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0").ljust(least, "0")
    return f"{whole}.{fraction}" if fraction else whole


def _scientific(value: Any, precision: int | None) -> str:
    """Six digits always: what the clause calls a precision is the width of the text in Go's printer."""
    number = _double(value, "e")
    text = _special(number)
    if text is None:
        mantissa, _, exponent = f"{number or 0.0:.6e}".partition("e")
        text = f"{mantissa}\N{MULTIPLICATION SIGN}10{exponent.lstrip('+').translate(_SUPERSCRIPT)}"
    return text.rjust(6 if precision is None else precision % 65536)


def _base(letter: str) -> Callable[[Any, int | None], str]:
    def write(value: Any, _precision: int | None) -> str:
        kind = value.__class__
        if kind is int or kind is UInt:
            return format(int(value), letter)
        if letter == "b" and kind is bool:
            return "1" if value else "0"
        if letter in "xX" and kind in (str, bytes):
            digits = (value.encode("utf-8", "surrogatepass") if kind is str else value).hex()
            return digits.upper() if letter == "X" else digits  # type: ignore[no-any-return]
        raise wrong(letter, type_name(value))

    return write


_FORMATTERS: dict[str, Callable[[Any, int | None], str]] = {
    "s": _string,
    "d": _decimal,
    "f": _fixed,
    "e": _scientific,
    **{letter: _base(letter) for letter in "bxXo"},
}
