"""Everything of one node that the plugin works with: what ``dra_start`` returns."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from dracore import Device, Discovery, Health, Prepared, Simulation
from dracore_nvidia_gpu.cdihook import HookSearch
from dracore_nvidia_gpu.common import Common, CommonEdits
from dracore_nvidia_gpu.devices import LOST
from dracore_nvidia_gpu.devnodes import DeviceNodes
from dracore_nvidia_gpu.driverroot import Root
from dracore_nvidia_gpu.gpuedits import GpuEdits
from dracore_nvidia_gpu.nvml import DriverRootSource, LibrarySource, NvmlLibrary, SimulationSource
from dracore_nvidia_gpu.pci import Pci
from dracore_nvidia_gpu.session import Session
from dracore_nvidia_gpu.settings import Settings
from dracore_nvidia_gpu.survey import Survey


@dataclass(frozen=True, slots=True)
class Places:
    """Where the node's files are.

    :param own_host: this process sees the host's files under their own paths.
    """

    driver: Root
    dev: Root
    sys: str
    proc: str
    own_host: bool

    @classmethod
    def of(cls, settings: Settings) -> Places:
        """The places of a real node."""
        mount = settings.driver_root_mount
        driver = Root(settings.driver_root, mount or settings.driver_root)
        if settings.dev_root in (None, driver.host):
            has_nodes = settings.dev_root is not None or _is_node(driver.path_here("/dev/nvidiactl"))
            dev = driver if has_nodes else Root()
        else:
            dev = Root(settings.dev_root, settings.dev_root)
        return cls(driver, dev, settings.sys_root, settings.proc_root, own_host=mount is None)


@dataclass(frozen=True, slots=True)
class Gpus:
    """One node's GPUs. Plugins that require this one get it as ``ctx.session("nvidia_gpu")``.

    :param common: edits that every container with a GPU gets; `edits` those of one GPU.
    """

    settings: Settings
    places: Places
    session: Session
    nodes: DeviceNodes
    pci: Pci
    hooks: HookSearch
    common: CommonEdits
    edits: GpuEdits
    simulated: bool = False

    @classmethod
    def open(cls, settings: Settings, simulation: Simulation | None, node: str = "") -> Gpus:
        """The GPUs of this node, or of a simulated one. NVML is opened by the first look.

        :param node: goes into simulated uuids, so that two nodes of one layout differ.
        :raises DracoreError: the simulation cannot be prepared.
        """
        source: LibrarySource
        if simulation is None:
            places = Places.of(settings)
            source = DriverRootSource(places.driver)
        else:
            from dracore_nvidia_gpu.sim import Simulation as Simulator

            simulator = Simulator(simulation.node, simulation.state_dir, simulation.boot_id_file, salt=node)
            simulator.prepare()
            root = Root(str(simulator.driver_root), str(simulator.driver_root))
            # The host's own programs and nodes are not the simulated node's.
            places = Places(root, root, str(simulator.sysfs_root), str(simulator.proc_root), own_host=False)
            source = SimulationSource(simulator)
        pci = Pci(places.sys)
        nodes = DeviceNodes(places.dev, places.proc)
        hooks = HookSearch(
            places.driver,
            settings.nvidia_cdi_hook_path,
            own_host=places.own_host,
            needed=simulation is None,
            disabled=frozenset(settings.disabled_hooks),
        )
        return cls(
            settings,
            places,
            Session(NvmlLibrary(source), Survey(pci, places.proc, simulated=simulation is not None)),
            nodes,
            pci,
            hooks,
            CommonEdits(places.driver, nodes, hooks, places.sys),
            GpuEdits(nodes, pci),
            simulated=simulation is not None,
        )

    def discover(self, ours: frozenset[str] = frozenset()) -> Discovery:
        """The devices, and what is wrong with them or with what their containers would get.

        :param ours: uuids of GPUs that we put into MIG mode ourselves.
        """
        found = self.session.discover(ours)
        if not found.devices:
            return found
        common = self.current_common()
        for device in found.devices:  # so that the first prepare finds them made
            self._edits(device, common)
        return Discovery(found.devices, found.counter_sets, (*found.problems, *common.problems))

    def prepare(self, device: Device) -> Prepared:
        """What a container gets for a GPU.

        :raises DeviceGone: the GPU is not there any more.
        """
        view = self.session.confirm(device.facts["uuid"], device.facts["minor"])
        common = self.common.get(view.driver.version or "", view.generation)
        edits = self.edits.get(device.facts["minor"], device.facts["busId"], common.hook, view.generation)
        return Prepared(edits, common.edits, facts=device.facts)

    def health(self) -> Iterator[Health]:
        """Of every GPU that is known; the taint of one that is lost or gone outlives this process."""
        view = self.session.view
        for uuid, known in view.known.items():
            name = known.device.name
            if view.nvml is None:
                yield Health(name, "Unknown", "NVIDIA's driver does not answer")
            elif known.lost:
                yield _lost(name, "it does not answer NVML")
            elif uuid not in view.withheld:
                yield Health(name, "Healthy")
        for device, why in view.gone.values():
            yield _lost(device.name, why)

    def current_common(self) -> Common:
        """The common edits for the driver that the last look found."""
        view = self.session.view
        return self.common.get(view.driver.version or "", view.generation)

    def _edits(self, device: Device, common: Common) -> None:
        generation = self.session.view.generation
        self.edits.get(device.facts["minor"], device.facts["busId"], common.hook, generation)


def _lost(name: str, why: str) -> Health:
    return Health(name, "Unhealthy", why, LOST.key, LOST.effect)


def _is_node(path: str) -> bool:
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except OSError:
        return False
