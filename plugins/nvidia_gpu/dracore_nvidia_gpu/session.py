"""The session with the hardware: NVML while there is a driver, and what the last look at the GPUs found.

Prepare reads what discovery left here. After a driver reload every handle is worthless: the session notices
by NVML's answers, opens it again and looks handles up anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import TypeVar

from dracore import DeviceGone, Discovery, DracoreError
from dracore_nvidia_gpu.calls import STALE, NvmlFailure
from dracore_nvidia_gpu.gpu import GpuLost, mig_mode
from dracore_nvidia_gpu.nvml import NvmlLibrary, NvmlSession
from dracore_nvidia_gpu.survey import Survey, View

T = TypeVar("T")


class Session:
    """The plugin's hold on the node's GPUs. Safe from any thread.

    :param library: opened by the first look, and closed here.
    :param survey: how the GPUs are looked at.
    """

    def __init__(self, library: NvmlLibrary, survey: Survey) -> None:
        self._library = library
        self._nvml: NvmlSession | None = None
        self._survey = survey
        self._lock = threading.RLock()
        self._ours: frozenset[str] = frozenset()
        self._view = View()
        self.on_change: Callable[[], None] = lambda: None
        """Called when a prepare found the GPUs other than discovery had left them."""

    @property
    def view(self) -> View:
        """What the last look found."""
        return self._view

    def close(self) -> None:
        """Lets go of NVML. What is known stays."""
        self._nvml = None
        self._library.close()

    def ask(self, question: Callable[[NvmlSession], T]) -> T:
        """The answer of `question`; asked once more, of a newly opened NVML, when the driver was reloaded.

        Handles do not survive that: look them up inside of `question`.

        :raises NvmlUnavailable: there is no driver; says what to do.
        :raises NvmlFailure: any other failure of a call.
        """
        nvml = self._nvml
        if nvml is None:
            nvml = self._nvml = self._library.open()
        try:
            return question(nvml)
        except NvmlFailure as failure:
            if failure.code not in STALE:
                raise
        return question(self._reopen(nvml))

    def _reopen(self, stale: NvmlSession) -> NvmlSession:
        self._nvml = None
        self._nvml = nvml = self._library.reopen(stale)
        return nvml

    def discover(self, ours: Collection[str] = ()) -> Discovery:
        """Looks at every GPU. Never raises: what cannot be seen is in the problems.

        :param ours: uuids of GPUs that we put into MIG mode ourselves; they are described as without it.
        """
        with self._lock:
            self._ours = frozenset(ours)
            try:
                if self._nvml and any(known.lost for known in self._view.known.values()):
                    self._reopen(self._nvml)  # a GPU that was reset or reseated answers only a new session
                found, self._view = self.ask(
                    lambda nvml: self._survey.look(nvml, self._view, self._ours, nvml.generation)
                )
                return found
            except DracoreError as error:
                problem = str(error)
            except NvmlFailure as failure:
                problem = f"the GPUs cannot be listed: {failure}"
            self._view = View(known=self._view.known, gone=self._view.gone, problem=problem)
            return Discovery(problems=(problem,))

    def confirm(self, uuid: str, minor: int) -> View:
        """Makes sure that the GPU is there under this minor number; two NVML calls where nothing changed.

        :raises DeviceGone: it is lost, removed, withheld, or another GPU has its name now.
        """
        looked = False
        for _ in range(3):  # the driver may be reloaded once more while we look
            view = self._view
            found = self._answers(view, uuid)
            if found == minor:
                return view
            if looked and (found is not None or not view.offers(uuid)):
                break
            self._look_again(view)
            looked = True
        raise DeviceGone(
            f"gpu-{minor} ({uuid}) is gone: {_why(view, uuid, found)}",
            fix="delete the pod, so that it gets another GPU",
        )

    def _look_again(self, doubted: View) -> None:
        """Discovers, unless another thread has done so since `doubted` was read."""
        with self._lock:
            if self._view is not doubted:
                return
            self.discover(self._ours)
        self.on_change()

    def _answers(self, view: View, uuid: str) -> int | None:
        """The minor number that the GPU answers with now; None where it does not, or is in MIG mode."""
        if view.nvml is None or not view.offers(uuid):
            return None
        handle = view.known[uuid].handle
        try:
            minor = int(view.nvml.call("nvmlDeviceGetMinorNumber", handle))
            # An administrator may have turned it on since the last look: a container could not use the GPU.
            return None if uuid not in self._ours and mig_mode(view.nvml, handle) is not False else minor
        except (NvmlFailure, GpuLost):
            return None


def _why(view: View, uuid: str, minor: int | None) -> str:
    known = view.known.get(uuid)
    if view.nvml is None:
        return "NVIDIA's driver does not answer"
    if known is None:
        return "no GPU of this node answers with that uuid"
    if known.lost:
        return "it fell off the bus"
    if uuid in view.withheld:
        return view.withheld[uuid]
    return "it does not answer NVML" if minor is None else f"it is gpu-{minor} now"
