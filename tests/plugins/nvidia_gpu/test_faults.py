"""What goes wrong with GPUs and drivers, and what a node then publishes and prepares."""

from __future__ import annotations

import threading

import pytest
from dracore_nvidia_gpu import plugin
from dracore_nvidia_gpu.sim.state import CallFault

from dracore import DeviceGone, HeldEffect, Taint

LOST = Taint("gpu.nvidia.com/gpu-lost", "NoSchedule")


# --- one query, one GPU -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "attribute"),
    [
        ("nvmlDeviceGetName", "productName"),
        ("nvmlDeviceGetBrand", "brand"),
        ("nvmlDeviceGetArchitecture", "architecture"),
        ("nvmlDeviceGetCudaComputeCapability", "cudaComputeCapability"),
        ("nvmlDeviceGetAddressingMode", "addressingMode"),
    ],
)
def test_a_failing_query_costs_one_attribute_of_one_gpu(node, call, attribute):
    under_test = node("dgx-h100")
    healthy = under_test.devices()
    broken = healthy["gpu-2"]
    under_test.hardware.fault(CallFault(call, broken.identity, code=999))

    found = under_test.discover()

    now = {device.name: device for device in found.devices}
    assert set(now) == set(healthy)
    assert {**now["gpu-2"].attributes, attribute: broken.attributes[attribute]} == broken.attributes
    assert attribute not in now["gpu-2"].attributes
    assert {n: d for n, d in now.items() if n != "gpu-2"} == {
        n: d for n, d in healthy.items() if n != "gpu-2"
    }
    (problem,) = found.problems
    assert problem.startswith(f"gpu-2 ({broken.identity} at 0000:52:00.0): no {attribute}, {call}: ")


def test_memory_that_cannot_be_read_is_left_out(node):
    under_test = node("dgx-h100")
    uuid = under_test.devices()["gpu-1"].identity
    under_test.hardware.fault(CallFault("nvmlDeviceGetMemoryInfo", uuid, code=999))
    found = under_test.discover()
    assert dict(found.devices[1].capacity) == {}
    assert ["no memory" in problem for problem in found.problems] == [True]


def test_what_a_gpu_does_not_know_is_no_problem(node):
    under_test = node("dgx-h100")
    under_test.hardware.fault(CallFault("nvmlDeviceGetAddressingMode", code=3))
    under_test.hardware.fault(CallFault("nvmlDeviceGetMemoryInfo", code=3))
    found = under_test.discover()
    assert found.problems == ()
    assert all("addressingMode" not in device.attributes for device in found.devices)
    assert all(not device.capacity for device in found.devices)


@pytest.mark.parametrize("call", ["nvmlDeviceGetUUID", "nvmlDeviceGetMinorNumber", "nvmlDeviceGetPciInfo"])
def test_a_gpu_that_cannot_be_told_from_others_is_left_out(node, call):
    under_test = node("dgx-h100")
    uuid = under_test.devices()["gpu-2"].identity
    under_test.hardware.fault(CallFault(call, uuid, code=999))
    found = under_test.discover()
    assert [d.name for d in found.devices] == [f"gpu-{n}" for n in (0, 1, 3, 4, 5, 6, 7)]
    (problem,) = found.problems
    assert problem.startswith("GPU 2 is left out, it cannot be told from others: ")


def test_a_handle_that_is_refused_leaves_out_one_gpu(node):
    under_test = node("dgx-h100")
    uuid = under_test.devices()["gpu-7"].identity
    under_test.hardware.fault(CallFault("nvmlDeviceGetHandleByIndex", uuid, code=4))
    found = under_test.discover()
    assert len(found.devices) == 7
    assert found.problems[0].startswith("GPU 7 is left out: nvmlDeviceGetHandleByIndex: ")


@pytest.mark.parametrize(
    ("call", "attribute"),
    [
        ("nvmlSystemGetDriverVersion", "driverVersion"),
        ("nvmlSystemGetCudaDriverVersion", "cudaDriverVersion"),
    ],
)
def test_a_driver_that_does_not_tell_its_version(node, call, attribute):
    under_test = node("single-t4")
    under_test.hardware.fault(CallFault(call, code=999))
    found = under_test.discover()
    assert attribute not in found.devices[0].attributes
    assert found.problems[0].startswith(f"no {attribute}, ")
    # The version of the libraries is as good for the files.
    mounts = under_test.prepare(found.devices[0]).common.mounts
    assert any(m.container_path.endswith("/libcuda.so.580.95.05") for m in mounts)


