"""The strings library, version 2, except ``format``."""

from __future__ import annotations

import string as ascii_letters
from typing import Any

from dracore.selectors.declarations import Library, library
from dracore.selectors.faults import Fault, Stopped
from dracore.selectors.library.printf import format_text
from dracore.selectors.shown import quote, show

_LOWER = str.maketrans(ascii_letters.ascii_uppercase, ascii_letters.ascii_lowercase)
_UPPER = str.maketrans(ascii_letters.ascii_lowercase, ascii_letters.ascii_uppercase)
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_LARGEST = 16 << 20


def _bounded(size: int) -> None:
    """Texts grow by squares here, which costs do not foresee: memory has to be bounded by itself."""
    if size > _LARGEST:
        raise Stopped(f"a text of {size} characters")


def _range(index: int) -> Fault:
    return Fault(f"index out of range: {index}")


def char_at(text: str, index: int) -> str:
    """One character, or none at the very end."""
    if not 0 <= index <= len(text):
        raise _range(index)
    return text[index : index + 1]


def index_of(text: str, part: str, start: int = 0) -> int:
    """Where `part` first begins, from `start` on; -1 where nowhere."""
    if start < 0:
        raise _range(start)
    if not part:
        return min(start, len(text))
    return text.find(part, start)


def last_index_of(text: str, part: str, start: int | None = None) -> int:
    """Where `part` last begins, not after `start`."""
    if start is None:
        return text.rfind(part)
    if start < 0:
        raise _range(start)
    if not part:
        return min(start, len(text))
    return -1 if start >= len(text) else text.rfind(part, 0, start + len(part))


def replace(text: str, old: str, new: str, count: int = -1) -> str:
    """`old` by `new`, at most `count` times where that is not negative."""
    times = text.count(old) if old else len(text) + 1
    _bounded(len(text) + max(0, len(new) - len(old)) * (min(times, count) if count >= 0 else times))
    return text.replace(old, new, max(count, -1))


def split(text: str, separator: str, count: int = -1) -> list[str]:
    """The parts between separators; with an empty one, the characters."""
    if count == 0:
        return []
    if not separator:
        parts = list(text)
        if 0 < count < len(parts):
            parts[count - 1 :] = ["".join(parts[count - 1 :])]
        return parts
    return text.split(separator, count - 1 if count > 0 else -1)


def substring(text: str, start: int, end: int | None = None) -> str:
    """From `start` on, up to `end`."""
    if end is not None and start > end:
        raise Fault(f"invalid substring range. start: {start}, end: {end}")
    if not 0 <= start <= len(text):
        raise _range(start)
    if end is not None and not 0 <= end <= len(text):
        raise _range(end)
    return text[start:end]


def join(parts: list[Any], separator: str = "") -> str:
    """The texts of a list, with a separator between."""
    for part in parts:
        if part.__class__ is not str:
            raise Fault(f"join: invalid input: {show(part)}")
    _bounded(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


STRINGS: Library = library(
    "strings",
    (1, 29),
    {
        "charAt": {"string_char_at_int": ("string.(int) -> string", char_at)},
        "indexOf": {
            "string_index_of_string": ("string.(string) -> int", index_of),
            "string_index_of_string_int": ("string.(string, int) -> int", index_of),
        },
        "lastIndexOf": {
            "string_last_index_of_string": ("string.(string) -> int", last_index_of),
            "string_last_index_of_string_int": ("string.(string, int) -> int", last_index_of),
        },
        "lowerAscii": {"string_lower_ascii": ("string.() -> string", lambda text: text.translate(_LOWER))},
        "replace": {
            "string_replace_string_string": ("string.(string, string) -> string", replace),
            "string_replace_string_string_int": ("string.(string, string, int) -> string", replace),
        },
        "split": {
            "string_split_string": ("string.(string) -> list(string)", split),
            "string_split_string_int": ("string.(string, int) -> list(string)", split),
        },
        "substring": {
            "string_substring_int": ("string.(int) -> string", substring),
            "string_substring_int_int": ("string.(int, int) -> string", substring),
        },
        "trim": {"string_trim": ("string.() -> string", lambda text: text.strip(_SPACE))},
        "upperAscii": {"string_upper_ascii": ("string.() -> string", lambda text: text.translate(_UPPER))},
        "format": {"string_format": ("string.(list(dyn)) -> string", format_text)},
        "strings.quote": {"strings_quote": ("(string) -> string", quote)},
        "join": {
            "list_join": ("list(string).() -> string", join),
            "list_join_string": ("list(string).(string) -> string", join),
        },
    },
)
