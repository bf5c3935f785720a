"""Scenario 21: the allocator beside the library that the scheduler is built on, and the scheduler itself."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from realcluster.api import Api, ApiError
from realcluster.binaries import find_go
from realcluster.cluster import Cluster
from realcluster.process import wait_for

ORACLE = Path(__file__).resolve().parent.parent / "oracle" / "allocator"
sys.path.insert(0, str(ORACLE))

from cases import case as generated  # noqa: E402
from cases import derived_case  # noqa: E402
from compare import ask, plain  # noqa: E402
from handmade import CASES as HANDMADE  # noqa: E402
from handmade import Case  # noqa: E402
from oracle import Oracle, build  # noqa: E402
from simulated import SIMULATED  # noqa: E402

from dracore.allocate.documents import Source  # noqa: E402
from dracore.allocate.features import Features  # noqa: E402
from dracore.allocate.outcomes import Outcome  # noqa: E402
from dracore.allocate.simulation import Simulation  # noqa: E402
from dracore.allocate.world import World  # noqa: E402

JSON = Any
GENERATED = range(3_600)
PARTS = 4
NAMESPACE = "allocations"
CASES: list[Case] = [*HANDMADE, *SIMULATED]
EASY = 3_000_000
"""Devices that we may try for one case; the library has five seconds."""


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with Oracle(build(str(find_go(print)))) as running:
        yield running


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_generated_cases_as_the_library_answers_them(oracle: Oracle, part: int) -> None:
    kinds: Counter[str] = Counter()
    for seed in GENERATED[part::PARTS]:
        asked = generated(seed)
        theirs = oracle.ask(asked)
        if theirs.get("gaveUp"):
            kinds["given up by the library"] += 1
            continue
        ours = ask(asked, EASY)
        if ours.get("gaveUp"):
            kinds["given up by us"] += 1
            continue
        assert plain(ours) == plain(theirs), f"seed {seed}"
        kinds["error" if theirs.get("error") else "fits" if theirs["allocations"] else "refused"] += 1
    print(dict(kinds))
    compared = kinds["error"] + kinds["fits"] + kinds["refused"]
    assert compared >= 3_000 / PARTS
    assert kinds["fits"] >= compared / 4
    assert kinds["given up by us"] <= compared / 500


@pytest.mark.timeout(300)
def test_derived_attributes_as_the_library_compares_them(oracle: Oracle) -> None:
    kinds: Counter[str] = Counter()
    for seed in range(2_000):
        asked = derived_case(seed)
        theirs = oracle.ask({**asked, "seconds": 1})
        ours = ask(asked, EASY) if not theirs.get("gaveUp") else {"gaveUp": True}
        if not ours.get("gaveUp"):
            assert plain(ours) == plain(theirs), f"seed {seed}"
            failed = "derived attribute" in theirs.get("error", "")
            kinds["failed" if failed else "fits" if theirs["allocations"] else "other"] += 1
    print(dict(kinds))
    assert min(kinds["failed"], kinds["fits"]) >= 100


def test_operations_to_skip_count_in_the_variant_that_knows_them(oracle: Oracle) -> None:
    """With the gates of 1.37 the library picks a variant that passes over `skipNodeOperations` (KEP-5945)."""
    asked = next(one for one in map(generated, range(10_000)) if _differs(oracle, one))
    released = oracle.ask({**asked, "variant": "incubating"})
    assert plain(ask(asked)) == plain(released) != plain(oracle.ask({**asked, "variant": "experimental"}))
    on = {**asked, "features": {**asked["features"], "OptionalNodeOperations": True}}
    assert plain(ask(on)) == plain(oracle.ask({**on, "variant": ""}))


def _differs(oracle: Oracle, asked: JSON) -> bool:
    features = asked["features"]
    later = ("CompatibilityGroups", "ListTypeAttributes", "OptionalNodeOperations")
    if any(features[name] for name in later) or "skipNodeOperations" not in repr(asked["slices"]):
        return False
    variants = (plain(oracle.ask({**asked, "variant": name})) for name in ("incubating", "experimental"))
    return len({repr(one) for one in variants}) == 2


# ------------------------------------------------------------------- the scheduler


@pytest.fixture(scope="module")
def scheduled(cluster: Cluster) -> Iterator[Api]:
    """All cases at once in the cluster, each on a node of its own, and every pod decided on."""
    api = cluster.api
    made: list[tuple[str, str, str | None]] = []

    def create(thing: JSON) -> None:
        kind = thing["kind"] if thing["kind"] != "DeviceTaintRule" else "resource.k8s.io/v1/DeviceTaintRule"
        api.create(thing)
        made.append((kind, thing["metadata"]["name"], thing["metadata"].get("namespace")))

    labels = {"resource.kubernetes.io/admin-access": "true"}
    create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
    wait_for("the service account", lambda: api.find("v1/ServiceAccount", "default", NAMESPACE), 30)
    try:
        for one in CASES:
            create(one.node_object())
            room = {"pods": "10", "cpu": "8", "memory": "8Gi"}
            api.patch("Node", one.node, {"status": {"capacity": room}}, subresource="status")
            create(one.class_object())
            for thing in (*one.slice_objects(), one.rule_object()):
                if thing is not None:
                    create(thing)
            _create_held(api, one.held_object(NAMESPACE), create)
            for claim in one.claim_objects(NAMESPACE):
                create(claim)
        for one in CASES:
            create(one.pod_object(NAMESPACE))
        wait_for("the scheduler's decisions", lambda: not _undecided(api), timeout=120, every=1)
        yield api
    finally:
        for kind, name, namespace in reversed(made):
            _remove(api, kind, name, namespace)


def _create_held(api: Api, claim: JSON, create: Any) -> None:
    if claim is None:
        return
    create(claim)
    name = claim["metadata"]["name"]
    stored = api.get("ResourceClaim", name, NAMESPACE)
    stored["status"] = claim["status"]
    path = f"/apis/resource.k8s.io/v1/namespaces/{NAMESPACE}/resourceclaims/{name}/status"
    api.request("PUT", path, stored)


def _remove(api: Api, kind: str, name: str, namespace: str | None) -> None:
    if kind == "ResourceClaim":
        try:
            api.patch(kind, name, {"metadata": {"finalizers": None}}, namespace=namespace)
        except ApiError as error:
            # Gone, or just being taken away by its controller.
            if error.status not in (404, 409, 422):
                raise
    api.delete(kind, name, namespace, grace=0)


def _claims_of(api: Api, case: Case, every: list[JSON] | None = None) -> list[JSON]:
    """The claims of the case's pod, the scheduler's own among them."""
    names = [claim["metadata"]["name"] for claim in case.claim_objects(NAMESPACE)]
    every = every or api.list("ResourceClaim", NAMESPACE)
    if not case.extended:
        return [claim for name in names for claim in every if claim["metadata"]["name"] == name]
    return [
        claim
        for claim in every
        if any(owner["name"] == case.name for owner in claim["metadata"].get("ownerReferences", ()))
    ]


def _undecided(api: Api) -> list[str]:
    """The cases that are neither allocated nor refused with a reason."""
    claims = api.list("ResourceClaim", NAMESPACE)
    refused = {
        pod["metadata"]["name"]
        for pod in api.list("Pod", NAMESPACE)
        for condition in pod.get("status", {}).get("conditions", ())
        if condition["type"] == "PodScheduled"
        and condition["status"] == "False"
        and condition.get("reason") in ("Unschedulable", "SchedulerError")
    }
    return [
        case.name
        for case in CASES
        if case.name not in refused
        and not any(claim.get("status", {}).get("allocation") for claim in _claims_of(api, case, claims))
    ]


def _simulated(api: Api, case: Case) -> list[Outcome]:
    """What dracore does with the objects as the API server has them, before the scheduler came."""
    items: list[JSON] = [{"apiVersion": "v1", "kind": "Node", **api.get("Node", case.node)}]
    version = {"apiVersion": "resource.k8s.io/v1"}
    for one in CASES:  # slices of all cases: those of others must not matter
        items += [
            {**api.get("ResourceSlice", thing["metadata"]["name"]), **version}
            for thing in one.slice_objects()
        ]
        items.append({**api.get("DeviceClass", one.name), **version})
    for thing in filter(None, (case.held_object(NAMESPACE), case.rule_object())):
        items.append(thing)
    for claim in case.claim_objects(NAMESPACE):
        stored = api.get("ResourceClaim", claim["metadata"]["name"], NAMESPACE)
        stored.pop("status", None)
        items.append({**stored, **version})
    pod = api.get("Pod", case.name, NAMESPACE)
    pod["spec"].pop("nodeName", None)
    pod.pop("status", None)
    items.append({**pod, "apiVersion": "v1", "kind": "Pod"})
    for item in items:
        item.setdefault("kind", _kind(item))
    content = {"apiVersion": "v1", "kind": "List", "items": items}
    world = World().read(Source(case.name, json.dumps(content)))
    return Simulation(world, Features()).run()


def _kind(item: JSON) -> str:
    spec = item["spec"]
    if "driver" in spec:
        return "ResourceSlice"
    return "ResourceClaim" if "devices" in spec else "DeviceClass"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_scheduler_gives_the_same_devices_or_refuses(scheduled: Api, case: Case) -> None:
    claims = [claim.get("status", {}).get("allocation") for claim in _claims_of(scheduled, case)]
    outcomes = _simulated(scheduled, case)
    ours = [outcome.allocation.json() if outcome.allocation else None for outcome in outcomes]
    if not case.fits:
        assert not any(claims)
        assert ours
        assert not any(ours)
        return
    for allocation in claims:
        assert allocation is not None
        allocation.pop("allocationTimestamp", None)
    assert plain({"allocations": ours}) == plain({"allocations": claims})


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 40
    assert sum(not case.fits for case in CASES) >= 10
    assert len(SIMULATED) >= 10
    assert {case.fits for case in SIMULATED} == {True, False}
