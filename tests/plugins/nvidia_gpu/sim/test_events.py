from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from dracore_nvidia_gpu.sim import Simulation

Start = Callable[..., tuple[Simulation, Any]]
NONE = 0xFFFFFFFF


def listen(nv: Any, *indices: int) -> Any:
    events = nv.nvmlEventSetCreate()
    for index in indices:
        handle = nv.nvmlDeviceGetHandleByIndex(index)
        nv.nvmlDeviceRegisterEvents(handle, nv.nvmlEventTypeXidCriticalError, events)
    return events


def test_an_xid_from_another_process_ends_the_wait(start: Start) -> None:
    simulation, nv = start()
    events = listen(nv, 0, 1)
    command = [sys.executable, "-m", "dracore_nvidia_gpu.sim", "--state-dir", str(simulation.state_dir)]
    with subprocess.Popen([*command, "xid", "48", "--gpu", "1"]) as other:
        data = nv.nvmlEventSetWait(events, 60_000)
    assert other.returncode == 0
    assert (data.eventType, data.eventData) == (nv.nvmlEventTypeXidCriticalError, 48)
    assert (data.gpuInstanceId, data.computeInstanceId) == (NONE, NONE)
    assert nv.nvmlDeviceGetIndex(data.device) == 1


def test_each_set_gets_each_event_once_and_in_order(start: Start) -> None:
    simulation, nv = start()
    sets = [listen(nv, 0, 1), listen(nv, 1)]
    simulation.node.xid("0", 31)
    simulation.node.xid("1", 43)
    simulation.node.xid("2", 45)
    simulation.node.xid("1", 43)
    assert [nv.nvmlEventSetWait(sets[0], 0).eventData for _ in range(3)] == [31, 43, 43]
    assert [nv.nvmlEventSetWait(sets[1], 0).eventData for _ in range(2)] == [43, 43]
    for events in sets:
        with pytest.raises(nv.NVMLError_Timeout):
            nv.nvmlEventSetWait(events, 0)


def test_what_was_before_registration_is_past(start: Start) -> None:
    simulation, nv = start()
    simulation.node.xid("0", 31)
    events = listen(nv, 0)
    simulation.node.xid("0", 32)
    assert nv.nvmlEventSetWait(events, 0).eventData == 32


def test_the_mask_decides(start: Start, code: Any) -> None:
    simulation, nv = start()
    events = nv.nvmlEventSetCreate()
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    nv.nvmlDeviceRegisterEvents(gpu, nv.nvmlEventTypeDoubleBitEccError, events)
    simulation.node.xid("0", 31)
    with pytest.raises(nv.NVMLError_Timeout):
        nv.nvmlEventSetWait(events, 0)
    assert code(nv.nvmlDeviceRegisterEvents, gpu, 1 << 40, events) == nv.NVML_ERROR_NOT_SUPPORTED


def test_an_error_of_one_mig_device_names_it(start: Start, code: Any) -> None:
    simulation, nv = start()
    simulation.node.set_mig_mode(simulation.spec.gpus[0].uuid, 1)
    made = simulation.node.create_partition("0", "1g.5gb")
    events = listen(nv, 0)
    device = nv.nvmlDeviceGetHandleByUUID(made.compute[0].uuid)
    assert nv.nvmlDeviceGetSupportedEventTypes(device) == 0
    assert code(nv.nvmlDeviceRegisterEvents, device, 8, events) == nv.NVML_ERROR_NOT_SUPPORTED
    simulation.node.xid("0", 13, made.id, 0)
    data = nv.nvmlEventSetWait(events, 0)
    assert (data.gpuInstanceId, data.computeInstanceId) == (made.id, 0)
    assert nv.nvmlDeviceGetUUID(data.device) == simulation.spec.gpus[0].uuid


def test_a_gpu_that_falls_off_the_bus_is_reported_and_then_fails_every_wait(start: Start) -> None:
    simulation, nv = start()
    events = listen(nv, 0, 1)
    simulation.node.xid("1", 79)
    assert nv.nvmlEventSetWait(events, 0).eventData == 79
    for _ in range(2):
        with pytest.raises(nv.NVMLError_GpuIsLost):
            nv.nvmlEventSetWait(events, 0)
    simulation.node.xid("0", 31)
    assert nv.nvmlEventSetWait(events, 0).eventData == 31


def test_a_wait_ends_with_its_session(start: Start, code: Any) -> None:
    _, nv = start()
    events = listen(nv, 0)
    answers: list[int] = []
    waiter = threading.Thread(target=lambda: answers.append(code(nv.nvmlEventSetWait, events, 60_000)))
    waiter.start()
    nv.nvmlDeviceGetCount()
    nv.nvmlShutdown()
    waiter.join(30)
    assert answers[0] in (nv.NVML_ERROR_UNINITIALIZED, nv.NVML_ERROR_INVALID_ARGUMENT)


def test_a_driver_reload_ends_waits(start: Start, code: Any) -> None:
    simulation, nv = start()
    events = listen(nv, 0)
    simulation.node.reload_driver()
    assert code(nv.nvmlEventSetWait, events, 60_000) == nv.NVML_ERROR_UNINITIALIZED
