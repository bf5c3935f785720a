"""The blocks of code on the pages work: Python runs, YAML is what it says it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dracore import Device
from dracore.config import parse
from dracore.testing.apiserver import EmbeddedAPI

ELSEWHERE = {
    "hooks.md": {"python": 1},  # test_hooks.py
    "selectors.md": {"python": 1, "cel": 1},  # tests/selectors
    "authoring.md": {"python": 4, "toml": 1},  # below
}
"""Blocks that other tests run; console lines are read by test_commands.py, YAML here."""


def test_no_block_is_without_a_test(page: Any) -> None:
    found: dict[str, int] = {}
    for language in re.findall(r"^```(\w*)\n.*?^```$", page.text, flags=re.MULTILINE | re.DOTALL):
        found[language] = found.get(language, 0) + 1
    others = {language: count for language, count in found.items() if language not in ("yaml", "console")}
    assert others == ELSEWHERE.get(page.path.name, {})


def test_every_yaml_block_is_taken(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node configuration, whole or in part, by the parser; objects by an API server."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples/plugins/nics")
    api = EmbeddedAPI()
    for block in page.blocks("yaml"):
        documents = [document for document in yaml.safe_load_all(block) if document]
        if any(document.get("apiVersion", "dracore").startswith("dracore") for document in documents):
            (settings,) = documents
            settings.setdefault("node", "node-1")
            settings.setdefault("plugins", {"nvidia_gpu": {}})
            if "nics" in settings["plugins"]:  # not installed here; tests/examples does that
                settings["plugins"] = {"nvidia_gpu": {}}
            parse(yaml.safe_dump(settings), "page", {"NODE_NAME": "node-1"})
        else:
            for document in documents:
                api.create(document)


def test_the_guide_grows_the_example_plugin(docs: Any, tmp_path: Path) -> None:
    """Each block runs after the ones before it; the last form of every part is the file of the example."""
    space: dict[str, Any] = {"__name__": "nics"}
    *steps, proof = docs["authoring.md"].blocks("python")
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
    head = steps[0].split("@hookimpl")[0]
    example = docs.root / "examples/plugins/nics"
    assert without_docstring(example / "nics.py") == "\n\n\n".join(
        part.strip() for part in (head, *steps[1:])
    )
    assert without_docstring(example / "test_nics.py") == proof.strip()  # tests/examples runs it


def without_docstring(path: Path) -> str:
    return path.read_text().split("\n", 1)[1].strip()


def test_the_package_of_the_guide_is_that_of_the_example(docs: Any) -> None:
    (package,) = docs["authoring.md"].blocks("toml")
    assert package == (docs.root / "examples/plugins/nics/pyproject.toml").read_text()
