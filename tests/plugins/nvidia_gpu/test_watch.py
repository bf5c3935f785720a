"""What makes the plugin look again: the clock, NVML's events, the kernel's announcements."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time

import pytest
from dracore_nvidia_gpu import plugin
from dracore_nvidia_gpu.uevents import Uevents, concerns_gpus
from dracore_nvidia_gpu.watch import Watch

WAIT = 20.0


class Calls:
    """Counts calls of `changed`, and discovers as the core does."""

    def __init__(self, under_test):
        self._under_test = under_test
        self._calls = queue.Queue()

    def __call__(self):
        self._calls.put(None)

    def wait(self):
        self._calls.get(timeout=WAIT)
        return self._under_test.discover()

    def heard(self):
        """Returns when events of the GPUs are heard: nobody hears those of before."""
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline:
            self._under_test.hardware.xid("0", 13)
            with contextlib.suppress(queue.Empty):
                self._calls.get(timeout=0.2)
                break
        else:
            raise AssertionError("no event was heard")
        while not self._calls.empty():
            self._calls.get()

    def until(self, wanted):
        """Discovers at each call until the discovery is as wanted."""
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline:
            found = self.wait()
            if wanted(found):
                return found
        raise AssertionError("no such discovery in time")


class PipeUevents(Uevents):
    """Announcements that the test makes: a datagram socket in the place of the kernel's."""

    def __init__(self):
        self._socket, self.kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def close(self):
        self._socket.close()
        self.kernel.close()


def no_uevents():
    raise PermissionError("not allowed here")


@pytest.fixture
def watching():
    """Starts a watch and ends it."""
    watches = []

    def start(under_test, *, interval=3600.0, open_uevents=no_uevents, before=lambda: None):
        under_test.discover()
        before()
        calls = Calls(under_test)
        watch = Watch(under_test.gpus.session, calls, interval, under_test.ctx.log, open_uevents)
        watch.start()
        watches.append(watch)
        return calls

    yield start
    for watch in watches:
        watch.stop()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("nvidia-gpu")]


def test_the_clock(node, watching):
    calls = watching(node("single-t4"), interval=0.05)
    calls.wait()
    calls.wait()


def test_an_event_of_a_gpu(node, watching):
    under_test = node("dgx-h100")
    calls = watching(under_test)
    calls.heard()
    under_test.hardware.xid("2", 31)
    calls.wait()


def test_a_gpu_that_falls_off_the_bus_is_found_without_the_clock(node, watching):
    under_test = node("dgx-h100")
    calls = watching(under_test)
    calls.heard()
    under_test.hardware.lose("2")
    found = calls.until(lambda found: any(device.taints for device in found.devices))
    assert [device.name for device in found.devices if device.taints] == ["gpu-2"]


def test_a_gpu_that_was_lost_before_events_were_heard_is_found_without_the_clock(node, watching):
    """The watch starts to listen to what discovery has found a moment before."""
    under_test = node("dgx-h100")
    calls = watching(under_test, before=lambda: under_test.hardware.lose("2"))
    found = calls.until(lambda found: any(device.taints for device in found.devices))
    assert [device.name for device in found.devices if device.taints] == ["gpu-2"]


def test_a_gpu_whose_mig_mode_comes_on_is_found_without_the_clock(node, watching):
    under_test = node("dgx-h100")
    calls = watching(under_test)
    calls.heard()
    under_test.hardware.set_mig_mode(under_test.simulator.spec.gpus[2].uuid, 1)
    calls.until(lambda found: len(found.devices) == 7)


def test_a_driver_that_was_reloaded_is_found_without_the_clock(node, watching):
    under_test = node("dgx-h100")
    calls = watching(under_test)
    calls.heard()
    under_test.hardware.reload_driver("590.44.01")
    calls.until(lambda found: found.devices[0].attributes["driverVersion"].major == 590)


def test_events_are_heard_again_after_a_reload(node, watching):
    under_test = node("dgx-h100")
    calls = watching(under_test)
    calls.heard()
    under_test.hardware.reload_driver("590.44.01")
    calls.until(lambda found: found.devices[0].attributes["driverVersion"].major == 590)
    calls.heard()
    under_test.hardware.lose("1")
    calls.until(lambda found: any(device.taints for device in found.devices))


