"""Scenario 15: API servers that behave as older releases. No pods: a fake kubelet registers the driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from realcluster.api import Api, ApiError, Object
from realcluster.bare import BareNode
from realcluster.controlplane import ApiServer
from realcluster.driver import GPU, TESTBED, Driver
from realcluster.manifests import RESOURCE, claim
from realcluster.process import wait_for
from realcluster.testbed import Testbed

from dracore.testing.kubelet import ClaimRef, FakeKubelet

LOST = "gpu.nvidia.com/gpu-lost"
NODE = "old-server"

# device of the testbed -> the gate of its field, and how one sees the field in a slice.
GATED: dict[str, tuple[str, str, Callable[[Object], object]]] = {
    "tainted": ("DRADeviceTaints", "taints", lambda device: device.get("taints")),
    "counted": ("DRAPartitionableDevices", "consumesCounters", lambda device: device.get("consumesCounters")),
    "shared": (
        "DRAConsumableCapacity",
        "allowMultipleAllocations",
        lambda device: device.get("allowMultipleAllocations"),
    ),
    "bound": (
        "DRADeviceBindingConditions",
        "bindingConditions",
        lambda device: device.get("bindingConditions"),
    ),
    "listed": (
        "DRAListTypeAttributes",
        "lists",
        lambda device: device.get("attributes", {}).get("ports", {}).get("ints"),
    ),
}
# Without its field the device would be given to somebody who must not have it.
WITHHELD = {"tainted", "counted", "bound"}


@pytest.fixture
def bare(logs: Path) -> Iterator[BareNode]:
    node = BareNode(NODE, logs)
    yield node
    node.stop()


@pytest.mark.parametrize("version", ["1.34", "1.36", "1.37"])
def test_what_the_server_keeps_is_published_and_the_rest_is_said(
    version: str, emulated: Callable[[str], ApiServer], bare: BareNode, testbed: Testbed
) -> None:
    server = emulated(version)
    bare.start(server.api)
    plugins = {"nvidia_gpu": {"discoveryInterval": 3}, "testbed": {**testbed.settings, "gated": True}}
    driver = Driver(bare, server, plugins=plugins)
    with FakeKubelet(bare.kubelet_dir, None, node=NODE) as kubelet:
        try:
            driver.start()
            driver.wait_published()
            check_gated_fields(server, driver)
            check_lost_gpus(server, driver, kubelet)
            assert driver.stop() == 0
        finally:
            driver.kill()


def check_gated_fields(server: ApiServer, driver: Driver) -> None:
    gates = server.api.gates()
    published = driver.devices(TESTBED)
    texts = driver.degradations(TESTBED)
    assert {"widget-0", "widget-1", "widget-2", "widget-3"} <= published.keys()
    for name, (gate, field, look) in GATED.items():
        said = [text for text in texts if field in text]
        if gates.get(gate, False):
            assert look(published[name]), f"{gate} is on and {name} has no {field}"
            assert not said
        else:
            happens = fate_of(server.api, name)
            assert said, f"{gate} is off and nothing is said of {field}: {texts}"
            assert happens in said[0], f"the server {happens} {field}; said: {said[0]}"
            assert gate in said[0]
            assert name in said[0]
            if name in WITHHELD:
                assert name not in published
            else:
                assert not look(published[name])


def fate_of(api: Api, name: str) -> str:
    """What this server does with the field: asked in the test's own words, by dry run."""
    fields: dict[str, Object] = {
        "tainted": {"taints": [{"key": "a.example/b", "effect": "NoSchedule"}]},
        "counted": {"consumesCounters": [{"counterSet": "pot", "counters": {"units": {"value": "1"}}}]},
        "shared": {"allowMultipleAllocations": True},
        "bound": {
            "bindsToNode": True,
            "bindingConditions": ["a.example/b"],
            "bindingFailureConditions": ["a.example/c"],
        },
        "listed": {"attributes": {"ports": {"ints": [1, 2]}}},
    }
    spec = {"driver": "ask.dracore.test", "nodeName": NODE, "devices": [{"name": "x", **fields[name]}]}
    body = {
        "apiVersion": RESOURCE,
        "kind": "ResourceSlice",
        "metadata": {"name": f"ask-{name}"},
        "spec": {**spec, "pool": {"name": "ask", "generation": 1, "resourceSliceCount": 1}},
    }
    try:
        kept = api.create(body, dry_run=True)
    except ApiError as error:
        return "refused" if error.status == 422 else str(error)
    [device] = kept["spec"]["devices"]
    assert not fields[name].keys() <= device.keys(), f"{name} is kept"
    return "dropped"


def check_lost_gpus(server: ApiServer, driver: Driver, kubelet: FakeKubelet) -> None:
    """One is lost while it is prepared, one while it is free: nobody may be given either.

    Where the server keeps taints both stay, tainted, until they answer again. Where it does not, the free
    one is withheld, and the other as soon as its claim has ended.
    """
    devices = driver.devices()
    used, free = (devices[name]["attributes"]["uuid"]["string"] for name in ("gpu-3", "gpu-5"))
    ref = allocated(server.api, "gpu-3")
    answer = kubelet.prepare(GPU, [ref])[ref.uid]
    assert not answer.error, answer
    for uuid in (used, free):
        driver.simulator("fault", "lost", "gpu", uuid)

    keeps_taints = server.api.gates().get("DRADeviceTaints", False)
    marked = [(LOST, "NoSchedule")] if keeps_taints else []

    def settled() -> bool:
        assert taints(driver) == {"gpu-3": marked} | ({"gpu-5": marked} if keeps_taints else {})
        return True

    wait_for("the lost GPUs show", settled, timeout=60)
    texts = driver.degradations(GPU)
    assert [text for text in texts if used in text or "gpu-3" in text], texts
    assert [text for text in texts if free in text or "gpu-5" in text], texts
    if not keeps_taints:
        assert [text for text in texts if "taints" in text and fate_of(server.api, "tainted") in text], texts
    assert driver.prepared()[ref.uid]["state"] == "prepared"
    assert len(driver.devices()) == (8 if keeps_taints else 7)

    # Released from the journal alone, without an answer of the hardware.
    answer = kubelet.unprepare(GPU, [ref])[ref.uid]
    assert not answer.error, answer
    assert driver.left() == []
    after = {"gpu-3": marked, "gpu-5": marked} if keeps_taints else {}
    wait_for("nobody can be given the lost GPU", lambda: taints(driver) == after, timeout=10)

    # It comes back, and so does what is published.
    driver.simulator("clear")
    wait_for("all GPUs are as before", lambda: driver.devices() == devices, timeout=90)


def taints(driver: Driver) -> dict[str, list[tuple[str, str]]]:
    """Of the two GPUs that this is about, as far as they are published."""
    return {
        name: [(taint["key"], taint["effect"]) for taint in device.get("taints", [])]
        for name, device in driver.devices().items()
        if name in ("gpu-3", "gpu-5")
    }


def allocated(api: Api, device: str) -> ClaimRef:
    """A claim as the scheduler would have left it."""
    made = api.create({**claim("by-hand"), "metadata": {"name": "by-hand", "namespace": "default"}})
    result = {"request": "gpu", "driver": GPU, "pool": NODE, "device": device}
    status = {
        "allocation": {"devices": {"results": [result]}},
        "reservedFor": [
            {"resource": "pods", "name": "nobody", "uid": "6f1b0c3e-0000-4000-8000-000000000000"}
        ],
    }
    api.patch("ResourceClaim", "by-hand", {"status": status}, "default", subresource="status")
    return ClaimRef.of(made)
