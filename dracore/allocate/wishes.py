"""Values that a device would need for a term to hold, and the device with them: what a remedy promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from itertools import islice, product
from typing import Any

from dracore.allocate.published import PublishedDevice
from dracore.model.names import qualify
from dracore.model.quantity import Quantity
from dracore.model.semver import Semver

_TRIES = 64


@dataclass(frozen=True, slots=True)
class Wish:
    """Another value for an attribute or capacity; any of `values` makes the term true by itself."""

    kind: str
    """``attributes`` or ``capacity``."""
    name: str
    """The full name."""
    values: tuple[Any, ...]
    """As published: ``{"int": 5}``, ``{"value": "40Gi"}``."""


def wish(kind: str, name: str, operator: str, literal: str, make: str = "") -> Wish | None:
    """What a comparison with a constant wants; None where that is not simple.

    :param make: ``quantity`` or ``semver`` around the constant.
    """
    try:
        values = list(_values(operator, literal, make))
    except (ValueError, ArithmeticError):
        return None
    return Wish(kind, name, tuple(values)) if values else None


def _values(operator: str, literal: str, make: str) -> Iterator[Any]:
    if make == "quantity":
        amount = Quantity.parse(literal)
        steps = (Decimal(0), Decimal(1), Decimal(-1), amount.value, -amount.value)
        yield from (
            {"value": str(amount.like(amount.value + step))} for step in steps if _fits(operator, step)
        )
    elif make == "semver":
        version = Semver.parse(literal)
        others = [version, Semver(version.major, version.minor, version.patch + 1), Semver(0, 0, 0)]
        others.append(Semver(version.major + 1, 0, 0))
        signs = ((other > version) - (other < version) for other in others)
        for other, sign in zip(others, signs, strict=True):
            if _fits(operator, sign):
                yield {"version": str(other)}
    elif literal in ("true", "false"):
        yield {"bool": (literal == "true") is (operator == "==")}
    elif literal[:1] in "\"'":
        if operator in ("==", "!="):
            yield {"string": literal[1:-1] if operator == "==" else f"other-than-{literal[1:-1]}"}
    elif "." in literal:
        bound = Decimal(literal)
        whole = int(bound.to_integral_value(ROUND_FLOOR))
        yield from ({"int": one} for one in (whole, whole + 1) if _fits(operator, one - bound))
    else:
        number = int(literal)
        yield from (
            {"int": number + step} for step in (0, 1, -1, abs(number), -abs(number)) if _fits(operator, step)
        )


def _fits(operator: str, difference: int | Decimal) -> bool:
    """Whether a value that is so much larger than the constant makes the comparison true."""
    checks: dict[str, bool] = {
        "==": difference == 0,
        "!=": difference != 0,
        ">=": difference >= 0,
        "<=": difference <= 0,
        ">": difference > 0,
        "<": difference < 0,
    }
    return checks[operator]


def granted(
    device: PublishedDevice, wishes: Sequence[Wish], holds: Callable[[Mapping[str, Any]], bool]
) -> bool:
    """Whether some choice of the wished values makes `holds` true of the device's content.

    Two wishes for one value that exclude each other cannot both be granted.
    """
    choices: dict[tuple[str, str], list[Any]] = {}
    for one in wishes:
        choices.setdefault((one.kind, one.name), []).extend(one.values)
    for values in islice(product(*choices.values()), _TRIES):
        content = dict(device.content)
        for (kind, name), value in zip(choices, values, strict=True):
            entries = dict(content.get(kind) or {})
            own = next((key for key in entries if qualify(key, device.id.driver) == name), name)
            entries[own] = {**entries.get(own, {}), **value} if kind == "capacity" else value
            content[kind] = entries
        if holds(content):
            return True
    return False
