"""Claims that are allocated already, written straight into the API server as the scheduler would."""

from __future__ import annotations

from typing import Any

from dracore.kube.client import KubeClient

NAMESPACE = "default"
PATH = f"/apis/resource.k8s.io/v1/namespaces/{NAMESPACE}/resourceclaims"


def create(api: KubeClient, name: str, driver: str, pool: str, device: str) -> dict[str, Any]:
    """One claim for one device of `pool`, allocated and without a finalizer."""
    body = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": driver}}]}},
    }
    claim = api.create(PATH, body)
    result = {"request": "r", "driver": driver, "pool": pool, "device": device}
    claim["status"] = {"allocation": {"devices": {"results": [result]}}}
    return api.update(f"{PATH}/{name}/status", claim)
