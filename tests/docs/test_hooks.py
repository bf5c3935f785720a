"""Every hook, what it is given and what it may answer is described."""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import dracore
from dracore import ClaimContext, Present, hookspecs

HOOKS = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("dra_")}


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_described_with_its_arguments(hook: str, docs: Any) -> None:
    below = docs["hooks.md"].sections().get(hook)
    assert below is not None, f"docs/hooks.md has no section {hook}"
    arguments = ", ".join(inspect.signature(HOOKS[hook]).parameters)
    assert below.strip().startswith(f"`{hook}({arguments})`")
    assert len(below.split("`", 2)[2].split()) > 5, f"docs/hooks.md says nothing about {hook}"


def test_no_hook_is_described_that_is_not_there(docs: Any) -> None:
    described = {heading for heading in docs["hooks.md"].sections() if heading.startswith("dra_")}
    assert described == set(HOOKS)
    # A name with a star or a prefix of its own is no hook.
    assert set(re.findall(r"`(dra_[a-z_]+)`", docs.everything())) <= set(HOOKS)


def test_every_member_of_the_contexts_is_described(docs: Any) -> None:
    members = {
        name
        for base in ClaimContext.__mro__
        for name in {**vars(base), **getattr(base, "__annotations__", {})}
    }
    public = {name for name in members if not name.startswith("_")}
    assert public == set(re.findall(r"`ctx\.(\w+)", docs["hooks.md"].sections()["What hooks are given"]))


def test_the_effect_of_the_page_works(docs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = docs["hooks.md"].blocks("python")
    page = ModuleType("page")  # dataclasses look their module up
    monkeypatch.setitem(sys.modules, "page", page)
    space = vars(page)
    exec(code, space)
    effect = space["Governor"]("cpu0", "performance")
    file = tmp_path / "governor"
    file.write_text("powersave\n")
    monkeypatch.setattr(type(effect), "_file", file)
    before = effect.before(None)
    effect.apply(None, before)
    assert file.read_text() == "performance"
    assert effect.probe(None) == Present()
    effect.revert(None, before, None)
    assert file.read_text() == "powersave"
    assert space["dra_effects"]() == [type(effect)]
    assert type(effect).decode(json.loads(json.dumps(effect.params()))) == effect


def test_every_public_name_is_described(docs: Any) -> None:
    text = docs["hooks.md"].text + docs["authoring.md"].text
    missing = [name for name in dracore.__all__ if not re.search(rf"\b{name}\b", text)]
    assert not missing
