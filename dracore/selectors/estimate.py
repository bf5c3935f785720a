"""The worst-case cost of an expression, from the largest sizes that the API allows (KEP-2876).

The API server refuses new expressions whose estimate is over the limit, whatever they really cost.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dracore.selectors import estimates
from dracore.selectors.depth import STRIDE, apart
from dracore.selectors.environment import Environment
from dracore.selectors.sizes import MAX, ONE, UNKNOWN, ZERO, Range, fixed
from dracore.selectors.tree import Call, Fold, Ident, ListNode, Literal, MapNode, Message, Node, Select
from dracore.selectors.types import Type, is_scalar
from dracore.selectors.values import Duration, Timestamp, UInt

LIST, MAP, MESSAGE = fixed(10), fixed(30), fixed(40)
_DOMAIN, _IDENTIFIER, _DRIVER, _ENTRIES, _VALUE = 63, 32, 63, 32, 64
_SCALARS = (bool, float, int, UInt, Duration, Timestamp, type(None))


class Entry(NamedTuple):
    """Sizes of what a list or map holds: `list` or `map`, its keys and its values."""

    container: str
    key: Range
    value: Range


class Local(NamedTuple):
    """What is known of a local variable."""

    path: tuple[str, ...]
    size: Range | None
    entry: Entry | None


def static_cost(root: Node, environment: Environment) -> int:
    """The worst case; 2**64 - 1 where it has no bound."""
    return Estimator(environment).cost(root).high


class Estimator:
    """Walks a checked tree once, remembering sizes and paths of its nodes."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._depth = 0
        self._sizes: dict[Node, Range] = {}
        self._entries: dict[Node, Entry] = {}
        self._paths: dict[Node, tuple[str, ...]] = {}
        self._locals: dict[str, list[Local]] = {}
        self._kinds: dict[type, Any] = {
            Literal: lambda node: ZERO,
            Ident: self._ident,
            Select: self._select,
            Call: self._call,
            ListNode: self._list,
            MapNode: self._map,
            Message: self._message,
            Fold: self._fold,
        }

    def cost(self, node: Node) -> Range:
        """The cost of a node and all below."""
        self._depth += 1
        kind = self._kinds[node.__class__]
        cost: Range = apart(lambda: kind(node)) if self._depth % STRIDE == 0 else kind(node)
        self._depth -= 1
        return cost

    # --- what is known of a node --------------------------------------------------------------------------

    def _local(self, name: str) -> Local | None:
        found = self._locals.get(name)
        return found[-1] if found else None

    def path(self, node: Node) -> tuple[str, ...]:
        """How the device leads to a node: field names, ``@keys``, ``@values``, ``@items``."""
        if isinstance(node, Ident):
            found = self._local(node.name)
            if found is not None:
                return found.path
        return self._paths.get(node, ())

    def size(self, node: Node) -> Range | None:
        """The size of a node's value, where anything is known."""
        if node in self._sizes:
            return self._sizes[node]
        size = _written_size(node)
        if size is not None:
            return size
        size = self.declared(self.path(node))
        if size is not None:
            self._sizes[node] = size
            return size
        if is_scalar(node.type):
            return ONE
        if isinstance(node, Ident):
            found = self._local(node.name)
            if found is not None:
                return found.size
        return None

    def known(self, node: Node) -> Range:
        """As :meth:`size`; anything where nothing is known."""
        size = self.size(node)
        return UNKNOWN if size is None else size

    def argument(self, node: Node) -> Range:
        """The size of a call's argument: as :meth:`known`, but the accumulator of a macro has no path."""
        return self.known(node)

    def entry(self, node: Node) -> Entry | None:
        """The sizes of what a list or map holds, where known."""
        if node in self._entries:
            return self._entries[node]
        if isinstance(node, Ident):
            found = self._local(node.name)
            if found is not None:
                return found.entry
        return None

    def declared(self, path: tuple[str, ...]) -> Range | None:
        """The largest size that the API allows at a path of the device."""
        if not path or path[0] not in ("device", ".device"):
            return None
        level = "device"
        for name in path[1:]:
            below = _LEVELS[level].get(name)
            if below is None and level == "inner attributes" and not name.startswith("@"):
                below = "attribute"
            if below is None or (
                below == "shared" and "allowMultipleAllocations" not in self._environment.fields
            ):
                return None
            level = below
        return Range(0, _LARGEST[level])

    # --- nodes --------------------------------------------------------------------------------------------

    def _ident(self, node: Ident) -> Range:
        found = self._local(node.name)
        self._paths[node] = found.path if found is not None else (node.name,)
        return ONE

    def _select(self, node: Select) -> Range:
        if node.constant is not None:
            self._paths[node] = (".".join((_dotted(node.operand), node.name)),)
            return ONE
        cost = self.cost(node.operand)
        if node.test:
            return cost
        if node.operand.type.kind in ("map", "struct", "param"):
            cost = cost.plus(ONE)
        self._paths[node] = (*self.path(node.operand), node.name)
        return cost

    def _list(self, node: ListNode) -> Range:
        cost, items = ZERO, Range(0 if not node.elements else MAX, 0)
        for each in node.elements:
            cost = cost.plus(self.cost(each))
            items = items.union(self.known(each))
        self._entries[node] = Entry("list", ONE, items)
        return cost.plus(LIST)

    def _map(self, node: MapNode) -> Range:
        cost = ZERO
        keys = values = Range(0 if not node.entries else MAX, 0)
        for key, value, _ in node.entries:
            cost = cost.plus(self.cost(key)).plus(self.cost(value))
            keys, values = keys.union(self.known(key)), values.union(self.known(value))
        self._entries[node] = Entry("map", keys, values)
        return cost.plus(MAP)

    def _message(self, node: Message) -> Range:
        cost = ZERO
        for _, _, value, _ in node.fields:
            cost = cost.plus(self.cost(value))
        return cost.plus(MESSAGE)

    def _fold(self, node: Fold) -> Range:
        cost = self.cost(node.range).plus(self.cost(node.accu))
        if node.is_bind():
            self._push(
                node.accu_name, Local(self.path(node.accu), self.size(node.accu), self.entry(node.accu))
            )
            cost = cost.plus(self.cost(node.result))
            self._locals[node.accu_name].pop()
            self._copy(node, node.result)
            return cost
        self._push(node.accu_name, Local(self.path(node.accu), self.size(node.accu), self.entry(node.accu)))
        entry = self.entry(node.range)
        container = entry.container if entry is not None else node.range.type.kind
        is_list = container == "list"
        path = self.path(node.range)
        keys, values = (entry.key, entry.value) if entry is not None else (None, None)
        if node.var2:
            self._push(node.var, Local((*path, "@indices" if is_list else "@keys"), keys, None))
            self._push(node.var2, Local((*path, "@items" if is_list else "@values"), values, None))
        else:
            only = values if is_list else keys
            self._push(node.var, Local((*path, "@items" if is_list else "@keys"), only, None))
        each = self.cost(node.condition)
        each = self.cost(node.step).plus(each)
        self._locals[node.var].pop()
        if node.var2:
            self._locals[node.var2].pop()
        cost = cost.plus(self.cost(node.result))
        self._locals[node.accu_name].pop()
        count = self.known(node.range)
        cost = cost.plus(count.times(each))
        if isinstance(node.accu, Literal):
            size = self.size(node.accu)
            if size is not None:
                self._sizes[node] = size
        elif isinstance(node.accu, ListNode | MapNode):
            self._sizes[node] = count
            stepped = self.entry(node.step)
            if stepped is not None:
                self._entries[node] = stepped
        return cost

    def _push(self, name: str, known: Local) -> None:
        self._locals.setdefault(name, []).append(known)

    def _copy(self, target: Node, source: Node) -> None:
        size, entry = self.size(source), self.entry(source)
        if size is not None:
            self._sizes[target] = size
        if entry is not None:
            self._entries[target] = entry

    # --- calls --------------------------------------------------------------------------------------------

    def _call(self, node: Call) -> Range:
        if node.name == "dyn" and node.target is None:
            cost = self.cost(node.args[0])
            self._copy(node, node.args[0])
            return cost.plus(ONE)
        costs = [self.cost(each) for each in node.args]
        if not node.overloads:
            return ZERO
        total = ZERO if node.target is None else self.cost(node.target)
        spent = Range(MAX, 0)
        size: Range | None = None
        for overload in node.overloads:
            cost, result = estimates.of_call(self, node, overload, costs)
            spent = spent.union(cost)
            if result is not None:
                size = result if size is None else size.union(result)
            if overload in ("index_list", "index_map"):
                entry = self.entry(node.args[0])
                size = entry.value if entry is not None else None
                step = "@items" if overload == "index_list" else "@values"
                self._paths[node] = (*self.path(node.args[0]), step)
            if size is None:
                size = self.size(node)
        if size is not None:
            self._sizes[node] = size
        return total.plus(spent)

    def join_entries(self, node: Call, one: Node, other: Node) -> None:
        """What a list or map made of two others holds."""
        first, second = self.entry(one), self.entry(other)
        if first is not None and second is not None:
            self._entries[node] = Entry(
                first.container, first.key.union(second.key), first.value.union(second.value)
            )

    def element(self, node: Node) -> tuple[Type, Range | None] | None:
        """The type of a list's elements, and the size declared for them."""
        if not node.type.params:
            return None
        path = self.path(node)
        return node.type.params[0], self.declared((*path, "@items")) if path else None


