"""Versions as the device API takes them: strict semver 2.0.0."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering
from typing import Any

_CORE = r"(?P<major>0|[1-9]\d*)\.(?P<minor>0|[1-9]\d*)\.(?P<patch>0|[1-9]\d*)"
_IDENT = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_STRICT = re.compile(
    rf"{_CORE}(?:-(?P<pre>{_IDENT}(?:\.{_IDENT})*))?(?:\+(?P<build>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?",
    re.ASCII,
)
_LOOSE = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?", re.ASCII)


@total_ordering
@dataclass(frozen=True, eq=False, slots=True)
class Semver:
    """A semantic version. Order and equality ignore build metadata (semver 2.0.0 §10, §11)."""

    major: int
    minor: int
    patch: int
    pre: tuple[str, ...] = ()
    build: str = ""

    @classmethod
    def parse(cls, text: str) -> Semver:
        """Reads a strict version (three parts, no ``v``, no leading zeros).

        :raises ValueError: with the text.
        """
        found = _STRICT.fullmatch(text)
        if not found:
            raise ValueError(
                f"{text!r} is not a semantic version (MAJOR.MINOR.PATCH, no leading v, no leading zeros)"
            )
        pre = tuple(found["pre"].split(".")) if found["pre"] else ()
        return cls(int(found["major"]), int(found["minor"]), int(found["patch"]), pre, found["build"] or "")

    @classmethod
    def coerce(cls, text: str) -> Semver:
        """Reads a version as drivers print it: ``580.95.05`` is 580.95.5, ``8.0`` is 8.0.0, ``13`` is 13.0.0.

        :raises ValueError: with the text.
        """
        found = _LOOSE.fullmatch(text.strip())
        if not found:
            return cls.parse(text)
        major, minor, patch = (int(part or 0) for part in found.groups())
        return cls(major, minor, patch)

    def _order(self) -> tuple[Any, ...]:
        # A release sorts after its prereleases; numeric identifiers sort before textual ones.
        pre = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre)
        return (self.major, self.minor, self.patch, not self.pre, pre)

    def __eq__(self, other: object) -> bool:
        return self._order() == other._order() if isinstance(other, Semver) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self._order() < other._order() if isinstance(other, Semver) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._order())

    def __str__(self) -> str:
        text = f"{self.major}.{self.minor}.{self.patch}"
        if self.pre:
            text += "-" + ".".join(self.pre)
        return f"{text}+{self.build}" if self.build else text
