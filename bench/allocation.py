"""A large cluster: 5,000 nodes of eight GPUs, 1,000 claims, and why one more gets nothing."""

from __future__ import annotations

import json
import resource
import time
from typing import Any

from dracore.allocate.documents import Source
from dracore.allocate.features import Features
from dracore.allocate.simulation import Simulation
from dracore.allocate.world import World

DRIVER = "gpu.example.com"
MEMORY = f"device.capacity['{DRIVER}'].memory.compareTo(quantity('{{}}')) >= 0"


def allocation(nodes: int, claims: int) -> dict[str, Any]:
    """Seconds to read, to allocate and to explain, in this process; and its peak of memory."""
    cluster = json.dumps({"apiVersion": "v1", "kind": "List", "items": [_class(), *_slices(nodes)]})
    wanted = json.dumps({"apiVersion": "v1", "kind": "List", "items": [_claim(n) for n in range(claims)]})
    start = time.perf_counter()
    ground = World().read(Source("cluster", cluster))
    read = time.perf_counter()
    simulation = Simulation(ground.copy().read(Source("claims", wanted)), Features())
    outcomes = simulation.run()
    allocated = time.perf_counter()
    refused = json.dumps(_claim(-1, memory="96Gi"))
    world = ground.copy().read(Source("claim", refused))
    (outcome,) = Simulation(world, Features()).run()
    explained = time.perf_counter()
    assert outcome.explanation is not None
    return {
        "devices": nodes * 8,
        "claims": claims,
        "allocated": sum(one.allocation is not None for one in outcomes),
        "read_s": round(read - start, 2),
        "allocate_s": round(allocated - read, 2),
        "explain_s": round(explained - allocated, 2),
        "nearest": outcome.reason,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _class() -> dict[str, Any]:
    selectors = [{"cel": {"expression": f"device.driver == '{DRIVER}'"}}]
    return _object("DeviceClass", "gpu", {"selectors": selectors})


def _slices(nodes: int) -> list[dict[str, Any]]:
    found = []
    for number in range(nodes):
        node = f"node-{number:05d}"
        pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
        devices = [_gpu(number, index) for index in range(8)]
        spec = {"driver": DRIVER, "nodeName": node, "pool": pool, "devices": devices}
        found.append(_object("ResourceSlice", f"00000-{node}", spec))
    return found


def _gpu(node: int, index: int) -> dict[str, Any]:
    return {
        "name": f"gpu-{index}",
        "attributes": {
            "uuid": {"string": f"GPU-{node}-{index}"},
            "productName": {"string": "NVIDIA H100"},
            "numa": {"int": index // 4},
            "driverVersion": {"version": "570.1.0"},
            "resource.kubernetes.io/pcieRoot": {"string": f"pci0000:{index // 2:02x}"},
        },
        "capacity": {"memory": {"value": "80Gi" if node % 3 else "40Gi"}, "cores": {"value": "132"}},
    }


def _claim(number: int, memory: str = "") -> dict[str, Any]:
    memory = memory or ("40Gi" if number % 2 else "80Gi")
    exactly = {
        "deviceClassName": "gpu",
        "count": 1 if number < 0 else (1, 2, 4, 8)[number % 4],
        "selectors": [{"cel": {"expression": MEMORY.format(memory)}}],
    }
    devices: dict[str, Any] = {"requests": [{"name": "gpu", "exactly": exactly}]}
    if number % 5 == 0:
        devices["constraints"] = [{"matchAttribute": f"{DRIVER}/numa"}]
    return _object("ResourceClaim", f"claim-{number}", {"devices": devices})


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "resource.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
