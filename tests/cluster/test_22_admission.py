"""Scenario 22: what `dracore simulate` refuses in a claim a real API server refuses for the same field."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from realcluster.api import ApiError
from realcluster.controlplane import ApiServer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "oracle" / "allocator"))

from admitted import LET_IN, REFUSED


def claim(devices: Any) -> Any:
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"devices": devices},
    }


@pytest.mark.parametrize("devices", LET_IN.values(), ids=LET_IN)
def test_the_api_server_lets_it_in(devices: Any, api_server: ApiServer) -> None:
    api_server.api.create(claim(devices), dry_run=True)


@pytest.mark.parametrize(("field", "devices"), REFUSED.values(), ids=REFUSED)
def test_the_api_server_refuses_it_for_the_field(field: str, devices: Any, api_server: ApiServer) -> None:
    with pytest.raises(ApiError) as refused:
        api_server.api.create(claim(devices), dry_run=True)
    assert re.search(rf"[ \[]{re.escape(f'spec.devices.{field}')}: ", refused.value.message)
