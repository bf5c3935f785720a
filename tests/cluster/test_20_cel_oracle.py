"""Scenario 20: our answers about selectors beside those of the library that Kubernetes itself is built on."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from realcluster.binaries import find_go, say_nothing

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "oracle"))

import cel_oracle as oracle
from expressions import DEVICES

EXPRESSIONS = int(os.environ.get("DRACORE_ORACLE_EXPRESSIONS", "5000"))
"""Of each seed; each is asked about every device."""
MUTATED = int(os.environ.get("DRACORE_ORACLE_MUTATED", "4000"))


@pytest.fixture(scope="module")
def program() -> Path:
    return oracle.build(find_go(say_nothing))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_generated_expressions(program: Path, seed: int) -> None:
    asked = [{**request, "devices": DEVICES} for request in oracle.requests(seed, EXPRESSIONS)]
    outcomes: Counter[str] = Counter()
    unexplained: list[str] = []
    for request, answer in zip(asked, oracle.ask(program, asked), strict=True):
        found = oracle.differences(request, answer, oracle.own(request))
        outcomes.update(found & set(oracle.EXPLAINED))
        outcomes["pairs"] += len(answer.get("matches", ()))
        outcomes["refused"] += "error" in answer
        unexplained += [f"{request['expression']}\n  {what}" for what in found - set(oracle.EXPLAINED)]
    print(dict(outcomes))
    assert not unexplained, f"{len(unexplained)} of {len(asked)}:\n" + "\n".join(unexplained[:20])


def test_derived_attributes(program: Path) -> None:
    """KEP-6080: what an attribute can be made of, in both environments, and how the rest is refused."""
    texts = (Path(oracle.HERE) / "derived.txt").read_text().splitlines()
    asked = [{"expression": text, "consumable": True, "derived": True, "devices": DEVICES} for text in texts]
    asked = [
        *({**request, "lists": True} for request in asked),
        *({**request, "lists": False, "new": True, "version": "1.36"} for request in asked),
    ]
    assert len(asked) > 100
    for request, answer in zip(asked, oracle.ask(program, asked), strict=True):
        assert not oracle.differences(request, answer, oracle.own(request)), request["expression"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mutated_expressions(program: Path, seed: int) -> None:
    """What the second generator makes (tests/fuzz): cut at tokens, of any types, with the odd literals."""
    written = [request["expression"] for request, _ in oracle.load()]
    asked = [{**request, "devices": DEVICES} for request in oracle.mutated(seed, MUTATED, written)]
    unexplained: list[str] = []
    outcomes: Counter[str] = Counter()
    for request, answer in zip(asked, oracle.ask(program, asked), strict=True):
        found = oracle.differences(request, answer, oracle.own(request))
        outcomes.update(found & set(oracle.EXPLAINED))
        unexplained += [f"{request['expression']}\n  {what}" for what in found - set(oracle.EXPLAINED)]
    print(len(asked), dict(outcomes))
    assert not unexplained, f"{len(unexplained)} of {len(asked)}:\n" + "\n".join(unexplained[:20])


def test_the_committed_answers_are_those_of_this_library(program: Path) -> None:
    """Whoever raises the version in go.mod records the answers anew."""
    recorded = oracle.load()
    answers = list(oracle.ask(program, (request for request, _ in recorded)))
    changed = [
        request["expression"]
        for (request, recorded_answer), answer in zip(recorded, answers, strict=True)
        if not _same(request["expression"], recorded_answer, answer)
    ]
    assert not changed, changed[:10]


def _same(expression: str, one: dict, other: dict) -> bool:
    """Equal but for costs that depend on the order in which Go runs over a map."""
    if one == other:
        return True
    return oracle.differences({"expression": expression}, one, {"static": 0, "matches": [], **other}) <= {
        "map order"
    }
