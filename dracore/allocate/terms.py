"""Reading selectors for people: their terms, the values that a term reads, and how far a device is off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from dracore.allocate.published import PublishedDevice
from dracore.model.names import qualify
from dracore.model.quantity import Quantity
from dracore.model.semver import Semver

_NAME = r"""(?:\.(?P<id>[A-Za-z_]\w*)|\[(?P<iq>["'])(?P<idq>[^"'\\]+)(?P=iq)\])"""
_DOMAIN = r"""\[\??(?P<q>["'])(?P<domain>[^"'\\]+)(?P=q)\]"""
_PATH = rf"device\.(?P<kind>attributes|capacity){_DOMAIN}{_NAME}"
_READ = re.compile(_PATH)
_LITERAL = r"""(?P<literal>-?\d+|true|false|"[^"\\]*"|'[^'\\]*')"""
_COMPARED = re.compile(rf"\(?{_PATH}\s*(?P<op>==|!=|>=|<=|>|<)\s*{_LITERAL}\)?")
_ORDERED = re.compile(
    rf"""\(?{_PATH}\.compareTo\((?P<make>quantity|semver)\((?P<lq>["'])(?P<literal>[^"'\\]+)(?P=lq)\)\)"""
    r"""\s*(?P<op>==|!=|>=|<=|>|<)\s*0\)?"""
)
_METHOD = re.compile(
    rf"""\(?{_PATH}\.(?P<method>isGreaterThan|isLessThan)"""
    r"""\((?P<make>quantity|semver)\((?P<lq>["'])(?P<literal>[^"'\\]+)(?P=lq)\)\)\)?"""
)
_SIGNS = {">=": "≥", "<=": "≤", "==": "=", "!=": "≠"}
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
    found: str
    distance: float
    """Between 0 and 1 for numbers; 1 for what is just another value."""


@lru_cache(maxsize=1024)
def terms(expression: str) -> tuple[str, ...]:
    """The terms that ``&&`` joins at the top; one where anything binds less tightly than that."""
    parts, depth, start, quote = [], 0, 0, ""
    if len(expression) > _LONGEST:
        return (expression,)
    index = 0
    while index < len(expression):
        sign = expression[index]
        if quote:
            if sign == "\\":
                index += 1
            elif sign == quote:
                quote = ""
        elif sign in "\"'":
            quote = sign
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
        elif not depth and expression.startswith("&&", index):
            parts.append(expression[start:index].strip())
            index += 1
            start = index + 1
        elif not depth and (
            expression.startswith("||", index) or (sign == "?" and expression[index - 1] not in ".[")
        ):
            return (expression.strip(),)
        index += 1
    return (*parts, expression[start:].strip())


def reads(term: str, device: PublishedDevice) -> list[Read]:
    """The attributes and capacities that a term names, with this device's values."""
    found: dict[str, Read] = {}
    for match in _READ.finditer(term[:_LONGEST]):
        name = match["id"] or match["idq"]
        value = _value(match, device)
        found.setdefault(f"{match['domain']}/{name}", Read(name, None if value is None else str(value)))
    if "device.driver" in term:
        found["driver"] = Read("driver", device.id.driver)
    return list(found.values())


def miss(term: str, device: PublishedDevice) -> Miss | None:
    """How far a device is off where a term is one comparison with a constant; None where it is not."""
    term = term.strip()
    if len(term) > _LONGEST:
        return None
    match = _ORDERED.fullmatch(term) or _METHOD.fullmatch(term) or _COMPARED.fullmatch(term)
    if match is None:
        return None
    groups = match.groupdict()
    name = match["id"] or match["idq"]
    value = _value(match, device)
    if value is None:
        return None
    operator = {"isGreaterThan": ">", "isLessThan": "<"}.get(groups.get("method") or "") or groups["op"]
    literal = groups["literal"].strip("\"'") if not groups.get("make") else groups["literal"]
    return Miss(
        f"{name} were {_SIGNS.get(operator, operator)} {literal}", str(value), _distance(value, literal)
    )


def _value(match: re.Match[str], device: PublishedDevice) -> Any:
    name = f"{match['domain']}/{match['id'] or match['idq']}"
    if match["kind"] == "capacity":
        for own, has in device.capacity.items():
            if qualify(own, device.id.driver) == name:
                return has.value
        return None
    attribute = device.attribute(name)
    if attribute is None:
        return None
    ((_, value),) = attribute.items()
    return str(value).lower() if isinstance(value, bool) else value


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
