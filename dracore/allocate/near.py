"""The known name that somebody perhaps meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_ALIKE = 0.6
_CANDIDATES = 2_000


def near(name: str, known: Iterable[str]) -> str:
    """The nearest of `known`, empty where none is near.

    Domains make names alike that are not: with the same domain (``gpu.example.com/memory``,
    ``mig.example.com``) only the rest is compared.
    """
    name = name[:200]
    own, domain = _split(name)
    rests: dict[str, str] = {}
    others = []
    for number, candidate in enumerate(known):
        if number >= _CANDIDATES:
            break
        other, its = _split(candidate)
        if domain and its == domain:
            rests[other] = candidate
        else:
            others.append(candidate)
    found = get_close_matches(own, rests, 1, _ALIKE)
    if found:
        return rests[found[0]]
    found = get_close_matches(name, others, 1, 0.8 if domain else _ALIKE)
    return found[0] if found else ""


def hint(name: str, known: Iterable[str]) -> str:
    """``; did you mean gpu?``, or nothing."""
    found = near(name, known)
    return f"; did you mean {found}?" if found and found != name else ""


def _split(name: str) -> tuple[str, str]:
    """Its own part and what it shares with others: ``memory`` of ``gpu.x/memory``, ``mig`` of ``mig.x.y``."""
    domain, slash, rest = name.partition("/")
    if slash:
        return rest, domain
    first, _, rest = name.partition(".")
    return first, rest
