"""Two instances on one plugin folder: who publishes and reconciles."""

from __future__ import annotations

from pathlib import Path

from dracore.model.seam import Seam, no_seam
from dracore.prepare.journal import Journal
from dracore.prepare.ports import Clock, Reports, Silent, SystemClock


class Instances:
    """This process among those that serve the folder."""

    def __init__(
        self,
        journal: Journal,
        folder: Path,
        instance: str,
        *,
        clock: Clock = SystemClock(),  # noqa: B008 - no state
        seam: Seam = no_seam,
        reports: Reports = Silent(),  # noqa: B008 - no state
    ) -> None: ...

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def mark_registered(self, registered: bool = True) -> None:
        """The kubelet has said ``plugin_registered`` to this instance."""
        raise NotImplementedError

    def is_publisher(self) -> bool:
        raise NotImplementedError
