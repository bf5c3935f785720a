from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dracore.kube.client import KubeClient
from dracore.testing.apiserver import EmbeddedAPI

Object = dict[str, Any]
DRIVER = "gpu.example.com"


def make_slice(name: str = "s1", node: str = "node-1", **spec: Any) -> Object:
    content = {
        "driver": DRIVER,
        "nodeName": node,
        "pool": {"name": node, "generation": 1, "resourceSliceCount": 1},
        "devices": [{"name": "gpu-0"}],
        **spec,
    }
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": name},
        "spec": {key: value for key, value in content.items() if value is not None},
    }


def make_claim(
    name: str = "c1",
    devices: tuple[str, ...] = ("gpu-0",),
    *,
    driver: str = DRIVER,
    pods: tuple[str, ...] = (),
    allocated: bool = True,
    pool: str = "node-1",
) -> Object:
    """A claim with one request a device, allocated to them and reserved for pods by uid."""
    requests = [
        {"name": f"r{i}", "exactly": {"deviceClassName": "gpu.example.com"}} for i in range(len(devices))
    ]
    claim: Object = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"devices": {"requests": requests}},
    }
    if allocated:
        results = [
            {"request": f"r{i}", "driver": driver, "pool": pool, "device": device}
            for i, device in enumerate(devices)
        ]
        claim["status"] = {"allocation": {"devices": {"results": results}}}
        if pods:
            claim["status"]["reservedFor"] = [{"resource": "pods", "name": uid, "uid": uid} for uid in pods]
    return claim


class Objects:
    slice = staticmethod(make_slice)
    claim = staticmethod(make_claim)
    driver = DRIVER


@pytest.fixture
def objects() -> type[Objects]:
    return Objects


@pytest.fixture
def client(embedded_api: EmbeddedAPI) -> Iterator[KubeClient]:
    found = KubeClient.to_url(embedded_api.url, user_agent="tester")
    yield found
    found.close()
