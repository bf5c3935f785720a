"""Formats of names and values, with the texts of the API server."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from dracore.testing.apiserver.fielderrors import (
    FieldError,
    duplicate,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
)

Check = Callable[[Any, str], list[FieldError]]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_C_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_NAME_PART = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?",
    re.ASCII,
)


def _regex_message(text: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{text} (e.g. {shown}regex used for validation is '{pattern}')"


_SUBDOMAIN_TEXT = _regex_message(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character",
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
    "example.com",
)
_CASELESS_TEXT = _regex_message(
    "an RFC 1123 subdomain must consist of alphanumeric characters, '-' or '.', and must start and end with "
    "an alphanumeric character",
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
    "Example.com",
)
_LABEL_TEXT = _regex_message(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and "
    "end with an alphanumeric character",
    _LABEL,
    "my-name",
    "123-abc",
)
_IDENTIFIER_TEXT = _regex_message(
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
    "characters or '_'",
    _C_IDENTIFIER,
    "my_name",
    "MY_NAME",
    "MyName",
)
_KEY_TEXT = _regex_message(
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character",
    "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]",
    "MyName",
    "my.name",
    "123-abc",
)
_VALUE_TEXT = _regex_message(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character",
    "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
    "MyValue",
    "my_value",
    "12345",
)


def _longer(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def subdomain_faults(value: str) -> list[str]:
    faults = [_longer(253)] if len(value) > 253 else []
    return faults if re.fullmatch(_SUBDOMAIN, value, re.ASCII) else [*faults, _SUBDOMAIN_TEXT]


def label_faults(value: str) -> list[str]:
    faults = [_longer(63)] if len(value) > 63 else []
    return faults if re.fullmatch(_LABEL, value, re.ASCII) else [*faults, _LABEL_TEXT]


def label_key_faults(value: str) -> list[str]:
    """A label key: an optional DNS subdomain and a slash, then a name of at most 63."""
    prefix, slash, name = value.rpartition("/")
    faults = []
    if "/" in prefix:
        return [
            f"a valid label key {_KEY_TEXT} with an optional DNS subdomain prefix and '/' (e.g. "
            f"'example.com/MyName')"
        ]
    if slash and not prefix:
        faults.append("prefix part must be non-empty")
    elif slash:
        faults += [f"prefix part {fault}" for fault in subdomain_faults(prefix)]
    if not name:
        faults.append("name part must be non-empty")
    elif len(name) > 63:
        faults.append(f"name part {_longer(63)}")
    if not re.fullmatch(_NAME_PART, name, re.ASCII):
        faults.append(f"name part {_KEY_TEXT}")
    return faults


def label_value_faults(value: str) -> list[str]:
    faults = [_longer(63)] if len(value) > 63 else []
    return faults if not value or re.fullmatch(_NAME_PART, value, re.ASCII) else [*faults, _VALUE_TEXT]


def _named(faults: Callable[[str], list[str]]) -> Check:
    def check(value: Any, path: str) -> list[FieldError]:
        return [invalid(path, value, fault) for fault in faults(value or "")]

    return check


dns_label = _named(label_faults)
dns_subdomain = _named(subdomain_faults)
label_key = _named(label_key_faults)
label_value = _named(label_value_faults)


def required_label(value: Any, path: str) -> list[FieldError]:
    return dns_label(value, path) if value else [required(path)]


def driver_name(value: Any, path: str) -> list[FieldError]:
    """At most 63 bytes, a DNS subdomain in any case."""
    if not value:
        return [required(path)]
    faults = [too_long(path, 63)] if len(value) > 63 else []
    return faults + [invalid(path, value, fault) for fault in subdomain_faults(value.lower())]


def driver_name_caseless(value: Any, path: str) -> list[FieldError]:
    """The same rule where the API server checks it declaratively, with that text."""
    if not value:
        return [required(path)]
    faults = [too_long(path, 63)] if len(value) > 63 else []
    fits = re.fullmatch(_SUBDOMAIN, value.lower(), re.ASCII)
    return faults if fits else [*faults, invalid(path, value, _CASELESS_TEXT)]


def pool_name(value: Any, path: str) -> list[FieldError]:
    """At most 253 bytes, DNS subdomains joined with ``/``."""
    if not value:
        return [required(path)]
    faults = [too_long(path, 253)] if len(value) > 253 else []
    return faults + [error for part in value.split("/") for error in dns_subdomain(part, path)]


def c_identifier(value: str, path: str) -> list[FieldError]:
    faults = [too_long(path, 32)] if len(value) > 32 else []
    return (
        faults
        if re.fullmatch(_C_IDENTIFIER, value, re.ASCII)
        else [*faults, invalid(path, value, _IDENTIFIER_TEXT)]
    )


def qualified_name(value: Any, path: str) -> list[FieldError]:
    """An attribute or capacity name: a C identifier of at most 32, optionally ``domain/`` before it."""
    parts = (value or "").split("/")
    if len(parts) == 1:
        return c_identifier(parts[0], path)
    if len(parts) > 2:  # the API server lets these through (a known gap); neither do devices carry such names
        return []
    domain, name = parts
    faults = driver_name(domain, path) if domain else [invalid(path, "", "the domain must not be empty")]
    faults += c_identifier(name, path) if name else [invalid(path, "", "the name must not be empty")]
    return faults


def fully_qualified_name(value: Any, path: str) -> list[FieldError]:
    faults = qualified_name(value, path)
    if "/" not in (value or ""):
        detail = "a fully qualified name must be a domain and a name separated by a slash"
        faults.append(invalid(path, value, detail))
    return faults


def semver(value: str) -> bool:
    return bool(_SEMVER.fullmatch(value))


def uid(value: Any, path: str) -> list[FieldError]:
    if _UUID.fullmatch(value or ""):
        return []
    return [invalid(path, value, "must be a lowercase UUID in 8-4-4-4-12 format")]


def interface_address(value: Any, path: str) -> list[FieldError]:
    """An IP with prefix length in canonical form, such as ``192.0.2.5/24``."""
    try:
        canonical = str(ipaddress.ip_interface(value)) if "/" in value else None
    except ValueError:
        canonical = None
    if canonical is None:
        return [
            invalid(path, value, "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)")
        ]
    return [] if canonical == value else [invalid(path, value, f'must be in canonical form ("{canonical}")')]


def bounded_list(items: Any, limit: int | None, path: str, check: Check) -> list[FieldError]:
    """At most ``limit`` items, each checked; one too many hides the rest, as in the API server."""
    items = items or []
    if limit is not None and len(items) > limit:
        return [too_many(path, len(items), limit)]
    return [error for i, item in enumerate(items) for error in check(item, f"{path}[{i}]")]


def bounded_set(
    items: Any,
    limit: int | None,
    path: str,
    check: Check,
    key: Callable[[Any], Any],
    *,
    whole: bool = False,
) -> list[FieldError]:
    """Like :func:`bounded_list`, and no two items with one key; ``whole``: a fault shows the item."""
    items = items or []
    if limit is not None and len(items) > limit:
        return [too_many(path, len(items), limit)]
    errors = [error for i, item in enumerate(items) for error in check(item, f"{path}[{i}]")]
    seen = set()
    for i, item in enumerate(items):
        if key(item) in seen:
            errors.append(duplicate(f"{path}[{i}]", item if whole else key(item)))
        seen.add(key(item))
    return errors


def one_of(value: Any, allowed: Iterable[str], path: str) -> list[FieldError]:
    if not value:
        return [required(path)]
    return [] if value in allowed else [not_supported(path, value, allowed)]


def raw_object(value: Any, path: str, limit: int = 10 * 1024) -> list[FieldError]:
    """Opaque JSON: an object of at most ``limit`` bytes."""
    if value is None:
        return [required(path)]
    if len(json.dumps(value, separators=(",", ":")).encode()) > limit:
        return [too_long(path, limit)]
    return (
        [] if isinstance(value, dict) else [invalid(path, "<value omitted>", "must be a valid JSON object")]
    )


def conditions(items: Any, path: str, limit: int) -> list[FieldError]:
    """``metav1.Condition`` lists."""
    items = items or []
    errors = [too_many(path, len(items), limit)] if len(items) > limit else []
    seen: set[str] = set()
    for i, item in enumerate(items):
        at = f"{path}[{i}]"
        kind = item.get("type", "")
        if kind in seen:
            errors.append(duplicate(at, kind))
        seen.add(kind)
        errors += label_key(kind, f"{at}.type") if kind else [required(f"{at}.type", "is required")]
        errors += one_of(item.get("status"), ("False", "True", "Unknown"), f"{at}.status")
        if not item.get("lastTransitionTime"):
            errors.append(required(f"{at}.lastTransitionTime"))
        reason = item.get("reason")
        if not reason:
            errors.append(required(f"{at}.reason"))
        elif not re.fullmatch(_REASON, reason):
            text = _regex_message(
                "a condition reason must start with alphabetic character, optionally followed by a string of "
                "alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
                _REASON,
                "my_name",
                "MY_NAME",
                "MyName",
                "ReasonA,ReasonB",
                "ReasonA:ReasonB",
            )
            errors.append(invalid(f"{at}.reason", reason, text))
        if len(item.get("message", "")) > 32768:
            errors.append(too_long(f"{at}.message", 32768))
    return errors
