"""A simulated node in a folder: the way in for plugins, commands and tests."""

from __future__ import annotations

import json
import logging
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dracore_nvidia_gpu.sim.errors import SimulationError
from dracore_nvidia_gpu.sim.hardware import NodeSpec
from dracore_nvidia_gpu.sim.node import SimNode
from dracore_nvidia_gpu.sim.state import NodeState, StateFile, write_durably

if TYPE_CHECKING:
    from dracore_nvidia_gpu.sim.dev import DevNode
    from dracore_nvidia_gpu.sim.skin.library import SimLibrary

log = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Simulation:
    """Hardware that is not there, asked for explicitly and never mistaken for real.

    :param node: a name of :func:`~dracore_nvidia_gpu.sim.catalog.node_names`, or a file of the user's.
    :param state_dir: where the node lives: its description, its state, and the trees that stand for /sys,
        /proc and the driver's files. It may be kept across runs; another node needs another folder.
    :param boot_id_file: tells one boot of the machine from the next.
    :param salt: goes into uuids and serials, so that two nodes of one kind differ.
    """

    def __init__(
        self, node: str | Path, state_dir: Path, boot_id_file: Path = BOOT_ID, *, salt: str = ""
    ) -> None:
        self._node = node
        self._salt = salt
        self._boot_id_file = boot_id_file
        self.state_dir = state_dir
        self.driver_root = state_dir / "driver"
        self.dev_root = self.driver_root
        """Has ``dev/dri/by-path`` links only; a device node is known by its numbers (see :attr:`dev`)."""
        self.sysfs_root = state_dir / "sys"
        self.proc_root = state_dir / "proc"
        self._state_file = StateFile(state_dir / "state.json")
        self._rendered: object = None

    @classmethod
    def existing(cls, state_dir: Path) -> Simulation:
        """The node that was prepared in a folder, for commands beside the driver.

        :raises SimulationError: there is none."""
        try:
            description = json.loads(_description_file(state_dir).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise SimulationError(
                "no simulated node here",
                where=str(state_dir),
                fix="start the driver with this stateDir first",
            ) from error
        found = cls(description["name"], state_dir, salt=description["salt"])
        found.__dict__["spec"] = _build(description)
        return found

    @cached_property
    def spec(self) -> NodeSpec:
        """:raises SimulationError: there is no such node, or its file is wrong."""
        return _build(self._description)

    @cached_property
    def _description(self) -> dict[str, Any]:
        from dracore_nvidia_gpu.sim.catalog import describe

        return describe(self._node, self._salt)

    @cached_property
    def node(self) -> SimNode:
        """The model: what faults, processes and an administrator's changes go through."""
        return SimNode(self.spec, self._state_file, self._follow)

    @property
    def dev(self) -> dict[str, DevNode]:
        """The device nodes that there would be now, by path. None of them exists."""
        from dracore_nvidia_gpu.sim.dev import device_nodes

        return device_nodes(self.spec, self.node.state)

    def prepare(self) -> None:
        """Describes the node in its folder, applies a reboot that lies between, renders the trees.

        :raises SimulationError: the folder holds another node, or cannot be written."""
        file = _description_file(self.state_dir)
        try:
            self.state_dir.mkdir(parents=True, exist_ok=True)
            text = json.dumps(self._description, indent=1)
            with self._state_file.locked():
                self._refuse_another(file)
                if not file.exists() or file.read_text(encoding="utf-8") != text:
                    write_durably(file, text)
            boot_id = self._boot_id_file.read_text(encoding="utf-8").strip()
            if self.node.meet(boot_id):
                log.info("simulated node %s has rebooted", self.spec.name)
        except OSError as error:
            raise SimulationError(
                f"cannot be prepared: {error.strerror}",
                where=str(error.filename or self.state_dir),
                fix="choose a stateDir that this user can write, and a bootIdFile that it can read",
            ) from error
        log.warning(
            "hardware is simulated: node %s (GPUs: %d) in %s; nothing here runs on a GPU",
            self.spec.name,
            len(self.spec.gpus),
            self.state_dir,
        )

    def library(self) -> SimLibrary:
        """A new library object for ``pynvml.nvmlLib``, as a freshly loaded library: not initialised."""
        from dracore_nvidia_gpu.sim.skin.library import SimLibrary

        return SimLibrary(self.node)

    def _refuse_another(self, file: Path) -> None:
        if file.exists():
            held = json.loads(file.read_text(encoding="utf-8"))["name"]
            if held != self.spec.name:
                raise SimulationError(
                    f"holds the simulated node {held}, not {self.spec.name}",
                    where=str(self.state_dir),
                    fix="choose another stateDir, or remove this one",
                )

    def _follow(self, state: NodeState) -> None:
        """Keeps the trees as the kernel would, whenever something that they show has changed."""
        shown = _shown(state)
        if shown == self._rendered:
            return
        from dracore_nvidia_gpu.sim.catalog import load_table
        from dracore_nvidia_gpu.sim.driverroot import driver_root
        from dracore_nvidia_gpu.sim.procfs import procfs
        from dracore_nvidia_gpu.sim.render import render
        from dracore_nvidia_gpu.sim.sysfs import sysfs

        version = self.node.driver_version(state)
        render(self.driver_root, driver_root(self.spec, state, version, load_table("driver-root.yaml")))
        render(self.sysfs_root, sysfs(self.spec, state, version))
        render(self.proc_root, procfs(self.spec, state, version))
        self._rendered = shown


def _description_file(state_dir: Path) -> Path:
    return state_dir / "node.json"


def _build(description: dict[str, Any]) -> NodeSpec:
    from dracore_nvidia_gpu.sim.catalog import build

    return build(description)


def _shown(state: NodeState) -> object:
    """What of the state is visible in the trees."""
    gpus = tuple(
        (
            uuid,
            gpu.removed,
            gpu.mig,
            tuple((i.id, tuple(c.id for c in i.compute)) for i in gpu.instances),
        )
        for uuid, gpu in state.gpus.items()
    )
    return (state.driver.loaded, state.driver.version, gpus)
