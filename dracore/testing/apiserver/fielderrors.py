"""Faults of single fields, worded as the API server words them (apimachinery ``field.Error``)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_OMITTED = object()


@dataclass(frozen=True)
class FieldError:
    """One fault. ``reason`` is the cause's machine-readable type, ``body`` the text without the field."""

    field: str
    reason: str
    body: str

    def __str__(self) -> str:
        return f"{self.field}: {self.body}"


def _body(title: str, value: Any, detail: str) -> str:
    text = title
    if value is not _OMITTED:
        text += f": {_quoted(value)}"
    return f"{text}: {detail}" if detail else text


def _quoted(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, separators=(",", ":"))


def invalid(path: str, value: Any, detail: str) -> FieldError:
    return FieldError(path, "FieldValueInvalid", _body("Invalid value", value, detail))


def required(path: str, detail: str = "") -> FieldError:
    return FieldError(path, "FieldValueRequired", _body("Required value", _OMITTED, detail))


def forbidden(path: str, detail: str) -> FieldError:
    return FieldError(path, "FieldValueForbidden", _body("Forbidden", _OMITTED, detail))


def duplicate(path: str, value: Any) -> FieldError:
    return FieldError(path, "FieldValueDuplicate", _body("Duplicate value", value, ""))


def not_found(path: str, value: Any) -> FieldError:
    return FieldError(path, "FieldValueNotFound", _body("Not found", value, ""))


def not_supported(path: str, value: Any, allowed: Iterable[str]) -> FieldError:
    names = ", ".join(json.dumps(name) for name in allowed)
    return FieldError(
        path, "FieldValueNotSupported", _body("Unsupported value", value, f"supported values: {names}")
    )


def too_long(path: str, limit: int) -> FieldError:
    detail = f"may not be more than {limit} bytes"
    return FieldError(path, "FieldValueTooLong", _body("Too long", _OMITTED, detail))


def too_many(path: str, count: int, limit: int) -> FieldError:
    detail = f"must have at most {limit} item" + ("" if limit == 1 else "s")
    return FieldError(path, "FieldValueTooMany", _body("Too many", count, detail))
