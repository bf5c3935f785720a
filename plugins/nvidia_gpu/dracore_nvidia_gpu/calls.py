"""Calls into NVML with errors that can be told apart by code.

pynvml's own error is unhashable and compares badly with other values (``error == None`` raises), so it goes
no further than here.
"""

from __future__ import annotations

from typing import Any, Protocol

UNINITIALIZED = 1
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
DRIVER_NOT_LOADED = 9
TIMEOUT = 10
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
LIBRARY_MISMATCH = 18
"""Library and kernel module are of different versions (LIB_RM_VERSION_MISMATCH)."""

STALE = frozenset({UNINITIALIZED, DRIVER_NOT_LOADED, LIBRARY_MISMATCH})
"""Codes after which no handle is worth anything: the driver was reloaded or has gone."""
ABSENT = frozenset({NOT_SUPPORTED, FUNCTION_NOT_FOUND})
"""Codes that say that a GPU or driver does not know such a thing; nothing is wrong."""


class NvmlFailure(Exception):
    """An NVML call answered with a code other than SUCCESS."""

    def __init__(self, call: str, code: int, text: str) -> None:
        super().__init__(f"{call}: {text}")
        self.call = call
        self.code = code
        self.text = text


class Nvml(Protocol):
    """An open NVML."""

    def call(self, name: str, *args: Any) -> Any:
        """Calls pynvml's function `name`; raises :class:`NvmlFailure`."""
        ...


class Calls:
    """Calls of an opened pynvml."""

    def __init__(self, pynvml: Any) -> None:
        self._pynvml = pynvml

    def call(self, name: str, *args: Any) -> Any:
        function = getattr(self._pynvml, name, None)
        if function is None:
            raise NvmlFailure(name, FUNCTION_NOT_FOUND, "the installed pynvml does not know it")
        try:
            return function(*args)
        except self._pynvml.NVMLError as error:
            raise NvmlFailure(name, int(error.value), str(error)) from None
