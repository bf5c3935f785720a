"""Worst-case costs and result sizes of single calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dracore.selectors import types
from dracore.selectors.sizes import MAX, ONE, UNKNOWN, Range, fixed
from dracore.selectors.tree import Call, Literal, Node

_TEXT, _REGEX = 0.1, 0.25
_LIST = fixed(10)
_Estimate = tuple[Range, "Range | None"]
_UNIT = frozenset(
    {
        "masked",
        "prefixLength",
        "family",
        "isUnspecified",
        "isLoopback",
        "isLinkLocalMulticast",
        "isLinkLocalUnicast",
        "isGlobalUnicast",
        "format.named",
        "sign",
        "asInteger",
        "isInteger",
        "asApproximateFloat",
        "isGreaterThan",
        "isLessThan",
        "compareTo",
        "add",
        "sub",
        "major",
        "minor",
        "patch",
        "getScheme",
        "getHostname",
        "getHost",
        "getPort",
        "getEscapedPath",
        "getQuery",
        *("path", "group", "serviceAccount", "resource", "subresource", "namespace", "name"),
        *("allowed", "reason", "error", "errored"),
    }
)
_PARSERS = frozenset(
    {
        "cidr",
        "isIP",
        "isCIDR",
        "ip",
        "quantity",
        "isQuantity",
        "semver",
        "isSemver",
    }
)
_TRAVERSALS = frozenset(["isSorted", "sum", "max", "min", "indexOf", "lastIndexOf", "includes"])
_SAME_SIZE = frozenset(["lowerAscii", "upperAscii", "substring", "trim"])
_COMPARISONS = frozenset(
    {
        f"{word}_{kind}"
        for word in ("less", "less_equals", "greater", "greater_equals")
        for kind in ("string", "bytes")
    }
    | {"equals", "not_equals"}
)
_MAX_FORMAT_REGEX, _MAX_FORMAT = 128, 64


class Estimator(Protocol):
    """What knows the sizes of the operands."""

    def size(self, node: Node) -> Range | None:
        """The size of a node's value, where anything is known."""
        ...

    def known(self, node: Node) -> Range:
        """As :meth:`size`; anything where nothing is known."""
        ...

    def element(self, node: Node) -> tuple[types.Type, Range | None] | None:
        """The type of a list's elements, and the size declared for them."""
        ...

    def join_entries(self, node: Call, one: Node, other: Node) -> None:
        """What a list or map made of two others holds."""
        ...


def of_call(estimator: Estimator, node: Call, overload: str, costs: Sequence[Range]) -> _Estimate:
    """The cost of a call with its arguments, not with its target; and the size of its result if known."""
    found = _extension(estimator, node, overload) or _kubernetes(estimator, node, overload)
    spent = Range(0, 0)
    for cost in costs:
        spent = spent.plus(cost)
    if found is not None:
        return found[0].plus(spent), found[1]
    return _standard(estimator, node, overload, costs, spent)


# --- lists, version 3, and sets ---------------------------------------------------------------------------


def _number(node: Node, default: int) -> int:
    if isinstance(node, Literal) and node.value.__class__ is int:
        return max(0, int(node.value))
    return default


def _allocating(factor: float, size: Range) -> _Estimate:
    return size.scaled(factor).plus(ONE).plus(_LIST), size


def _extension(estimator: Estimator, node: Call, overload: str) -> _Estimate | None:
    args, target = node.args, node.target
    if overload == "list_slice" and target is not None:
        start, end = _number(args[0], 0), _number(args[1], estimator.known(target).high)
        return _allocating(1, fixed((end - start) & MAX))
    if overload == "lists_range":
        return _allocating(1, fixed(_number(args[0], MAX)))
    if overload == "list_reverse" and target is not None:
        return _allocating(1, estimator.known(target))
    if overload in ("list_flatten", "list_flatten_int") and target is not None:
        depth = _number(args[0], MAX) if args else 1
        return _allocating(float(depth), estimator.known(target))
    if overload == "list_distinct" and target is not None:
        size = estimator.known(target)
        return _allocating(2.0, size.times(size))
    if overload.endswith("_sort") and node.name == "sort" and target is not None:
        return _sorted(estimator.known(target), overload)
    if overload.endswith("_sortByAssociatedKeys"):
        return _sorted(estimator.known(args[0]), overload)
    if overload.startswith("list_sets_"):
        factor = 2 if "equivalent" in overload else 1
        size = estimator.known(args[0]).times(estimator.known(args[1]))
        return size.scaled(factor).plus(ONE), None
    return None


