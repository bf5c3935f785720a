"""What an API server refuses is refused, and nothing else; `tests/cluster` asks a real one of the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from admitted import LET_IN, REFUSED

from dracore.allocate.documents import Source
from dracore.allocate.world import World
from dracore.errors import ConfigError

GROUP = "resource.k8s.io/v1"


def read(kind: str, spec: Any, **more: Any) -> World:
    item = {"apiVersion": GROUP, "kind": kind, "metadata": {"name": "a"}, "spec": spec, **more}
    return World().read(Source("file", json.dumps(item)))


@pytest.mark.parametrize("devices", LET_IN.values(), ids=LET_IN)
def test_it_is_let_in(devices: Any) -> None:
    read("ResourceClaim", {"devices": devices})
    read("ResourceClaimTemplate", {"spec": {"devices": devices}})


@pytest.mark.parametrize(("field", "devices"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_for_its_field(field: str, devices: Any) -> None:
    with pytest.raises(ConfigError) as refused:
        read("ResourceClaim", {"devices": devices})
    assert refused.value.what.startswith(f"spec.devices.{field}")
    assert refused.value.where == "file: document 1, line 1: ResourceClaim a"
    with pytest.raises(ConfigError, match=r"^spec\.spec\.devices|: spec\.spec\.devices"):
        read("ResourceClaimTemplate", {"spec": {"devices": devices}})


def test_a_claim_that_is_allocated_was_let_in_once() -> None:
    _, devices = REFUSED["a name with an underscore"]
    result = {"request": "R_r", "driver": "d", "pool": "p", "device": "a"}
    status = {"allocation": {"devices": {"results": [result]}}}
    assert read("ResourceClaim", {"devices": devices}, status=status).claims


def test_a_class_is_refused_too() -> None:
    wrong: list[Any] = [{"selectors": [{}]}, {"config": [{"opaque": {"driver": "d"}}]}]
    for spec in wrong:
        with pytest.raises(ConfigError, match="is required"):
            read("DeviceClass", spec)


def test_no_count_is_a_count_of_one() -> None:
    (claim,) = read("ResourceClaim", {"devices": LET_IN["no count"]}).claims.values()
    assert claim.wanted.groups[0].alternatives[0].count == 1
