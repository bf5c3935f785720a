"""The node plugin as a process: from its start to its end, with pods in between."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest

from dracore.admin.client import ask
from dracore.testing.cdi import container_view
from dracore.testing.kubelet import KubeletError

TOYS, DOLLS = "toys.example.com", "dolls.example.com"


def test_a_pod_gets_its_device_and_leaves_nothing_behind(world: Any) -> None:
    process = world.ready()
    assert [device["name"] for device in world.devices()] == ["toy-0", "toy-1", "toy-2", "toy-3"]
    claim = world.claim("c", "toy-1")
    uid = claim["metadata"]["uid"]
    (ids,) = world.kubelet.run_pod("c", ["c"]).values()
    assert ids == (f"k8s.{TOYS}/claim={uid}-toy-1",)
    assert container_view(world.cdi, ids).env == {"TOY_1": TOYS}
    assert world.held() == ["toy-1"]

    status = process.status()
    device = {"driver": TOYS, "pool": "node-1", "device": "toy-1"}
    effect = {"driver": TOYS, "kind": "Mark", "key": "mark/held-toy-1"}
    assert status["node"] == "node-1"
    assert status["simulated"] is None
    (plugin,) = status["plugins"]
    assert plugin == {
        "name": "toys",
        "version": "1.2",
        "driver": TOYS,
        "state": "running",
        "problem": "",
    }
    (driver,) = status["drivers"]
    assert (driver["name"], driver["registered"], driver["degradations"]) == (TOYS, True, [])
    assert driver["devices"][1] == device
    assert driver["published"]["slices"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", driver["published"]["time"])
    (told,) = status["claims"]
    assert {key: told[key] for key in ("uid", "namespace", "name", "state")} == {
        "uid": uid,
        "namespace": "default",
        "name": "c",
        "state": "prepared",
    }
    assert told["devices"] == [{**device, "request": "r0"}]
    assert told["effects"] == [effect]
    (held,) = status["effects"]
    assert {key: held[key] for key in effect} == effect
    assert (held["state"], held["holders"]) == ("applied", [uid])
    assert status["problems"] == []

    world.kubelet.delete_pod("c")
    status = process.status()
    assert (status["claims"], status["effects"]) == ([], [])
    assert world.held() == []
    assert world.specs() == {}
    assert process.stop() == 0
    assert world.sockets() == []
    assert world.slices(), "slices outlive the process: the kubelet wipes them when nobody comes back"


def test_what_is_logged_of_a_call_carries_driver_and_claim(world: Any) -> None:
    process = world.ready()
    uid = world.claim("c", "toy-0")["metadata"]["uid"]
    world.kubelet.run_pod("c", ["c"])
    (line,) = process.said("prepared")
    assert (line["driver"], line["claim"]) == (TOYS, uid)


def test_errors_of_a_claim_reach_the_pod_and_no_other(world: Any) -> None:
    world.ready()
    world.claim("taken", "toy-0")
    world.kubelet.run_pod("taken", ["taken"])
    world.claim("late", "toy-0")
    with pytest.raises(KubeletError, match="toy-0 is taken: it is prepared for claim taken"):
        world.kubelet.run_pod("late", ["late"])
    world.claim("ghost", "toy-9")
    with pytest.raises(KubeletError, match="toy-9"):
        world.kubelet.run_pod("ghost", ["ghost"])
    world.kubelet.delete_pod("taken")
    world.kubelet.run_pod("late", ["late"])
    assert world.held() == ["toy-0"]


def test_two_drivers_in_one_process_and_one_claim(world: Any) -> None:
    control = {"control": str(world.control)}
    config = world.configure(plugins={"toys": control, "dolls": {**control, "devices": 2}})
    process = world.ready(config, "", TOYS, DOLLS)
    assert len(world.devices(DOLLS)) == 2
    claim = world.claim("c", f"{TOYS}/toy-0", f"{DOLLS}/toy-1")
    uid = claim["metadata"]["uid"]
    (ids,) = world.kubelet.run_pod("c", ["c"]).values()
    assert sorted(ids) == [f"k8s.{DOLLS}/claim={uid}-toy-1", f"k8s.{TOYS}/claim={uid}-toy-0"]
    assert container_view(world.cdi, ids).env == {"TOY_0": TOYS, "TOY_1": DOLLS}
    assert {(c["uid"], c["devices"][0]["driver"]) for c in process.status()["claims"]} == {
        (uid, TOYS),
        (uid, DOLLS),
    }
    world.kubelet.delete_pod("c")
    assert world.specs() == {}
    assert process.stop() == 0


def test_sigterm_answers_a_running_prepare_first(world: Any) -> None:
    process = world.ready()
    with world.preparing("c", "toy-2") as pod:
        process.signal(signal.SIGTERM)
        world.until(lambda: process.said("ending"), "the end")
        assert f"{TOYS}-reg.sock" in world.sockets(), "it stays registered while a call runs"
        assert process.child.poll() is None
        world.go_on()
        assert pod.result(30)
    assert process.child.wait(30) == 0
    assert world.sockets() == []
    assert process.said("drained")
    # Whoever comes next knows the claim.
    again = world.ready()
    assert [claim["name"] for claim in again.status()["claims"]] == ["c"]
    world.kubelet.delete_pod("c", retry_for=20)
    assert world.held() == []


def test_a_second_signal_ends_at_once_and_nothing_is_lost(world: Any) -> None:
    process = world.ready()
    with world.preparing("c", "toy-2") as pod:
        process.signal(signal.SIGTERM)
        world.until(lambda: process.said("ending"), "the end")
        process.signal(signal.SIGTERM)
        assert process.child.wait(20) == 128 + signal.SIGTERM
        with pytest.raises(KubeletError):
            pod.result(30)
    world.go_on()
    again = world.ready()
    assert world.held() == []
    assert again.status()["claims"] == []


def test_health_and_metrics_are_about_the_real_thing(world: Any) -> None:
    process = world.ready(world.configure(observe={"port": 0}))
    world.claim("c", "toy-0")
    world.kubelet.run_pod("c", ["c"])
    assert process.page("/healthz") == (200, "ok\n")
    lines = process.metrics()
    assert f'dracore_prepare_total{{driver="{TOYS}",result="ok"}} 1.0' in lines
    assert f'dracore_claims{{driver="{TOYS}",state="prepared"}} 1.0' in lines
    assert f'dracore_prepared_devices{{driver="{TOYS}"}} 1.0' in lines
    assert f'dracore_devices{{driver="{TOYS}"}} 4.0' in lines
    assert f'dracore_effects{{driver="{TOYS}",state="applied"}} 1.0' in lines
    assert f'dracore_registered{{driver="{TOYS}"}} 1.0' in lines
    assert f'dracore_publish_writes_total{{driver="{TOYS}",verb="create"}} 1.0' in lines
    # A process that is stopped answers nobody; one whose socket cannot come back says so.
    registry = world.kubelet.registry_dir
    hidden = registry.with_name("away")
    os.rename(registry, hidden)
    try:
        code, text = process.page("/healthz")
        assert code == 503
        assert "GetInfo" in text
    finally:
        os.rename(hidden, registry)


def test_a_plugin_that_fails_is_said_and_recovers(world: Any) -> None:
    process = world.ready()
    (world.control / "broken").touch()
    status = world.until(
        lambda: (s := process.status()) and s["plugins"][0]["state"] == "failed" and s, "the failure"
    )
    assert "toys are broken" in status["plugins"][0]["problem"]
    assert "toys are broken" in status["drivers"][0]["degradations"][0]
    assert len(world.devices()) == 4, "the last good devices stay"
    (world.control / "broken").unlink()
    world.until(lambda: process.status()["plugins"][0]["state"] == "running", "recovery")
    assert process.status()["drivers"][0]["degradations"] == []


def test_drift_is_seen_everywhere_and_ends_with_the_claim(world: Any) -> None:
    process = world.ready(world.configure(observe={"port": 0}))
    uid = world.claim("c", "toy-1")["metadata"]["uid"]
    world.kubelet.run_pod("c", ["c"])
    (world.control / "held-toy-1").unlink()
    assert ask(process.status_socket, "reconcile") == {TOYS: True}

    def taints() -> dict[str, Any]:
        return {d["name"]: d["taints"] for d in world.devices() if d.get("taints")}

    found = world.until(taints, "the taint")
    assert {name: [(t["key"], t["effect"]) for t in kept] for name, kept in found.items()} == {
        "toy-1": [(f"{TOYS}/drift", "NoSchedule")]
    }
    status = process.status()
    assert "undone by somebody" in status["problems"][0]
    assert "device node-1/toy-1 is tainted" in status["drivers"][0]["degradations"][0]
    assert f'dracore_drift_total{{driver="{TOYS}"}} 1.0' in process.metrics()
    (event,) = world.until(lambda: world.events("EffectDrifted"), "the event")
    assert (event["involvedObject"]["kind"], event["involvedObject"]["uid"]) == ("ResourceClaim", uid)
    world.kubelet.delete_pod("c")
    world.until(lambda: not taints(), "the end of the taint")
    status = process.status()
    assert (status["problems"], status["drivers"][0]["degradations"]) == ([], [])