_LEVELS: dict[str, dict[str, str]] = {
    "device": {
        "driver": "driver",
        "attributes": "attributes",
        "capacity": "capacity",
        "allowMultipleAllocations": "shared",
    },
    "attributes": {"@keys": "domain", "@values": "inner attributes", "@items": "inner attributes"},
    "inner attributes": {"@keys": "identifier", "@values": "attribute", "@items": "attribute"},
    "capacity": {"@keys": "domain", "@values": "inner capacity", "@items": "inner capacity"},
    "inner capacity": {"@keys": "identifier", "@values": "quantity", "@items": "quantity"},
    **{key: {} for key in ("driver", "domain", "identifier", "attribute", "quantity", "shared")},
}
_LARGEST = {
    "device": 0,
    "driver": _DRIVER,
    "shared": 1,
    "attributes": _ENTRIES,
    "capacity": _ENTRIES,
    "inner attributes": _ENTRIES,
    "inner capacity": _ENTRIES,
    "domain": _DOMAIN,
    "identifier": _IDENTIFIER,
    "attribute": _VALUE,
    "quantity": 0,
}


def _written_size(node: Node) -> Range | None:
    if isinstance(node, Literal):
        if isinstance(node.value, str | bytes):
            return fixed(len(node.value))
        return ONE if isinstance(node.value, _SCALARS) else None
    if isinstance(node, ListNode):
        return fixed(len(node.elements))
    if isinstance(node, MapNode):
        return fixed(len(node.entries))
    return None


def _dotted(node: Node) -> str:
    if isinstance(node, Select):
        return f"{_dotted(node.operand)}.{node.name}"
    return node.name if isinstance(node, Ident) else ""