def _sorted(size: Range, overload: str) -> _Estimate:
    text = overload.split("_")[1] in ("string", "bytes")
    return _allocating(2.0 + _TEXT if text else 2.0, size.times(size))


# --- the libraries of Kubernetes --------------------------------------------------------------------------


def _kubernetes(estimator: Estimator, node: Call, overload: str) -> _Estimate | None:
    name, args, target = node.name, node.args, node.target
    if name in _UNIT:
        return ONE, None
    if name == "check":
        return fixed(350_000), None
    if name in ("fieldSelector", "labelSelector") and args:
        size = estimator.known(args[0])
        return fixed(10).plus(size.scaled(_TEXT)).plus(size.scaled(0.5).scaled(50.0)), None
    if name == "_==_":
        return _equal(estimator, args)
    if name in _TRAVERSALS and target is not None:
        return _traversal(estimator, target, name), None
    if name == "url" and len(args) == 1:
        size = estimator.known(args[0])
        return size.scaled(_TEXT), size
    if name in _SAME_SIZE and target is not None:
        size = estimator.known(target)
        return size.scaled(_TEXT), size
    if name == "replace" and target is not None and len(args) >= 2:
        return _replaced(*(estimator.known(each) for each in (target, args[0], args[1])))
    if name == "split" and target is not None:
        size = estimator.known(target)
        most = size.high
        if len(args) > 1 and isinstance(args[1], Literal) and args[1].value.__class__ is int:
            most = args[1].value & MAX
        return size.scaled(2 * _TEXT), Range(0, most)
    if name == "join" and target is not None:
        return _joined(estimator, target, args)
    if name in ("find", "findAll") and target is not None and args:
        size = estimator.known(target)
        cost = size.plus(ONE).scaled(_TEXT).times(estimator.known(args[0]).scaled(_REGEX))
        return cost, Range(0, size.high)
    if overload == "cidr_ip":
        return ONE, None
    if name in _PARSERS and args:
        return estimator.known(args[0]).scaled(_TEXT), None
    if name == "ip.isCanonical" and args:
        return estimator.known(args[0]).scaled(2 * _TEXT), None
    if name in ("containsIP", "containsCIDR") and args:
        address = Range(4, 16)
        cost = address.plus(address).scaled(_TEXT)
        if name == "containsCIDR":
            cost = cost.plus(address.scaled(_TEXT)).plus(ONE)
        if overload in ("cidr_contains_ip_string", "cidr_contains_cidr_string"):
            cost = cost.plus(estimator.known(args[0]).scaled(_TEXT))
        return cost, None
    if name == "validate" and args:
        return estimator.known(args[0]).scaled(_TEXT).scaled(_MAX_FORMAT_REGEX * _REGEX), None
    return None


def _traversal(estimator: Estimator, target: Node, name: str) -> Range:
    size = estimator.known(target)
    element = estimator.element(target)
    if element is not None:
        cost = ONE
        if element[0].kind in ("string", "bytes"):
            cost = cost.plus((UNKNOWN if element[1] is None else element[1]).scaled(_TEXT))
        return size.times(cost)
    return size if name == "includes" else size.scaled(_TEXT)


