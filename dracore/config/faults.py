"""What pydantic finds wrong, in the words of this project: path, what was found, what is allowed, the nearest
name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from dracore.config.text import Path
from dracore.errors import ConfigError
from dracore.plugins import nearest

M = TypeVar("M", bound=BaseModel)
_SHOWN = 60


def decode(
    model: type[M],
    data: Any,
    where: Callable[[Path], str],
    *,
    by_name: bool | None = None,
    faulty: Iterable[Path] = (),
) -> tuple[M | None, list[ConfigError]]:
    """Decodes plain data strictly: no unknown keys, no conversion between types, whatever the model says.

    :param where: the place of a path of the data, for a person.
    :param faulty: paths whose fault is known already.
    :returns: the model's instance, or None with what is wrong.
    """
    try:
        # JSON mode knows no Path or tuple, so it can be strict and still take a list for a tuple.
        text = json.dumps(data)
        return model.model_validate_json(text, strict=True, extra="forbid", by_name=by_name), []
    except ValidationError as error:
        known = set(faulty)
        problems: dict[str, ConfigError] = {}
        for detail in error.errors(include_url=False):
            path, value = _follow(data, detail["loc"])
            if path not in known and detail["type"] != "default_factory_not_called":
                problem = _problem(model, data, path, value, detail, where)
                problems.setdefault(str(problem), problem)
        return None, list(problems.values())


def _follow(data: Any, loc: tuple[str | int, ...]) -> tuple[Path, Any]:
    """The path in the data, without the names of union members that pydantic puts between."""
    path: list[str | int] = []
    for index, step in enumerate(loc):
        keys: Collection[Any] = ()
        if isinstance(data, dict | list):
            keys = data if isinstance(data, dict) else range(len(data))
        if step in keys:
            data = data[step]
        elif index == len(loc) - 1 and isinstance(data, dict):
            data = None  # what is missing
        else:
            continue
        path.append(step)
    return tuple(path), data


def _problem(
    model: type[BaseModel],
    data: Any,
    path: Path,
    value: Any,
    detail: Mapping[str, Any],
    where: Callable[[Path], str],
) -> ConfigError:
    kind = detail["type"]
    if kind == "extra_forbidden":
        keys = _fields(model, path[:-1])
        present = data
        for step in path[:-1]:
            present = present[step]
        hint = nearest(str(path[-1]), [key for key in keys if key not in present])
        allowed = f"allowed here: {', '.join(keys)}" if keys else "nothing is allowed here"
        return ConfigError(
            f"unknown key {path[-1]!r}", where=where(path), fix=f"{hint} ({allowed})" if hint else allowed
        )
    if kind == "missing":
        info = _fields(model, path[:-1]).get(str(path[-1])) if path else None
        return ConfigError("missing", where=where(path), fix=info.description if info else None)
    if kind == "too_short" and not value:
        return ConfigError("empty", where=where(path), fix="give at least one")
    if kind == "value_error":
        return ConfigError(f"{found(value)}: {detail['ctx']['error']}", where=where(path))
    allowed = detail["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    allowed = _WORDS.get(allowed, allowed)
    options = re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected", "")))
    hint = nearest(str(value), options) if isinstance(value, str) else ""
    return ConfigError(f"found {found(value)}, allowed: {allowed}", where=where(path), fix=hint or None)


_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "list": "a list",
    "array": "a list",
    "tuple": "a list",
    "an object": "a section (key: value)",
    "object": "a section (key: value)",
    "dictionary": "a section (key: value)",
    "path": "a path",
    "null": "null",
}


def found(value: Any) -> str:
    """A value and its type, for a person: ``'abc' (text)``."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    names = {int: "a number", float: "a number", str: "text", list: "a list", dict: "a section"}
    name = names.get(type(value))
    return f"{text} ({name})" if name else text


def _fields(model: type[BaseModel], path: Path) -> dict[str, FieldInfo]:
    """What may stand at a path, by its key: fields of whichever models can be there."""
    models = [model]
    for step in path:
        inner: list[type[BaseModel]] = []
        for candidate in models:
            for name, info in candidate.model_fields.items():
                if step in (name, info.alias, info.validation_alias):
                    inner += _models(info.annotation)
        models = inner or models
    return {
        str(info.validation_alias or info.alias or name): info
        for candidate in models
        for name, info in candidate.model_fields.items()
    }


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]


def all_of(problems: list[ConfigError], source: str) -> ConfigError:
    """One error for all faults; ``problems`` holds each."""
    if len(problems) == 1:
        return problems[0]
    return ConfigError(
        f"{len(problems)} faults: " + "; ".join(map(str, problems)), where=source, problems=problems
    )
