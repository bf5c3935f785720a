"""The docs are complete and true: hooks, settings, commands, links, and the code of the guide."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from pydantic import BaseModel

from dracore import Device, Present, hookspecs
from dracore.cli.app import COMMANDS, app
from dracore.config import NodeConfiguration, parse, settings_model
from dracore.plugins import Plugins

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
HOOKS = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("dra_")}


def text(name: str) -> str:
    return (DOCS / name).read_text()


def sections(name: str) -> dict[str, str]:
    """Headings of a page to what stands below each."""
    parts = re.split(
        r"^#+ (.+)$",
        re.sub(r"^```.*?^```$", "", text(name), flags=re.MULTILINE | re.DOTALL),
        flags=re.MULTILINE,
    )
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text(name), flags=re.MULTILINE | re.DOTALL)


# --- hooks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_described_with_its_arguments(hook: str) -> None:
    below = sections("hooks.md").get(hook)
    assert below is not None, f"docs/hooks.md has no section {hook}"
    arguments = ", ".join(inspect.signature(HOOKS[hook]).parameters)
    assert below.strip().startswith(f"`{hook}({arguments})`")
    assert len(below.split("`", 2)[2].split()) > 5, f"docs/hooks.md says nothing about {hook}"


def test_no_hook_is_described_that_is_not_there() -> None:
    described = {heading for heading in sections("hooks.md") if heading.startswith("dra_")}
    assert described == set(HOOKS)
    for page in DOCS.glob("*.md"):
        # A name with a star or a prefix of its own is no hook.
        assert set(re.findall(r"`(dra_[a-z_]+)`", page.read_text())) <= set(HOOKS), page


def test_every_member_of_the_contexts_is_described() -> None:
    from dracore import ClaimContext

    members = {
        name
        for base in ClaimContext.__mro__
        for name in {**vars(base), **getattr(base, "__annotations__", {})}
    }
    public = {name for name in members if not name.startswith("_")}
    assert public == set(re.findall(r"`ctx\.(\w+)", sections("hooks.md")["What hooks are given"]))


def test_the_effect_of_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks("hooks.md", "python")
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


# --- settings -------------------------------------------------------------------------------------------


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


def rows(section: str) -> dict[str, tuple[str, str]]:
    """The rows of a table of settings: default and text by name."""
    found = re.findall(
        r"^\| `([^`]+)` \|([^|]*)\|(.*)\|$", sections("configuration.md")[section], flags=re.MULTILINE
    )
    return {name: (default.strip().strip("`"), what.strip()) for name, default, what in found}


def written(info: Any) -> str:
    default = info.get_default(call_default_factory=False)
    if info.is_required():
        return ""
    return {"None": "null", "()": "[]"}.get(str(default), str(default))


def test_every_setting_is_described_with_its_default() -> None:
    described = rows("Settings")
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
def test_every_setting_of_a_bundled_plugin_is_described(plugin: str) -> None:
    model = settings_model(Plugins.load({plugin: None}), plugin)
    assert model is not None
    described = rows(f"plugins.{plugin}")
    settings = dict(leaves(model))
    assert set(described) == set(settings)
    for name, info in settings.items():
        assert described[name][0] == written(info), name
        assert described[name][1], name


def test_the_configuration_of_the_page_is_valid() -> None:
    (example,) = blocks("configuration.md", "yaml")
    loaded = parse(example, "page", {"NODE_NAME": "node-1"})
    assert loaded.configuration.observe.port == 9440


# --- commands -------------------------------------------------------------------------------------------


def commands() -> Iterator[str]:
    context = click.Context(app)
    for name in COMMANDS:
        command = app.get_command(context, name)
        assert command is not None
        yield name
        if isinstance(command, click.Group):
            yield from (f"{name} {inner}" for inner in command.list_commands(context))


def test_every_command_is_described() -> None:
    pages = "".join(page.read_text() for page in DOCS.glob("*.md"))
    missing = [name for name in commands() if f"dracore {name}" not in pages]
    assert not missing


# --- links ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        path = (DOCS / file) if file else DOCS / page
        assert path.exists(), target
        if anchor:
            slugs = {
                re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
                for heading in re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
            }
            assert anchor in slugs, target


# --- the guide ------------------------------------------------------------------------------------------


def test_the_guide_grows_the_example_plugin(tmp_path: Path) -> None:
    """Each block runs after the ones before it; the last form of every part is the file of the example."""
    space: dict[str, Any] = {"__name__": "nics"}
    steps = blocks("authoring.md", "python")
    found: list[list[Device]] = []
    (tmp_path / "eth0").mkdir()
    (tmp_path / "eth0/mtu").write_text("1500\n")
    for step in steps:
        exec(step, space)
        space["INTERFACES"] = tmp_path
        found.append(list(space["dra_discover"](None)))
    assert found[0] == [Device("eth0")]
    wanted = Device("eth0", "nic", attributes={"interface": "eth0", "virtual": True, "mtu": 1500})
    assert found[1] == found[2] == [wanted]
    assert space["dra_prepare"](wanted).edits.env == {"NIC_ETH0": "eth0"}
    example = (ROOT / "examples/plugins/nics/nics.py").read_text()
    head = steps[0].split("@hookimpl")[0]
    for part in (head, *steps[1:]):
        assert part.strip() in example
    rest = example
    for part in (head, *steps[1:]):
        rest = rest.replace(part.strip(), "")
    assert rest.strip() == '"""A DRA driver for the network interfaces of this machine, read from sysfs."""'


def test_the_package_of_the_guide_is_that_of_the_example() -> None:
    (package,) = blocks("authoring.md", "toml")
    assert package == (ROOT / "examples/plugins/nics/pyproject.toml").read_text()
