"""Reading objects as the typed API server does: unknown fields fall away, wrong types are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from dracore.model.quantity import Quantity
from dracore.testing.apiserver.schema import ListOf, MapOf, Shape, Struct
from dracore.testing.apiserver.status import bad_request, unsupported_media_type

Object = dict[str, Any]


_EXPONENT = re.compile(r"[eE][+-]?\d+$")
_QUANTITY_FAULT = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


class _WrongType(Exception):
    """A JSON value does not fit its field."""


def parse_body(raw: bytes, content_type: str) -> Any:
    """JSON or YAML, by content type; raises StatusError 400 or 415."""
    kind = content_type.split(";")[0].strip().lower() or "application/json"
    is_yaml = "yaml" in kind
    if not is_yaml and "json" not in kind:
        raise unsupported_media_type(content_type)
    try:
        if not is_yaml or raw[:1] == b"{":
            return json.loads(raw)
        import yaml

        return yaml.load(raw, Loader=yaml.CSafeLoader)
    except Exception as error:  # yaml and json raise many kinds
        raise bad_request(f"error decoding the body: {error}") from error


def decode(value: Any, shape: Struct, *, unknown: Callable[[str], None] | None = None) -> Object:
    """A copy of ``value`` with only the fields of ``shape``, nulls removed, quantities and times normal.

    ``unknown`` is told the path of each field that was dropped. Raises StatusError 400 for a wrong type.
    """
    if not isinstance(value, dict):
        raise bad_request(f"the body is {type(value).__name__}, not an object")
    try:
        result = _value(value, shape, "", unknown or (lambda path: None))
    except _WrongType as error:
        kind, version = value.get("kind", ""), str(value.get("apiVersion", "")).rpartition("/")[2]
        message = f'{kind} in version "{version}" cannot be handled as a {kind}: {error}'
        raise bad_request(message) from None
    assert isinstance(result, dict)
    return result


def _value(value: Any, shape: Shape, path: str, unknown: Callable[[str], None]) -> Any:
    if isinstance(shape, Struct):
        return _struct(_typed(value, dict, path), shape, path, unknown)
    if isinstance(shape, MapOf):
        return {
            key: _value(item, shape.value, f"{path}[{key}]", unknown)
            for key, item in _typed(value, dict, path).items()
        }
    if isinstance(shape, ListOf):
        items = _typed(value, list, path)
        return [_value(item, shape.item, f"{path}[{i}]", unknown) for i, item in enumerate(items)]
    return _scalar(value, shape.scalar, path)


def _struct(value: Object, shape: Struct, path: str, unknown: Callable[[str], None]) -> Object:
    result: Object = {}
    for key, item in value.items():
        inner = f"{path}.{key}" if path else key
        if key not in shape.known:
            if shape.open:
                result[key] = item
            else:
                unknown(inner)
        elif item is not None:
            result[key] = _value(item, shape.fields[key], inner, unknown)
    return result


def _typed(value: Any, wanted: type, path: str) -> Any:
    if not isinstance(value, wanted):
        raise _WrongType(
            f"json: cannot unmarshal {_go(value)} into Go struct field {path} of type {wanted.__name__}"
        )
    return value


def _go(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return {dict: "object", list: "array", str: "string", int: "number", float: "number"}.get(
        type(value), "null"
    )


def _scalar(value: Any, kind: str, path: str) -> Any:
    if kind == "string":
        return _typed(value, str, path)
    if kind == "bool":
        return _typed(value, bool, path)
    if kind == "int":
        if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
            raise _WrongType(f"json: cannot unmarshal {_go(value)} into Go struct field {path} of type int64")
        return value
    if kind == "quantity":
        return _quantity(value, path)
    if kind == "time":
        return _time(value, path)
    return value


def _quantity(value: Any, path: str) -> str:
    """The canonical text, as storage keeps it: ``1024Mi`` is ``1Gi``; a decimal exponent stays one."""
    wrong = _WrongType(_QUANTITY_FAULT)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise wrong
    text = str(value).strip()
    try:
        parsed = Quantity.parse(text)
    except ValueError:
        raise wrong from None
    return text if _EXPONENT.search(text) else str(parsed)


def _time(value: Any, path: str) -> str:
    if isinstance(value, datetime):  # YAML reads times itself
        parsed = value
    else:
        try:
            parsed = datetime.fromisoformat(_typed(value, str, path))
        except ValueError:
            raise _WrongType(f"{path}: cannot parse {value!r} as an RFC 3339 time") from None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return format_time(parsed)


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as ``metav1.Time`` is written."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def compact(value: Any, shape: Shape) -> Any:
    """Removes empty lists and maps, which typed storage does not tell from absent ones."""
    if value is None:
        return value
    if isinstance(shape, Struct):
        for key in list(value):
            inner = shape.fields.get(key)
            if inner is None:
                continue
            compact(value[key], inner)
            if isinstance(inner, ListOf | MapOf) and not value[key]:
                del value[key]
    elif isinstance(shape, MapOf):
        for item in value.values():
            compact(item, shape.value)
    elif isinstance(shape, ListOf):
        for item in value:
            compact(item, shape.item)
    return value
