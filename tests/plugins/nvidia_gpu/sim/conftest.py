"""Simulated nodes, and pynvml on top of them as a plugin would use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dracore_nvidia_gpu.sim import Simulation

Simulate = Callable[..., Simulation]


@pytest.fixture
def boot_id_file(tmp_path: Path) -> Path:
    file = tmp_path / "boot_id"
    file.write_text("boot-1\n")
    return file


@pytest.fixture
def simulate(tmp_path: Path, boot_id_file: Path) -> Simulate:
    """Prepares a node in a folder of its own (or again in the same, as a restarted driver does)."""

    def prepare(node: str | Path = "dgx-a100-40", folder: str = "state", **options: Any) -> Simulation:
        simulation = Simulation(node, tmp_path / folder, boot_id_file, **options)
        simulation.prepare()
        return simulation

    return prepare


@pytest.fixture
def attach() -> Iterator[Callable[[Simulation], Any]]:
    """Puts a freshly loaded library under pynvml, not initialised; takes it away afterwards."""
    import pynvml

    def put(simulation: Simulation) -> Any:
        pynvml.nvmlLib = simulation.library()
        pynvml._nvmlGetFunctionPointer_cache.clear()
        return pynvml

    yield put
    pynvml.nvmlLib = None
    pynvml._nvmlGetFunctionPointer_cache.clear()


@pytest.fixture
def start(simulate: Simulate, attach: Callable[[Simulation], Any]) -> Callable[..., tuple[Simulation, Any]]:
    """A node and an initialised pynvml on it."""

    def begin(node: str | Path = "dgx-a100-40", **options: Any) -> tuple[Simulation, Any]:
        simulation = simulate(node, **options)
        pynvml = attach(simulation)
        pynvml.nvmlInitWithFlags(pynvml.NVML_INIT_FLAG_NO_GPUS)
        return simulation, pynvml

    return begin


@pytest.fixture
def code() -> Callable[..., int]:
    """The NVML code that a call answers with; 0 when it succeeds."""
    import pynvml

    def ask(call: Callable[..., Any], *args: Any) -> int:
        try:
            call(*args)
        except pynvml.NVMLError as error:
            return int(error.value)
        return 0

    return ask
