"""YAML in one pass over its events: no tree beside the values, and an end to what would grow without bound.

Values are those of YAML 1.1 as ``kubectl`` reads them: without dates and numbers to the base of sixty, which
the API knows as strings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dracore.errors import ConfigError

DEPTH_LIMIT = 100
VALUES_LIMIT = 8_000_000
"""Values of a text, with each alias counted as all that it stands for."""
TWICE = "stands twice in one object"
DIGITS = 400
"""Longer numbers are none of the API, and take long to read."""
_CORE = "tag:yaml.org,2002:"
_MERGE = "<<"


class _Open:
    """A list or an object whose end has not come yet."""

    __slots__ = ("anchor", "before", "key", "merged", "value")

    def __init__(self, value: Any, anchor: str | None, before: int) -> None:
        self.value = value
        self.anchor = anchor
        self.before = before
        """How many values came before it."""
        self.key: str | None = None
        """The name that waits for its value."""
        self.merged: list[Any] = []
        """What ``<<`` brings in."""


def yaml_documents(text: str, name: str) -> Iterator[Any]:
    """The documents of a text; an empty one is None.

    :param name: of the text, in errors.
    :raises ConfigError: with the line.
    """
    import yaml

    try:
        yield from _Reader(text, name).documents()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}: line {mark.line + 1}" if mark else name
        raise ConfigError(f"is no YAML: {error.problem or error.context}", where=where) from None
    except (yaml.YAMLError, ValueError) as error:
        told = " ".join(str(error).split())[:200]
        raise ConfigError(f"is no YAML: {told}", where=name) from None


class _Reader:
    def __init__(self, text: str, name: str) -> None:
        import yaml

        self._yaml = yaml
        self._name = name
        # In C where it is built.
        self._events: Iterator[Any] = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self._resolvers = {
            letter: [(tag.removeprefix(_CORE), pattern) for tag, pattern in known if "timestamp" not in tag]
            for letter, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        """Anchor to the value and how many values it stands for."""
        self._total = 0
        self._root: Any = None

    def documents(self) -> Iterator[Any]:
        yaml = self._yaml
        for event in self._events:
            kind = event.__class__
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent:
                self._start(event, {}, "map")
            elif kind is yaml.SequenceStartEvent:
                self._start(event, [], "seq")
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._end(event)
            elif kind is yaml.AliasEvent:
                if event.anchor not in self._anchors:
                    what = f"the alias *{event.anchor[:80]} stands inside what it stands for, or for nothing"
                    raise self._fault(event, what)
                value, size = self._anchors[event.anchor]
                self._count(event, size)
                self._put(event, value)
            elif kind is yaml.DocumentStartEvent:
                self._anchors.clear()
                self._root = None
            elif kind is yaml.DocumentEndEvent:
                yield self._root

    def _fault(self, event: Any, what: str) -> ConfigError:
        line = event.start_mark.line + 1 if event.start_mark else 1
        return ConfigError(what, where=f"{self._name}: line {line}")

    def _count(self, event: Any, values: int) -> None:
        self._total += values
        if self._total > VALUES_LIMIT:
            aliases = "its aliases stand for too much" if self._anchors else "it has too many values"
            raise self._fault(event, f"{aliases}: more than {VALUES_LIMIT} values")

    def _start(self, event: Any, value: Any, kind: str) -> None:
        if event.tag is not None and event.tag not in ("!", _CORE + kind):
            raise self._fault(event, f"is no YAML: there is no {kind} of the tag {event.tag[:80]}")
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.key is None and parent.value.__class__ is dict:
            raise self._fault(event, "is no YAML: a name is a list or an object")
        self._count(event, 1)
        self._open.append(_Open(value, event.anchor, self._total))
        if len(self._open) > DEPTH_LIMIT:
            raise self._fault(event, f"is nested deeper than {DEPTH_LIMIT}")

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        for other in done.merged:
            for name, value in other.items():
                done.value.setdefault(name, value)
        if done.anchor:
            self._anchors[done.anchor] = done.value, self._total - done.before + 1
        self._put(event, done.value)

    def _scalar(self, event: Any) -> None:
        self._count(event, 1)
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.key is None and parent.value.__class__ is dict:
            name = event.value
            if name in parent.value:
                raise self._fault(event, f"{name[:80]!r} {TWICE}")
            parent.key = name
            if name == _MERGE and event.implicit[0]:
                return
            parent.value[name] = None
            if event.anchor:
                self._anchors[event.anchor] = name, 1
            return
        value = self._value(event)
        if event.anchor:
            self._anchors[event.anchor] = value, 1
        self._put(event, value)

    def _put(self, event: Any, value: Any) -> None:
        if not self._open:
            self._root = value
            return
        parent = self._open[-1]
        if parent.value.__class__ is list:
            parent.value.append(value)
        elif parent.key is None:  # an alias as a name
            if not isinstance(value, str) or value in parent.value:
                raise self._fault(event, "is no YAML: an alias that is no name of its own stands as one")
            parent.key = value
            parent.value[value] = None
        elif parent.key == _MERGE and _MERGE not in parent.value:
            parent.key = None
            several = value if isinstance(value, list) else [value]
            if not all(isinstance(one, dict) for one in several):
                raise self._fault(event, "is no YAML: << takes an object or a list of objects")
            parent.merged += several
        else:
            parent.value[parent.key] = value
            parent.key = None

    def _value(self, event: Any) -> Any:
        text, tag = event.value, event.tag
        if tag is None or tag == "!":
            if tag is not None or not event.implicit[0]:
                return text
            kind = ""
            for one, pattern in self._resolvers.get(text[:1], ()):
                if pattern.match(text):
                    kind = one
                    break
            else:
                return text
        elif not tag.startswith(_CORE):
            raise self._fault(event, f"is no YAML: there is no value of the tag {tag[:80]}")
        else:
            kind = tag.removeprefix(_CORE)
        try:
            return _made(kind, text)
        except (ValueError, KeyError):
            raise self._fault(
                event, f"is no YAML: {text[:40]!r} is no value of the tag {kind[:80]}"
            ) from None


_BOOLS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}


def _made(kind: str, text: str) -> Any:
    """The value of a scalar.

    :raises ValueError: it is none of its kind.
    """
    if kind == "str" or (kind in ("int", "float") and ":" in text) or kind in ("merge", "value"):
        return text
    if kind == "null":
        return None
    if kind == "bool":
        return _BOOLS[text.lower()]
    if len(text) > DIGITS:
        raise ValueError
    plain = text.replace("_", "").lower()
    if kind == "float":
        # Infinite ones and no numbers are named with a dot.
        return float(plain.replace(".inf", "inf").replace(".nan", "nan"))
    if kind != "int":
        raise ValueError
    sign, digits = (-1, plain[1:]) if plain[:1] == "-" else (1, plain.removeprefix("+"))
    base = {"0b": 2, "0x": 16}.get(digits[:2], 8 if digits[:1] == "0" else 10)
    return sign * int(digits, base)
