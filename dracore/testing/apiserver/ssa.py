"""Field managers: who owns which field, and server-side apply.

An entry of ``managedFields`` belongs to (manager, operation, subresource). Update takes over the fields
that it changes; apply owns exactly what it names, conflicts over fields that another manager owns and that it
would change, and removes what it named before and nobody else owns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dracore.testing.apiserver import fieldset
from dracore.testing.apiserver.fieldset import Path, Paths
from dracore.testing.apiserver.schema import Shape
from dracore.testing.apiserver.status import apply_conflict

Object = dict[str, Any]


@dataclass(frozen=True)
class Manager:
    """Who writes, and how."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    def key(self) -> tuple[str, str, str]:
        return self.name, self.operation, self.subresource


_SYSTEM = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "managedFields",
    "generateName",
)


def _owned(obj: Object, shape: Shape) -> dict[Path, Any]:
    """What managers can own: not identity and not what the server sets."""
    metadata = {key: value for key, value in obj.get("metadata", {}).items() if key not in _SYSTEM}
    content = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata")}
    if metadata:
        content["metadata"] = metadata
    return {path: value for path, value in fieldset.leaves(content, shape).items() if not _unset(path, value)}


def _unset(path: Path, value: Any) -> bool:
    """A null is nobody's field."""
    return value is None and path[-1] != "."


def _entries(obj: Object) -> dict[tuple[str, str, str], Object]:
    return {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): entry
        for entry in obj.get("metadata", {}).get("managedFields") or ()
    }


def _sets(obj: Object) -> dict[tuple[str, str, str], Paths]:
    return {key: fieldset.from_v1(entry.get("fieldsV1", {})) for key, entry in _entries(obj).items()}


def _with_sets(
    obj: Object, old: Object | None, sets: dict[tuple[str, str, str], Paths], manager: Manager, now: str
) -> Object:
    """``obj`` with ``managedFields`` for ``sets``; entries whose set is unchanged keep their time."""
    before, before_sets = (_entries(old), _sets(old)) if old else ({}, {})
    entries = []
    for key, paths in sets.items():
        if not paths:
            continue
        if key in before and before_sets[key] == paths:
            entries.append(before[key])
            continue
        entry = {
            "manager": key[0],
            "operation": key[1],
            "apiVersion": manager.api_version if key == manager.key() else before[key]["apiVersion"],
            "time": now,
            "fieldsType": "FieldsV1",
            "fieldsV1": fieldset.to_v1(paths),
        }
        if key[2]:
            entry["subresource"] = key[2]
        entries.append(entry)
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    if entries:
        metadata["managedFields"] = entries
    return {**obj, "metadata": metadata}


def updated(new: Object, old: Object | None, shape: Shape, manager: Manager, now: str) -> Object:
    """``new`` with the owners after an update (or create, or patch) by ``manager``."""
    after = _owned(new, shape)
    before = _owned(old, shape) if old else {}
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    gone = frozenset(before) - frozenset(after)
    sets: dict[tuple[str, str, str], Paths] = {}
    for key, paths in (_sets(old) if old else {}).items():
        lost = gone if key == manager.key() else gone | changed
        sets[key] = paths - lost
    sets[manager.key()] = sets.get(manager.key(), frozenset()) | changed
    return _with_sets(new, old, sets, manager, now)


def apply(
    live: Object | None, applied: Object, shape: Shape, manager: Manager, *, force: bool
) -> tuple[Object, dict[tuple[str, str, str], Paths]]:
    """The merged object and the owners; raises StatusError 409 with every conflict unless ``force``."""
    wanted = _owned(applied, shape)
    mine = frozenset(wanted)
    if live is None:
        return applied, {manager.key(): mine}
    sets = _sets(live)
    before = _owned(live, shape)
    merged = _merge(live, applied, shape)
    after = _owned(merged, shape)
    changed = {path for path, value in after.items() if path not in before or before[path] != value}
    changed |= {path for path in before if path not in after}
    others = {key: paths for key, paths in sets.items() if key != manager.key()}
    contested = {key: paths & changed for key, paths in others.items() if paths & changed}
    if contested and not force:
        raise _conflicts(contested, live)
    for key, paths in contested.items():
        others[key] = others[key] - paths
    kept = mine.union(*others.values()) if others else mine
    stale = sets.get(manager.key(), frozenset()) - kept
    if stale:
        merged = _merge(live, applied, shape, stale=stale, kept=kept)
    return merged, {**others, manager.key(): mine}


def _merge(
    live: Object, applied: Object, shape: Shape, *, stale: Paths = frozenset(), kept: Paths = frozenset()
) -> Object:
    """Content merged; identity and system metadata stay the live object's."""
    metadata = {key: value for key, value in applied.get("metadata", {}).items() if key not in _SYSTEM}
    content = {key: value for key, value in applied.items() if key not in ("apiVersion", "kind", "metadata")}
    if metadata:
        content["metadata"] = metadata
    merged = fieldset.merge(live, content, shape)
    if stale:
        system = {key: merged["metadata"][key] for key in _SYSTEM if key in merged["metadata"]}
        merged = fieldset.remove(merged, stale, kept, shape)
        merged["metadata"] = {**merged.get("metadata", {}), **system}
    assert isinstance(merged, dict)
    return merged


def _conflicts(contested: dict[tuple[str, str, str], Paths], live: Object) -> Exception:
    entries = _entries(live)
    causes: list[dict[str, str]] = []
    lines: list[tuple[str, list[str]]] = []
    for key, paths in sorted(contested.items()):
        sub = f' with subresource "{key[2]}"' if key[2] else ""
        who = f'"{key[0]}"{sub}'
        if key[1] == "Update":
            who += f" using {entries[key]['apiVersion']} at {entries[key]['time']}"
        readable = sorted(fieldset.readable(path) for path in paths)
        message = f"conflict with {who}"
        causes += [{"reason": "FieldManagerConflict", "message": message, "field": path} for path in readable]
        lines.append((who, readable))
    count = len(causes)
    if count == 1:
        text = f"Apply failed with 1 conflict: conflict with {lines[0][0]}: {lines[0][1][0]}"
    else:
        parts = [f"conflicts with {who}:" + "".join(f"\n- {path}" for path in paths) for who, paths in lines]
        text = f"Apply failed with {count} conflicts: " + "\n".join(parts)
    return apply_conflict(text, causes)


def applied(obj: Object, live: Object | None, sets: dict[Any, Paths], manager: Manager, now: str) -> Object:
    """``obj`` with the owners that :func:`apply` returned."""
    return _with_sets(obj, live, sets, manager, now)