def _replaced(text: Range, old: Range, new: Range) -> _Estimate:
    times_high = times_low = kept_high = kept_low = 0
    if old.low == 0:
        times_high, kept_high = min(text.high + 1, MAX), text.high
    elif new.high <= old.low:
        kept_high = text.high
    else:
        times_high = _quotient(text.high, old.low)
    if old.high == 0:
        times_low, kept_low = min(text.low + 1, MAX), text.low
    elif old.high <= new.low:
        kept_low = text.low
    else:
        times_low = _quotient(text.low, old.high)
    size = Range(times_low, times_high).times(new).plus(Range(kept_low, kept_high))
    return text.scaled(2 * _TEXT), size


def _quotient(one: int, other: int) -> int:
    return min(-(-one // other), MAX)


def _joined(estimator: Estimator, target: Node, args: Sequence[Node]) -> _Estimate:
    count = estimator.known(target)
    size = Range(0, 0)
    element = estimator.element(target)
    if element is not None:
        size = count.times(UNKNOWN if element[1] is None else element[1])
    if args:
        separators = Range(max(0, count.low - 1), max(0, count.high - 1))
        size = size.plus(estimator.known(args[0]).times(separators))
    return size.scaled(_TEXT), size


def _equal(estimator: Estimator, args: Sequence[Node]) -> _Estimate | None:
    one, other = args
    if one.type != other.type:
        return None
    kind = one.type
    if kind in (types.IP, types.CIDR, types.QUANTITY, types.SEMVER):
        return ONE, None
    if kind == types.FORMAT:
        return Range(1, _MAX_FORMAT).scaled(_TEXT), None
    if kind == types.URL:
        size = estimator.size(other)
        high = size.high if size is not None else 1
        return Range(1, high).scaled(_TEXT), None
    return None


# --- the standard library ---------------------------------------------------------------------------------


def _standard(
    estimator: Estimator, node: Call, overload: str, costs: Sequence[Range], spent: Range
) -> _Estimate:
    args, target = node.args, node.target
    known = estimator.known
    if overload == "string_format" and target is not None:
        return known(target).scaled(_TEXT).plus(spent), None
    if overload == "string_to_bytes":
        size = known(args[0])
        return size.scaled(_TEXT).plus(spent), Range(size.low, size.high * 4 & MAX)
    if overload == "bytes_to_string":
        size = known(args[0])
        return size.scaled(_TEXT).plus(spent), Range(size.low // 4, size.high)
    if overload == "strings_quote":
        size = known(args[0])
        return size.scaled(_TEXT).plus(spent), Range(size.low + 2 & MAX, size.high * 2 + 2 & MAX)
    if overload in ("starts_with_string", "ends_with_string"):
        return known(args[0]).scaled(_TEXT).plus(spent), None
    if overload == "in_list":
        return known(args[1]).scaled(1).plus(spent), None
    if overload in ("matches", "matches_string"):
        text, regex = (target, args[0]) if target is not None else (args[0], args[1])
        cost = known(text).plus(ONE).scaled(_TEXT).times(known(regex).scaled(_REGEX))
        return cost.plus(spent), None
    if overload == "contains_string" and target is not None:
        return known(target).scaled(_TEXT).times(known(args[0]).scaled(_TEXT)).plus(spent), None
    if overload in ("logical_or", "logical_and"):
        return Range(costs[0].low, costs[0].plus(costs[1]).high), None
    if overload == "conditional":
        size = known(args[1]).union(known(args[2]))
        estimator.join_entries(node, args[1], args[2])
        return costs[0].plus(costs[1].union(costs[2])), size
    if overload in ("add_string", "add_bytes", "add_list"):
        size = known(args[0]).plus(known(args[1]))
        estimator.join_entries(node, args[0], args[1])
        own = ONE if overload == "add_list" else size.scaled(_TEXT)
        return own.plus(spent), size
    if overload in _COMPARISONS:
        high = min(known(args[0]).high, known(args[1]).high)
        return Range(1 if high else 0, high).scaled(_TEXT).plus(spent), None
    return ONE.plus(spent), None
