"""Reading selectors for people: their terms, the values that a term reads, and how far a device is off."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from dracore.allocate.published import PublishedDevice
from dracore.allocate.rewritten import rewritten
from dracore.allocate.wishes import Wish, wish
from dracore.model.names import qualify
from dracore.model.quantity import Quantity
from dracore.model.semver import Semver

_NAME = r"""(?:\.\??(?P<id>[A-Za-z_]\w*)(?![\w(])|\[(?P<iq>["'])(?P<idq>[^"'\\]+)(?P=iq)\])"""
_DOMAIN = r"""\[\??(?P<q>["'])(?P<domain>[^"'\\]+)(?P=q)\]"""
_PATH = rf"device\.(?P<kind>attributes|capacity){_DOMAIN}{_NAME}"
_READ = re.compile(_PATH)
_LITERAL = r"""(?P<literal>-?\d+(?:\.\d+)?|true|false|"[^"\\]*"|'[^'\\]*')"""
_COMPARED = re.compile(rf"\(?{_PATH}\s*(?P<op>==|!=|>=|<=|>|<)\s*{_LITERAL}\)?")
_ORDERED = re.compile(
    rf"""\(?{_PATH}\.compareTo\((?P<make>quantity|semver)\((?P<lq>["'])(?P<literal>[^"'\\]+)(?P=lq)\)\)"""
    r"""\s*(?P<op>==|!=|>=|<=|>|<)\s*0\)?"""
)
_METHOD = re.compile(
    rf"""\(?{_PATH}\.(?P<method>isGreaterThan|isLessThan)"""
    r"""\((?P<make>quantity|semver)\((?P<lq>["'])(?P<literal>[^"'\\]+)(?P=lq)\)\)\)?"""
)
_PART = re.compile(rf"{_PATH}\.(?P<part>major|minor|patch)\(\)\s*(?P<op>==|!=|>=|<=|>|<)\s*(?P<literal>\d+)")
_DRIVEN = re.compile(r"""device\.driver\s*==\s*(["'])(?P<driver>[^"'\\]+)\1""")
_FLAG = re.compile(rf"(?P<not>!?)\s*{_PATH}")
_GUARD = re.compile(
    rf"""has\({_PATH}\)|(?P<kq>["'])(?P<key>[^"'\\]+)(?P=kq)\s+in\s+device\."""
    r"""(?P<kind2>attributes|capacity)\[(?P<q2>["'])(?P<domain2>[^"'\\]+)(?P=q2)\]"""
)
_SIGNS = {">=": "≥", "<=": "≤", "!=": "≠"}
_LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class Read:
    """A value that a term reads: its short name, and what the device has (None: nothing)."""

    name: str
    value: str | None

    def __str__(self) -> str:
        return f"it has no {self.name}" if self.value is None else f"{self.name} is {self.value}"


@dataclass(frozen=True, slots=True)
class Miss:
    """By how much a device fails a simple comparison."""

    wanted: str
    """``memory were ≥ 40Gi``"""
    found: str = ""
    """Empty: there is nothing."""
    distance: float = 1.0
    """Between 0 and 1 for numbers; 1 for what is just another value."""
    wish: Wish | None = None
    """The value that would do; None where that cannot be tried."""

    def __str__(self) -> str:
        return f"{self.wanted}: it is {self.found}" if self.found else self.wanted


@lru_cache(maxsize=1024)
def terms(expression: str) -> tuple[str, ...]:
    """The terms that ``&&`` joins at the top; one where anything binds less tightly than that."""
    return _parted(expression, "&&")


@lru_cache(maxsize=1024)
def alternatives(expression: str) -> tuple[str, ...]:
    """The terms that ``||`` joins at the top."""
    return _parted(expression, "||")


def _parted(expression: str, operator: str) -> tuple[str, ...]:
    if len(expression) > _LONGEST:
        return (expression,)
    expression = _bare(expression)
    parts, start = [], 0
    for index, sign in _top(expression):
        if sign == operator:
            parts.append(_bare(expression[start:index]))
            start = index + 2
        elif sign == "?" or operator == "&&":
            return (expression,)  # binds less tightly
    return (*parts, _bare(expression[start:]))


def _bare(expression: str) -> str:
    """Without parentheses around all of it."""
    expression = expression.strip()
    while expression.startswith("(") and _closing(expression) == len(expression) - 1:
        expression = expression[1:-1].strip()
    return expression


def _closing(expression: str) -> int:
    """Where the bracket that the expression begins with ends."""
    depth = 0
    for index, sign in _signs(expression):
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if not depth:
            return index
    return -1


_OPENING, _CLOSING = "([{", ")]}"


def _signs(expression: str) -> Iterator[tuple[int, str]]:
    """The characters outside of string literals."""
    quote, escaped = "", False
    for index, sign in enumerate(expression):
        if not quote:
            quote = sign if sign in "\"'" else ""
            if not quote:
                yield index, sign
        elif escaped:
            escaped = False
        elif sign == "\\":
            escaped = True
        elif sign == quote:
            quote = ""


def _top(expression: str) -> Iterator[tuple[int, str]]:
    """``&&``, ``||`` and the ``?`` of a choice, outside of all brackets."""
    depth = 0
    for index, sign in _signs(expression):
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if depth:
            continue
        if sign in "&|" and expression[index : index + 2] == sign * 2 and expression[index - 1] != sign:
            yield index, sign * 2
        elif sign == "?" and expression[index - 1] not in ".[":
            yield index, sign


@lru_cache(maxsize=1024)
def quotes(expression: str) -> bool:
    """Whether a literal holds what looks like a path: then more is shown of a device than is read."""
    outside = {index for index, _ in _signs(expression[:_LONGEST])}
    return any(match.start() not in outside for match in _READ.finditer(expression[:_LONGEST]))


def reads(term: str, device: PublishedDevice) -> list[Read]:
    """The attributes and capacities that a term names, with this device's values."""
    found: dict[str, Read] = {}
    for match in _READ.finditer(term[:_LONGEST]):
        name = _own(match)
        value = _value(match, device)
        found.setdefault(f"{match['domain']}/{name}", Read(name, None if value is None else _text(value)))
    if "device.driver" in term:
        found["driver"] = Read("driver", device.id.driver)
    return list(found.values())


def nearest(term: str, device: PublishedDevice) -> Miss | None:
    """How far a device is off a term, or the nearest of its alternatives; None where that is not simple."""
    found = [miss(one, device) for one in alternatives(rewritten(term[:_LONGEST]))]
    if any(one is None for one in found):
        return None
    return min((one for one in found if one is not None), key=lambda one: one.distance)


def miss(term: str, device: PublishedDevice) -> Miss | None:
    """How far a device is off where a term is one comparison with a constant; None where it is not."""
    if len(term) > _LONGEST:
        return None
    term = rewritten(_bare(term))
    guarded = _GUARD.fullmatch(term)
    if guarded is not None:
        return Miss(f"it had {_own(guarded)}") if _value(guarded, device) is None else None
    match = _FLAG.fullmatch(term)
    if match is not None and _value(match, device) in ("true", "false"):
        wanted = "false" if match["not"] else "true"
        name = f"{match['domain']}/{_own(match)}"
        return Miss(
            f"{_own(match)} were {wanted}",
            str(_value(match, device)),
            wish=wish(match["kind"], name, "==", wanted),
        )
    match = _DRIVEN.fullmatch(term)
    if match is not None:
        return Miss(f"its driver were {match['driver']}", device.id.driver)
    match = _PART.fullmatch(term)
    if match is not None:
        return _part(match, _value(match, device))
    match = _ORDERED.fullmatch(term) or _METHOD.fullmatch(term) or _COMPARED.fullmatch(term)
    if match is None:
        return None
    groups = match.groupdict()
    name = _own(match)
    value = _value(match, device)
    operator = {"isGreaterThan": ">", "isLessThan": "<"}.get(groups.get("method") or "") or groups["op"]
    raw, make = groups["literal"], groups.get("make") or ""
    literal = raw if make else raw.strip("\"'")
    sign = "" if operator == "==" else _SIGNS.get(operator, operator) + " "
    other = wish(groups["kind"], f"{groups['domain']}/{name}", operator, raw, make)
    told = literal
    if isinstance(value, Quantity) and value.binary and literal.isdecimal() and int(literal) % 2**20 == 0:
        told = str(value.like(Decimal(literal)))  # 40Gi, not 42949672960
    if value is None:
        return Miss(f"it had {name} {sign or '= '}{told}", wish=other)
    return Miss(f"{name} were {sign}{told}", _text(value), _distance(value, literal), other)


def _part(match: re.Match[str], value: Any) -> Miss | None:
    """By how much one part of a version is off."""
    try:
        has = getattr(Semver.parse(str(value)), match["part"])
    except ValueError:
        return None
    sign = "" if match["op"] == "==" else _SIGNS.get(match["op"], match["op"]) + " "
    wanted = f"{_own(match)}.{match['part']}() were {sign}{match['literal']}"
    return Miss(wanted, _text(value), _distance(has, match["literal"]))


@lru_cache(maxsize=1024)
def guards(term: str) -> str:
    """The name that a term asks for, ``has(….memory)``; empty where it is no such term."""
    match = _GUARD.fullmatch(_bare(term[:_LONGEST]))
    return _own(match) if match is not None else ""


def _own(match: re.Match[str]) -> str:
    groups = match.groupdict()
    return str(groups["id"] or groups["idq"] or groups.get("key"))


def _value(match: re.Match[str], device: PublishedDevice) -> Any:
    groups = match.groupdict()
    name = f"{groups['domain'] or groups.get('domain2')}/{_own(match)}"
    if "capacity" in (groups["kind"], groups.get("kind2")):
        for own, has in device.capacity.items():
            if qualify(own, device.id.driver) == name:
                return has.value
        return None
    attribute = device.attribute(name)
    if attribute is None:
        return None
    ((_, value),) = attribute.items()
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, Mapping):
        return "a value of no known type"
    if isinstance(value, bool):
        return str(value).lower()
    # Of a type of the future only a text is known.
    return value if isinstance(value, int | str) else str(value)[:100]


@lru_cache(maxsize=1024, typed=True)
def _text(value: Any) -> str:
    return str(value)


@lru_cache(maxsize=1024, typed=True)
def _distance(value: Any, literal: str) -> float:
    numbers = list(_numbers(value, literal))
    if len(numbers) != 2:
        return 1.0
    one, other = numbers
    largest = max(abs(one), abs(other))
    return float(abs(one - other) / largest) if largest else 0.0


def _numbers(*values: Any) -> Iterator[Decimal]:
    for value in values:
        if isinstance(value, Quantity):
            yield value.value
        elif isinstance(value, int):
            yield Decimal(value)
        elif isinstance(value, str) and (number := _number(value)) is not None:
            yield number


@lru_cache(maxsize=1024)
def _number(text: str) -> Decimal | None:
    try:
        return Quantity.parse(text).value
    except (ValueError, ArithmeticError):
        pass
    try:
        version = Semver.parse(text)
    except ValueError:
        return None
    return Decimal(version.major * 10**6 + version.minor * 10**3 + version.patch)
