"""The claim engine of one driver."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from dracore.model.answer import Call, PreparedResult
from dracore.model.claim import ClaimRef
from dracore.model.context import HeldEffect
from dracore.model.device import JSON
from dracore.model.effect import Effect
from dracore.model.seam import Seam, no_seam
from dracore.prepare.journal import Journal
from dracore.prepare.ports import (
    Admission,
    Cdi,
    Claims,
    Clock,
    Configs,
    Devices,
    HookCaller,
    PodUsers,
    Reports,
    Silent,
    Surroundings,
    SystemClock,
)


class PluginHolds:
    """What node hooks of one plugin may do to the node; the plugin is the holder."""

    def hold(self, effect: Effect) -> JSON:
        raise NotImplementedError

    def held(self, kind: str | type[Effect]) -> Sequence[HeldEffect]:
        raise NotImplementedError


class Engine:
    """Prepares and unprepares the claims of one driver (:class:`dracore.model.answer.ClaimEngine`)."""

    def __init__(
        self,
        *,
        driver: str,
        folder: Path,
        journal: Journal,
        boot_id: str,
        hooks: HookCaller,
        devices: Devices,
        configs: Configs,
        claims: Claims,
        pods: PodUsers,
        cdi: Cdi,
        surroundings: Surroundings,
        clock: Clock = SystemClock(),  # noqa: B008 - no state
        seam: Seam = no_seam,
        reports: Reports = Silent(),  # noqa: B008 - no state
        admission: Admission | None = None,
    ) -> None: ...

    def recover(self) -> None:
        """Brings node and journal together after a start; before the sockets answer."""
        raise NotImplementedError

    def prepare(self, ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        raise NotImplementedError

    def unprepare(self, ref: ClaimRef, call: Call) -> None:
        raise NotImplementedError

    def context(self, plugin: str) -> PluginHolds:
        raise NotImplementedError

    def starting(self, plugin: str) -> AbstractContextManager[None]:
        """Around ``dra_start``: what the plugin held before and does not hold again is released at its end."""
        raise NotImplementedError

    def held(self, kind: str | type[Effect]) -> Sequence[HeldEffect]:
        raise NotImplementedError

    def snapshot(self) -> Any:
        raise NotImplementedError

    def timeline(self, uid: str) -> Iterator[Any]:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
