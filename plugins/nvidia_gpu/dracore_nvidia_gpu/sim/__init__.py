"""A simulator of NVIDIA hardware at NVML's C interface, for tests and demonstrations without a GPU.

:class:`Simulation` is the way in. Nothing of it runs unless a node configuration has a
``simulation`` section.
"""

from __future__ import annotations

from dracore_nvidia_gpu.sim.errors import SimulationError
from dracore_nvidia_gpu.sim.simulation import Simulation

__all__ = ["Simulation", "SimulationError"]
