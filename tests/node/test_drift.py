"""An administrator undoes a change while nobody looks: the next start says it, with or without API server."""

from __future__ import annotations

from typing import Any

import pytest

TOYS = "toys.example.com"


@pytest.mark.parametrize("api", ["up", "down"])
def test_drift_is_found_at_the_start(world: Any, api: str) -> None:
    process = world.ready()
    uid = world.claim("c", "toy-1")["metadata"]["uid"]
    world.kubelet.run_pod("c", ["c"])
    process.kill()
    (world.control / "held-toy-1").unlink()
    if api == "down":
        world.api.stop()
    process = world.process(world.configure(observe={"port": 0}))
    world.until(process.registered, "registration")
    status = world.until(lambda: (s := process.status()) and s["problems"] and s, "the problem")
    assert "undone by somebody" in "".join(status["problems"])
    world.until(lambda: "node-1/toy-1 is tainted" in "".join(process.degradations()), "the device's health")
    assert f'dracore_drift_total{{driver="{TOYS}"}} 1.0' in process.metrics()
    if api == "down":
        world.api.start()

    (event,) = world.until(lambda: world.events("EffectDrifted"), "the event")
    assert event["involvedObject"]["uid"] == uid
    world.until(
        lambda: [d["name"] for d in world.devices() if d.get("taints")] == ["toy-1"], "the published taint"
    )
    assert world.held() == [], "nothing is repaired unasked under a running container"
    world.kubelet.delete_pod("c", retry_for=20)
    world.until(lambda: not [d for d in world.devices() if d.get("taints")], "the end of the taint")
