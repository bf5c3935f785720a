"""Bad luck on demand, by the model and by the command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from dracore_nvidia_gpu.sim import Simulation
from dracore_nvidia_gpu.sim.__main__ import main
from dracore_nvidia_gpu.sim.state import CallFault

Start = Callable[..., tuple[Simulation, Any]]


@pytest.fixture
def command() -> Callable[..., Any]:
    """Runs the command in this process."""

    def run(simulation: Simulation, *words: str) -> Any:
        return CliRunner().invoke(main, ["--state-dir", str(simulation.state_dir), *words])

    return run


def test_a_lost_gpu_costs_no_other(start: Start, command: Any, code: Any) -> None:
    simulation, nv = start()
    gpus = [nv.nvmlDeviceGetHandleByIndex(i) for i in range(8)]
    assert command(simulation, "fault", "lost", "gpu", "3").exit_code == 0
    assert nv.nvmlDeviceGetCount() == 8
    lost = nv.NVML_ERROR_GPU_IS_LOST
    assert [code(nv.nvmlDeviceGetName, gpu) for gpu in gpus] == [0, 0, 0, lost, 0, 0, 0, 0]
    assert [code(nv.nvmlDeviceGetHandleByIndex, i) for i in range(8)] == [0, 0, 0, lost, 0, 0, 0, 0]
    assert code(nv.nvmlDeviceGetHandleByUUID, simulation.spec.gpus[3].uuid) == lost
    assert command(simulation, "clear").exit_code == 0
    assert code(nv.nvmlDeviceGetName, gpus[3]) == 0


def test_a_lost_gpu_may_still_be_enumerated(start: Start, command: Any, code: Any) -> None:
    simulation, nv = start()
    command(simulation, "fault", "lost", "gpu", "3", "--handle")
    gpu = nv.nvmlDeviceGetHandleByIndex(3)
    assert code(nv.nvmlDeviceGetUUID, gpu) == nv.NVML_ERROR_GPU_IS_LOST
    assert code(nv.nvmlDeviceSetComputeMode, gpu, 3) == nv.NVML_ERROR_GPU_IS_LOST
    assert simulation.node.state.gpus[simulation.spec.gpus[3].uuid].compute_mode == 0


def test_a_removed_gpu_shifts_the_indices_and_no_minor(start: Start, command: Any, code: Any) -> None:
    simulation, nv = start()
    gone = nv.nvmlDeviceGetHandleByIndex(2)
    command(simulation, "fault", "removed", "gpu", "2")
    assert nv.nvmlDeviceGetCount() == 7
    minors = [nv.nvmlDeviceGetMinorNumber(nv.nvmlDeviceGetHandleByIndex(i)) for i in range(7)]
    assert minors == [0, 1, 3, 4, 5, 6, 7]
    assert code(nv.nvmlDeviceGetName, gone) == nv.NVML_ERROR_GPU_IS_LOST
    assert code(nv.nvmlDeviceGetHandleByUUID, simulation.spec.gpus[2].uuid) == nv.NVML_ERROR_NOT_FOUND


def test_a_call_fails_for_one_gpu(start: Start, command: Any, code: Any) -> None:
    simulation, nv = start()
    command(simulation, "fault", "call", "nvmlDeviceGetName", "--code", "999", "--gpu", "2")
    gpus = [nv.nvmlDeviceGetHandleByIndex(i) for i in range(3)]
    assert [code(nv.nvmlDeviceGetName, gpu) for gpu in gpus] == [0, 0, 999]
    assert code(nv.nvmlDeviceGetUUID, gpus[2]) == 0


def test_a_lookup_fails_for_one_gpu(start: Start, code: Any) -> None:
    simulation, nv = start()
    uuid = simulation.spec.gpus[1].uuid
    simulation.node.fault(CallFault("nvmlDeviceGetHandleByIndex", uuid, 4))
    assert [code(nv.nvmlDeviceGetHandleByIndex, i) for i in range(3)] == [0, 4, 0]


def test_a_call_fails_as_often_as_asked(start: Start, command: Any, code: Any) -> None:
    simulation, nv = start()
    command(simulation, "fault", "call", "nvmlDeviceGetCount", "--code", "999", "--times", "2")
    assert [code(nv.nvmlDeviceGetCount) for _ in range(4)] == [999, 999, 0, 0]
    assert simulation.node.state.faults == []


def test_a_changing_call_that_fails_changes_nothing(start: Start, code: Any) -> None:
    simulation, nv = start()
    simulation.node.fault(CallFault("nvmlDeviceSetMigMode", None, 999))
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    assert code(nv.nvmlDeviceSetMigMode, gpu, 1) == 999
    assert nv.nvmlDeviceGetMigMode(gpu) == [0, 0]


def test_a_call_is_slow(start: Start, command: Any, monkeypatch: Any) -> None:
    simulation, nv = start()
    slept: list[float] = []
    monkeypatch.setattr("dracore_nvidia_gpu.sim.skin.call.time.sleep", slept.append)
    command(simulation, "fault", "call", "nvmlDeviceGetCount", "--delay", "1500")
    assert nv.nvmlDeviceGetCount() == 8
    assert slept == [1.5]


def test_a_reload_ends_sessions_and_handles(start: Start, command: Any, code: Any) -> None:
    simulation, nv = start()
    gpu = nv.nvmlDeviceGetHandleByIndex(0)
    command(simulation, "reload")
    assert code(nv.nvmlDeviceGetName, gpu) == nv.NVML_ERROR_UNINITIALIZED
    assert code(nv.nvmlDeviceGetCount) == nv.NVML_ERROR_UNINITIALIZED
    nv.nvmlShutdown()
    nv.nvmlInitWithFlags(1)
    assert code(nv.nvmlDeviceGetName, gpu) == nv.NVML_ERROR_INVALID_ARGUMENT
    assert nv.nvmlDeviceGetCount() == 8


def test_without_a_driver_nothing_begins(start: Start, command: Any, code: Any) -> None:
    simulation, nv = start()
    command(simulation, "fault", "driver", "absent")
    assert code(nv.nvmlDeviceGetCount) == nv.NVML_ERROR_UNINITIALIZED
    nv.nvmlShutdown()
    assert code(nv.nvmlInitWithFlags, 1) == nv.NVML_ERROR_DRIVER_NOT_LOADED
    command(simulation, "clear")
    assert code(nv.nvmlInitWithFlags, 1) == 0


def test_a_library_of_another_version_does_not_begin(start: Start, command: Any, code: Any) -> None:
    simulation, nv = start()
    command(simulation, "fault", "driver", "mismatch")
    assert nv.nvmlDeviceGetCount() == 8  # who is in stays in
    nv.nvmlShutdown()
    assert code(nv.nvmlInitWithFlags, 1) == nv.NVML_ERROR_LIB_RM_VERSION_MISMATCH
    command(simulation, "reload", "--version", "590.10")
    assert code(nv.nvmlInitWithFlags, 1) == 0
    assert nv.nvmlSystemGetDriverVersion() == "590.10"


def test_call_faults_outlive_a_reboot(start: Start, command: Any, code: Any) -> None:
    simulation, nv = start()
    command(simulation, "fault", "call", "nvmlDeviceGetName", "--code", "999")
    command(simulation, "fault", "lost", "gpu", "1")
    command(simulation, "reboot")
    nv.nvmlShutdown()
    nv.nvmlInitWithFlags(1)
    assert code(nv.nvmlDeviceGetName, nv.nvmlDeviceGetHandleByIndex(1)) == 999


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fault", "lost", "gpu", "9"], "no GPU 9"),
        (["fault", "call", "nvmlDeviceGetName"], "give --code"),
        (["mig-create", "1g.5gb", "--gpu", "0"], "Not Supported"),
        (["mig-create", "1g.6gb", "--gpu", "0"], "it has 1g.5gb"),
    ],
)
def test_mistakes_are_one_line(simulate: Any, command: Any, words: list[str], said: str) -> None:
    result = command(simulate(), *words)
    assert result.exit_code != 0
    assert said in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_an_administrators_work(simulate: Any, command: Any) -> None:
    simulation = simulate()
    uuid = simulation.spec.gpus[0].uuid
    assert command(simulation, "mig-mode", "on", "--gpu", "0").output == ""
    assert command(simulation, "mig-create", "3g.20gb", "--gpu", uuid).output.startswith(
        "GPU instance 2, MIG-"
    )
    assert "pending: In use" in command(simulation, "mig-mode", "off", "--gpu", "0000:07:00.0").output
    command(simulation, "process", "start", "12", "--gpu", "1", "--memory", "10")
    assert simulation.node.state.gpus[simulation.spec.gpus[1].uuid].processes[0].memory == 10 << 20
    assert command(simulation, "reset", "--gpu", "1").exit_code == 1
    command(simulation, "process", "end", "12", "--gpu", "1")
    assert command(simulation, "reset", "--gpu", "1").exit_code == 0


def test_every_command_explains_itself() -> None:
    runner = CliRunner()

    def walk(words: list[str], node: Any) -> int:
        assert runner.invoke(main, ["--state-dir", "x", *words, "--help"]).exit_code == 0
        assert node.help or node.callback.__doc__
        return 1 + sum(walk([*words, name], child) for name, child in getattr(node, "commands", {}).items())

    assert walk([], main) > 15


def test_prepare_makes_a_node_for_hand_work(tmp_path: Any, boot_id_file: Any) -> None:
    words = ["--state-dir", str(tmp_path / "s"), "prepare", "single-t4", "--boot-id-file", str(boot_id_file)]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert Simulation.existing(tmp_path / "s").spec.name == "single-t4"
    wrong = CliRunner().invoke(main, ["--state-dir", str(tmp_path / "t"), "prepare", "single-t44"])
    assert "did you mean single-t4?" in wrong.output
