"""One NVML for the process: opened from where the configuration says, and again after a driver reload.

pynvml keeps the library in a module global and caches its function pointers for ever, so a process can have
one NVML at a time, and whoever changes the library must empty that cache.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dracore_nvidia_gpu.calls import DRIVER_NOT_LOADED, LIBRARY_MISMATCH, UNINITIALIZED, Calls, NvmlFailure
from dracore_nvidia_gpu.nvml.errors import NvmlUnavailable
from dracore_nvidia_gpu.nvml.source import LibrarySource

log = logging.getLogger(__name__)

MARKER = "nvmlSimGetInfo"
"""A symbol that only simulated libraries have."""


class NvmlSession:
    """NVML between one opening and the next closing. Handles belong to the session that gave them.

    :param generation: which opening of the library this is, from 1.
    """

    def __init__(self, library: NvmlLibrary, generation: int) -> None:
        self._library = library
        self.generation = generation

    def call(self, name: str, *args: Any) -> Any:
        """pynvml's function ``name``; from any thread.

        :raises NvmlFailure: NVML's answer is not SUCCESS; UNINITIALIZED when this session is over, also when
            another one has begun meanwhile."""
        with self._library.use(self, name) as calls:
            return calls.call(name, *args)


class NvmlLibrary:
    """Opens and closes NVML. A call that runs is waited for before the library is closed under it; a blocking
    one (nvmlEventSetWait) holds that up for as long as its time-out.

    :param source: asked for a library at every opening, so that a replaced driver is found.
    """

    def __init__(self, source: LibrarySource) -> None:
        self.source = source
        self._state = threading.Condition()
        self._running = 0
        self._changing = False
        self._openings = 0
        self._session: NvmlSession | None = None
        self._calls: Calls | None = None
        self._pynvml: Any = None
        self._loaded: Any = None

    @property
    def simulated(self) -> bool:
        return self.source.simulated

    def open(self) -> NvmlSession:
        """The session; a new one where there is none.

        :raises NvmlUnavailable: no library, no driver, or another NVML in this process."""
        with self._alone():
            return self._session or self._open()

    def close(self) -> None:
        """Ends the session; does nothing where there is none."""
        with self._alone():
            self._close()

    def reopen(self, stale: NvmlSession) -> NvmlSession:
        """Ends the session that a caller found useless and begins another, with the library that is installed
        now; of several threads that find the same, one does it.

        :raises NvmlUnavailable: then there is no session; try again later."""
        with self._alone():
            if self._session is not None and self._session is not stale:
                return self._session
            self._close()
            return self._open()

    @contextmanager
    def use(self, session: NvmlSession, name: str) -> Iterator[Calls]:
        """Keeps the library open while a session's call runs."""
        with self._state:
            while self._changing:
                self._state.wait()
            if self._calls is None or self._session is not session:
                raise NvmlFailure(name, UNINITIALIZED, "this NVML session is over")
            calls = self._calls
            self._running += 1
        try:
            yield calls
        finally:
            with self._state:
                self._running -= 1
                self._state.notify_all()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._state:
            while self._changing:
                self._state.wait()
            self._changing = True
            while self._running:
                self._state.wait()
        try:
            yield
        finally:
            with self._state:
                self._changing = False
                self._state.notify_all()

    def _open(self) -> NvmlSession:
        pynvml = _import_pynvml()
        loaded = self.source.load()
        simulated = _has(loaded, MARKER)
        if simulated != self.source.simulated:
            raise NvmlUnavailable(
                "the library is a simulation" if simulated else "the library is not the simulation",
                where=str(self.source),
                fix="simulate hardware only by the simulation section of the node configuration",
            )
        _install(pynvml, loaded, str(self.source))
        calls = Calls(pynvml)
        try:
            # Without GPUs too: all of them may be bound to another driver, or come later.
            calls.call("nvmlInitWithFlags", pynvml.NVML_INIT_FLAG_NO_GPUS)
        except NvmlFailure as failure:
            _uninstall(pynvml, loaded)
            raise _unavailable(failure, str(self.source)) from None
        self._openings += 1
        self._pynvml, self._loaded, self._calls = pynvml, loaded, calls
        self._session = NvmlSession(self, self._openings)
        log.info("NVML opened from %s%s", self.source, " (simulated)" if simulated else "")
        return self._session

    def _close(self) -> None:
        calls, self._calls, self._session = self._calls, None, None
        if calls is None:
            return
        try:
            calls.call("nvmlShutdown")
        except NvmlFailure as failure:
            log.debug("NVML of %s was over already: %s", self.source, failure)
        _uninstall(self._pynvml, self._loaded)
        self._loaded = None


def _import_pynvml() -> Any:
    # The inactive distribution "pynvml" warns from an import hook; that is for the log, not for callers.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import pynvml
    for warning in caught:
        log.warning("importing pynvml: %s", " ".join(str(warning.message).split()))
    return pynvml


def _install(pynvml: Any, loaded: Any, source: str) -> None:
    with pynvml.libLoadLock:
        if pynvml.nvmlLib is not None:
            raise NvmlUnavailable(
                "another NVML library is open in this process",
                where=source,
                fix="close it first; plugins share the session of nvidia_gpu",
            )
        pynvml.nvmlLib = loaded
        pynvml._nvmlGetFunctionPointer_cache.clear()


def _uninstall(pynvml: Any, loaded: Any) -> None:
    with pynvml.libLoadLock:
        if pynvml.nvmlLib is loaded:
            pynvml.nvmlLib = None
            pynvml._nvmlGetFunctionPointer_cache.clear()


def _unavailable(failure: NvmlFailure, where: str) -> NvmlUnavailable:
    if failure.code == DRIVER_NOT_LOADED:
        what, fix = (
            "NVIDIA's kernel driver is not loaded",
            "load it (modprobe nvidia) or wait for its installer",
        )
    elif failure.code == LIBRARY_MISMATCH:
        what = "the library and the loaded kernel driver are of different versions"
        fix = "reload the driver or reboot; or set driverRoot to the installation that is loaded"
    else:
        what, fix = f"NVML does not start: {failure.text} (code {failure.code})", "look at the kernel log"
    return NvmlUnavailable(what, where=where, fix=fix, code=failure.code)


def _has(loaded: Any, symbol: str) -> bool:
    try:
        getattr(loaded, symbol)
    except AttributeError:
        return False
    return True
