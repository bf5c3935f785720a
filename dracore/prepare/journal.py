"""The journal of one driver."""

from __future__ import annotations

from pathlib import Path

from dracore.model.seam import Seam, no_seam
from dracore.prepare.ports import Clock, Reports, Silent, SystemClock


class Journal:
    """What the driver has done to the node and for whom: SQLite in the driver's plugin folder."""

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        seam: Seam = no_seam,
        clock: Clock = SystemClock(),  # noqa: B008 - no state
        reports: Reports = Silent(),  # noqa: B008 - no state
    ) -> Journal:
        """Opens or makes the journal in `folder`.

        :raises JournalTooNew: a newer MAJOR wrote it; nothing was changed.
        """
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
