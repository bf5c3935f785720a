"""The library object that takes the place of ``CDLL("libnvidia-ml.so.1")``."""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

from dracore_nvidia_gpu.sim.codes import TEXTS, Code
from dracore_nvidia_gpu.sim.node import SimNode
from dracore_nvidia_gpu.sim.skin.call import Export
from dracore_nvidia_gpu.sim.skin.session import Session

log = logging.getLogger(__name__)

ERROR_STRING = "nvmlErrorString"


class SimLibrary:
    """Gives every exported symbol as attribute, as ctypes' CDLL does; others raise AttributeError.

    A symbol is a libffi closure behind an *untyped* function pointer: a typed one would check arguments that
    a C library takes as they come. Closures are made when first asked for and live as long as this object,
    which must therefore outlive every pointer taken from it.
    """

    def __init__(self, node: SimNode) -> None:
        self._node = node
        self._session = Session()
        self._guard = threading.Lock()
        self._made: dict[str, Any] = {}
        self._alive: list[Any] = []
        self._branch = int(node.driver_version(node.state).split(".")[0])

    def __getattr__(self, symbol: str) -> Any:
        if symbol.startswith("__"):
            raise AttributeError(symbol)
        with self._guard:
            if symbol not in self._made:
                self._made[symbol] = self._make(symbol)
            return self._made[symbol]

    def __getitem__(self, symbol: str) -> Any:
        return getattr(self, symbol)

    @cached_property
    def symbols(self) -> dict[str, Export]:
        """What this library exports beside nvmlErrorString, which takes no part in sessions."""
        from dracore_nvidia_gpu.sim.skin import (
            computeinstances,
            events,
            gpuinstances,
            identity,
            modes,
            partitions,
            system,
            topology,
        )

        areas = (system, identity, topology, modes, events, partitions, gpuinstances, computeinstances)
        found = {symbol: export for area in areas for symbol, export in area.exports.items()}
        missing = self._node.spec.missing
        return {s: e for s, e in found.items() if e.since <= self._branch and s not in missing}

    def _make(self, symbol: str) -> Any:
        if symbol == ERROR_STRING:
            return self._pointer(ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int), self._error_string)
        export = self.symbols.get(symbol)
        if export is None:
            raise AttributeError(f"{symbol}: not a symbol of the simulated library")
        prototype = ctypes.CFUNCTYPE(ctypes.c_int, *(p.ctype for p in export.params))
        return self._pointer(prototype, self._guarded(export))

    def _guarded(self, export: Export) -> Callable[..., int]:
        def run(*raw: Any) -> int:
            try:
                return export(self._node, self._session, *raw)
            except Exception:
                # A closure cannot raise into C; NVML's word for what should not happen is 999.
                log.exception("simulated NVML call failed: %s", export.symbol)
                return Code.UNKNOWN

        return run

    def _pointer(self, prototype: Any, function: Callable[..., Any]) -> Any:
        closure = prototype(function)
        self._alive.append(closure)
        address = ctypes.cast(closure, ctypes.c_void_p).value
        assert address is not None
        pointer = ctypes.CDLL(None)._FuncPtr(address)
        pointer.restype = ctypes.c_int
        return pointer

    def _error_string(self, code: int) -> int | None:
        """A C string that lives as long as the library; any number has one."""
        key = f"text {code}"
        with self._guard:
            if key not in self._made:
                text = TEXTS.get(code, TEXTS[Code.UNKNOWN])
                self._made[key] = ctypes.create_string_buffer(text.encode())
            return ctypes.addressof(self._made[key])
