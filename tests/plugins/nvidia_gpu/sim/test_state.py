"""The file is the hardware: it outlives processes, is shared by them, and forgets what a reboot forgets."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dracore_nvidia_gpu.sim import Simulation, SimulationError
from dracore_nvidia_gpu.sim.state import NodeState, Process, StateFile

Start = Callable[..., tuple[Simulation, Any]]

DRIVER = """
import sys
from pathlib import Path
import pynvml
from dracore_nvidia_gpu.sim import Simulation

state, boot = map(Path, sys.argv[1:])
simulation = Simulation("dgx-a100-40", state, boot)
simulation.prepare()
pynvml.nvmlLib = simulation.library()
pynvml.nvmlInitWithFlags(1)
gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
pynvml.nvmlDeviceSetMigMode(gpu, 1)
for n in range(1000):
    instance = pynvml.nvmlDeviceCreateGpuInstance(gpu, 19)
    compute = pynvml.nvmlGpuInstanceCreateComputeInstance(instance, 0)
    uuid = pynvml.nvmlDeviceGetUUID(pynvml.nvmlComputeInstanceGetInfo(compute).device)
    print(uuid, flush=True)
    if n % 7 == 6:
        sys.stdin.readline()
"""


def test_what_a_killed_driver_made_is_there(tmp_path: Path, boot_id_file: Path, start: Start) -> None:
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path / "state"), str(boot_id_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert driver.stdout
    made = [driver.stdout.readline().strip() for _ in range(4)]
    driver.send_signal(signal.SIGKILL)
    made += driver.stdout.read().split()
    driver.wait()
    driver.stdout.close()
    if driver.stdin:
        driver.stdin.close()

    simulation, nv = start()
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    assert nv.nvmlDeviceGetMigMode(gpu) == [1, 1]
    there = [
        c.uuid for i in simulation.node.state.gpus[simulation.spec.gpus[0].uuid].instances for c in i.compute
    ]
    # Whatever the driver was told has happened; one more may have happened without its knowing.
    assert set(made) <= set(there)
    assert len(there) <= len(made) + 1
    for uuid in made:
        assert nv.nvmlDeviceGetUUID(nv.nvmlDeviceGetHandleByUUID(uuid)) == uuid


def administrate(simulation: Simulation, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dracore_nvidia_gpu.sim", "--state-dir", str(simulation.state_dir), *words],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_two_processes_see_each_others_changes(start: Start) -> None:
    simulation, nv = start()
    gpu = nv.nvmlDeviceGetHandleByIndex(2)
    assert nv.nvmlDeviceGetComputeMode(gpu) == 0
    administrate(simulation, "compute-mode", "exclusive-process", "--gpu", "2")
    assert nv.nvmlDeviceGetComputeMode(gpu) == 3
    nv.nvmlDeviceSetComputeMode(gpu, 2)
    shown = json.loads(administrate(simulation, "show"))
    assert shown["simulated"] is True
    assert shown["gpus"][simulation.spec.gpus[2].uuid]["compute_mode"] == 2


def test_changes_of_many_threads_and_objects_are_all_there(tmp_path: Path) -> None:
    """Each has its own object on the file, as processes have."""
    with StateFile(tmp_path / "state.json").change(NodeState()):
        pass

    def work() -> None:
        file = StateFile(tmp_path / "state.json")
        for _ in range(25):
            with file.change() as state:
                state.last_event += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert StateFile(tmp_path / "state.json").read().last_event == 100


def test_a_change_that_fails_changes_nothing(simulate: Any) -> None:
    simulation = simulate()
    before = (simulation.state_dir / "state.json").read_bytes()

    def fail() -> None:
        with simulation.node.change() as state:
            state.last_event = 7
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (simulation.state_dir / "state.json").read_bytes() == before
    assert simulation.node.state.last_event == 0
    assert not list(simulation.state_dir.glob(".*"))


def dirty(simulation: Simulation) -> None:
    """Leaves on GPU 0 everything that a machine can forget."""
    node = simulation.node
    uuid = simulation.spec.gpus[0].uuid
    node.set_mig_mode(uuid, 1)
    node.create_partition("0", next(p.name for p in simulation.spec.gpus[0].product.mig.profiles))  # type: ignore[union-attr]
    node.start_process("1", Process(77, 1))
    node.lose("2")
    node.remove("3")
    node.xid("4", 13)
    with node.change() as state:
        state.gpus[uuid].compute_mode = 3
        state.gpus[uuid].persistence = 1
        state.gpus[uuid].remapped = [1, 2, 1, 0]


@pytest.mark.parametrize(("node", "mode"), [("dgx-a100-40", 1), ("dgx-h100", 0)])
def test_a_reboot_drops_what_hardware_drops(simulate: Any, boot_id_file: Path, node: str, mode: int) -> None:
    simulation = simulate(node)
    dirty(simulation)
    same = simulate(node)
    assert same.node.state == simulation.node.state

    boot_id_file.write_text("boot-2\n")
    again = simulate(node)
    state = again.node.state
    gpu = state.gpus[again.spec.gpus[0].uuid]
    assert (gpu.mig, gpu.mig_pending) == (mode, mode)
    assert (gpu.instances, gpu.compute_mode, gpu.persistence) == ([], 0, 0)
    assert gpu.remapped == [1, 2, 0, 0]
    assert not any(g.processes or g.lost or g.removed for g in state.gpus.values())
    assert state.events == []
    assert state.boot_id == "boot-2"


@pytest.mark.parametrize(("node", "mode"), [("dgx-a100-40", 1), ("dgx-h100", 0)])
def test_a_driver_reload_drops_what_the_driver_knew(simulate: Any, node: str, mode: int) -> None:
    simulation = simulate(node)
    dirty(simulation)
    simulation.node.reload_driver()
    state = simulation.node.state
    gpu = state.gpus[simulation.spec.gpus[0].uuid]
    assert (gpu.mig, gpu.instances, gpu.compute_mode) == (mode, [], 0)
    assert state.gpus[simulation.spec.gpus[2].uuid].lost


def test_a_folder_keeps_its_node(simulate: Any) -> None:
    simulate("dgx-a100-40")
    with pytest.raises(SimulationError, match="holds the simulated node dgx-a100-40, not dgx-h100"):
        simulate("dgx-h100")


def test_a_changed_node_file_changes_the_hardware(simulate: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = """
driver: {version: 580.95.05, cuda: 13000}
gpus:
  - {product: a100-sxm4-40gb, pci: "0000:01:00.0"}
  - {product: a100-sxm4-40gb, pci: "0000:02:00.0"}
