"""A simulated node under the plugin, as the core would give it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from dracore_nvidia_gpu import plugin
from dracore_nvidia_gpu.gpus import Gpus
from dracore_nvidia_gpu.settings import Settings
from dracore_nvidia_gpu.sim import Simulation as Simulator
from dracore_nvidia_gpu.sim.node import SimNode

from dracore import Device, Discovery, HeldEffect, Prepared, Simulation


@dataclass
class Context:
    """A node and claim context that holds what this plugin asks of one."""

    settings: Any
    simulation: Simulation | None = None
    node: str = ""
    log: Any = field(default_factory=structlog.get_logger)
    held_effects: dict[str, list[HeldEffect]] = field(default_factory=dict)
    started: Gpus | None = None

    def session(self, plugin: str | None = None) -> Any:
        return self.started

    def held(self, kind: str) -> list[HeldEffect]:
        return self.held_effects.get(kind, [])


class NodeUnderTest:
    """One simulated node with the plugin started on it."""

    def __init__(self, name: str | Path, folder: Path, settings: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.boot_id_file = folder / "boot_id"
        if not self.boot_id_file.exists():
            self.boot_id_file.write_text(f"{uuid.uuid4()}\n")
        self.state_dir = folder / "state"
        simulation = Simulation(str(name), self.state_dir, self.boot_id_file)
        self.ctx = Context(Settings.model_validate(settings), simulation)
        self.simulator = Simulator(name, self.state_dir, self.boot_id_file)
        self.simulator.prepare()
        self.start()

    @property
    def hardware(self) -> SimNode:
        """What happens to the node behind the plugin's back."""
        return self.simulator.node

    @property
    def driver_root(self) -> Path:
        return self.simulator.driver_root

    @property
    def gpus(self) -> Gpus:
        assert self.ctx.started is not None
        return self.ctx.started

    def start(self) -> None:
        self.ctx.started = plugin.dra_start(self.ctx)

    def stop(self) -> None:
        if self.ctx.started is not None:
            plugin.dra_stop(self.ctx.started)
            self.ctx.started = None

    def discover(self) -> Discovery:
        return plugin.dra_discover(self.ctx)

    def devices(self) -> dict[str, Device]:
        return {device.name: device for device in self.discover().devices}

    def prepare(self, device: Device) -> Prepared:
        return plugin.dra_prepare(self.ctx, device)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Callable[..., NodeUnderTest]]:
    """Starts the plugin on a simulated node: ``node("dgx-h100", discoveryInterval=5)``.

    One at a time: a process has one NVML.
    """
    running: list[NodeUnderTest] = []

    def start(name: str | Path, folder: str = "node", **settings: Any) -> NodeUnderTest:
        running.append(NodeUnderTest(name, tmp_path / folder, settings))
        return running[-1]

    yield start
    for started in running:
        started.stop()
