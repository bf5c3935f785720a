"""Events are one table served under two groups; objects are kept in the core form."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

_NEW_TO_CORE = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_CORE_TO_NEW = {core: new for new, core in _NEW_TO_CORE.items()}


def to_core(obj: Object) -> Object:
    """``events.k8s.io/v1`` to ``v1``; a merge patch too."""
    renamed = {_NEW_TO_CORE.get(key, key): value for key, value in obj.items()}
    return renamed | {"apiVersion": "v1"} if "apiVersion" in renamed else renamed


def from_core(obj: Object) -> Object:
    """``v1`` to ``events.k8s.io/v1``."""
    renamed = {_CORE_TO_NEW.get(key, key): value for key, value in obj.items()}
    return renamed | {"apiVersion": "events.k8s.io/v1"}