def test_a_prepare_that_finds_a_change_calls_for_discovery(node, watching):
    under_test = node("dgx-h100")
    device = under_test.devices()["gpu-1"]
    calls = watching(under_test)
    under_test.hardware.reload_driver("590.44.01")
    under_test.prepare(device)
    calls.until(lambda found: found.devices[0].attributes["driverVersion"].major == 590)


def test_without_a_driver_it_is_looked_for_more_often_than_the_interval(node, watching, monkeypatch):
    monkeypatch.setattr("dracore_nvidia_gpu.watch._SEARCH_INTERVAL", 0.05)
    under_test = node("single-t4")
    under_test.hardware.set_driver(loaded=False)
    calls = watching(under_test)
    under_test.hardware.set_driver(loaded=True)
    calls.until(lambda found: len(found.devices) == 1)


def test_an_announcement_of_the_kernel(node, watching):
    under_test = node("single-t4")
    made = []

    def open_uevents():
        made.append(PipeUevents())
        return made[0]

    calls = watching(under_test, open_uevents=open_uevents)
    deadline = time.monotonic() + WAIT
    while not made and time.monotonic() < deadline:
        time.sleep(0.01)
    made[0].kernel.send(b"add@/devices/virtual/net/veth1\0ACTION=add\0SUBSYSTEM=net\0")
    made[0].kernel.send(
        b"remove@/devices/pci0000:00/0000:00:04.0\0ACTION=remove\0SUBSYSTEM=pci\0PCI_ID=10DE:1EB8\0"
    )
    calls.wait()


def test_hooks_start_and_stop_a_watch(node):
    under_test = node("single-t4", discoveryInterval=1.0)
    under_test.discover()
    calls = Calls(under_test)
    stop = plugin.dra_watch(under_test.ctx, calls)
    calls.wait()
    stop()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("nvidia-gpu")]


# --- uevents ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "concerns"),
    [
        (b"add@/x\0ACTION=add\0SUBSYSTEM=pci\0PCI_ID=10DE:2330\0", True),
        (b"remove@/x\0ACTION=remove\0SUBSYSTEM=pci\0PCI_ID=10DE:2330\0", True),
        (b"bind@/x\0ACTION=bind\0SUBSYSTEM=pci\0DRIVER=nvidia\0PCI_ID=10DE:2330\0", True),
        (b"unbind@/x\0ACTION=unbind\0SUBSYSTEM=pci\0PCI_ID=10DE:2330\0", True),
        (b"change@/x\0ACTION=change\0SUBSYSTEM=pci\0PCI_ID=10DE:2330\0", False),
        (b"add@/x\0ACTION=add\0SUBSYSTEM=pci\0PCI_ID=8086:1521\0", False),
        (b"add@/module/nvidia\0ACTION=add\0DEVPATH=/module/nvidia\0SUBSYSTEM=module\0", True),
        (b"add@/module/nvme\0ACTION=add\0DEVPATH=/module/nvme\0SUBSYSTEM=module\0", False),
        (b"add@/x\0ACTION=add\0SUBSYSTEM=nvidia\0DEVNAME=nvidia3\0", True),
        (b"add@/x\0ACTION=add\0SUBSYSTEM=nvidia-uvm\0DEVNAME=nvidia-uvm\0", True),
        (b"add@/x\0ACTION=add\0SUBSYSTEM=block\0DEVNAME=nvme0n1\0", False),
        (b"libudev\0\xfe\xed\xca\xfe", False),
        (b"", False),
    ],
)
def test_which_announcements_concern_gpus(message, concerns):
    assert concerns_gpus(message) is concerns


def test_the_kernels_socket_opens_and_is_silent():
    """The real socket; where a sandbox has none, that it says so."""
    try:
        uevents = Uevents()
    except OSError as error:
        pytest.skip(f"no uevents here: {error}")
    try:
        assert uevents.drain() in (False, True)
        assert os.fstat(uevents.fileno())
    finally:
        uevents.close()
