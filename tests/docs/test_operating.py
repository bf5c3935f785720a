"""Every metric and event is described, and the messages that the pages explain are really said."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dracore
from dracore.observe.metrics import COUNTERS, DURATION, GAUGES

PACKAGE = Path(dracore.__file__).parent
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "testing" not in path.parts)


def test_every_metric_is_described_with_its_labels(docs: Any) -> None:
    described = {}
    for names, what in docs["operating.md"].rows("Health"):
        assert what
        labels = re.findall(r"\{(.*?)\}", names)[0]
        described.update(dict.fromkeys(re.findall(r"`dracore_(\w+)`", names), tuple(labels.split(", "))))
    assert described == {spec.name: spec.labels for spec in (*COUNTERS.values(), *GAUGES.values(), DURATION)}


def reasons() -> Iterator[str]:
    """The first argument of every call of `event`, and of those that hand a reason on to one."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", "")
                yield from (
                    argument.value
                    for argument in node.args[:3]
                    if isinstance(argument, ast.Constant)
                    and isinstance(argument.value, str)
                    and (name == "event" or name.startswith("_"))
                    and re.fullmatch(r"(?:[A-Z][a-z]+){2,}", argument.value)
                )


def test_every_reason_of_an_event_is_described(docs: Any) -> None:
    described: set[str] = set()
    for names, what in docs["operating.md"].rows("Events"):
        assert what
        described.update(re.findall(r"`(\w+)`", names))
    assert described == set(reasons())


def texts() -> str:
    """All texts of the program, with … where a value goes."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                found.append("".join(map(str, parts)))
    return "\n".join(found)


def test_every_message_that_is_explained_is_said(docs: Any) -> None:
    said = texts()
    sections = ("Messages in a pod's events", "Not as it should be (`dracore status`)")
    messages = [row[0] for section in sections for row in docs["operating.md"].rows(section)]
    for quoted in re.findall(r"`([^`]+)`", " ".join(messages)):
        for fragment in filter(None, (part.strip() for part in quoted.split("…"))):
            assert fragment in said, quoted
