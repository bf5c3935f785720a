"""The public names, and what importing them costs."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dracore

SOURCE = Path(dracore.__file__)


def test_names_are_sorted_and_complete() -> None:
    assert dracore.__all__ == sorted(set(dracore.__all__))
    assert dir(dracore) == dracore.__all__
    for name in dracore.__all__:
        assert getattr(dracore, name) is not None
    assert not [name for name in dracore.__all__ if name.startswith("_")]


def test_type_checkers_see_the_same_names_from_the_same_places() -> None:
    imported: dict[str, str] = {}
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dracore."):
            for alias in node.names:
                assert alias.asname == alias.name, f"{alias.name} is not re-exported to type checkers"
                imported[alias.name] = (node.module or "").removeprefix("dracore.")
    assert imported == dracore._HOME


def test_every_name_a_hook_uses_is_public() -> None:
    """What hooks take and return can be made and annotated with public names alone."""
    text = SOURCE.with_name("hookspecs.py").read_text()
    signatures = re.findall(r"^def dra_\w+\((.*?)\) -> (.*?):$", text, flags=re.MULTILINE | re.DOTALL)
    names = set(re.findall(r"\b[A-Z]\w+", " ".join(" ".join(pair) for pair in signatures)))
    assert names - {"None", "Any", "Sequence", "Iterable", "Mapping", "Callable"} - {"Command"} <= set(
        dracore.__all__
    )


def test_every_value_that_a_public_value_takes_is_public() -> None:
    values = [getattr(dracore, name) for name in dracore.__all__]
    made = [value for value in values if isinstance(value, type) and dataclasses.is_dataclass(value)]
    named = {
        word
        for value in made
        for field in dataclasses.fields(value)
        for word in re.findall(r"\b[A-Z]\w+", str(field.type))
    }
    plain = {"Any", "ClassVar", "Literal", "Mapping", "Path", "Decimal", "NoSchedule", "NoExecute", "None"}
    aliases = {"AttributeValue", "JSON", "HealthState", "MergeRule", "TaintEffect"}
    read_only = {"OpaqueConfig"}  # of a Claim, which the core makes
    assert named - plain - aliases - read_only <= set(dracore.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'dracore' has no attribute 'Devise'"):
        dracore.Devise  # noqa: B018


HEAVY = (
    "celpy",
    "grpc",
    "google.protobuf",
    "kubernetes",
    "pluggy",
    "prometheus_client",
    "pydantic",
    "pynvml",
)
HEAVY += ("rich", "structlog", "yaml", "click")


def loaded_after(code: str) -> list[str]:
    """The heavy modules in a fresh interpreter after some code."""
    program = f"import sys\n{code}\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_importing_dracore_loads_nothing_heavy() -> None:
    assert loaded_after("import dracore") == []


def test_a_plugin_module_loads_only_pluggy() -> None:
    names = ", ".join(dracore.__all__)
    assert loaded_after(f"from dracore import {names}") == ["pluggy"]


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("dracore.cdi", {"pydantic", "yaml", "grpc", "kubernetes", "celpy"}),
        ("dracore.plugins", {"pydantic", "yaml", "grpc", "kubernetes", "celpy"}),
        ("dracore.config", {"grpc", "kubernetes", "celpy", "rich", "prometheus_client"}),
        ("dracore.inventory", {"grpc", "kubernetes", "celpy", "prometheus_client"}),
    ],
)
def test_layers_load_what_they_need(module: str, without: set[str]) -> None:
    assert not set(loaded_after(f"import {module}")) & without
