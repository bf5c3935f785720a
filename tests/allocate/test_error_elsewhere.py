"""A node whose filter ends with an error takes the pod from all others: the scheduler filters every node."""

from __future__ import annotations

import json
from typing import Any

from dracore.allocate.documents import Source
from dracore.allocate.features import Features
from dracore.allocate.outcomes import Outcome
from dracore.allocate.simulation import Simulation
from dracore.allocate.world import World

GROUP = "resource.k8s.io/v1"
DRIVER = "gpu.example.com"
HAS_X = f"device.attributes['{DRIVER}'].x == 1"


def node(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec}


def published(name: str, attributes: dict[str, Any], of: int = 1) -> dict[str, Any]:
    pool = {"name": name, "generation": 1, "resourceSliceCount": of}
    devices = [{"name": f"{name}-gpu", "attributes": attributes}]
    spec = {"driver": DRIVER, "pool": pool, "nodeName": name, "devices": devices}
    return {"apiVersion": GROUP, "kind": "ResourceSlice", "metadata": {"name": name}, "spec": spec}


def simulate(*items: dict[str, Any], selectors: tuple[str, ...] = (), **request: Any) -> Outcome:
    body = {"deviceClassName": "gpu", **request}
    body["selectors"] = [{"cel": {"expression": text}} for text in selectors]
    claim = {
        "apiVersion": GROUP,
        "kind": "ResourceClaim",
        "metadata": {"name": "c", "namespace": "ns"},
        "spec": {"devices": {"requests": [{"name": "r", "exactly": body}]}},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "ns"},
        "spec": {"resourceClaims": [{"name": "r", "resourceClaimName": "c"}]},
    }
    device_class = {"apiVersion": GROUP, "kind": "DeviceClass", "metadata": {"name": "gpu"}, "spec": {}}
    content = {"apiVersion": "v1", "kind": "List", "items": [*items, device_class, claim, pod]}
    (outcome,) = Simulation(World().read(Source("case", json.dumps(content))), Features()).run()
    return outcome


X, Y = {"x": {"int": 1}}, {"y": {"int": 1}}


def test_a_selector_that_fails_on_a_later_node_ends_the_attempt() -> None:
    outcome = simulate(node("n1"), node("n2"), published("n1", X), published("n2", Y), selectors=(HAS_X,))
    assert outcome.allocation is None
    assert f"selector #0 on device {DRIVER}/n2/n2-gpu: CEL runtime error" in outcome.reason


def test_all_devices_and_a_pool_of_a_later_node_that_is_being_updated() -> None:
    outcome = simulate(
        node("n1"), node("n2"), published("n1", X), published("n2", X, of=2), allocationMode="All"
    )
    assert outcome.allocation is None
    assert f"resource pool {DRIVER}/n2 is currently being updated" in outcome.reason


def test_a_node_that_is_closed_to_the_pod_is_not_filtered_so_far() -> None:
    closed = node("n2", taints=[{"key": "k", "effect": "NoSchedule"}])
    outcome = simulate(node("n1"), closed, published("n1", X), published("n2", Y), selectors=(HAS_X,))
    assert outcome.node == "n1"


def test_a_node_that_merely_has_too_little_changes_nothing() -> None:
    outcome = simulate(node("n1"), node("n2"), published("n1", X), selectors=(HAS_X,))
    assert outcome.node == "n1"
