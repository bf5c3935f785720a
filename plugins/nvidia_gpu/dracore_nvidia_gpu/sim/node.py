"""The model of a node: what its hardware is, what state it is in, and what can happen to it.

Every change goes through :meth:`SimNode.change`: under the file's lock, on disk before it returns, and with
the /proc and sysfs trees following it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dracore_nvidia_gpu.sim import mig
from dracore_nvidia_gpu.sim.codes import Code, Refused
from dracore_nvidia_gpu.sim.errors import SimulationError
from dracore_nvidia_gpu.sim.hardware import FABRIC_STATES, GpuSpec, MigTable, NodeSpec
from dracore_nvidia_gpu.sim.state import (
    CallFault,
    DriverState,
    Event,
    GpuInstance,
    GpuState,
    NodeState,
    Process,
    StateFile,
)

XID_CRITICAL = 0x8
MIG_CONFIG_CHANGE = 0x100
"""nvmlEventTypeXidCriticalError."""
FELL_OFF_THE_BUS = 79
"""The XID with which the driver reports that a GPU does not answer any more (NVIDIA's XID catalog)."""
COMPUTE_MODES = {"default": 0, "prohibited": 2, "exclusive-process": 3}


class SimNode:
    """One simulated node.

    :param follow: called after a change with the new state, while the lock is held; renders what the kernel
        would show in /proc and sysfs.
    """

    def __init__(
        self, spec: NodeSpec, file: StateFile, follow: Callable[[NodeState], None] | None = None
    ) -> None:
        self.spec = spec
        self._file = file
        self._follow = follow

    @property
    def state(self) -> NodeState:
        """The state now, not to be changed in place."""
        return self._file.read()

    @contextmanager
    def change(self) -> Iterator[NodeState]:
        """A copy of the state to change, on disk when the block ends; nothing changes when it raises."""
        with self._file.change(NodeState()) as state:
            yield state
            if self._follow is not None:
                self._follow(state)

    # --- what is there -------------------------------------------------------------------------------

    def visible(self, state: NodeState) -> list[GpuSpec]:
        """The GPUs that the driver enumerates, in PCI order: the position here is NVML's index."""
        return sorted(
            (gpu for gpu in self.spec.gpus if not state.gpus[gpu.uuid].removed), key=lambda gpu: gpu.pci
        )

    def gpu(self, which: str) -> GpuSpec:
        """:param which: position in the node's file, uuid, or PCI address.
        :raises SimulationError: no such GPU."""
        for gpu in self.spec.gpus:
            if which in (str(gpu.position), gpu.uuid, gpu.pci.sysfs, gpu.pci.nvml):
                return gpu
        raise SimulationError(
            f"no GPU {which}",
            where=self.spec.name,
            fix=f"take one of 0 to {len(self.spec.gpus) - 1}, a uuid or a PCI address",
        )

    def driver_version(self, state: NodeState) -> str:
        return state.driver.version or self.spec.driver_version

    def cuda_version(self, state: NodeState) -> int:
        return state.driver.cuda or self.spec.cuda_version

    def fabric(self, state: NodeState, gpu: GpuSpec) -> tuple[int, str, int] | None:
        """State, cluster uuid and clique; None where the GPU knows no fabric."""
        fabric, now = self.spec.fabric, state.gpus[gpu.uuid]
        if fabric is None:
            return None
        clique = fabric.clique if now.fabric_clique is None else now.fabric_clique
        return FABRIC_STATES[now.fabric_state or fabric.state], fabric.cluster, clique

    # --- the machine ---------------------------------------------------------------------------------

    def meet(self, boot_id: str) -> bool:
        """To be called when a process opens the node: applies the reboot that lies between, if one does.

        GPUs that are new in the node's file begin in their factory state; those that are gone are forgotten.

        :returns: whether there was a reboot.
        """
        with self.change() as state:
            rebooted = state.boot_id not in ("", boot_id)
            if rebooted:
                self._reboot(state)
            state.boot_id = boot_id
            state.gpus = {gpu.uuid: state.gpus.get(gpu.uuid, GpuState()) for gpu in self.spec.gpus}
            for gpu in self.spec.gpus:
                if not _known_instances(gpu, state.gpus[gpu.uuid]):
                    state.gpus[gpu.uuid] = GpuState()
        return rebooted

    def reboot(self) -> None:
        """The machine restarts now; the boot id is the machine's own affair."""
        with self.change() as state:
            self._reboot(state)

    def _reboot(self, state: NodeState) -> None:
        """Injected call faults stay: they are no property of the hardware, and a test may want them then."""
        for gpu in self.spec.gpus:
            before = state.gpus.get(gpu.uuid, GpuState())
            after = GpuState(
                made=before.made,
                ecc_corrected=before.ecc_corrected,
                ecc_uncorrected=before.ecc_uncorrected,
                remapped=[*before.remapped[:2], 0, before.remapped[3]],
            )
            if gpu.product.keeps_mig_mode:
                after.mig = after.mig_pending = before.mig_pending
            state.gpus[gpu.uuid] = after
        state.events.clear()
        state.driver = DriverState(
            loads=state.driver.loads + 1, version=state.driver.version, cuda=state.driver.cuda
        )

    # --- the driver ----------------------------------------------------------------------------------

    def reload_driver(self, version: str | None = None, cuda: int | None = None) -> None:
        """The kernel driver is unloaded and loaded again, perhaps in another version.

        Sessions end, and with the driver everything that only it knew: MIG instances, modes, processes, and
        from Hopper on MIG mode itself.
        """
        with self.change() as state:
            state.driver.loads += 1
            state.driver.loaded = True
            state.driver.mismatch = False
            state.driver.version = version or state.driver.version
            state.driver.cuda = cuda or state.driver.cuda
            state.events.clear()
            for gpu in self.spec.gpus:
                now = state.gpus[gpu.uuid]
                now.instances.clear()
                now.processes.clear()
                now.compute_mode = now.persistence = 0
                if not gpu.product.keeps_mig_mode:
                    now.mig_pending = 0
                now.mig = now.mig_pending

    def set_driver(self, *, loaded: bool | None = None, mismatch: bool | None = None) -> None:
        """The kernel driver goes, or the library under it is exchanged without a reload."""
        with self.change() as state:
            if loaded is not None:
                state.driver.loads += state.driver.loaded != loaded
                state.driver.loaded = loaded
            if mismatch is not None:
                state.driver.mismatch = mismatch

    # --- a GPU ---------------------------------------------------------------------------------------

    def lose(self, which: str, *, handle: bool = False) -> None:
        """The GPU does not answer any more. ``handle``: it is still enumerated and fails call by call."""
        uuid = self.gpu(which).uuid
        with self.change() as state:
            state.gpus[uuid].lost, state.gpus[uuid].lost_handle = True, handle

    def remove(self, which: str) -> None:
        """The GPU is gone from the bus: not enumerated, its PCI device not in sysfs."""
        uuid = self.gpu(which).uuid
        with self.change() as state:
            state.gpus[uuid].removed = True
            state.gpus[uuid].processes.clear()

    def reset(self, which: str) -> None:
        """What ``nvidia-smi --gpu-reset`` does.

        :raises Refused: IN_USE while a process uses the GPU, GPU_IS_LOST when only a reboot helps."""
        spec = self.gpu(which)
        with self.change() as state:
            now = state.gpus[spec.uuid]
            if now.lost:
                raise Refused(Code.GPU_IS_LOST)
            if now.processes:
                raise Refused(Code.IN_USE)
            now.instances.clear()
            now.mig = now.mig_pending
            now.remapped[2] = 0

    def xid(self, which: str, code: int, instance: int | None = None, compute: int | None = None) -> None:
        """The driver reports an error. With 79 the GPU is lost as well."""
        uuid = self.gpu(which).uuid
        with self.change() as state:
            state.last_event += 1
            state.events.append(Event(state.last_event, uuid, XID_CRITICAL, code, instance, compute))
            if code == FELL_OFF_THE_BUS:
                state.gpus[uuid].lost = True

    def set_mig_mode(self, uuid: str, mode: int) -> int:
        """:returns: the activation status; IN_USE leaves the mode pending until the GPU is idle and reset.
        :raises Refused: NOT_SUPPORTED without MIG."""
        if self.spec.by_uuid[uuid].product.mig is None:
            raise Refused(Code.NOT_SUPPORTED)
        if mode not in (0, 1):
            raise Refused(Code.INVALID_ARGUMENT)
        with self.change() as state:
            now = state.gpus[uuid]
            now.mig_pending = mode
            if now.mig != mode and (now.processes or now.instances):
                return Code.IN_USE
            if now.mig != mode:
                state.last_event += 1
                state.events.append(Event(state.last_event, uuid, MIG_CONFIG_CHANGE, 0))
            now.mig = mode
            return Code.SUCCESS

    @contextmanager
    def partition(self, uuid: str) -> Iterator[tuple[MigTable, GpuState]]:
        """The GPU's MIG table and a copy of its state to change.

        :raises Refused: NOT_SUPPORTED while MIG is off."""
        table = self.spec.by_uuid[uuid].product.mig
        with self.change() as state:
            now = state.gpus[uuid]
            if table is None or not now.mig:
                raise Refused(Code.NOT_SUPPORTED)
            yield table, now

    def create_partition(self, which: str, name: str) -> GpuInstance:
        """A GPU instance of the profile ``name`` (``1g.5gb``) with one compute instance, as an administrator
        makes it with ``nvidia-smi mig -cgi <name> -C``."""
        gpu = self.gpu(which)
        table = gpu.product.mig
        profile = next((p for p in table.profiles if p.name == name), None) if table else None
        if profile is None:
            known = ", ".join(p.name for p in table.profiles) if table else "none, it has no MIG"
            raise SimulationError(f"no MIG profile {name}", where=f"GPU {which}", fix=f"it has {known}")
        with self.partition(gpu.uuid) as (table, now):
            instance = mig.create(table, now, profile)
            whole = next(c for c in mig.ci_profiles(table, profile) if c.slices == profile.slices)
            mig.create_ci(now, gpu.uuid, instance, whole)
            return instance

    def start_process(self, which: str, process: Process) -> None:
        """A process opens a context on the GPU (or on a MIG device of it)."""
        uuid = self.gpu(which).uuid
        with self.change() as state:
            state.gpus[uuid].processes.append(process)

    def end_process(self, which: str, pid: int) -> None:
        uuid = self.gpu(which).uuid
        with self.change() as state:
            now = state.gpus[uuid]
            now.processes = [p for p in now.processes if p.pid != pid]

    # --- faults --------------------------------------------------------------------------------------

    def fault(self, fault: CallFault) -> None:
        """Makes a call fail or slow until cleared, or as often as the fault says."""
        with self.change() as state:
            state.faults.append(fault)

    def strike(self, call: str, uuid: str | None, *, lookup: bool = False) -> tuple[int | None, int]:
        """The code and the delay in milliseconds that faults have for this call now; counts the strike.

        :param lookup: the GPU is what the call found, not what it was given; faults for all GPUs struck
            before it was found.
        """
        hits = [f for f in self.state.faults if _strikes(f, call, uuid, lookup)]
        if not hits:
            return None, 0
        if any(f.times is not None for f in hits):
            with self.change() as state:
                hits = [f for f in state.faults if _strikes(f, call, uuid, lookup)]
                for hit in hits:
                    if hit.times is not None:
                        hit.times -= 1
                state.faults = [f for f in state.faults if f.times != 0]
        code = next((f.code for f in hits if f.code is not None), None)
        return code, sum(f.delay_ms for f in hits)

    def clear(self) -> None:
        """Ends every fault: calls answer again, lost and removed GPUs are back, the driver is loaded."""
        with self.change() as state:
            state.faults.clear()
            if not state.driver.loaded:
                state.driver.loads += 1
            state.driver.loaded, state.driver.mismatch = True, False
            for now in state.gpus.values():
                now.lost = now.lost_handle = now.removed = False


def _strikes(fault: CallFault, call: str, uuid: str | None, lookup: bool) -> bool:
    """A fault on ``nvmlDeviceGetCount`` is one on ``nvmlDeviceGetCount_v2`` too: callers know the former."""
    base, _, version = call.rpartition("_v")
    same = fault.call == call or (version.isdigit() and fault.call == base)
    return same and (fault.gpu == uuid if lookup else fault.gpu in (None, uuid))


def _known_instances(gpu: GpuSpec, now: GpuState) -> bool:
    """Whether the GPU can be in this state at all; it cannot when the slot got another product."""
    table = gpu.product.mig
    if table is None:
        return not (now.mig or now.mig_pending or now.instances)
    return all(table.by_id(i.profile) is not None for i in now.instances)
