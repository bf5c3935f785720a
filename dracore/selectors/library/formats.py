"""``format.named('…')`` and ``format.dns1123Label()``: names of the API, checked."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from dracore.selectors.declarations import Library, library
from dracore.selectors.faults import Fault
from dracore.selectors.library.network import is_url
from dracore.selectors.library.times import to_timestamp
from dracore.selectors.values import NONE, UNHASHABLE, Optional, register, register_equality

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_TESTS = {
    "label": re.compile(_LABEL, re.ASCII),
    "subdomain": re.compile(rf"{_LABEL}(\.{_LABEL})*", re.ASCII),
    "1035": re.compile("[a-z]([-a-z0-9]*[a-z0-9])?", re.ASCII),
    "qualified": re.compile(_QUALIFIED, re.ASCII),
    "value": re.compile(rf"({_QUALIFIED})?", re.ASCII),
    "uuid": re.compile(
        "[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.ASCII | re.IGNORECASE
    ),
}


@dataclass(frozen=True, slots=True)
class Format:
    """A named format. `cost` is the length that its regular expression is charged with."""

    name: str
    cost: int

    def faults(self, text: str) -> list[str]:
        """What is wrong with `text`; nothing where it fits."""
        return _FAULTS[self.name](text)


register(Format, "kubernetes.NamedFormat", "cel.Format")
UNHASHABLE.add(Format)
register_equality(Format, lambda one, other: one == other)


def _name(test: str, limit: int, words: str, prefix: bool = False) -> Callable[[str], list[str]]:
    def faults(text: str) -> list[str]:
        if prefix:
            # What ends in a dash is completed by a generated suffix.
            text = f"{text[:-1]}a" if len(text) > 1 and text.endswith("-") else text
        found = [f"must be no more than {limit} bytes"] if len(text.encode()) > limit else []
        return found if _TESTS[test].fullmatch(text) else [*found, words]

    return faults


def _qualified(text: str) -> list[str]:
    parts = text.split("/")
    if len(parts) > 2:
        return ["a qualified name must consist of a prefix and a name"]
    found: list[str] = []
    if len(parts) == 2:
        if not parts[0]:
            found.append("prefix part must be non-empty")
        else:
            found += _SUBDOMAIN(parts[0])
    if not parts[-1]:
        found.append("name part must be non-empty")
    elif len(parts[-1]) > 63:
        found.append("name part must be no more than 63 bytes")
    if not _TESTS["qualified"].fullmatch(parts[-1]):
        found.append("name part must consist of alphanumeric characters, '-', '_' or '.'")
    return found


def _test(words: str, test: Callable[[str], bool]) -> Callable[[str], list[str]]:
    return lambda text: [] if test(text) else [words]


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return bool(text)


def _is_date(text: str) -> bool:
    try:
        return len(text) == 10 and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _is_datetime(text: str) -> bool:
    try:
        to_timestamp(text)
    except Fault:
        return False
    return True


_LABEL_WORDS = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'"
_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"
)
_1035_WORDS = "a DNS-1035 label must consist of lower case alphanumeric characters or '-'"
_SUBDOMAIN = _name("subdomain", 253, _SUBDOMAIN_WORDS)
_FAULTS: dict[str, Callable[[str], list[str]]] = {
    "DNS1123Label": _name("label", 63, _LABEL_WORDS),
    "DNS1123Subdomain": _SUBDOMAIN,
    "DNS1035Label": _name("1035", 63, _1035_WORDS),
    "QualifiedName": _qualified,
    "DNS1123LabelPrefix": _name("label", 63, _LABEL_WORDS, prefix=True),
    "DNS1123SubdomainPrefix": _name("subdomain", 253, _SUBDOMAIN_WORDS, prefix=True),
    "DNS1035LabelPrefix": _name("1035", 63, _1035_WORDS, prefix=True),
    "LabelValue": _name("value", 63, "a valid label must be an empty string or alphanumeric characters"),
    "URI": _test("invalid URI for request", is_url),
    "uuid": _test("does not match the UUID format", lambda text: bool(_TESTS["uuid"].fullmatch(text))),
    "byte": _test("invalid base64", _is_base64),
    "date": _test("invalid date", _is_date),
    "datetime": _test("invalid datetime", _is_datetime),
}
NAMED: dict[str, Format] = {
    "dns1123Label": Format("DNS1123Label", 30),
    "dns1123Subdomain": Format("DNS1123Subdomain", 60),
    "dns1035Label": Format("DNS1035Label", 30),
    "qualifiedName": Format("QualifiedName", 60),
    "dns1123LabelPrefix": Format("DNS1123LabelPrefix", 30),
    "dns1123SubdomainPrefix": Format("DNS1123SubdomainPrefix", 60),
    "dns1035LabelPrefix": Format("DNS1035LabelPrefix", 30),
    "labelValue": Format("LabelValue", 40),
    "uri": Format("URI", 1103),
    "uuid": Format("uuid", 70),
    "byte": Format("byte", 84),
    "date": Format("date", 71),
    "datetime": Format("datetime", 71),
}


def validate(form: Format, text: str) -> Optional:
    """What is wrong, or nothing."""
    found = form.faults(text)
    return Optional(found) if found else NONE


def named(name: str) -> Optional:
    """The format of that name, if there is one."""
    return Optional(NAMED[name]) if name in NAMED else NONE


def _constant(form: Format) -> Any:
    return lambda: form


FORMATS: Library = library(
    "format",
    (1, 31),
    {
        "validate": {"format-validate": ("Format.(string) -> optional(list(string))", validate)},
        "format.named": {"format-named": ("(string) -> optional(Format)", named)},
        **{
            f"format.{name}": {f"format.{name}": ("() -> Format", _constant(form))}
            for name, form in NAMED.items()
        },
    },
)
