"""Why NVML cannot be used at all; a single call that fails is another error, ``calls.NvmlFailure``."""

from __future__ import annotations

from dracore import DracoreError


class NvmlUnavailable(DracoreError):
    """There is no NVML to talk to now; later there may be.

    :param code: NVML's return code, None where no library was reached.
    """

    def __init__(self, what: str, *, where: str, fix: str, code: int | None = None) -> None:
        super().__init__(what, where=where, fix=fix)
        self.code = code
