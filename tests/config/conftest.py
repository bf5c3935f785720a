from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

Find = Callable[[str], Iterable[EntryPoint]]

PLUGINS = {
    "gpus": """
from pathlib import Path
from pydantic import BaseModel, Field
from dracore import hookimpl

class Limits(BaseModel):
    watts: int = 300

class Settings(BaseModel):
    driverRoot: Path = Path("/")
    limits: Limits = Limits()
    names: list[str] = []
    poll: int = Field(default=5, json_schema_extra={"reload": True})

@hookimpl
def dra_driver(): return "gpu.example.com"
@hookimpl
def dra_settings(): return Settings
@hookimpl
def dra_discover(ctx): ...
@hookimpl
def dra_prepare(ctx): ...
""",
    "plain": """
from dracore import hookimpl
@hookimpl
def dra_driver(): return "plain.example.com"
@hookimpl
def dra_discover(ctx): ...
@hookimpl
def dra_prepare(ctx): ...
""",
    "broken": "import nosuchmodule",
    "wrong": """
from dracore import hookimpl
@hookimpl
def dra_driver(): return "wrong.example.com"
@hookimpl
def dra_settings(): return dict
@hookimpl
def dra_discover(ctx): ...
@hookimpl
def dra_prepare(ctx): ...
""",
    "refusing": """
from dracore import DracoreError, hookimpl
@hookimpl
def dra_driver(): return "refusing.example.com"
@hookimpl
def dra_check_simulation(simulation):
    if simulation.node != "y":
        raise DracoreError(f"I know no {simulation.node}", fix="take y")
@hookimpl
def dra_discover(ctx): ...
@hookimpl
def dra_prepare(ctx): ...
""",
}


class _Point(EntryPoint):
    def load(self) -> ModuleType:
        module = ModuleType(f"made_{self.name}")
        sys.modules[module.__name__] = module
        exec(PLUGINS[self.name], module.__dict__)
        return module


@pytest.fixture
def find() -> Find:
    """Entry points of a few plugins made here."""
    points = [
        _Point(name, f"made_{name}", "dracore.plugins")
        for name in PLUGINS
        if name not in ("wrong", "refusing")
    ]
    return lambda group: points if group == "dracore.plugins" else ()


@pytest.fixture
def find_wrong() -> Find:
    return lambda group: [_Point("wrong", "made_wrong", group)] if group == "dracore.plugins" else ()


@pytest.fixture
def find_refusing() -> Find:
    return lambda group: [_Point("refusing", "made_refusing", group)] if group == "dracore.plugins" else ()
