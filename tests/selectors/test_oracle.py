"""Ours against what Kubernetes 1.37 answered to the same expressions over the same devices."""

from __future__ import annotations

from collections import Counter

import cel_oracle as oracle
import pytest


def test_every_recorded_answer_is_ours_too() -> None:
    recorded = oracle.load()
    assert len(recorded) >= 2000
    unexplained: list[str] = []
    counts: Counter[str] = Counter()
    for request, answer in recorded:
        found = oracle.differences(request, answer, oracle.own(request))
        counts.update(found & set(oracle.EXPLAINED))
        unexplained += [f"{request['expression']}\n  {what}" for what in found - set(oracle.EXPLAINED)]
    assert not unexplained, "\n".join(unexplained[:20])
    # What is explained is rare: most answers are equal to the last unit of cost.
    assert sum(counts.values()) < len(recorded) / 20, counts


def test_the_recorded_answers_hold_every_outcome() -> None:
    answers = [answer for _, answer in oracle.load()]
    matches = [match for answer in answers for match in answer.get("matches", ())]
    assert sum("error" in answer for answer in answers) > 300
    assert sum(match.get("match", False) for match in matches) > 1000
    assert sum("error" in match for match in matches) > 1000
    assert sum("error" not in match and not match.get("match") for match in matches) > 1000


@pytest.mark.parametrize("name", sorted(oracle.EXPLAINED))
def test_explanations_are_sentences(name: str) -> None:
    assert len(oracle.EXPLAINED[name]) > 40
