from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dracore_nvidia_gpu.nvml import LibrarySource, NvmlLibrary, SimulationSource
from dracore_nvidia_gpu.sim import Simulation


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    boot = tmp_path / "boot_id"
    boot.write_text("boot-1\n")
    made = Simulation("dgx-a100-40", tmp_path / "state", boot)
    made.prepare()
    return made


@pytest.fixture
def library() -> Iterator[Callable[[LibrarySource], NvmlLibrary]]:
    """Makes libraries that are closed when the test ends."""
    made: list[NvmlLibrary] = []

    def make(source: LibrarySource) -> NvmlLibrary:
        made.append(NvmlLibrary(source))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def simulated(simulation: Simulation, library: Callable[[LibrarySource], NvmlLibrary]) -> NvmlLibrary:
    return library(SimulationSource(simulation))
