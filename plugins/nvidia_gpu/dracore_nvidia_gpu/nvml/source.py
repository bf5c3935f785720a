"""Where NVML's library comes from: a driver root, a file, or a simulation."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, Protocol

from dracore_nvidia_gpu.driverroot import NVML_NAME, Root, find_nvml
from dracore_nvidia_gpu.nvml.errors import NvmlUnavailable


class LibrarySource(Protocol):
    """Gives library objects for ``pynvml.nvmlLib``; a new one each time, for the driver may be another."""

    @property
    def simulated(self) -> bool:
        """Whether the library is known and meant to be no real one."""

    def load(self) -> Any:
        """:raises NvmlUnavailable: there is none, or it cannot be loaded."""

    def __str__(self) -> str:
        """For logs and errors."""


class Simulated(Protocol):
    """What of a :class:`~dracore_nvidia_gpu.sim.Simulation` is needed here."""

    @property
    def state_dir(self) -> Path: ...

    def library(self) -> Any: ...


class FileSource:
    """A library by its path."""

    simulated = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def load(self) -> Any:
        # By path, so that neither the loader's search path nor a library of the same SONAME matters.
        return _dlopen(str(self._path), str(self))


class DriverRootSource:
    """The library of the driver that is installed under a root."""

    simulated = False

    def __init__(self, root: Root) -> None:
        self._root = root

    def __str__(self) -> str:
        return f"driver root {self._root.host}"

    def load(self) -> Any:
        found = find_nvml(self._root)
        if found is None:
            raise NvmlUnavailable(
                f"no {NVML_NAME}",
                where=str(self),
                fix="install NVIDIA's driver, or set driverRoot to where it is installed",
            )
        return _dlopen(found.here, found.host)


class SimulationSource:
    """A simulated node."""

    simulated = True

    def __init__(self, simulation: Simulated) -> None:
        self._simulation = simulation

    def __str__(self) -> str:
        return f"simulation {self._simulation.state_dir}"

    def load(self) -> Any:
        return self._simulation.library()


def _dlopen(path: str, where: str) -> Any:
    try:
        return ctypes.CDLL(path)
    except OSError as error:
        raise NvmlUnavailable(
            f"the library cannot be loaded: {error}",
            where=where,
            fix="check that it belongs to this machine's architecture and C library",
        ) from error
