"""RE2 regular expressions: linear in the text, whatever the pattern."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from dracore.selectors.declarations import Library, library
from dracore.selectors.faults import Fault
from dracore.selectors.values import NO_OVERLOAD, Duration, Timestamp, TypeValue

_WORDS = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "unexpected )": "unexpected )",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid repetition size": "invalid repeat count",
    "invalid escape sequence": "invalid escape sequence",
    "invalid character class range": "invalid character class range",
    "trailing \\": "trailing backslash at end of expression",
    "invalid named capture group": "invalid named capture",
}


_SMALL = 128


@lru_cache(maxsize=512)
def pattern(text: str) -> Any:
    """A compiled pattern.

    :raises Fault: with Go's words for what is wrong.
    """
    _refuse_bytes(text)
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = 64 << 20
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0]
        words = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        head, _, part = words.partition(": ")
        shown = part or text
        if _WORDS.get(head) == "trailing backslash at end of expression":
            shown = ""
        raise Fault(f"error parsing regexp: {_WORDS.get(head, head)}: `{shown}`") from None


def _refuse_bytes(text: str) -> None:
    r"""``\C``, a single byte, is RE2's but not Go's."""
    at = text.find("\\")
    while 0 <= at < len(text) - 1:
        if text[at + 1] == "C":
            raise Fault("error parsing regexp: invalid escape sequence: `\\C`")
        if text[at + 1] == "Q":
            end = text.find("\\E", at)
            at = len(text) if end < 0 else end
        at = text.find("\\", at + 2)


def matches(text: Any, regex: Any) -> bool:
    """Whether the pattern is found anywhere in the text."""
    if text.__class__ is TypeValue:
        text = text.name
        if regex.__class__ is not str:
            raise Fault(f"{NO_OVERLOAD}: matches")
    if text.__class__ is not str:
        raise Fault(NO_OVERLOAD if text.__class__ in (Duration, Timestamp) else f"{NO_OVERLOAD}: matches")
    if regex.__class__ is not str:
        raise Fault(NO_OVERLOAD)
    if len(regex) > _SMALL or len(text) > _SMALL:
        return pattern(regex).search(text) is not None
    return bool(_searcher(regex).Match(text))


@lru_cache(maxsize=512)
def _searcher(regex: str) -> Any:
    """A set of one pattern: it tells a match without its place, in a quarter of the time.

    Its automaton may run out of memory, so it is for short patterns and texts only.
    """
    pattern(regex)
    import re2

    options = re2.Options()
    options.log_errors = False
    searcher = re2.Set.SearchSet(options)
    searcher.Add(regex)
    searcher.Compile()
    return searcher


def _compiled(regex: str) -> Any:
    try:
        return pattern(regex)
    except Fault as fault:
        raise Fault(f"Illegal regex: {fault.message}") from None


def find(text: str, regex: str) -> str:
    """The first match, or the empty string."""
    found = _compiled(regex).search(text)
    return found.group(0) if found is not None else ""


def find_all(text: str, regex: str, limit: int = -1) -> list[str]:
    """Every match, at most `limit` of them where that is not negative."""
    found: list[str] = []
    end = -1
    for match in _compiled(regex).finditer(text):
        if 0 <= limit <= len(found):
            break
        if match.end() == match.start() == end:
            continue  # an empty match next to another is none
        end = match.end()
        found.append(match.group(0))
    return found


REGEX: Library = library(
    "regex",
    (1, 0),
    {
        "find": {"string_find_string": ("string.(string) -> string", find)},
        "findAll": {
            "string_find_all_string": ("string.(string) -> list(string)", find_all),
            "string_find_all_string_int": ("string.(string, int) -> list(string)", find_all),
        },
    },
)
