"""Label and field selectors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dracore.testing.apiserver.resources import Resource
from dracore.testing.apiserver.status import bad_request

Object = dict[str, Any]
Test = Callable[[Object], bool]

_IN = re.compile(r"\s*(?P<key>[\w./-]+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)\s*")
_EQUAL = re.compile(r"\s*(?P<key>[\w./-]+)\s*(?P<op>!=|==|=)\s*(?P<value>[\w.-]*)\s*")
_EXISTS = re.compile(r"\s*(?P<not>!?)\s*(?P<key>[\w./-]+)\s*")
_COMMA = re.compile(r",(?![^(]*\))")


@dataclass(frozen=True)
class Selection:
    """Which objects a list or watch sees."""

    tests: tuple[Test, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tests)

    def matches(self, obj: Object) -> bool:
        return all(test(obj) for test in self.tests)


def select(resource: Resource, labels: str, fields: str) -> Selection:
    """Compiles the two query parameters; raises StatusError 400 for one that cannot be read."""
    tests = [_label(part) for part in _COMMA.split(labels) if part.strip()]
    tests += [_field(resource, part) for part in _split(fields) if part.strip()]
    return Selection(tuple(tests))


def _labels(obj: Object) -> Object:
    found: Object = obj.get("metadata", {}).get("labels") or {}
    return found


def _label(text: str) -> Test:
    if found := _IN.fullmatch(text):
        key, allowed = found["key"], {value.strip() for value in found["values"].split(",")}
        if found["op"] == "in":
            return lambda obj: _labels(obj).get(key) in allowed
        return lambda obj: _labels(obj).get(key) not in allowed
    if found := _EQUAL.fullmatch(text):
        key, value = found["key"], found["value"]
        if found["op"] == "!=":
            return lambda obj: _labels(obj).get(key) != value
        return lambda obj: _labels(obj).get(key) == value
    if found := _EXISTS.fullmatch(text):
        key, absent = found["key"], bool(found["not"])
        return lambda obj: (key in _labels(obj)) != absent
    raise bad_request(f"unable to parse requirement: {text!r}")


def _split(fields: str) -> list[str]:
    return re.split(r"(?<!\\),", fields)


def _field(resource: Resource, text: str) -> Test:
    for operator in ("!=", "==", "="):
        key, found, value = text.partition(operator)
        if found:
            break
    else:
        raise bad_request(f"invalid field selector: {text!r}")
    key, value = key.strip(), re.sub(r"\\(.)", r"\1", value.strip())
    readers = resource.fields()
    if key not in readers:
        known = f"{resource.api_version}, Kind={resource.kind}"
        raise bad_request(f"field label not supported for {known}: {key}")
    read = readers[key]
    if operator == "!=":
        return lambda obj: read(obj) != value
    return lambda obj: read(obj) == value