def test_a_version_that_is_none_is_left_out(node):
    under_test = node("single-t4")
    under_test.hardware.reload_driver("580.next")
    found = under_test.discover()
    assert "driverVersion" not in found.devices[0].attributes
    assert "'580.next' is not a version" in found.problems[0]


def test_gpus_that_cannot_be_listed(node):
    under_test = node("dgx-h100")
    under_test.hardware.fault(CallFault("nvmlDeviceGetCount", code=999))
    found = under_test.discover()
    assert found.devices == ()
    assert found.problems[0].startswith("the GPUs cannot be listed: nvmlDeviceGetCount: ")


# --- lost and removed ---------------------------------------------------------------------------------


@pytest.mark.parametrize("handle", [False, True], ids=["not enumerated", "still enumerated"])
def test_a_lost_gpu_stays_as_it_was_with_the_taint(node, handle):
    under_test = node("dgx-h100")
    healthy = under_test.devices()
    under_test.hardware.lose("3", handle=handle)

    found = under_test.discover()

    now = {device.name: device for device in found.devices}
    assert now.pop("gpu-3") == healthy.pop("gpu-3").with_taint(LOST)
    assert now == healthy
    (problem,) = found.problems
    assert problem.startswith("gpu-3 (GPU-")
    assert "is lost" in problem


def test_a_gpu_that_was_lost_before_the_driver_started_is_known_by_procfs(node):
    under_test = node("dgx-h100")
    healthy = under_test.devices()["gpu-3"]
    under_test.hardware.lose("3")
    under_test.stop()
    under_test.start()

    device = under_test.devices()["gpu-3"]

    assert device.taints == (LOST,)
    assert device.identity == healthy.identity
    assert device.facts == healthy.facts
    assert device.attributes == {
        name: healthy.attributes[name]
        for name in ("type", "uuid", "productName", "resource.kubernetes.io/pciBusID", "simulated")
    }


def test_a_lost_gpu_that_nothing_names_is_said(node):
    under_test = node("dgx-h100")
    under_test.hardware.lose("3")
    information = under_test.simulator.proc_root / "driver/nvidia/gpus/0000:61:00.0/information"
    information.write_text("Model: \t\t ??\nGPU UUID: \t GPU-????????-????\nDevice Minor: \t ??\n")
    found = under_test.discover()
    assert len(found.devices) == 7
    assert found.problems == ("1 GPU(s) are lost and cannot be named; they are left out",)


def test_a_gpu_that_comes_back_is_healthy_again(node):
    under_test = node("dgx-h100")
    healthy = under_test.devices()
    under_test.hardware.lose("3")
    assert under_test.devices()["gpu-3"].taints == (LOST,)
    under_test.hardware.clear()
    assert under_test.devices() == healthy
    under_test.prepare(healthy["gpu-3"])


def test_a_removed_gpu_is_not_there(node):
    under_test = node("dgx-h100")
    healthy = under_test.devices()
    under_test.hardware.remove("3")
    found = under_test.discover()
    assert {device.name for device in found.devices} == set(healthy) - {"gpu-3"}
    with pytest.raises(DeviceGone, match=r"gpu-3 .* is gone: no GPU of this node answers with that uuid"):
        under_test.prepare(healthy["gpu-3"])


def test_a_claim_for_a_gpu_that_is_lost_unnoticed_fails_and_calls_for_discovery(node):
    under_test = node("dgx-h100")
    devices = under_test.devices()
    calls = []
    under_test.gpus.session.on_change = lambda: calls.append("changed")
    under_test.hardware.lose("3")
    with pytest.raises(DeviceGone) as gone:
        under_test.prepare(devices["gpu-3"])
    assert str(gone.value) == (
        f"gpu-3 ({devices['gpu-3'].identity}) is gone: it fell off the bus; "
        "delete the pod, so that it gets another GPU"
    )
    assert calls == ["changed"]
    under_test.prepare(devices["gpu-2"])


def test_a_claim_is_refused_when_another_gpu_has_the_name(node, tmp_path):
    """A minor number went to another GPU: the device that was allocated is not behind that name."""
    under_test = node("dgx-h100")
    devices = under_test.devices()
    moved = devices["gpu-1"]
    stranger = type(moved)(
        **{f: getattr(moved, f) for f in ("name", "kind", "attributes")},
        facts={**moved.facts, "uuid": devices["gpu-0"].identity},
    )
    with pytest.raises(DeviceGone, match="is gone: it is gpu-0 now"):
        under_test.prepare(stranger)


# --- health -------------------------------------------------------------------------------------------


def health(under_test):
    return {entry.device: entry for entry in plugin.dra_health(under_test.ctx)}


