"""IP addresses as Go's ``netip.ParseAddr`` reads them, faults worded alike."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from dracore.selectors.shown import quoted

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class BadAddress(Exception):
    """A text is no address, in Go's words."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """An address of 32 or 128 bits; `zone` is what stands behind ``%``."""

    value: int
    bits: int
    zone: str = ""

    def address(self) -> Address:
        """Without its zone."""
        return (ipaddress.IPv4Address if self.bits == 32 else ipaddress.IPv6Address)(self.value)


def parse(text: str) -> Parsed:
    """The address that `text` says.

    :raises BadAddress: it says none.
    """
    first = next((each for each in text if each in ".:%"), "")
    if first == ".":
        return Parsed(_fields(text, text), 32)
    if first == ":":
        return _six(text)
    raise _bad(text, "missing IPv6 address" if first else "unable to parse IP")


def _bad(text: str, why: str, at: str = "") -> BadAddress:
    place = f" (at {quoted(at)})" if at else ""
    return BadAddress(f"ParseAddr({quoted(text)}): {why}{place}")


def _fields(text: str, part: str) -> int:
    """Four decimal numbers; `part` is where they stand in `text`."""
    address = value = digits = dots = 0
    for index, each in enumerate(part):
        if "0" <= each <= "9":
            if digits == 1 and value == 0:
                raise _bad(text, "IPv4 field has octet with leading zero")
            value, digits = value * 10 + int(each), digits + 1
            if value > 255:
                raise _bad(text, "IPv4 field has value >255")
        elif each == ".":
            if index in (0, len(part) - 1) or part[index - 1] == ".":
                raise _bad(text, "IPv4 field must have at least one digit", part[index:])
            if dots == 3:
                raise _bad(text, "IPv4 address too long")
            address, dots, value, digits = address << 8 | value, dots + 1, 0, 0
        else:
            raise _bad(text, "unexpected character", part[index:])
    if dots < 3:
        raise _bad(text, "IPv4 address too short")
    return address << 8 | value


def _six(text: str) -> Parsed:
    rest, percent, zone = text.partition("%")
    if percent and not zone:
        raise _bad(text, "zone must be a non-empty string")
    groups: list[int] = []
    gap: int | None = None  # where :: stands
    if rest.startswith("::"):
        gap, rest = 0, rest[2:]
        if not rest:
            return Parsed(0, 128, zone)
    while len(groups) < 8:
        count = _digits(text, rest)
        if rest[count : count + 1] == ".":
            if gap is None and len(groups) != 6:
                why = "embedded IPv4 address must replace the final 2 fields of the address"
                raise _bad(text, why, rest)
            if len(groups) > 6:
                why = "too many hex fields to fit an embedded IPv4 at the end of the address"
                raise _bad(text, why, rest)
            last = _fields(text, rest)
            groups += [last >> 16, last & 0xFFFF]
            rest = ""
            break
        groups.append(int(rest[:count], 16))
        rest = rest[count:]
        if not rest:
            break
        if rest[0] != ":":
            raise _bad(text, "unexpected character, want colon", rest)
        if len(rest) == 1:
            raise _bad(text, "colon must be followed by more characters", rest)
        rest = rest[1:]
        if rest[0] == ":":
            if gap is not None:
                raise _bad(text, "multiple :: in address", rest)
            gap, rest = len(groups), rest[1:]
            if not rest:
                break
    if rest:
        raise _bad(text, "trailing garbage after address", rest)
    if len(groups) < 8:
        if gap is None:
            raise _bad(text, "address string too short")
        groups[gap:gap] = [0] * (8 - len(groups))
    elif gap is not None:
        raise _bad(text, "the :: must expand to at least one field of zeros")
    value = 0
    for group in groups:
        value = value << 16 | group
    return Parsed(value, 128, zone)


def _digits(text: str, rest: str) -> int:
    """How many hexadecimal digits `rest` begins with."""
    count = 0
    while count < len(rest) and rest[count] in "0123456789abcdefABCDEF":
        count += 1
        if count > 4:
            raise _bad(text, "each group must have 4 or less digits", rest)
    if not count:
        raise _bad(text, "each colon-separated field must have at least one digit", rest)
    return count
