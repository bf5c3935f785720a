"""The limits of the API, checked before anything is sent.

The API server refuses a whole slice for one bad device, and clients refuse a whole pool for one duplicate
name. Here a device that breaks a limit is left out and reported, and never blocks the others.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from dracore.errors import LimitError
from dracore.model import names
from dracore.model.device import Capacity, CounterSet, Device, NodeSelection, Pool, RequestPolicy
from dracore.model.quantity import Quantity
from dracore.model.semver import Semver

INT64_MAX = 2**63 - 1
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?")
_is_qualified_name = functools.lru_cache(maxsize=4096)(names.is_qualified_name)  # 10,000 devices share names
_EFFECTS = ("None", "NoSchedule", "NoExecute")


@dataclass(frozen=True)
class Checked:
    """What of a pool can be published, and one error for each thing that cannot."""

    pool: Pool | None
    problems: tuple[LimitError, ...] = ()


def check_pool(pool: Pool) -> Checked:
    """Leaves out what the API would refuse. `pool` is None where its own name or driver is wrong."""
    problems: list[LimitError] = []
    if not names.is_dns_subdomain(pool.driver.lower(), names.DRIVER_NAME_LIMIT):
        problems.append(_error(f"driver {pool.driver}", "a driver name is a DNS subdomain of at most 63"))
    if not names.is_pool_name(pool.name):
        problems.append(
            _error(f"pool {pool.name}", "a pool name is DNS subdomains joined with /, at most 253")
        )
    if pool.node is not None:
        problems += [_error(f"pool {pool.name}", reason) for reason in _node(pool.node)]
    if problems:
        return Checked(None, tuple(problems))
    counter_sets = _counter_sets(pool, problems)
    devices: list[Device] = []
    seen: set[str] = set()
    for device in pool.devices:
        try:
            reasons = list(device_problems(device, pool.driver, counter_sets))
        except Exception as error:  # noqa: BLE001 - values of types that no device has; the others are well
            reasons = [f"it is no device that can be published ({type(error).__name__}: {error})"]
        if device.name in seen:
            reasons.append("another device of the pool has the same name")
        if reasons:
            problems.append(_error(f"device {pool.name}/{device.name}", "; ".join(reasons)))
            continue
        seen.add(device.name)
        devices.append(device)
    kept = replace(pool, devices=tuple(devices), counter_sets=tuple(counter_sets.values()))
    return Checked(kept, tuple(problems))


def _error(where: str, what: str) -> LimitError:
    return LimitError(what, where=where, fix="it is left out until that is mended")


def _counter_sets(pool: Pool, problems: list[LimitError]) -> dict[str, CounterSet]:
    result: dict[str, CounterSet] = {}
    for counters in pool.counter_sets:
        reasons = []
        if counters.name in result:
            reasons.append("another counter set of the pool has the same name")
        if not names.is_dns_label(counters.name):
            reasons.append("its name is no DNS label (RFC 1123) of at most 63 characters")
        reasons += _counter_names(counters.counters)
        if reasons:
            where = f"counter set {pool.name}/{counters.name}"
            problems.append(_error(where, "; ".join(reasons)))
        else:
            result[counters.name] = counters
    return result


def _counter_names(counters: Mapping[str, Quantity]) -> Iterator[str]:
    if not 0 < len(counters) <= names.COUNTERS_PER_SET:
        yield f"it has {len(counters)} counters (1 to {names.COUNTERS_PER_SET} allowed)"
    for name in counters:
        if not names.is_dns_label(name):
            yield f"counter {name!r} is no DNS label of at most 63 characters"


def device_problems(device: Device, driver: str, counter_sets: Mapping[str, CounterSet]) -> Iterator[str]:
    """Each limit that a device breaks, in words (limits of ``resource.k8s.io/v1``, Kubernetes 1.37)."""
    if not names.is_dns_label(device.name):
        yield "its name is no DNS label (RFC 1123) of at most 63 characters"
    yield from _names(device, driver)
    yield from _attributes(device)
    for name, capacity in device.capacity.items():
        yield from _capacity(name, capacity, device.allow_multiple_allocations)
    yield from _draws(device, counter_sets)
    yield from _taints(device)
    for field, conditions in (
        ("binding conditions", device.binding_conditions),
        ("binding failure conditions", device.binding_failure_conditions),
    ):
        if len(conditions) > names.BINDING_CONDITIONS_PER_DEVICE:
            yield f"{len(conditions)} {field} (at most {names.BINDING_CONDITIONS_PER_DEVICE})"
        for condition in conditions:
            if not _is_label_key(condition):
                yield f"{field}: {condition!r} is no qualified name"
    both = (*device.binding_conditions, *device.binding_failure_conditions)
    if len(set(both)) < len(both):
        yield "a binding condition is named twice"
    if bool(device.binding_conditions) != bool(device.binding_failure_conditions):
        yield "binding conditions and binding failure conditions come together or not at all"
    if device.node is not None:
        yield from _node(device.node)


def _names(device: Device, driver: str) -> Iterator[str]:
    total = len(device.attributes) + len(device.capacity)
    if total > names.ATTRIBUTES_PER_DEVICE:
        yield f"{total} attributes and capacities (at most {names.ATTRIBUTES_PER_DEVICE})"
    for field, members in (("attribute", device.attributes), ("capacity", device.capacity)):
        full: dict[str, str] = {}
        for name in members:
            if not _is_qualified_name(name):
                yield f"{field} {name!r} is no C identifier of at most 32 with an optional domain/"
            other = full.setdefault(names.qualify(name, driver), name)
            if other != name:
                yield f"{field} {name!r} and {other!r} are the same"


def _attributes(device: Device) -> Iterator[str]:
    total = 0
    for name, value in device.attributes.items():
        if isinstance(value, tuple):
            items: tuple[object, ...] = value
            if not items:
                yield f"attribute {name!r} is an empty list"
            if len(set(map(type, items))) > 1:
                yield f"attribute {name!r} mixes types in one list"
        else:
            items = (value,)
        total += len(items)
        for item in items:
            if problem := _value(item):
                yield f"attribute {name!r} is {problem}"
    if total > names.ATTRIBUTE_VALUES_PER_DEVICE:
        yield f"{total} attribute values (at most {names.ATTRIBUTE_VALUES_PER_DEVICE})"


def _value(item: object) -> str:
    if isinstance(item, bool):
        return ""
    if isinstance(item, int):
        return "" if -INT64_MAX - 1 <= item <= INT64_MAX else "beyond 64 bits"
    if isinstance(item, str | Semver):
        length = len(str(item).encode())
        limit = names.STRING_VALUE_LIMIT
        return f"{length} bytes long (at most {limit})" if length > limit else ""
    return f"a {type(item).__name__} (bool, int, str or Semver allowed)"


def _draws(device: Device, counter_sets: Mapping[str, CounterSet]) -> Iterator[str]:
    if len(device.consumes) > names.COUNTER_SETS_PER_DEVICE:
        yield f"draws on {len(device.consumes)} counter sets (at most {names.COUNTER_SETS_PER_DEVICE})"
    if len({draw.counter_set for draw in device.consumes}) < len(device.consumes):
        yield "draws twice on the same counter set"
    for draw in device.consumes:
        known = counter_sets.get(draw.counter_set)
        if known is None:
            yield f"draws on the counter set {draw.counter_set!r}, which the pool does not have"
            continue
        if not 0 < len(draw.counters) <= names.COUNTERS_PER_SET:
            yield f"draws on {len(draw.counters)} counters of a set (1 to {names.COUNTERS_PER_SET} allowed)"
        for name in draw.counters:
            if name not in known.counters:
                yield f"draws on the counter {name!r}, which the set {draw.counter_set!r} does not have"


def _taints(device: Device) -> Iterator[str]:
    if len(device.taints) > names.TAINTS_PER_DEVICE:
        yield f"{len(device.taints)} taints (at most {names.TAINTS_PER_DEVICE})"
    for taint in device.taints:
        if not _is_label_key(taint.key):
            yield f"taint key {taint.key!r} is no label name"
        if len(taint.value) > 63 or not _LABEL_VALUE.fullmatch(taint.value):
            yield f"taint value {taint.value!r} is no label value"
        if taint.effect not in _EFFECTS:
            yield f"taint effect {taint.effect!r} (one of {', '.join(_EFFECTS)})"


def _is_label_key(text: str) -> bool:
    domain, slash, name = text.rpartition("/")
    if slash and not names.is_dns_subdomain(domain):
        return False
    return 0 < len(name) <= 63 and bool(_LABEL_VALUE.fullmatch(name))


def _node(node: NodeSelection) -> Iterator[str]:
    if sum((bool(node.node_name), node.selector is not None, node.all_nodes)) != 1:
        yield "its nodes are given by exactly one of node name, selector and all nodes"
    if node.selector is not None and len(node.selector.get("nodeSelectorTerms") or ()) != 1:
        yield "its node selector has exactly one term"


# --- request policies (KEP-5075) ----------------------------------------------------------------------


def _capacity(name: str, capacity: Capacity, shareable: bool) -> Iterator[str]:
    policy = capacity.policy
    if policy is None:
        return
    for reason in _policy(policy, capacity.value, shareable):
        yield f"capacity {name!r}: {reason}"


def _policy(policy: RequestPolicy, value: Quantity, shareable: bool) -> Iterator[str]:
    if not shareable:
        yield "a request policy needs a device that allows multiple allocations"
    if policy.valid_values and policy.valid_range:
        yield "valid values and a valid range exclude each other"
    default = policy.default
    if default is None:
        if policy.valid_values or policy.valid_range:
            yield "valid values or a valid range need a default"
        return
    if default > value:
        yield f"the default {default} is above the capacity {value}"
    if policy.valid_values:
        yield from _values(policy.valid_values, default, value)
    if policy.valid_range:
        limits = policy.valid_range
        yield from _range(limits.min, limits.max, limits.step, default, value)


def _values(values: tuple[Quantity, ...], default: Quantity, capacity: Quantity) -> Iterator[str]:
    if len(values) > names.VALID_VALUES_LIMIT:
        yield f"{len(values)} valid values (at most {names.VALID_VALUES_LIMIT})"
    if any(not one < other for one, other in itertools.pairwise(values)):
        yield "valid values ascend and are unique"
    if values[-1] > capacity:
        yield f"the valid value {values[-1]} is above the capacity {capacity}"
    if default not in values:
        yield f"the default {default} is not among the valid values"


def _range(
    least: Quantity, most: Quantity | None, step: Quantity | None, default: Quantity, capacity: Quantity
) -> Iterator[str]:
    if least > (capacity if most is None else most):
        yield f"the minimum {least} is above the maximum"
    if most is not None and most > capacity:
        yield f"the maximum {most} is above the capacity {capacity}"
    if not least <= default <= (capacity if most is None else most):
        yield f"the default {default} is outside of the range"
    if step is None:
        return
    if step.value <= 0:
        yield "the step is above 0"
        return
    if least + step > capacity:
        yield "the minimum and one step are within the capacity"
    for what, amount in (("default", default), ("maximum", most)):
        if amount is not None and (amount - least).value % step.value:
            yield f"the {what} {amount} is not a whole number of steps above the minimum"