def test_health_of_lost_and_removed_gpus_asks_for_the_taint(node):
    under_test = node("dgx-h100")
    under_test.discover()
    assert {entry.state for entry in health(under_test).values()} == {"Healthy"}
    under_test.hardware.lose("3")
    under_test.hardware.remove("5")

    problems = under_test.discover().problems

    found = health(under_test)
    for name in ("gpu-3", "gpu-5"):
        entry = found.pop(name)
        assert (entry.state, entry.taint_key, entry.taint_effect) == ("Unhealthy", LOST.key, LOST.effect)
    assert {entry.state for entry in found.values()} == {"Healthy"}
    assert len(found) == 6
    assert any("gpu-5" in text and "nothing is at 0000:c3:00.0 on the PCI bus" in text for text in problems)
    under_test.hardware.clear()
    under_test.discover()
    assert {entry.state for entry in health(under_test).values()} == {"Healthy"}
    assert len(health(under_test)) == 8


def test_health_is_unknown_without_a_driver(node):
    under_test = node("single-t4")
    under_test.discover()
    under_test.hardware.set_driver(loaded=False)
    under_test.discover()
    assert [(entry.state, entry.taint_key) for entry in health(under_test).values()] == [("Unknown", "")]


def test_a_gpu_that_another_driver_took_is_gone(node):
    under_test = node("dgx-h100")
    under_test.discover()
    under_test.hardware.remove("5")
    device = under_test.simulator.sysfs_root / "devices/pci0000:bd/0000:bd:01.0/0000:c3:00.0"
    device.mkdir(parents=True)
    (device / "driver").symlink_to("../../../../bus/pci/drivers/vfio-pci")
    link = under_test.simulator.sysfs_root / "bus/pci/devices/0000:c3:00.0"
    link.symlink_to("../../../devices/pci0000:bd/0000:bd:01.0/0000:c3:00.0")
    assert any("0000:c3:00.0 is bound to vfio-pci" in text for text in under_test.discover().problems)


# --- MIG ----------------------------------------------------------------------------------------------


def test_a_gpu_in_mig_mode_is_withheld_and_said(node):
    under_test = node("dgx-h100")
    healthy = under_test.devices()
    under_test.hardware.set_mig_mode(healthy["gpu-5"].identity, 1)

    found = under_test.discover()

    assert {device.name for device in found.devices} == set(healthy) - {"gpu-5"}
    (problem,) = found.problems
    assert problem == (
        f"gpu-5 ({healthy['gpu-5'].identity} at 0000:c3:00.0) is withheld: an administrator has its MIG mode "
        "on; nvidia-smi -i 0000:c3:00.0 -mig 0 frees it"
    )
    with pytest.raises(DeviceGone, match="an administrator has its MIG mode on"):
        under_test.prepare(healthy["gpu-5"])


def test_a_gpu_whose_mig_mode_came_on_after_the_last_look_is_refused(node):
    """Discovery may not have heard of it yet when a pod starts."""
    under_test = node("dgx-h100")
    device = under_test.devices()["gpu-5"]
    under_test.hardware.set_mig_mode(device.identity, 1)
    with pytest.raises(DeviceGone, match="an administrator has its MIG mode on"):
        under_test.prepare(device)
    under_test.hardware.set_mig_mode(device.identity, 0)
    under_test.discover()
    under_test.prepare(device)


def test_a_gpu_that_we_put_into_mig_mode_is_described_without_it(node):
    under_test = node("dgx-h100")
    healthy = under_test.devices()
    uuid = healthy["gpu-5"].identity
    under_test.hardware.set_mig_mode(uuid, 1)

    class Mode:
        def params(self):
            return {"gpu": uuid}

    under_test.ctx.held_effects[plugin.MIG_MODE_EFFECT] = [HeldEffect(Mode(), None, ("claim",))]
    assert under_test.devices() == healthy
    under_test.prepare(healthy["gpu-5"])
    plugin.dra_preflight(under_test.ctx)
    assert "gpu-5" in {known.device.name for known in under_test.gpus.session.view.known.values()}
    under_test.prepare(healthy["gpu-5"])


def test_a_gpu_whose_mig_mode_cannot_be_told_is_withheld(node):
    under_test = node("dgx-h100")
    uuid = under_test.devices()["gpu-5"].identity
    under_test.hardware.fault(CallFault("nvmlDeviceGetMigMode", uuid, code=999))
    found = under_test.discover()
    assert len(found.devices) == 7
    assert "whether its MIG mode is on cannot be told" in found.problems[0]