"""
    file.write_text(text)
    first = simulate(file)
    for which in ("0", "1"):
        first.node.set_mig_mode(first.node.gpu(which).uuid, 1)
        first.node.create_partition(which, "1g.5gb")
    file.write_text(text.replace('a100-sxm4-40gb, pci: "0000:02', 'l4, pci: "0000:02'))
    second = simulate(file)
    gpus = second.node.state.gpus
    assert len(gpus[second.spec.gpus[0].uuid].instances) == 1
    assert gpus[second.spec.gpus[1].uuid].mig == 0


def test_without_a_node_commands_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="no simulated node here"):
        Simulation.existing(tmp_path)


def test_a_foreign_state_file_is_refused(simulate: Any) -> None:
    simulation = simulate()
    file = simulation.state_dir / "state.json"
    file.write_text(file.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(SimulationError, match="schema 2, this version reads 1"):
        simulate()


def test_a_folder_that_cannot_be_written_is_named(simulate: Any, tmp_path: Path, boot_id_file: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SimulationError, match=r"cannot be prepared.*stateDir"):
        Simulation("single-t4", tmp_path / "file", boot_id_file).prepare()
    with pytest.raises(SimulationError, match="missing"):
        Simulation("single-t4", tmp_path / "new", tmp_path / "missing").prepare()


def test_it_says_that_it_is_a_simulation(simulate: Any, caplog: Any) -> None:
    simulate("single-t4")
    assert "hardware is simulated: node single-t4" in caplog.text
