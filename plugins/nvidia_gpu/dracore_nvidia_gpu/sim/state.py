"""What changes on a simulated node, and the file that keeps it.

The file is the hardware: it outlives the process that uses it, and an administrator's command or a test can
change it while a driver runs. A change is on disk before the call that made it returns.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dracore_nvidia_gpu.sim.errors import SimulationError

SCHEMA = 1
KEPT_EVENTS = 256
"""Events are a queue for those who wait now; older ones than these nobody can still be waiting for."""


@dataclass
class ComputeInstance:
    """A compute instance and the MIG device that is made of it. ``slot`` is the MIG device's index."""

    id: int
    profile: int
    start: int
    size: int
    uuid: str
    slot: int


@dataclass
class GpuInstance:
    """A GPU instance; ``start`` and ``size`` in memory slices. No two have had the same ``serial``."""

    id: int
    profile: int
    start: int
    size: int
    serial: int
    compute: list[ComputeInstance] = field(default_factory=list)


@dataclass
class Process:
    """A process with a context on the GPU. Off MIG there are no instance ids."""

    pid: int
    memory: int
    kind: str = "compute"
    instance: int | None = None
    compute: int | None = None


@dataclass
class GpuState:
    """One GPU now. Modes are NVML's numbers."""

    lost: bool = False
    lost_handle: bool = False
    """Whether a lost GPU still gives a handle; nvidia-smi on a lost GPU reports that it does not."""
    removed: bool = False
    mig: int = 0
    mig_pending: int = 0
    instances: list[GpuInstance] = field(default_factory=list)
    made: int = 0
    """Instances ever made."""
    compute_mode: int = 0
    persistence: int = 0
    processes: list[Process] = field(default_factory=list)
    ecc_corrected: int = 0
    ecc_uncorrected: int = 0
    remapped: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    """Rows remapped after correctable and uncorrectable errors, remapping pending, remapping failed."""
    fabric_state: str | None = None
    fabric_clique: int | None = None

    def instance(self, gi_id: int) -> GpuInstance | None:
        return next((i for i in self.instances if i.id == gi_id), None)


@dataclass
class Event:
    """Something a driver reports to those who registered for it. No instance ids: the whole GPU."""

    number: int
    gpu: str
    type: int
    data: int
    instance: int | None = None
    compute: int | None = None


@dataclass
class CallFault:
    """A call that is made to fail, or to be slow, while the fault stands.

    :param gpu: uuid, or None for every GPU and for calls that name none.
    :param code: what the call returns; None lets it through.
    :param times: how often it still strikes; None: until cleared.
    :param delay_ms: how long the call takes.
    """

    call: str
    gpu: str | None = None
    code: int | None = None
    times: int | None = None
    delay_ms: int = 0


@dataclass
class DriverState:
    """The kernel driver. A reload makes every NVML session of before useless."""

    loads: int = 1
    loaded: bool = True
    mismatch: bool = False
    """The library's version is not the kernel driver's, as after an upgrade without a reload."""
    version: str | None = None
    cuda: int | None = None
    """Another version than the node's own, after an upgrade."""


@dataclass
class NodeState:
    """The whole node."""

    schema: int = SCHEMA
    boot_id: str = ""
    driver: DriverState = field(default_factory=DriverState)
    gpus: dict[str, GpuState] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    last_event: int = 0
    faults: list[CallFault] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> NodeState:
        raw: dict[str, Any] = json.loads(text)
        if raw["schema"] != SCHEMA:
            raise ValueError(f"schema {raw['schema']}, this version reads {SCHEMA}")
        return cls(
            boot_id=raw["boot_id"],
            driver=DriverState(**raw["driver"]),
            gpus={uuid: _gpu_state(gpu) for uuid, gpu in raw["gpus"].items()},
            events=[Event(**event) for event in raw["events"]],
            last_event=raw["last_event"],
            faults=[CallFault(**fault) for fault in raw["faults"]],
        )


def _gpu_state(raw: dict[str, Any]) -> GpuState:
    instances = [
        GpuInstance(**{**i, "compute": [ComputeInstance(**c) for c in i["compute"]]})
        for i in raw.pop("instances")
    ]
    processes = [Process(**p) for p in raw.pop("processes")]
    return GpuState(instances=instances, processes=processes, **raw)


class StateFile:
    """The state on disk, shared by processes and threads.

    Readers get a value that they must not change and that is read again when the file was replaced; writers
    change a copy under an exclusive lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._guard = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._value: NodeState | None = None

    def exists(self) -> bool:
        return self.path.exists()

    def read(self) -> NodeState:
        """The state now; never to be changed in place.

        :raises SimulationError: the file is gone or is no state file.
        """
        with self._guard:
            try:
                stat = os.stat(self.path)
            except FileNotFoundError as error:
                raise SimulationError(
                    "no simulated node here", where=str(self.path.parent), fix="prepare the simulation first"
                ) from error
            # Each change is a new file, so the inode tells; size and time guard against a reused inode.
            stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if self._value is None or stamp != self._stamp:
                self._value, self._stamp = self._load(), stamp
            return self._value

    @contextmanager
    def change(self, initial: NodeState | None = None) -> Iterator[NodeState]:
        """A private copy to change; written when the block ends, dropped when it raises.

        :param initial: the state to begin with where there is no file yet.
        """
        with self.locked():
            state = initial if initial is not None and not self.exists() else self._load()
            before = state.to_json() if self.exists() else None
            yield state
            del state.events[:-KEPT_EVENTS]
            after = state.to_json()
            if after != before:
                write_durably(self.path, after)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Exclusive among all processes and threads; not reentrant."""
        descriptor = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _load(self) -> NodeState:
        try:
            return NodeState.from_json(self.path.read_text(encoding="utf-8"))
        except (ValueError, TypeError, KeyError) as error:
            raise SimulationError(
                f"not a state file of this version: {error}",
                where=str(self.path),
                fix="remove the state directory",
            ) from error


def write_durably(path: Path, text: str, mode: int = 0o644) -> None:
    """Replaces a file: whoever reads sees the old or the new one, and so does a machine that lost power.

    The caller holds a lock: what a killed writer left beside the file is overwritten by the next.
    """
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
