"""Request policies of consumable capacity (KEP-5075) and fractional ranges."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from dracore.model.quantity import Quantity
from dracore.testing.apiserver.fielderrors import FieldError, forbidden, invalid, required
from dracore.testing.apiserver.gates import Gates
from dracore.testing.apiserver.validation.formats import bounded_set

Object = dict[str, Any]
_INT64 = 2**63 - 1


def validate_capacity(capacity: Object, path: str, *, multiple: bool, gates: Gates) -> list[FieldError]:
    """One capacity; ``multiple``: the device has allowMultipleAllocations."""
    policy = capacity.get("requestPolicy")
    if policy is None:
        return []
    at = f"{path}.requestPolicy"
    if not multiple:
        return [forbidden(at, "allowMultipleAllocations must be true")]
    values, bounds = policy.get("validValues"), policy.get("validRange")
    if values and bounds is not None:
        detail = (
            'exactly one policy can be specified, cannot specify "validValues" and "validRange" at '
            "the same time"
        )
        return [forbidden(at, detail)]
    kind = "validValues" if values else "validRange" if bounds is not None else ""
    if not kind:
        return []
    if policy.get("default") is None:
        return [required(f"{at}.default", f"required when {kind} is defined")]
    if values:
        return _values(policy["default"], capacity["value"], values, f"{at}.validValues", gates)
    return _range(policy["default"], capacity["value"], bounds, f"{at}.validRange", gates)


def _number(text: str) -> Decimal:
    return Quantity.parse(text).value


def _values(default: str, limit: str, values: list[str], path: str, gates: Gates) -> list[FieldError]:
    errors = [
        invalid(f"{path}[{i + 1}]", values[i + 1], "values must be sorted in ascending order")
        for i in range(len(values) - 1)
        if _number(values[i]) > _number(values[i + 1])
    ]

    def option(value: str, at: str) -> list[FieldError]:
        if _number(value) <= _number(limit):
            return []
        return [invalid(at, value, f"option is larger than capacity value: {limit}")]

    fractional = "DRAFractionalCapacityRange" in gates
    errors += bounded_set(
        values,
        10,
        path,
        option,
        lambda v: str(_number(v).normalize() if fractional else int(Quantity.parse(v))),
    )
    if _number(default) not in {_number(value) for value in values}:
        errors.append(invalid(path, default, "default value is not valid according to the requestPolicy"))
    return errors


def _range(default: str, limit: str, bounds: Object, path: str, gates: Gates) -> list[FieldError]:
    low, high, step = bounds.get("min"), bounds.get("max"), bounds.get("step")
    if low is None:
        return [required(f"{path}.min", "required when validRange is defined")]
    errors = []
    if _number(low) > _number(limit):
        errors.append(invalid(f"{path}.min", low, f"min is larger than capacity value: {limit}"))
    if _number(default) < _number(low):
        errors.append(invalid(f"{path}.default", default, f"default is less than min: {low}"))
    if high is not None:
        if _number(low) > _number(high):
            errors.append(invalid(f"{path}.max", low, f"min is larger than max: {high}"))
        if _number(high) > _number(limit):
            errors.append(invalid(f"{path}.max", high, f"max is larger than capacity value: {limit}"))
        if _number(default) > _number(high):
            errors.append(invalid(f"{path}.default", default, f"default is more than max: {high}"))
    named = [("default", default), ("min", low), ("max", high), ("step", step)]
    given = [(name, text) for name, text in named if text is not None]
    milli = "DRAFractionalCapacityRange" in gates and any(_number(t) % 1 for _, t in given)
    if milli:
        unsafe = [(name, text) for name, text in given if (_number(text) * 1000) % 1]
        if unsafe:
            detail = "value cannot be represented as a milli value"
            return errors + [invalid(f"{path}.{name}", text, detail) for name, text in unsafe]
    return errors + (_steps(given, limit, path, milli=milli) if step is not None else [])


def _steps(given: list[tuple[str, str]], limit: str, path: str, *, milli: bool) -> list[FieldError]:
    texts = dict(given)
    low, step = texts["min"], texts["step"]
    at = f"{path}.step"
    if _number(step) <= 0:
        return [invalid(at, step, "must be greater than zero")]
    errors = []
    first = _number(low) + _number(step)
    if first > _number(limit):
        shown = str(Quantity(first, binary=Quantity.parse(low).binary))
        errors.append(invalid(at, step, f"one step {shown} is larger than capacity value: {limit}"))
    if not milli:
        outside = []
        for name, text in given:
            if _number(text) < 0:
                outside.append(invalid(f"{path}.{name}", text, "must be greater than or equal to 0"))
            elif _number(text) > _INT64:
                outside.append(invalid(f"{path}.{name}", text, f"must not be larger than {_INT64}"))
        if outside:
            return errors + outside

    def whole(text: str) -> int:
        return int(_number(text) * 1000) if milli else int(Quantity.parse(text))

    for name in ("default", "max"):
        if name in texts and (whole(texts[name]) - whole(low)) % whole(step):
            detail = f"value is not a multiple of a given step ({step}) from ({low})"
            errors.append(invalid(at, texts[name], detail))
    return errors
