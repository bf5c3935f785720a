from __future__ import annotations

import ctypes.util
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dracore_nvidia_gpu.calls import DRIVER_NOT_LOADED, LIBRARY_MISMATCH, TIMEOUT, UNINITIALIZED, NvmlFailure
from dracore_nvidia_gpu.driverroot import Root
from dracore_nvidia_gpu.nvml import (
    DriverRootSource,
    FileSource,
    LibrarySource,
    NvmlLibrary,
    NvmlUnavailable,
    SimulationSource,
)
from dracore_nvidia_gpu.sim import Simulation

Make = Callable[[LibrarySource], NvmlLibrary]


def test_a_session_answers_until_it_is_closed(simulated: NvmlLibrary) -> None:
    session = simulated.open()
    assert simulated.open() is session
    assert session.call("nvmlDeviceGetCount") == 8
    simulated.close()
    simulated.close()
    with pytest.raises(NvmlFailure) as failure:
        session.call("nvmlDeviceGetCount")
    assert failure.value.code == UNINITIALIZED


def test_pynvml_is_left_as_it_was(simulated: NvmlLibrary) -> None:
    import pynvml

    session = simulated.open()
    session.call("nvmlDeviceGetCount")
    assert pynvml._nvmlGetFunctionPointer_cache
    simulated.close()
    assert pynvml.nvmlLib is None
    assert not pynvml._nvmlGetFunctionPointer_cache


def test_failures_carry_call_and_code(simulated: NvmlLibrary) -> None:
    session = simulated.open()
    with pytest.raises(NvmlFailure) as failure:
        session.call("nvmlDeviceGetHandleByUUID", "GPU-none")
    assert (failure.value.call, failure.value.code) == ("nvmlDeviceGetHandleByUUID", 6)


def test_after_a_driver_reload_another_session_is_needed(
    simulation: Simulation, simulated: NvmlLibrary
) -> None:
    first = simulated.open()
    handle = first.call("nvmlDeviceGetHandleByIndex", 0)
    simulation.node.reload_driver("590.10")
    with pytest.raises(NvmlFailure) as failure:
        first.call("nvmlDeviceGetName", handle)
    assert failure.value.code == UNINITIALIZED
    second = simulated.reopen(first)
    assert second.generation == first.generation + 1
    assert second.call("nvmlSystemGetDriverVersion") == "590.10"
    with pytest.raises(NvmlFailure):
        first.call("nvmlDeviceGetCount")
    assert simulated.reopen(first) is second  # another thread found the same


def test_without_a_driver_the_error_says_what_to_do(simulation: Simulation, simulated: NvmlLibrary) -> None:
    simulation.node.set_driver(loaded=False)
    with pytest.raises(NvmlUnavailable, match="kernel driver is not loaded; load it") as error:
        simulated.open()
    assert error.value.code == DRIVER_NOT_LOADED
    simulation.node.clear()
    assert simulated.open().call("nvmlDeviceGetCount") == 8


def test_a_library_of_another_version_is_named(simulation: Simulation, simulated: NvmlLibrary) -> None:
    simulation.node.set_driver(mismatch=True)
    with pytest.raises(NvmlUnavailable, match="different versions; reload the driver") as error:
        simulated.open()
    assert error.value.code == LIBRARY_MISMATCH


def test_a_session_without_gpus_is_one(simulation: Simulation, simulated: NvmlLibrary) -> None:
    for gpu in simulation.spec.gpus:
        simulation.node.remove(gpu.uuid)
    assert simulated.open().call("nvmlDeviceGetCount") == 0


def test_a_root_without_driver_is_named(library: Make, tmp_path: Path) -> None:
    source = DriverRootSource(Root("/run/nvidia/driver", str(tmp_path)))
    with pytest.raises(
        NvmlUnavailable, match=r"driver root /run/nvidia/driver: no libnvidia-ml.so.1"
    ) as error:
        library(source).open()
    assert error.value.code is None


def test_a_simulated_root_is_no_driver(library: Make, simulation: Simulation) -> None:
    """Its files say what they are, and the loader refuses them."""
    root = str(simulation.driver_root)
    with pytest.raises(NvmlUnavailable, match=r"libnvidia-ml.so.*the library cannot be loaded"):
        library(DriverRootSource(Root(root, root))).open()


def test_a_library_that_is_not_nvml(library: Make) -> None:
    import pynvml

    libc = ctypes.util.find_library("c")
    assert libc
    with pytest.raises(NvmlUnavailable, match=r"NVML does not start.*code 13"):
        library(FileSource(Path(libc))).open()
    assert pynvml.nvmlLib is None


def test_a_simulation_is_never_taken_for_hardware(library: Make, simulation: Simulation) -> None:
    class Disguised(SimulationSource):
        simulated = False

    with pytest.raises(NvmlUnavailable, match="the library is a simulation; simulate hardware only by"):
        library(Disguised(simulation)).open()


def test_one_nvml_a_process(library: Make, simulation: Simulation, simulated: NvmlLibrary) -> None:
    simulated.open()
    second = library(SimulationSource(simulation))
    with pytest.raises(NvmlUnavailable, match="another NVML library is open in this process"):
        second.open()
    simulated.close()
    assert second.open().call("nvmlDeviceGetCount") == 8


def test_closing_waits_for_calls_that_run(simulated: NvmlLibrary) -> None:
    session = simulated.open()
    events = session.call("nvmlEventSetCreate")
    inside = threading.Event()
    ends: list[str] = []

    def wait() -> None:
        with simulated.use(session, "nvmlEventSetWait") as calls:
            inside.set()
            with pytest.raises(NvmlFailure) as failure:
                calls.call("nvmlEventSetWait", events, 300)
            ends.append(f"wait {failure.value.code}")

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert inside.wait(30)
    simulated.close()
    ends.append("close")
    waiter.join(30)
    assert ends == [f"wait {TIMEOUT}", "close"]


def test_threads_that_find_the_same_reload_open_once(simulation: Simulation, simulated: NvmlLibrary) -> None:
    first = simulated.open()
    simulation.node.reload_driver()
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(simulated.reopen(first))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(found)) == 1
    assert found[0].generation == first.generation + 1


def test_pynvml_is_imported_when_opened_only() -> None:
    code = "import sys, dracore_nvidia_gpu.nvml, dracore_nvidia_gpu.sim; sys.exit('pynvml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
