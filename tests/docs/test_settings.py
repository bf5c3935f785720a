"""Every setting is described, with its default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from dracore.config import NodeConfiguration, parse, settings_model
from dracore.plugins import Plugins


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, info in model.model_fields.items():
        path = f"{prefix}{info.alias or name}"
        inner = [kind for kind in _models(info.annotation) if kind is not model]
        if inner:
            yield from leaves(inner[0], f"{path}.")
        else:
            yield path, info


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [kind for part in getattr(annotation, "__args__", ()) for kind in _models(part)]


def described_in(docs: Any, section: str) -> dict[str, tuple[str, str]]:
    """Default and text of each setting in a table."""
    return {
        name.strip("`"): (default.strip("`"), what)
        for name, default, what in docs["configuration.md"].rows(section)
    }


def written(info: Any) -> str:
    default = info.get_default(call_default_factory=False)
    if info.is_required():
        return ""
    return {"None": "null", "()": "[]"}.get(str(default), str(default))


def test_every_setting_is_described_with_its_default(docs: Any) -> None:
    described = described_in(docs, "Settings")
    settings = dict(leaves(NodeConfiguration))
    assert set(described) == set(settings)
    for path, info in settings.items():
        default, what = described[path]
        assert what or path == "kind", path
        if info.is_required():
            assert default in ("required", ""), path
        elif info.default_factory is None:
            assert default == written(info), path
        else:
            assert default.startswith("<rootDir>/"), path


@pytest.mark.parametrize("plugin", ["nvidia_gpu"])
def test_every_setting_of_a_bundled_plugin_is_described(plugin: str, docs: Any) -> None:
    model = settings_model(Plugins.load({plugin: None}), plugin)
    assert model is not None
    described = described_in(docs, f"plugins.{plugin}")
    settings = dict(leaves(model))
    assert set(described) == set(settings)
    for name, info in settings.items():
        assert described[name][0] == written(info), name
        assert described[name][1], name


def test_the_configuration_of_the_page_is_valid(docs: Any) -> None:
    (example,) = docs["configuration.md"].blocks("yaml")
    loaded = parse(example, "page", {"NODE_NAME": "node-1"})
    assert loaded.configuration.observe.port == 9440
