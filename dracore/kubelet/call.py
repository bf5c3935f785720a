"""The RPC behind a claim: how long its caller waits, and whether it is still there."""

from __future__ import annotations

import time
from typing import Any

KUBELET_TIMEOUT = 45.0
"""Seconds after which the kubelet gives up a DRA call (``defaultClientCallTimeout``)."""


class GrpcCall:
    """:class:`dracore.model.answer.Call` over a gRPC server context."""

    def __init__(self, context: Any) -> None:
        self._context = context
        # Without a deadline gRPC answers centuries; the count starts now. The monotonic clock, because
        # gRPC's own remainder jumps with the wall clock.
        remaining = context.time_remaining()
        limit = KUBELET_TIMEOUT if remaining is None or remaining > 86_400 else float(remaining)
        self._deadline = time.monotonic() + limit

    def time_left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def alive(self) -> bool:
        return bool(self._context.is_active())
