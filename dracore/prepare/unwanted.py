"""Claims that nobody wants any more: asked of the API server twice, then released.

Nothing is released on doubt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from dracore.errors import DracoreError, NotFound
from dracore.prepare import holdings, recovery, salvage
from dracore.prepare.engine import Engine
from dracore.prepare.records import Record
from dracore.prepare.timings import Timings

_log = logging.getLogger(__name__)


class Unwanted:
    """What the looks have found so far.

    :param go_on: asked before each step.
    :param on_release: told when a claim was released.
    """

    def __init__(
        self, engine: Engine, go_on: Callable[[], bool], on_release: Callable[[], None], timings: Timings
    ) -> None:
        self._engine = engine
        self._kit = engine.kit
        self._go_on = go_on
        self._on_release = on_release
        self._timings = timings
        self._monotonic = self._kit.clock.monotonic
        # By uid and attempt: a claim that was prepared anew meanwhile has been wanted since.
        self._missing: dict[tuple[str, int], float] = {}
        self._began: float | None = None
        self._unswept = self._kit.journal.fresh

    def waits(self) -> list[float]:
        """In how many seconds what was found gone can be released; past ones have been tried."""
        moments = list(self._missing.values())
        if self._unswept and self._began is not None:
            moments.append(self._began)
        return [moment + self._timings.confirm - self._monotonic() for moment in moments]

    def look(self) -> DracoreError | None:
        """Looks at every record once, and releases what is ripe; answers what speaks for doubt."""
        if self._began is None:
            self._began = self._monotonic()
        known = self._engine.records()
        ripe: list[tuple[Record, str]] = []
        doubt: DracoreError | None = None
        for record in known:
            if not self._go_on():
                return None
            if record.state not in ("prepared", "waiting"):
                continue  # somebody is at it, or the drain is
            try:
                reason = self._why_unwanted(record)
            except DracoreError as error:
                doubt = error
                break
            if not reason:
                self._missing.pop(_life(record), None)
                continue
            since = self._missing.setdefault(_life(record), self._monotonic())
            if self._monotonic() - since >= self._timings.confirm:
                ripe.append((record, reason))
        lives = {_life(record) for record in known}
        self._missing = {life: since for life, since in self._missing.items() if life in lives}
        sweep = (
            self._unswept
            and doubt is None
            and self._began is not None
            and self._monotonic() - self._began >= self._timings.confirm
        )
        if not ripe and not sweep:
            return doubt
        try:
            users = self._kit.pods.users(self._kit.driver) or {}
        except DracoreError as error:
            return error
        for record, reason in ripe:
            if self._go_on():
                doubt = self._release(record, reason, users) or doubt
        if sweep and self._go_on():
            self._sweep(users)
        return doubt

    def _why_unwanted(self, record: Record) -> str:
        """Why nobody wants a claim prepared here any more; empty: it is wanted.

        :raises DracoreError: the API server does not say.
        """
        self._kit.seam("api.get.before", record.ref.uid)
        try:
            claim = self._kit.claims.get(record.ref, self._timings.request)
        except NotFound:
            return "the claim is gone"
        finally:
            self._kit.seam("api.get.after", record.ref.uid)
        if claim.ref.uid != record.ref.uid:
            return "the claim was replaced by another of its name"
        if not claim.allocated:
            return "the claim is not allocated any more"
        if claim.digest() != record.digest:
            return "the claim has another allocation"
        if not claim.reserved_for:
            return "the claim is reserved for nobody"
        return ""

    def _release(
        self, record: Record, reason: str, users: Mapping[str, Sequence[str]]
    ) -> DracoreError | None:
        """Releases a claim that nobody wanted twice; answers what speaks for doubt."""
        uid = record.ref.uid
        if uid in users:
            _log.info("claim %s: %s, but %s uses it", uid, reason, users[uid])
            return None
        doubt: DracoreError | None = None

        def unwanted() -> bool:
            # Under the claim's lock: a pod may have come for it since it was asked about, and its Prepare,
            # which found everything there, has changed nothing that could be seen in the record.
            nonlocal doubt
            try:
                return bool(self._why_unwanted(record)) and uid not in (
                    self._kit.pods.users(self._kit.driver) or {}
                )
            except DracoreError as error:
                doubt = error
                return False

        try:
            released = self._engine.release(record, reason, still=unwanted)
        except DracoreError as error:
            self._kit.reports.event("ReleaseFailed", f"{reason}; {error}", claim=record.ref)
            return None
        if released:
            self._missing.pop(_life(record), None)
            self._kit.reports.count("reconcile_releases_total")
            self._kit.reports.event(
                "ClaimReleased", f"released without the kubelet: {reason}", claim=record.ref, warning=False
            )
            self._on_release()
        return doubt

    def _sweep(self, users: Mapping[str, Sequence[str]]) -> None:
        """What a lost journal knew of claims, save where containers may still be started with it."""
        done = recovery.Recovered()
        recovery.sweep(self._kit, users.keys(), done)
        if done.failures or users.keys() - {record.ref.uid for record in self._engine.records()}:
            return
        try:
            for holder in {salvage.UNKNOWN} | self._kit.journal.read(holdings.strangers):
                self._engine.effects.release(holder, recovery.time_left)
            self._kit.journal.swept()
        except DracoreError as error:
            self._kit.reports.event("ReleaseFailed", str(error))
            return
        self._unswept = False


def _life(record: Record) -> tuple[str, int]:
    return record.ref.uid, record.attempt
