"""Sets of field paths, and merging by shape: the core of server-side apply.

A path is a tuple of the elements that ``managedFields`` writes: ``f:name`` a field, ``k:{...}`` an item of a
list-map by its keys, ``v:"x"`` a value of a set, and ``.`` last for the item or map itself. Semantics are
those of structured-merge-diff v4 as far as the kinds served here need them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from dracore.testing.apiserver.schema import ANY, ListOf, MapOf, Shape, Struct

Object = dict[str, Any]
Path = tuple[str, ...]
Paths = frozenset[Path]

_OPAQUE = Struct(open=True)


def child(shape: Shape, name: str) -> Shape:
    """The shape of a field; untyped content merges as maps and replaces lists."""
    if isinstance(shape, Struct):
        return shape.fields.get(name, ANY)
    if isinstance(shape, MapOf):
        return shape.value
    return ANY


def granular(value: Any, shape: Shape) -> bool:
    """Whether a map is owned field by field."""
    return isinstance(value, dict) and not getattr(shape, "atomic", False)


def item_key(item: Any, shape: ListOf) -> str | None:
    """How an item of a list-map or set is addressed; None in an atomic list."""
    if shape.unique:
        return "v:" + json.dumps(item)
    if shape.keys and isinstance(item, dict):
        keys = {key: item[key] for key in sorted(shape.keys) if key in item}
        return "k:" + json.dumps(keys, separators=(",", ":"))
    return None


def _items(value: Any, shape: Shape) -> list[tuple[str, Any]] | None:
    """Addressed items of a merging list; None for an atomic one."""
    if not (isinstance(value, list) and isinstance(shape, ListOf) and (shape.keys or shape.unique)):
        return None
    found = []
    for item in value:
        key = item_key(item, shape)
        if key is None:
            return None
        found.append((key, item))
    return found


def leaves(value: Any, shape: Shape, prefix: Path = ()) -> dict[Path, Any]:
    """Path to value of everything that can be owned, items of list-maps by themselves included."""
    found: dict[Path, Any] = {}
    if granular(value, shape) and value:
        for name, inner in value.items():
            found.update(leaves(inner, child(shape, name), (*prefix, f"f:{name}")))
        return found
    items = _items(value, shape)
    if items:
        assert isinstance(shape, ListOf)
        for key, item in items:
            path = (*prefix, key)
            found[(*path, ".")] = None
            if not shape.unique:
                found.update(leaves(item, shape.item, path))
        return found
    empty = value in ({}, []) and not getattr(shape, "atomic", False)
    if empty and (isinstance(shape, Struct) or (isinstance(shape, ListOf) and (shape.keys or shape.unique))):
        return found  # typed storage does not tell an empty struct or list from an absent one
    if prefix:
        found[prefix] = value
    return found


def merge(live: Any, applied: Any, shape: Shape) -> Any:
    """``applied`` laid over ``live``."""
    if granular(applied, shape) and isinstance(live, dict):
        result = dict(live)
        for name, value in applied.items():
            result[name] = merge(live[name], value, child(shape, name)) if name in live else value
        return result
    new, old = _items(applied, shape), _items(live, shape)
    if new is not None and old is not None and isinstance(shape, ListOf):
        merged = dict(old)
        for key, value in new:
            merged[key] = merge(merged[key], value, shape.item) if key in merged else value
        return list(merged.values())
    return applied


def remove(value: Any, paths: Paths, kept: Paths, shape: Shape, prefix: Path = ()) -> Any:
    """``value`` without the leaves in ``paths``; containers that become empty go too unless in ``kept``."""
    if granular(value, shape):
        result: Object = {}
        for name, inner in value.items():
            path = (*prefix, f"f:{name}")
            if path in paths:
                continue
            rest = remove(inner, paths, kept, child(shape, name), path)
            emptied = rest in ({}, []) and inner not in ({}, [])
            if not emptied or path in kept:
                result[name] = rest
        return result
    items = _items(value, shape)
    if items is not None and isinstance(shape, ListOf):
        left = []
        for key, item in items:
            path = (*prefix, key)
            owned_below = any(other[: len(path)] == path for other in kept)
            if (*path, ".") in paths and not owned_below:
                continue
            left.append(item if shape.unique else remove(item, paths, kept, shape.item, path))
        return left
    return value


def to_v1(paths: Iterable[Path]) -> Object:
    """The nested form of ``fieldsV1``."""
    tree: Object = {}
    for path in sorted(paths):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
    return tree


def from_v1(tree: Object, prefix: Path = ()) -> Paths:
    """The paths of a ``fieldsV1`` tree."""
    found: set[Path] = set()
    for element, inner in tree.items():
        path = (*prefix, element)
        found |= from_v1(inner, path) if inner else {path}
    return frozenset(found)


def readable(path: Path) -> str:
    """``.status.devices[driver="x"].data``, as conflict messages say it."""
    text = ""
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            keys = json.loads(rest)
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in keys.items()) + "]"
        elif kind == "v":
            text += f"[={rest}]"
    return text
