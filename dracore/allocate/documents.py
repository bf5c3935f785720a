"""Objects out of YAML or JSON: several documents, ``v1`` Lists, with the place of each for errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dracore.allocate.fields import Fault
from dracore.errors import ConfigError

SIZE_LIMIT = 512 * 2**20
YAML_SIZE_LIMIT = 64 * 2**20
"""Bytes; larger files as JSON, which reads fifty times faster."""
DEPTH_LIMIT = 100
NODES_LIMIT = 20_000_000
"""Values of a YAML document, with each alias counted as all that it stands for."""
_LINES_LIMIT = 16 * 2**20
_STEP = ("[", "]")
_TWICE = "stands twice in one object"


@dataclass(frozen=True, slots=True)
class Source:
    """A text and its name in errors."""

    name: str
    text: str


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
        line = line_of(self.source, self.document, (*self.path, *_steps(fault.path)))
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
        line = line_of(source, document, path)
        raise ConfigError("is no API object", where=_place(source, document, line))
    kind = content.get("kind")
    if not isinstance(kind, str) or not kind:
        line = line_of(source, document, path)
        raise ConfigError("an object has no kind", where=_place(source, document, line))
    if kind.endswith("List"):
        items = content.get("items")
        if items is not None and not isinstance(items, list):
            raise ConfigError(
                "items is not a list", where=_place(source, document, line_of(source, document, path))
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
                raise ConfigError(
                    f"{str(error)[:80]!r} {_TWICE}",
                    where=_line_of_repeated(source, str(error)),
                ) from None
            except json.JSONDecodeError as error:
                if len(source.text) > _LINES_LIMIT:
                    raise ConfigError(error.msg, where=f"{source.name}: line {error.lineno}") from None
            else:
                return
        yield from _yaml(source)  # which also takes braces
    except RecursionError:
        raise ConfigError(f"is nested deeper than {DEPTH_LIMIT}", where=source.name) from None


def _json(source: Source) -> list[Any]:
    """One JSON document, or several one after the other."""
    # Counting keys takes as long again as reading; nobody wrote a file of this size by hand.
    decoder = json.JSONDecoder(object_pairs_hook=_once if len(source.text) <= _LINES_LIMIT else None)
    text, position = source.text, 0
    found: list[Any] = []
    while True:
        while position < len(text) and text[position] in "\ufeff \t\r\n":
            position += 1
        if position == len(text):
            return found
        content, position = decoder.raw_decode(text, position)
        found.append(content)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are different: of two the API server would refuse one, or drop it silently."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(next(name for name in names if names.count(name) > 1))
    return found


class _Repeated(Exception):
    """A name stands twice in one object."""


def _yaml(source: Source) -> Iterator[Any]:
    import yaml

    try:
        _check_size(source)
        yield from yaml.load_all(source.text, Loader=_loader())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source.name}: line {mark.line + 1}" if mark else source.name
        problem = str(error.problem or error.context)
        what = problem if problem.endswith(_TWICE) else f"is no YAML: {problem}"
        raise ConfigError(what, where=where) from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        text = " ".join(str(error).split())[:200]
        raise ConfigError(f"is no YAML: {text}", where=source.name) from None


def _second(node: Any, name: Any) -> Any:
    return [key.start_mark for key, _ in node.value if key.value == name][1]


def _loader() -> Any:
    """PyYAML's safe loader in C where it is built, without dates: the API knows them as strings."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    def construct_mapping(self: Any, node: Any, deep: bool = False) -> Any:
        written = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        if len(set(map(str, written))) != len(written):
            name = next(one for one in written if written.count(one) > 1)
            raise yaml.constructor.ConstructorError(
                None, None, f"{str(name)[:80]!r} {_TWICE}", _second(node, name)
            )
        return base.construct_mapping(self, node, deep)

    resolvers = {
        letter: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
        for letter, known in base.yaml_implicit_resolvers.items()
    }
    parts = {"yaml_implicit_resolvers": resolvers, "construct_mapping": construct_mapping}
    return type("Loader", (base,), parts)


def _check_size(source: Source) -> None:
    """Refuses what would grow without bound: depth, cycles, and aliases of aliases."""
    import yaml

    depth = total = 0
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for event in yaml.parse(source.text, Loader=loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise ConfigError(
                    f"the alias *{event.anchor} stands inside what it stands for, or for nothing",
                    where=f"{source.name}: line {line}",
                )
            total += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            total += 1
            open_nodes.append((event.anchor, total))
            if depth > DEPTH_LIMIT:
                raise ConfigError(f"is nested deeper than {DEPTH_LIMIT}", where=f"{source.name}: line {line}")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = total - before + 1
        elif isinstance(event, yaml.DocumentStartEvent):
            sizes.clear()
        if total > NODES_LIMIT:
            raise ConfigError("its aliases stand for too much", where=f"{source.name}: line {line}")


# --- places ---------------------------------------------------------------------------------------------


def line_of(source: Source, document: int, path: tuple[str | int, ...]) -> int | None:
    """The line of the value at `path`, or of the nearest thing around it; None where it cannot be told."""
    if len(source.text) > _LINES_LIMIT:
        return None
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # JSON is YAML nearly always; tabs between tokens are not.
        nodes = yaml.compose_all(source.text.replace("\t", " "), Loader=loader)
        for number, node in enumerate(nodes, 1):
            if number == document:
                return _descend(node, path)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    return None


def _line_of_repeated(source: Source, name: str) -> str:
    """Where an object has a name twice, in a text that is JSON and so nearly always YAML."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for document, root in enumerate(yaml.compose_all(source.text.replace("\t", " "), Loader=loader), 1):
            nodes = [root]
            while nodes:
                node = nodes.pop()
                if isinstance(node, yaml.SequenceNode):
                    nodes += node.value
                elif isinstance(node, yaml.MappingNode):
                    keys = [key for key, _ in node.value if key.value == name]
                    if len(keys) > 1:
                        return _place(source, document, keys[1].start_mark.line + 1)
                    nodes += [value for _, value in node.value]
    except (yaml.YAMLError, RecursionError, ValueError):
        pass
    return source.name


def _descend(node: Any, path: tuple[str | int, ...]) -> int:
    import yaml

    for step in path:
        if isinstance(step, int):
            if not isinstance(node, yaml.SequenceNode) or step >= len(node.value):
                break
            node = node.value[step]
            continue
        if not isinstance(node, yaml.MappingNode):
            break
        found = next(((key, value) for key, value in node.value if key.value == step), None)
        if found is None:
            break
        key, value = found
        # The line of the name, unless there is more to go down to.
        if step == path[-1]:
            return int(key.start_mark.line) + 1
        node = value
    return int(node.start_mark.line) + 1 if node is not None else 1


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
