"""Calls for a new look at the GPUs: by the clock, by NVML's events, by the kernel's uevents."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from typing import Any

from dracore_nvidia_gpu.calls import GPU_IS_LOST, STALE, TIMEOUT, Nvml, NvmlFailure
from dracore_nvidia_gpu.session import Session
from dracore_nvidia_gpu.survey import View
from dracore_nvidia_gpu.uevents import Uevents

_EVENTS = 0x8 | 0x100
"""XIDs and changes of the MIG configuration: nvmlEventTypeXidCriticalError, nvmlEventMigConfigChange."""
_EVENT_WAIT_MS = 500
_PAUSE = 1.0
"""Seconds between two tries to listen to NVML after one failed."""
_SETTLE = 0.2
"""Seconds to let a burst of uevents end (a driver's load announces every device) before one look."""
_SEARCH_INTERVAL = 5.0
"""Seconds between two looks while there is no driver: its nodes may appear without a uevent that we see."""


class Watch:
    """Watches from two threads until stopped.

    :param changed: called from either of them when discovery should run again.
    :param open_uevents: opens the kernel's announcements; OSError where there are none.
    """

    def __init__(
        self,
        session: Session,
        changed: Callable[[], None],
        interval: float,
        log: Any,
        open_uevents: Callable[[], Uevents] = Uevents,
    ) -> None:
        self._session = session
        self._changed = changed
        self._interval = interval
        self._log = log
        self._open_uevents = open_uevents
        self._stopped = threading.Event()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._threads = [
            threading.Thread(target=self._follow_kernel, name="nvidia-gpu-uevents", daemon=True),
            threading.Thread(target=self._follow_nvml, name="nvidia-gpu-events", daemon=True),
        ]

    def start(self) -> None:
        self._session.on_change = self._changed
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Returns when both threads have ended."""
        self._session.on_change = lambda: None
        self._stopped.set()
        os.write(self._wake_write, b"x")
        for thread in self._threads:
            thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)

    # --- the clock and the kernel --------------------------------------------------------------------

    def _follow_kernel(self) -> None:
        try:
            uevents: Uevents | None = self._open_uevents()
        except OSError as error:
            uevents = None
            self._log.info(
                "the kernel's device events cannot be heard; GPUs are looked for on an interval only",
                reason=str(error),
                interval=self._interval,
            )
        try:
            due = time.monotonic() + self._pause()
            while not self._stopped.is_set():
                sources = [self._wake_read, *([uevents.fileno()] if uevents else [])]
                heard = select.select(sources, [], [], max(0, due - time.monotonic()))[0]
                if uevents and uevents.fileno() in heard and uevents.drain():
                    self._stopped.wait(_SETTLE)
                    uevents.drain()
                    due = 0
                if not self._stopped.is_set() and time.monotonic() >= due:
                    self._changed()
                    due = time.monotonic() + self._pause()
        finally:
            if uevents:
                uevents.close()

    def _pause(self) -> float:
        return (
            self._interval if self._session.view.nvml is not None else min(self._interval, _SEARCH_INTERVAL)
        )

    # --- NVML ----------------------------------------------------------------------------------------

    def _follow_nvml(self) -> None:
        events: Any = None
        heard = View()
        while not self._stopped.is_set():
            view = self._session.view
            try:
                if events is None or not _same_gpus(heard, view):
                    _free(heard.nvml, events)
                    events, heard = None, view
                    events = view.nvml and self._listen(view.nvml, view)
                if not events or not heard.nvml:
                    self._stopped.wait(_PAUSE)
                elif _has_event(heard.nvml, events):
                    self._changed()
            except NvmlFailure as failure:
                # Lost GPUs and reloaded drivers show here first; discovery finds out which it is.
                self._log.info("NVML's events ended; looking at the GPUs again", reason=str(failure))
                _free(heard.nvml, events)
                events = None
                self._changed()
                self._stopped.wait(_PAUSE)
        _free(heard.nvml, events)

    def _listen(self, nvml: Nvml, view: View) -> Any:
        """A set of events of every GPU that answers; None where none can be heard."""
        try:
            events = nvml.call("nvmlEventSetCreate")
        except NvmlFailure as failure:
            if failure.code in STALE:
                raise
            return None
        watched = 0
        for known in view.known.values():
            try:
                if known.lost:
                    continue
                types = nvml.call("nvmlDeviceGetSupportedEventTypes", known.handle) & _EVENTS
                if types:
                    nvml.call("nvmlDeviceRegisterEvents", known.handle, types, events)
                    watched += 1
            except NvmlFailure as failure:
                if failure.code == GPU_IS_LOST:  # since discovery has looked: it must look again
                    _free(nvml, events)
                    raise
                self._log.debug("no events of a GPU", gpu=known.device.name, reason=str(failure))
        if watched:
            return events
        _free(nvml, events)
        return None


def _has_event(nvml: Nvml, events: Any) -> bool:
    try:
        # Short, because closing NVML waits for it.
        nvml.call("nvmlEventSetWait_v2", events, _EVENT_WAIT_MS)
    except NvmlFailure as failure:
        if failure.code == TIMEOUT:
            return False
        raise
    return True


def _free(nvml: Nvml | None, events: Any) -> None:
    if nvml is not None and events is not None:
        with contextlib.suppress(NvmlFailure):  # a session that ended freed its sets
            nvml.call("nvmlEventSetFree", events)


def _same_gpus(a: View, b: View) -> bool:
    def answering(view: View) -> set[str]:
        return {uuid for uuid, known in view.known.items() if not known.lost}

    return a.generation == b.generation and answering(a) == answering(b)
