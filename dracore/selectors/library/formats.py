"""``format.named('…')`` and ``format.dns1123Label()``: names of the API, checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from dracore.selectors.declarations import Library, library
from dracore.selectors.equality import register_equality
from dracore.selectors.library.urls import why_not
from dracore.selectors.values import NONE, UNHASHABLE, Optional, register

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


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


class _Name:
    """Names that a regular expression describes. `unit` is what the API calls the bytes of a length."""

    def __init__(self, shape: str, limit: int, words: str, *examples: str, unit: str = "characters") -> None:
        self.matches = re.compile(shape, re.ASCII).fullmatch
        self.long = f"must be no more than {limit} {unit}"
        self._limit = limit
        shown = " or ".join(f"'{each}', " for each in examples)
        self.words = f"{words} (e.g. {shown}regex used for validation is '{shape}')"

    def is_long(self, text: str) -> bool:
        return len(text.encode("utf-8", "surrogatepass")) > self._limit

    def __call__(self, text: str) -> list[str]:
        found = [self.long] if self.is_long(text) else []
        return found if self.matches(text) else [*found, self.words]


_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_ENDS = "and must start and end with an alphanumeric character"
_LABELS = _Name(
    _LABEL,
    63,
    f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', {_ENDS}",
    *("my-name", "123-abc"),
)
_SUBDOMAINS = _Name(
    rf"{_LABEL}(\.{_LABEL})*",
    253,
    f"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', {_ENDS}",
    "example.com",
)
_LABELS_1035 = _Name(
    "[a-z]([-a-z0-9]*[a-z0-9])?",
    63,
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and end with an alphanumeric character",
    *("my-name", "abc-123"),
)
_KEYS = _Name(
    _KEY,
    63,
    f"must consist of alphanumeric characters, '-', '_' or '.', {_ENDS}",
    *("MyName", "my.name", "123-abc"),
    unit="bytes",
)
_VALUES = _Name(
    f"({_KEY})?",
    63,
    f"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', {_ENDS}",
    *("MyValue", "my_value", "12345"),
    unit="bytes",
)
_UUID = re.compile("[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_BASE64 = re.compile(
    "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})", re.ASCII
)
_TIME = re.compile(r"(\d{2}):(\d{2}):(\d{2})(.[0-9]+)?(z|[+-]\d{2}:\d{2})", re.ASCII)


def _labels(text: str) -> list[str]:
    found = _LABELS(text)
    if found and found[-1] == _LABELS.words and _SUBDOMAINS.matches(text):
        found[-1] = "must not contain dots"
    return found


def _prefix(faults: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    """What ends in a dash is completed by a generated suffix; upstream two characters make room for it."""
    return lambda text: faults(f"{text[:-2]}a" if len(text) > 1 and text.endswith("-") else text)


def _qualified(text: str) -> list[str]:
    prefix, slash, name = text.partition("/")
    found: list[str] = []
    if "/" in name:
        completed = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return [f"a valid label key {_KEYS.words} {completed}"]
    if not slash:
        name = prefix
    elif not prefix:
        found.append("prefix part must be non-empty")
    else:
        of_prefix = [each.replace("253 characters", "253 bytes") for each in _SUBDOMAINS(prefix)]
        found += [f"prefix part {each}" for each in of_prefix]
    if not name:
        found.append("name part must be non-empty")
    elif _KEYS.is_long(name):
        found.append(f"name part {_KEYS.long}")
    return found if _KEYS.matches(name) else [*found, f"name part {_KEYS.words}"]


def _test(words: str, test: Callable[[str], bool]) -> Callable[[str], list[str]]:
    return lambda text: [] if test(text) else [words]


def _is_date(text: str) -> bool:
    if text[:4] == "0000":  # a year to Go; a leap year, like 2000
        text = f"2000{text[4:]}"
    try:
        return bool(_DATE.fullmatch(text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _is_datetime(text: str) -> bool:
    day, t, clock = text.lower().partition("t")
    time = _TIME.fullmatch(clock.partition("t")[0])
    if not t or time is None or not _is_date(day):
        return False
    return time[1] <= "23" and time[2] <= "59" and time[3] <= "59"


def _uri(text: str) -> list[str]:
    why = why_not(text)
    return [why] if why else []


_FAULTS: dict[str, Callable[[str], list[str]]] = {
    "DNS1123Label": _labels,
    "DNS1123Subdomain": _SUBDOMAINS,
    "DNS1035Label": _LABELS_1035,
    "QualifiedName": _qualified,
    "DNS1123LabelPrefix": _prefix(_labels),
    "DNS1123SubdomainPrefix": _prefix(_SUBDOMAINS),
    "DNS1035LabelPrefix": _prefix(_LABELS_1035),
    "LabelValue": _VALUES,
    "URI": _uri,
    "uuid": _test("does not match the UUID format", lambda text: bool(_UUID.fullmatch(text))),
    "byte": _test("invalid base64", lambda text: bool(_BASE64.fullmatch(text))),
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
