"""``dracore nvidia_gpu sim``: breaks and changes a simulated node while a driver runs on it."""

from __future__ import annotations

import copy

from dracore_nvidia_gpu.sim.__main__ import main

sim = copy.copy(main)
sim.name = "sim"
