"""YAML text as plain data, with the line of everything in it and with variables filled in.

Stricter than YAML: a key stands once in a mapping, keys are text, dates stay text, one document a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from dracore.errors import ConfigError

Path: TypeAlias = tuple[str | int, ...]
_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)(?=\{)|\{(?P<name>[^}:]*)(?P<default>:-[^}]*)?\})")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Loader(yaml.SafeLoader):
    """YAML without dates: ``2026-01-01`` is text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(slots=True)
class Document:
    """What a file says. `faulty` are the places whose value could not be read; they are in `problems`."""

    source: str
    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[ConfigError] = field(default_factory=list)
    faulty: set[Path] = field(default_factory=set)

    def where(self, path: Path) -> str:
        """``gpu.yaml:3: plugins.nvidia_gpu``, with the line of the nearest thing that is in the file."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        line = f":{self.lines[known]}" if known in self.lines else ""
        name = dotted(path)
        return f"{self.source}{line}: {name}" if name else f"{self.source}{line}"


def dotted(path: Path) -> str:
    """``plugins.nvidia_gpu.rows[2]``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def read(text: str, source: str, env: Mapping[str, str]) -> Document:
    """Reads one YAML document; ``${NAME}`` and ``${NAME:-default}`` come from `env`, ``$${`` is ``${``.

    :raises ConfigError: the text is not YAML. Everything else that is wrong stands in `problems`.
    """
    document = Document(source)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                document.data = _Reader(loader, document, env).value(node, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        detail = ", ".join(part for part in (error.context, error.problem) if part)
        braces = mark is not None and "${" in "".join(text.splitlines()[mark.line : mark.line + 1])
        fix = "between { } a ${NAME} needs quotes, or a line of its own" if braces else None
        raise ConfigError(f"not YAML: {detail}", where=f"{source}{line}", fix=fix) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"not YAML: {' '.join(str(error).split())}", where=source) from error
    return document


class _Reader:
    def __init__(self, loader: _Loader, document: Document, env: Mapping[str, str]) -> None:
        self._loader = loader
        self._document = document
        self._env = env
        self._open: set[int] = set()

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            return self._fault(path, "refers to itself", fix="write the value out instead of *alias")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        assert isinstance(node, yaml.MappingNode)
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                inside = (*path, key.value)
                self._document.lines[inside] = line
                self._fault(inside, f"stands twice, also in line {seen[key.value]}", fix="keep one")
            seen.setdefault(key.value, line)
        self._loader.flatten_mapping(node)
        result: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                self._document.lines[(*path, "?")] = key.start_mark.line + 1
                shown = key.value if isinstance(key, yaml.ScalarNode) else "[…]"
                self._fault((*path, "?"), f"the key {shown} is not text", fix="put it into quotes")
                continue
            self._document.lines.setdefault((*path, key.value), key.start_mark.line + 1)
            result[key.value] = self.value(value, (*path, key.value))
        return result

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        if "${" in node.value:
            filled = self._filled(node.value, path)
            if filled is None:
                return None
            # A plain ${PORT} may be a number; a quoted one stays text.
            implicit = (node.style is None, node.style is not None)
            tag = self._loader.resolve(yaml.ScalarNode, filled, implicit)  # type: ignore[no-untyped-call]
            node = yaml.ScalarNode(tag, filled, node.start_mark, node.end_mark, node.style)
        value = self._loader.construct_object(node)
        if not isinstance(value, str | int | float | bool | None):
            return self._fault(path, f"{node.value!r} is not text, a number, true, false or null")
        return value

    def _filled(self, text: str, path: Path) -> str | None:
        missing: list[str] = []

        def fill(found: re.Match[str]) -> str:
            if found["escaped"]:
                return "$"
            name = found["name"]
            if not _NAME.fullmatch(name):
                missing.append(name)
                self._fault(path, f"${{{name}}} does not name a variable", fix="write $${ for a literal ${")
            elif name in self._env and (self._env[name] or found["default"] is None):
                return self._env[name]
            elif found["default"] is not None:
                return found["default"][2:]
            else:
                missing.append(name)
                self._fault(
                    path,
                    f"the environment variable {name} is not set",
                    fix=f"set it, or give a default: ${{{name}:-value}}",
                )
            return ""

        filled = _VARIABLE.sub(fill, text)
        return None if missing else filled

    def _fault(self, path: Path, what: str, *, fix: str | None = None) -> None:
        document = self._document
        document.problems.append(ConfigError(what, where=document.where(path), fix=fix))
        document.faulty.add(path)
