"""One case or more for each feature, as `tests/cluster` gives them to the real scheduler."""

from __future__ import annotations

import json

import pytest
from handmade import CASES, Case
from simulated import SIMULATED

from dracore.allocate.documents import Source
from dracore.allocate.features import GATES, RELEASES, Features
from dracore.allocate.outcomes import Outcome
from dracore.allocate.simulation import Simulation
from dracore.allocate.world import World


def simulate(case: Case, features: Features | None = None) -> list[Outcome]:
    items = [case.held_object("ns"), case.node_object(), case.class_object(), *case.slice_objects()]
    items += [*case.claim_objects("ns"), case.rule_object(), case.pod_object("ns")]
    content = {"apiVersion": "v1", "kind": "List", "items": [item for item in items if item]}
    world = World().read(Source(case.name, json.dumps(content)))
    return Simulation(world, features or Features()).run()


HERE = [*CASES, *(case for case in SIMULATED if case.hardware == "dgx-h100")]
"""The cluster tier has the other hardware too."""


@pytest.mark.parametrize("case", HERE, ids=lambda case: case.name)
def test_it_fits_where_its_author_says_so(case: Case) -> None:
    outcomes = simulate(case)
    assert outcomes
    assert all((outcome.allocation is not None) == case.fits for outcome in outcomes)
    assert all(bool(outcome.reason) != case.fits for outcome in outcomes)


GATED = {
    "DRAAdminAccess": ("admin",),
    "DRAPrioritizedList": ("first-b", "first-back"),
    "DRAPartitionableDevices": ("counters", "per-device"),
    "DRAConsumableCapacity": ("share", "share-two", "whole-size"),
    "DRADeviceBindingConditions": ("bind",),
    "DRAResourceClaimDeviceStatus": ("bind",),
    "DRAExtendedResource": ("extended",),
}
"""Gates, and cases that need nothing else that is off by default in some release."""


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(("gate", "names"), GATED.items(), ids=GATED)
def test_a_gate_gives_its_feature_and_takes_it_away(gate: str, names: tuple[str, ...], release: str) -> None:
    default = GATES[gate][1][RELEASES.index(release)]
    both = {"DRADeviceBindingConditions": True, "DRAResourceClaimDeviceStatus": True}
    needs = both if gate in both else {}
    for case in (case for case in CASES if case.name in names):
        for on in (True, False):
            outcomes = simulate(case, Features.of(release, {**needs, gate: on}))
            assert any(outcome.allocation for outcome in outcomes) == on
        if gate != "DRAResourceClaimDeviceStatus":
            outcomes = simulate(case, Features.of(release))
            assert any(outcome.allocation for outcome in outcomes) == default


def test_taints_count_only_where_their_gate_is_on() -> None:
    case = next(case for case in CASES if case.name == "taint-none")
    assert simulate(case, Features.of("1.35"))[0].allocation is not None
    rule = next(case for case in CASES if case.name == "rule")
    picked = {release: simulate(rule, Features.of(release))[0].allocation for release in ("1.36", "1.37")}
    devices = {release: found.results[0].device.device for release, found in picked.items() if found}
    assert devices == {"1.36": "d0", "1.37": "d1"}
