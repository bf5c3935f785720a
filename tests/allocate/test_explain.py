"""What an explanation says is true: of clusters by lot, checked by asking the allocator again."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from clusters import Cluster

from dracore.allocate.allocator import Allocator
from dracore.allocate.documents import Source
from dracore.allocate.explain import Explainer, explain
from dracore.allocate.features import Features
from dracore.allocate.funnels import Explanation
from dracore.allocate.held import Held
from dracore.allocate.nodes import Node
from dracore.allocate.reasons import ORDER, Stage
from dracore.allocate.simulation import Simulation
from dracore.allocate.told import as_json
from dracore.allocate.wanted import WantedClaim
from dracore.allocate.world import StoredClaim, World

PARTS = 6
CLUSTERS = range(600)
LIMIT = 50_000


def refused(seed: int) -> tuple[Simulation, list[WantedClaim], Explanation] | None:
    """The first claim of a cluster with its explanation, where it is refused without an error."""
    cluster = Cluster(seed)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": cluster.objects})
    world = World().read(Source("cluster", text))
    simulation = Simulation(world, Features.of("1.37", cluster.gates), limit=LIMIT)
    claims = [item.wanted for item in world.queue if isinstance(item, StoredClaim) and item.results is None]
    claims = claims[: 1 + seed % 2]
    answers = [simulation.allocator.allocate(node, claims, simulation.held) for node in simulation.nodes]
    if any(answer.allocations is not None or answer.error for answer in answers):
        return None
    found = explain(
        simulation.allocator, simulation.nodes, claims, simulation.held, holders=simulation.holders
    )
    return simulation, claims, found


def fits(allocator: Allocator, nodes: list[Node], claims: list[WantedClaim], held: Held) -> bool:
    return any(allocator.allocate(node, claims, held).allocations is not None for node in nodes)


@pytest.mark.parametrize("part", range(PARTS))
def test_what_blocks_does_block_and_what_does_not_does_not(part: int) -> None:
    kinds: Counter[str] = Counter()
    for seed in CLUSTERS[part::PARTS]:
        found = refused(seed)
        if found is None:
            continue
        simulation, claims, explanation = found
        by_request: dict[tuple[str, str], list[bool]] = {}
        for funnel in explanation.funnels:
            key = funnel.claim, funnel.request.partition("/")[0]
            by_request.setdefault(key, []).append(funnel.blocks)
        for claim in claims:
            for group in claim.groups:
                alone = replace(claim, groups=(group,), constraints=())
                blocks = by_request[claim.title, group.name]
                assert len(set(blocks)) == 1, f"seed {seed}: alternatives of one request agree"
                if blocks[0] and not claim.constraints:
                    assert not fits(simulation.allocator, simulation.nodes, [alone], simulation.held), seed
                    kinds["blocks"] += 1
        if not any(map(any, by_request.values())):
            assert explanation.together, f"seed {seed}: some reason is given"
            kinds["together"] += 1
        assert explanation.summary
    assert kinds["blocks"] > 10
    assert kinds["together"] > 2


@pytest.mark.parametrize("part", range(PARTS))
def test_the_numbers_of_a_funnel_agree(part: int) -> None:
    for seed in CLUSTERS[part::PARTS]:
        found = refused(seed)
        if found is None:
            continue
        _, _, explanation = found
        for funnel in explanation.funnels:
            left = [funnel.left[stage] for stage in ORDER]
            assert left == sorted(left, reverse=True), f"seed {seed}"
            if not explanation.together:
                stopped = Counter(reason.stage for reason in funnel.reasons)
                before = left[0]
                for stage in ORDER[1:]:
                    assert before - funnel.left[stage] == stopped[stage], f"seed {seed}: {stage}"
                    before = funnel.left[stage]
            nearest = funnel.nearest
            assert nearest is None or nearest.device in {reason.device for reason in funnel.reasons}
            assert funnel.best <= funnel.left[Stage.COUNTERS]
        json.dumps(as_json(explanation, 100))


def test_a_constraint_that_is_blamed_is_the_one() -> None:
    blamed = 0
    for seed in (seed for seed in range(2_000) if Cluster(seed).theme == "constraints"):
        found = refused(seed)
        if found is None:
            continue
        simulation, claims, explanation = found
        if not explanation.together or "must have" not in explanation.together[0].told:
            continue
        free: list[Any] = [replace(claim, constraints=()) for claim in claims]
        assert fits(simulation.allocator, simulation.nodes, free, simulation.held), f"seed {seed}"
        blamed += 1
    assert blamed >= 3


@pytest.mark.parametrize("limit", [2, 2_000])
def test_what_is_remembered_says_what_a_fresh_look_says(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Claim after claim is refused, and something is taken in between."""
    monkeypatch.setattr("dracore.allocate.looks.REASONS_LIMIT", limit)
    remembered, compared = Explainer.explain, []

    def both(self: Explainer, nodes: Any, claims: Any, error: str = "") -> Explanation:
        found = remembered(self, nodes, claims, error)
        fresh = Explainer(self._allocator, self._held, self._holders, self._without)
        assert found == remembered(fresh, nodes, claims, error)
        compared.append(found)
        return found

    monkeypatch.setattr(Explainer, "explain", both)
    for seed in range(300, 345):
        cluster = Cluster(seed)
        objects = list(cluster.objects)
        waiting = [
            item for item in cluster.objects if item["kind"] == "ResourceClaim" and "status" not in item
        ]
        for number in range(3):
            for item in waiting:
                meta = {**item["metadata"], "name": f"{item['metadata']['name']}-{number}"}
                objects.append({**item, "metadata": meta})
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        world = World().read(Source("cluster", text))
        Simulation(world, Features.of("1.37", cluster.gates), limit=20_000, thorough=True).run()
    assert len(compared) > 150
    assert any(
        "team/" in reason.text for one in compared for funnel in one.funnels for reason in funnel.reasons
    )
