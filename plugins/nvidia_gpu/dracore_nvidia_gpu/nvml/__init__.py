"""NVML: finding its library, opening it, calling it. pynvml is imported when the library is opened."""

from __future__ import annotations

from dracore_nvidia_gpu.nvml.errors import NvmlUnavailable
from dracore_nvidia_gpu.nvml.library import NvmlLibrary, NvmlSession
from dracore_nvidia_gpu.nvml.source import DriverRootSource, FileSource, LibrarySource, SimulationSource

__all__ = [
    "DriverRootSource",
    "FileSource",
    "LibrarySource",
    "NvmlLibrary",
    "NvmlSession",
    "NvmlUnavailable",
    "SimulationSource",
]
