"""What the parts of one engine share."""

from __future__ import annotations

import os
import re
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from dracore.errors import ClaimError
from dracore.model.seam import Seam
from dracore.prepare.journal import Journal
from dracore.prepare.locks import Locks
from dracore.prepare.ports import (
    Cdi,
    Claims,
    Clock,
    Configs,
    Devices,
    HookCaller,
    PodUsers,
    Reports,
    Surroundings,
)

LOCK_MARGIN = 2.0
"""Seconds before the call's deadline at which waiting for a lock ends, so that the answer still arrives."""
WAIT_MARGIN = 5.0
"""Seconds before the call's deadline at which ``ctx.wait`` ends."""

_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Kit:
    """One driver's collaborators."""

    driver: str
    folder: Path
    boot_id: str
    journal: Journal
    locks: Locks
    hooks: HookCaller
    devices: Devices
    configs: Configs
    claims: Claims
    pods: PodUsers
    cdi: Cdi
    surroundings: Surroundings
    clock: Clock
    seam: Seam
    reports: Reports
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the process ends: waits answer at once."""
    pending: threading.Event = field(default_factory=threading.Event)
    """Set when something is left to revert; the reconciler does it."""

    def claim_dir(self, uid: str) -> Path:
        return self.folder / "claims" / uid

    def remove_claim_dir(self, uid: str) -> None:
        path = f"{self.folder}/claims/{uid}"
        if os.path.exists(path):
            self.seam("file.rmtree.before", path)
            shutil.rmtree(path)
            self.seam("file.rmtree.after", path)


def check_uid(uid: str) -> None:
    """Uids become parts of paths; the API server's are UUIDs.

    :raises ClaimError: one that is not even close.
    """
    if not _UID.fullmatch(uid):
        raise ClaimError(f"{uid!r} cannot be the uid of a claim")


def lock_time(left: float) -> float:
    """Seconds to wait for a lock when `left` are left of the call."""
    return max(0.0, left - LOCK_MARGIN)
