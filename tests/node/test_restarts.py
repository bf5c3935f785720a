"""What a node plugin must survive: kills, reboots, kubelet and API server restarts, rolling updates."""

from __future__ import annotations

from typing import Any

import pytest

from dracore.testing.kubelet import ClaimRef, KubeletError

TOYS = "toys.example.com"


def test_a_kill_under_a_prepared_claim_loses_nothing(world: Any) -> None:
    process = world.ready()
    world.claim("c", "toy-0")
    before = world.kubelet.run_pod("c", ["c"])
    specs, slices = world.specs(), world.slices()
    process.kill()
    again = world.ready()
    assert (world.specs(), world.held()) == (specs, ["toy-0"])
    assert world.slices() == slices, "nothing is written where nothing has changed"
    assert [claim["state"] for claim in again.status()["claims"]] == ["prepared"]
    world.kubelet.restart()
    world.kubelet.wait_for_driver(TOYS, timeout=30)
    assert world.kubelet.run_pod("c", ["c"]) == before, "asked again, the same answer"
    world.kubelet.delete_pod("c", retry_for=20)
    assert (world.held(), world.specs()) == ([], {})


def test_a_kill_during_a_prepare_is_undone_and_the_retry_works(world: Any) -> None:
    process = world.ready()
    with world.preparing("c", "toy-3") as pod:
        assert world.held() == ["toy-3"]
        process.kill()
        with pytest.raises(KubeletError):
            pod.result(60)
    world.go_on()
    again = world.ready()
    assert (world.held(), world.specs(), again.status()["claims"]) == ([], {}, [])
    assert world.kubelet.run_pod("c", ["c"], retry_for=30)
    assert world.held() == ["toy-3"]


def test_the_sockets_of_a_killed_instance_are_swept(world: Any) -> None:
    first = world.ready(None, "aaaaaaaa-0000-0000-0000-000000000001")
    first.kill()
    assert len(world.sockets()) == 2
    world.ready(None, "aaaaaaaa-0000-0000-0000-000000000002")
    world.until(lambda: len(world.sockets()) == 2, "the sweep")
    assert all("0002" in name for name in world.sockets())


def test_a_reboot_prepares_anew_under_the_same_ids(world: Any) -> None:
    process = world.ready()
    world.claim("c", "toy-1")
    before, specs = world.kubelet.run_pod("c", ["c"]), world.specs()
    # Power off: processes, /var/run and what was done to the hardware are gone; the disk stays.
    process.kill()
    world.kubelet.stop()
    for path in (*world.cdi.iterdir(), *world.control.iterdir()):
        path.unlink()
    world.boot_id.write_text("boot-2\n")
    world.kubelet.start()
    again = world.ready()
    assert [claim["state"] for claim in again.status()["claims"]] == ["waiting"]
    assert world.kubelet.run_pod("c", ["c"], retry_for=30) == before
    assert (world.specs(), world.held()) == (specs, ["toy-1"])
    world.kubelet.delete_pod("c")
    assert (world.held(), world.specs(), again.status()["claims"]) == ([], {}, [])


def test_slices_that_a_starting_kubelet_wipes_come_back(world: Any) -> None:
    world.ready()
    old = {item["metadata"]["uid"] for item in world.slices()}
    world.kubelet.restart()
    world.until(
        lambda: world.slices() and not old & {item["metadata"]["uid"] for item in world.slices()}, "slices"
    )
    world.kubelet.wait_for_driver(TOYS, timeout=30)
    world.claim("c", "toy-0")
    assert world.kubelet.run_pod("c", ["c"])


def test_an_api_server_that_comes_late(world: Any) -> None:
    world.claim("c", "toy-0")
    claim = world.api.get("resourceclaims", "c", "default")
    world.api.stop()
    process = world.process()
    world.until(process.registered, "registration without an API server")
    answer = world.kubelet.prepare(TOYS, [ClaimRef.of(claim)])[claim["metadata"]["uid"]]
    assert "the API server does not answer" in answer.error
    assert "default" not in answer.error, "a pod's event names no namespace"
    assert len(answer.error) <= 200
    world.api.start()
    world.until(world.slices, "publishing")
    assert world.kubelet.run_pod("c", ["c"], retry_for=30)


def test_an_api_server_that_restarts(world: Any) -> None:
    world.ready()
    world.api.restart(downtime=0.5)
    (item,) = world.slices()
    world.api.delete("resourceslices", item["metadata"]["name"])
    world.until(world.slices, "repair after the restart")
    world.claim("c", "toy-0")
    assert world.kubelet.run_pod("c", ["c"], retry_for=30)


def test_a_rolling_update(world: Any) -> None:
    old = world.ready(None, "old")
    world.claim("c", "toy-0")
    world.kubelet.run_pod("c", ["c"])
    config = world.configure("new.yaml", plugins={"toys": {"control": str(world.control), "color": "blue"}})
    new = world.process(config, "new")
    world.kubelet.wait_for_driver(TOYS, instances=2, timeout=30)

    def colors() -> set[str]:
        return {device["attributes"]["color"]["string"] for device in world.devices()}

    world.until(lambda: colors() == {"blue"}, "the handover of publishing")
    world.until(lambda: new.status()["drivers"][0]["publishes"], "the new one publishes")
    assert not old.status()["drivers"][0]["publishes"]
    writes = [item["metadata"]["resourceVersion"] for item in world.slices()]
    # The kubelet prefers the younger: a claim of the meantime is its work, in the same journal.
    world.claim("d", "toy-1")
    world.kubelet.run_pod("d", ["d"])
    assert (
        {c["name"] for c in new.status()["claims"]}
        == {"c", "d"}
        == {c["name"] for c in old.status()["claims"]}
    )
    assert new.said("prepared")
    assert old.stop() == 0
    assert all("new" in name for name in world.sockets())
    world.kubelet.delete_pod("c", retry_for=20)
    world.kubelet.delete_pod("d", retry_for=20)
    assert (world.held(), world.specs(), new.status()["claims"]) == ([], {}, [])
    assert [item["metadata"]["resourceVersion"] for item in world.slices()] == writes, "no further write"
    assert new.stop() == 0
    assert world.sockets() == []