def test_a_gpu_without_mig_is_no_problem(node):
    found = node("l40s-x8").discover()
    assert len(found.devices) == 8
    assert found.problems == ()


# --- the driver ---------------------------------------------------------------------------------------


def test_a_node_whose_driver_is_not_loaded_publishes_nothing_and_says_why(node):
    under_test = node("dgx-h100")
    under_test.hardware.set_driver(loaded=False)
    found = under_test.discover()
    assert found.devices == ()
    (problem,) = found.problems
    assert "kernel driver is not loaded" in problem
    assert "modprobe nvidia" in problem


def test_gpus_appear_when_the_driver_does(node):
    under_test = node("dgx-h100")
    under_test.hardware.set_driver(loaded=False)
    assert under_test.discover().devices == ()
    under_test.hardware.set_driver(loaded=True)
    assert len(under_test.discover().devices) == 8


def test_a_library_of_another_version_than_the_kernel_driver(node):
    under_test = node("dgx-h100")
    under_test.hardware.set_driver(mismatch=True)
    found = under_test.discover()
    assert found.devices == ()
    assert "different versions" in found.problems[0]


def test_after_a_reload_everything_is_looked_up_anew(node):
    under_test = node("dgx-h100")
    before = under_test.devices()
    under_test.hardware.reload_driver("590.44.01", 13010)

    after = under_test.devices()

    assert set(after) == set(before)
    for device in after.values():
        assert str(device.attributes["driverVersion"]) == "590.44.1"
        assert str(device.attributes["cudaDriverVersion"]) == "13.1.0"
    under_test.prepare(after["gpu-0"])


def test_a_prepare_right_after_a_reload_gets_the_new_drivers_files(node):
    under_test = node("dgx-h100")
    devices = under_test.devices()
    old = under_test.prepare(devices["gpu-0"])
    under_test.hardware.reload_driver("590.44.01")

    new = under_test.prepare(devices["gpu-0"])

    def versions(prepared):
        paths = [m.container_path for m in prepared.common.mounts if "libcuda.so." in m.container_path]
        return {path.rpartition(".so.")[2] for path in paths}

    assert versions(old) == {"1", "580.95.05"}
    assert versions(new) == {"1", "590.44.01"}
    assert new.edits == old.edits


def test_prepares_of_many_threads_survive_reloads(node):
    """Every one of them gets its GPU, whichever thread finds the driver reloaded."""
    under_test = node("dgx-h100")
    devices = list(under_test.devices().values())
    failures, reloaded = [], threading.Event()

    def prepare(device):
        while True:
            done = reloaded.is_set()
            try:
                under_test.prepare(device)
            except Exception as error:
                failures.append(error)
            if done:
                return

    threads = [threading.Thread(target=prepare, args=(device,)) for device in devices]
    for thread in threads:
        thread.start()
    for version in ("581.1.1", "582.1.1", "583.1.1"):
        under_test.hardware.reload_driver(version)
    reloaded.set()
    for thread in threads:
        thread.join()
    assert failures == []
    version = under_test.gpus.session.view.driver.version
    assert version == "583.1.1"


def test_a_prepare_without_a_driver_fails_in_one_sentence(node):
    under_test = node("dgx-h100")
    devices = under_test.devices()
    under_test.hardware.set_driver(loaded=False)
    with pytest.raises(DeviceGone, match="NVIDIA's driver does not answer"):
        under_test.prepare(devices["gpu-0"])
    under_test.hardware.set_driver(loaded=True)
    under_test.prepare(devices["gpu-0"])


def test_a_node_with_no_driver_at_all(tmp_path):
    """The real library source on a root that has none."""
    from dracore_nvidia_gpu.gpus import Gpus
    from dracore_nvidia_gpu.settings import Settings

    settings = Settings.model_validate(
        {"driverRoot": str(tmp_path), "sysRoot": str(tmp_path), "procRoot": str(tmp_path)}
    )
    gpus = Gpus.open(settings, None)
    found = gpus.discover()
    assert found.devices == ()
    (problem,) = found.problems
    assert "libnvidia-ml.so.1" in problem
    assert "driverRoot" in problem
    gpus.session.close()


def test_a_library_that_is_none(tmp_path):
    from dracore_nvidia_gpu.gpus import Gpus
    from dracore_nvidia_gpu.settings import Settings

    library = tmp_path / "usr/lib64/libnvidia-ml.so.1"
    library.parent.mkdir(parents=True)
    library.write_text("not a library")
    gpus = Gpus.open(Settings.model_validate({"driverRoot": str(tmp_path)}), None)
    found = gpus.discover()
    assert found.devices == ()
    assert "cannot be loaded" in found.problems[0]
