"""What a request takes of a device's capacity (KEP-5075), in billionths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from dracore.allocate.published import billionths
from dracore.model.device import Capacity, RequestPolicy, ValidRange
from dracore.model.quantity import Quantity

UNIT = 10**9
MILLI = 10**6
_LIMIT = 2**63 - 1
_UNREAL = "capacity request cannot be represented in the device's range arithmetic"


class NotRepresentable(Exception):
    """An amount that the scheduler cannot calculate with: it ends the attempt, for all devices."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a request takes of a device; no amounts: it cannot have it at all."""

    amounts: dict[str, Quantity] | None
    bounds: tuple[tuple[str, int, int], ...] = ()
    """Of each capacity its name, what is taken and what there is, in billionths."""


def taken(
    requested: Mapping[str, Quantity] | None, capacity: Mapping[str, Capacity], *, fractional: bool
) -> dict[str, Quantity] | None:
    """What a request takes of each capacity; None where the device has no such capacity or its policy
    does not allow the amount.

    Not named: the policy's default, else all of it. Named: rounded up to the policy's minimum, step or
    next valid value.

    :param fractional: steps in thousandths (KEP-5075, DRAFractionalCapacityRange).
    :raises NotRepresentable: the amount is negative or beyond 64 bits.
    """
    wanted = requested or {}
    if any(name not in capacity for name in wanted):
        return None
    amounts = {}
    for name, has in capacity.items():
        try:
            amount = _rounded(wanted.get(name), has, fractional)
        except NotRepresentable as error:
            raise NotRepresentable(f'capacity "{name}": {_UNREAL}: {error}') from None
        if amount.value < 0:
            raise NotRepresentable(f'capacity "{name}": capacity value is negative')
        amounts[name] = amount
    for name, has in capacity.items():
        if has.policy is not None and not _allowed(amounts[name], has.policy, fractional):
            return None
    return amounts


def rule_of(has: Capacity) -> str:
    """What a request may take of a capacity, in words: ``1Gi to 4Gi in steps of 1Gi``."""
    policy = has.policy
    limits = policy.valid_range if policy is not None else None
    if limits is not None:
        text = f"{limits.min} to {limits.max or has.value}"
        return f"{text} in steps of {limits.step}" if limits.step is not None else text
    if policy is not None and policy.valid_values:
        return "one of " + ", ".join(map(str, policy.valid_values))
    return f"up to {has.value}"


def fits(amounts: Mapping[str, Quantity], capacity: Mapping[str, Capacity], *used: Mapping[str, int]) -> bool:
    """Whether the amounts fit beside what is used."""
    return all(
        billionths(amounts[name]) + sum(sums.get(name, 0) for sums in used) <= billionths(has.value)
        for name, has in capacity.items()
    )


def _rounded(request: Quantity | None, has: Capacity, fractional: bool) -> Quantity:
    policy = has.policy
    if request is None:
        return policy.default if policy is not None and policy.default is not None else has.value
    if policy is None:
        return request
    if policy.valid_range is not None:
        return _to_step(request, policy.valid_range, fractional)
    return next((value for value in policy.valid_values if request <= value), request)


def _to_step(request: Quantity, limits: ValidRange, fractional: bool) -> Quantity:
    if request < limits.min:
        return limits.min
    if limits.step is None:
        return request
    unit = _unit(limits, fractional)
    if unit == MILLI and billionths(request) % MILLI:
        raise NotRepresentable(f"request {request} is not a representable milli value")
    if unit == UNIT and billionths(request) > _LIMIT * UNIT:
        raise NotRepresentable(f"request {request} exceeds MaxInt64")
    value, least, step = (_count(amount, unit) for amount in (request, limits.min, limits.step))
    if step <= 0:
        raise NotRepresentable(f"the step {limits.step} is not positive")
    value = least + -(-(value - least) // step) * step
    if value > _LIMIT:
        past = "the milli-value range" if unit == MILLI else "MaxInt64"
        raise NotRepresentable(f"rounding request {request} up to the next step passes {past}")
    return limits.step.like(Decimal(value * unit).scaleb(-9).normalize())


def _allowed(amount: Quantity, policy: RequestPolicy, fractional: bool) -> bool:
    if policy.default is not None and amount == policy.default:
        return True
    limits = policy.valid_range
    if limits is not None:
        if limits.max is not None and amount > limits.max:
            return False
        if limits.step is None:
            return True
        unit = _unit(limits, fractional)
        if unit == MILLI and billionths(amount) % MILLI:
            return False
        step = _count(limits.step, unit)
        return step > 0 and (_count(amount, unit) - _count(limits.min, unit)) % step == 0
    return not policy.valid_values or amount in policy.valid_values


def _unit(limits: ValidRange, fractional: bool) -> int:
    """Thousandths where all bounds are whole numbers of them and the gate is on, else whole units."""
    bounds = [bound for bound in (limits.min, limits.max, limits.step) if bound is not None]
    exact = all(
        billionths(bound) % MILLI == 0 and abs(billionths(bound)) <= _LIMIT * MILLI for bound in bounds
    )
    return MILLI if fractional and exact and billionths(bounds[-1]) >= MILLI else UNIT


def _count(amount: Quantity, unit: int) -> int:
    """Rounded up, as the API server's ``Value()`` does."""
    return -(-billionths(amount) // unit)
