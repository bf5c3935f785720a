"""One look at all GPUs of the node: which are offered, which are withheld, which are lost."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from dracore import Device, Discovery
from dracore_nvidia_gpu.calls import ABSENT, GPU_IS_LOST, STALE, Nvml, NvmlFailure
from dracore_nvidia_gpu.devices import LOST, DriverInfo, gpu_device, lost_device
from dracore_nvidia_gpu.gpu import DISPLAY_ONLY, Gpu, GpuLost, Unidentified, read_gpu, read_lost
from dracore_nvidia_gpu.pci import Pci, bus_order


@dataclass(frozen=True, slots=True)
class Known:
    """One GPU as a look left it."""

    device: Device
    handle: Any = None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """What a look found; made once, never changed.

    :param known: by uuid, GPUs that are on the bus, withheld and lost ones among them.
    :param withheld: by uuid, why a GPU is not offered.
    :param gone: by uuid, the device of a GPU that was known to this process and left the bus or the driver,
        with what became of it.
    :param nvml: the session that the handles belong to; None: the look failed.
    :param generation: counts those sessions: with another come other handles, and perhaps other minors.
    :param problem: why the look failed.
    """

    driver: DriverInfo = field(default_factory=DriverInfo)
    known: dict[str, Known] = field(default_factory=dict)
    withheld: dict[str, str] = field(default_factory=dict)
    gone: dict[str, tuple[Device, str]] = field(default_factory=dict)
    nvml: Nvml | None = None
    generation: int = -1
    problem: str = ""

    def offers(self, uuid: str) -> bool:
        """Whether the GPU was well when it was looked at."""
        known = self.known.get(uuid)
        return known is not None and not known.lost and uuid not in self.withheld and self.nvml is not None


class Survey:
    """Looks at the GPUs through NVML, sysfs and procfs.

    :param proc: where procfs is.
    :param simulated: the GPUs are not real, and their devices say so.
    """

    def __init__(self, pci: Pci, proc: str = "/proc", *, simulated: bool = False) -> None:
        self._pci = pci
        self._proc = proc
        self._simulated = simulated

    def look(
        self, nvml: Nvml, before: View, ours: Collection[str], generation: int
    ) -> tuple[Discovery, View]:
        """Every GPU, in the order of its PCI address.

        :param before: the last view: a GPU that does not answer is described as it was there.
        :param ours: uuids of GPUs that we put into MIG mode ourselves.
        :raises NvmlFailure: the GPUs cannot be listed, or the driver was reloaded meanwhile.
        """
        problems: list[str] = []
        driver = _driver(nvml, problems)
        known: dict[str, Known] = {}
        withheld: dict[str, str] = {}
        silent = failed = 0
        for index in range(int(nvml.call("nvmlDeviceGetCount"))):
            try:
                gpu = read_gpu(nvml, nvml.call("nvmlDeviceGetHandleByIndex", index), self._pci, problems)
            except GpuLost:
                silent += 1
                continue
            except Unidentified as error:
                problems.append(f"GPU {index} is left out, it cannot be told from others: {error}")
                failed += 1
                continue
            except NvmlFailure as failure:
                if failure.code in STALE:
                    raise
                if failure.code == GPU_IS_LOST:
                    silent += 1
                else:
                    problems.append(f"GPU {index} is left out: {failure}")
                    failed += 1
                continue
            if gpu.product in DISPLAY_ONLY:
                continue
            uuid = gpu.identity.uuid
            device = gpu_device(gpu, driver, simulated=self._simulated, problems=problems)
            known[uuid] = Known(device, gpu.handle)
            why = _why_withheld(gpu, ours)
            if why:
                withheld[uuid] = why
                problems.append(f"{gpu.identity} is withheld: {why}")
        if silent:
            lost = {known_lost.device.identity: known_lost for known_lost in self._lost(before, known)}
            known |= lost
            problems += [
                f"{entry.device.name} ({uuid}) is lost: it does not answer NVML; reset it or reboot the node"
                for uuid, entry in lost.items()
            ]
            if silent > len(lost):
                problems.append(
                    f"{silent - len(lost)} GPU(s) are lost and cannot be named; they are left out"
                )
        gone = self._gone(before, known, certain=not failed)
        problems += [f"{device.name} ({uuid}) is gone: {why}" for uuid, (device, why) in gone.items()]
        offered = [entry.device for uuid, entry in known.items() if uuid not in withheld]
        offered.sort(key=lambda device: bus_order(device.facts["busId"]))
        view = View(driver, known, withheld, gone, nvml, generation)
        return Discovery(tuple(offered), problems=tuple(problems)), view

    def _lost(self, before: View, answering: dict[str, Known]) -> Iterator[Known]:
        """GPUs that are on the bus with NVIDIA's driver and do not answer: as they were when last seen, else
        with what the driver's files in procfs say of them."""
        taken = {entry.device.facts["busId"] for entry in answering.values()}
        for uuid, entry in before.known.items():
            address = entry.device.facts["busId"]
            if uuid not in answering and address not in taken and self._driven(address):
                taken.add(address)
                yield Known(entry.device.with_taint(LOST), lost=True)
        for address in self._pci.gpus():
            found = read_lost(self._proc, address) if address not in taken else None
            if found and found[0].uuid not in answering and self._driven(address):
                yield Known(lost_device(*found, simulated=self._simulated), lost=True)

    def _gone(self, before: View, known: dict[str, Known], *, certain: bool) -> dict[str, tuple[Device, str]]:
        """Those that were there before; one whose name another GPU has now is of no interest any more.

        :param certain: every GPU that NVML lists could be named; else a missing one may be one of those.
        """
        names = {entry.device.name for entry in known.values()}
        devices = {uuid: device for uuid, (device, _) in before.gone.items()}
        devices |= {uuid: entry.device for uuid, entry in before.known.items()}
        return {
            uuid: (device, self._whereabouts(device.facts["busId"]))
            for uuid, device in devices.items()
            if uuid not in known
            and device.name not in names
            and (certain or not self._driven(device.facts["busId"]))
        }

    def _whereabouts(self, address: str) -> str:
        if not self._pci.present(address):
            return f"nothing is at {address} on the PCI bus"
        driver = self._pci.driver(address)
        return f"{address} is bound to {driver}" if driver != "nvidia" else "NVML does not list it"

    def _driven(self, address: str) -> bool:
        return self._pci.present(address) and self._pci.driver(address) in ("nvidia", None)


def _why_withheld(gpu: Gpu, ours: Collection[str]) -> str:
    if gpu.mig is None:
        return "whether its MIG mode is on cannot be told"
    if gpu.mig and gpu.identity.uuid not in ours:
        return f"an administrator has its MIG mode on; nvidia-smi -i {gpu.identity.bus_id} -mig 0 frees it"
    return ""


def _driver(nvml: Nvml, problems: list[str]) -> DriverInfo:
    version: str | None = None
    cuda: int | None = None
    try:
        answer = nvml.call("nvmlSystemGetDriverVersion")
        version = answer.decode() if isinstance(answer, bytes) else answer
    except NvmlFailure as failure:
        if failure.code in STALE:
            raise
        problems.append(f"no driverVersion, {failure}")
    try:
        cuda = int(nvml.call("nvmlSystemGetCudaDriverVersion"))
    except NvmlFailure as failure:
        if failure.code in STALE:
            raise
        if failure.code not in ABSENT:
            problems.append(f"no cudaDriverVersion, {failure}")
    return DriverInfo(version, cuda)
