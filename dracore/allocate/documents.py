"""Objects out of YAML or JSON: several documents, ``v1`` Lists, with the place of each for errors."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dracore.allocate.fields import Fault
from dracore.allocate.places import LINES_LIMIT, line_of, place_of_repeated
from dracore.allocate.yamltext import DEPTH_LIMIT, DIGITS, TWICE, yaml_documents
from dracore.errors import ConfigError

SIZE_LIMIT = 512 * 2**20
YAML_SIZE_LIMIT = 64 * 2**20
"""Bytes; larger files as JSON, which reads fifty times faster."""
_STEP = ("[", "]")
_LOOKED_THROUGH = 32 * 2**20
"""Bytes that are looked through for the lines of one text's faults; of these there may be very many."""
_HALVES = re.compile(r"\\u[dD][89a-fA-F]")
"""Halves of characters beyond 16 bits: alone they are no text that can be written anywhere."""


@dataclass(frozen=True, slots=True)
class Source:
    """A text and its name in errors."""

    name: str
    text: str
    _left: list[int] = field(default_factory=lambda: [_LOOKED_THROUGH], repr=False, compare=False)
    """How much more may be looked through for lines."""

    def line_of(self, document: int, path: tuple[str | int, ...]) -> int | None:
        """As :func:`~dracore.allocate.places.line_of`; None also where very many lines were asked for."""
        if self._left[0] <= 0:
            return None
        self._left[0] -= len(self.text)
        return line_of(self.text, document, path)


@dataclass(frozen=True, slots=True)
class Object:
    """An API object and where it stands."""

    content: Mapping[str, Any]
    source: Source
    document: int
    """From 1."""
    path: tuple[str | int, ...] = ()
    """Inside the document: ``("items", 3)`` in a List."""

    @property
    def kind(self) -> str:
        return str(self.content.get("kind", ""))

    def error(self, fault: Fault) -> ConfigError:
        """A fault of a field, with file, document, line and object."""
        line = self.source.line_of(self.document, (*self.path, *_steps(fault.path)))
        meta = self.content.get("metadata")
        name = meta.get("name") or meta.get("generateName") if isinstance(meta, Mapping) else None
        kind = self.kind[:100] or "object"
        what = f"{kind} {name[:100]}" if isinstance(name, str) else kind
        return ConfigError(
            f"{fault.field} {fault.what}" if fault.path else fault.what,
            where=f"{_place(self.source, self.document, line)}: {what}",
        )


def objects(source: Source) -> Iterator[Object]:
    """The objects of a text, Lists taken apart.

    :raises ConfigError: with file, document and line.
    """
    for document, content in enumerate(_documents(source), 1):
        if content is None:
            continue
        yield from _unpacked(content, source, document, ())


def _unpacked(content: Any, source: Source, document: int, path: tuple[str | int, ...]) -> Iterator[Object]:
    if isinstance(content, list) and not path:  # a bare list of objects
        for index, item in enumerate(content):
            yield from _unpacked(item, source, document, (index,))
        return
    if not isinstance(content, Mapping):
        line = source.line_of(document, path)
        raise ConfigError("is no API object", where=_place(source, document, line))
    kind = content.get("kind")
    if not isinstance(kind, str) or not kind:
        line = source.line_of(document, path)
        raise ConfigError("an object has no kind", where=_place(source, document, line))
    if kind.endswith("List"):
        items = content.get("items")
        if items is not None and not isinstance(items, list):
            raise ConfigError(
                "items is not a list", where=_place(source, document, source.line_of(document, path))
            )
        for index, item in enumerate(items or ()):
            if isinstance(item, dict) and "kind" not in item and kind != "List":
                item = {"kind": kind.removesuffix("List"), "apiVersion": content.get("apiVersion"), **item}
            if path.count("items") > DEPTH_LIMIT:
                raise ConfigError("Lists in Lists", where=_place(source, document, None))
            yield from _unpacked(item, source, document, (*path, "items", index))
        return
    yield Object(content, source, document, path)


def _documents(source: Source) -> Iterator[Any]:
    start = source.text[:100].lstrip("\ufeff \t\r\n")[:1]
    if len(source.text) > (SIZE_LIMIT if start in "{[" else YAML_SIZE_LIMIT):
        raise ConfigError("is too large", where=source.name, fix="give JSON, or fewer objects at once")
    try:
        if start and start in "{[":
            try:
                yield from _json(source)
            except _Repeated as error:
                name = str(error)
                found = place_of_repeated(source.text, name)
                where = _place(source, *found) if found is not None else source.name
                raise ConfigError(f"{name[:80]!r} {TWICE}", where=where) from None
            except json.JSONDecodeError as error:
                if len(source.text) > LINES_LIMIT:
                    raise ConfigError(error.msg, where=f"{source.name}: line {error.lineno}") from None
            else:
                return
        yield from yaml_documents(source.text, source.name)  # which also takes braces
    except RecursionError:
        raise ConfigError(f"is nested deeper than {DEPTH_LIMIT}", where=source.name) from None


def _json(source: Source) -> list[Any]:
    """One JSON document, or several one after the other."""
    # Counting keys takes as long again as reading; nobody wrote a file of this size by hand.
    once = _once if len(source.text) <= LINES_LIMIT else None
    decoder = json.JSONDecoder(object_pairs_hook=once, parse_int=_integer, parse_constant=_no_number)
    text, position = source.text, 0
    found: list[Any] = []
    while True:
        while position < len(text) and text[position] in "\ufeff \t\r\n":
            position += 1
        if position == len(text):
            break
        try:
            content, position = decoder.raw_decode(text, position)
        except _NoNumber as error:
            raise ConfigError(f"{str(error)[:40]} is no number of JSON", where=source.name) from None
        found.append(content)
    if _HALVES.search(text):
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ConfigError("holds half a character", where=source.name) from None
    return found


class _NoNumber(Exception):
    """What stands where a number may stand, and is none."""


def _no_number(text: str) -> Any:
    raise _NoNumber(text)


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise _NoNumber(digits)
    return int(digits)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are different: of two the API server would refuse one, or drop it silently."""
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise _Repeated(next(name for name, number in counts.items() if number > 1))
    return found


class _Repeated(Exception):
    """A name stands twice in one object."""


def _steps(path: list[str]) -> Iterator[str | int]:
    """``devices[3]`` as ``devices`` and 3; a key may hold dots and slashes, but no bracket at its end."""
    for step in path:
        name, bracket, index = step.rpartition(_STEP[0])
        if bracket and index.endswith(_STEP[1]) and index[:-1].isdigit():
            yield name
            yield int(index[:-1])
        else:
            yield step


def _place(source: Source, document: int, line: int | None) -> str:
    return f"{source.name}: document {document}" + (f", line {line}" if line else "")
