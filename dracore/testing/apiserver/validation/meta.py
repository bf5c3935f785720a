"""Object metadata."""

from __future__ import annotations

from typing import Any

from dracore.testing.apiserver.fielderrors import FieldError, forbidden, invalid, required
from dracore.testing.apiserver.validation import formats

Object = dict[str, Any]
_LABEL_NAMED = frozenset({"Namespace"})
MAX_ANNOTATIONS = 256 * 1024


def validate(new: Object, old: Object | None, kind: str) -> list[FieldError]:
    metadata = new.get("metadata", {})
    errors = _name(metadata, kind) if old is None else []
    for name, value in (metadata.get("labels") or {}).items():
        errors += formats.label_key(name, "metadata.labels")
        errors += formats.label_value(value, "metadata.labels")
    annotations = metadata.get("annotations") or {}
    for name in annotations:
        errors += formats.label_key(name.lower(), "metadata.annotations")
    if sum(len(key) + len(value) for key, value in annotations.items()) > MAX_ANNOTATIONS:
        errors.append(invalid("metadata.annotations", "", f"may not be more than {MAX_ANNOTATIONS} bytes"))
    errors += _owners(metadata.get("ownerReferences") or [])
    if old is not None and old["metadata"].get("deletionTimestamp"):
        known = set(old["metadata"].get("finalizers") or ())
        fresh = [name for name in metadata.get("finalizers") or () if name not in known]
        if fresh:
            shown = ", ".join(f'"{name}"' for name in fresh)
            detail = (
                f"no new finalizers can be added if the object is being deleted, found new "
                f"finalizers []string{{{shown}}}"
            )
            errors.append(forbidden("metadata.finalizers", detail))
    return errors


def _name(metadata: Object, kind: str) -> list[FieldError]:
    name = metadata.get("name")
    if not name:
        return [required("metadata.name", "name or generateName is required")]
    faults = formats.label_faults if kind in _LABEL_NAMED else formats.subdomain_faults
    return [invalid("metadata.name", name, fault) for fault in faults(name)]


def _owners(owners: list[Object]) -> list[FieldError]:
    errors: list[FieldError] = []
    for i, owner in enumerate(owners):
        errors += [
            required(f"metadata.ownerReferences[{i}].{name}", "must not be empty")
            for name in ("apiVersion", "kind", "name", "uid")
            if not owner.get(name)
        ]
    controllers = [owner for owner in owners if owner.get("controller")]
    if len(controllers) > 1:
        names = " and ".join(f"{owner.get('kind')}/{owner.get('name')}" for owner in controllers)
        detail = 'Only one reference can have Controller set to true. Found "true" in references for ' + names
        errors.append(invalid("metadata.ownerReferences", owners, detail))
    return errors
