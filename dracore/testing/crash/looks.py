"""What a look of the reconciler may do, seen from outside: a second, simpler opinion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dracore.prepare import holdings
from dracore.prepare.holdings import Held
from dracore.prepare.records import Record

if TYPE_CHECKING:
    from dracore.testing.crash.stand import Stand

CONFIRM = 90.0
"""Seconds that lie at least between the two looks that must both find a claim unwanted."""


class Looks:
    """The looks of one instance. What is wrong goes to :meth:`Cluster.note`."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self._unwanted: dict[str, tuple[float, float]] = {}
        """When the first of the looks that found a claim unwanted began and ended."""

    @contextmanager
    def one(self, *, exact: bool) -> Iterator[None]:
        """Around one look.

        :param exact: no fault is about: what may be done must be done.
        """
        stand = self._stand
        clock, cluster = stand.clock, stand.cluster
        begin = clock.monotonic()
        before = self._settled()
        gone = self._destroyed()
        cluster.asked_for.clear()
        allowed = stand.allowed()
        yield
        end = clock.monotonic()
        unwanted = {uid for uid in before if uid in cluster.asked_for and self._why(before[uid])}
        for uid in cluster.asked_for - unwanted:
            self._unwanted.pop(uid, None)
        for uid in unwanted:
            self._unwanted.setdefault(uid, (begin, end))
        after = {record.ref.uid for record in stand.engine.records()}
        sure = allowed and cluster.answers("api") and cluster.answers("kubelet")
        may = {
            uid
            for uid in unwanted
            if sure and end - self._unwanted[uid][0] >= CONFIRM and uid not in cluster.running
        }
        for uid in sorted(before.keys() - after - may):
            cluster.note(f"doubt: the reconciler released claim {uid}, and could not be sure")
        due = {uid for uid in may if begin - self._unwanted[uid][1] >= CONFIRM}
        for uid in sorted(due & after) if exact else ():
            cluster.note(f"doubt: nobody wants claim {uid}, and the second look did not release it")
        if allowed:
            self._drift(gone, exact)

    def _settled(self) -> dict[str, Record]:
        records = self._stand.engine.records()
        return {record.ref.uid: record for record in records if record.state in ("prepared", "waiting")}

    def _why(self, record: Record) -> bool:
        """Whether nobody wants what is prepared here."""
        now = self._stand.cluster.find(record.ref)
        return (
            now is None
            or now.ref.uid != record.ref.uid
            or now.digest() != record.digest
            or not now.reserved_for
        )

    # --- drift ------------------------------------------------------------------------------------------

    def _destroyed(self) -> Mapping[str, Held]:
        """Effects in the journal that an administrator has undone."""
        held = self._stand.engine.kit.journal.read(holdings.every)
        gone = self._stand.ground.destroyed()
        return {effect.key: effect for effect in held if effect.key in gone and effect.state == "applied"}

    def _drift(self, gone: Mapping[str, Held], exact: bool) -> None:
        stand = self._stand
        journal = stand.engine.kit.journal
        repairable = {key for key, held in gone.items() if self._may_repair(held)}
        still = stand.ground.destroyed()
        known = {held.key: held for held in journal.read(holdings.every)}
        for key in gone:
            # A full prepare of the claim makes whatever it held, so one that may be repaired repairs all.
            if key not in still and key in known and not repairable:
                stand.cluster.note(f"drift: {key} was made again, and its plugin does not say that it may be")
            elif exact and key in known and key in still and not known[key].drift:
                stand.cluster.note(f"drift: {key} was undone by an administrator and the look did not see it")
            elif exact and key in known and key in still and key in repairable:
                stand.cluster.note(f"drift: {key} was undone, may be repaired, and was not")
        said = [text for reason, text in stand.said.events if reason == "EffectDrifted"]
        for key in gone if exact else ():
            if key in known and not gone[key].drift and not any(key in text for text in said):
                stand.cluster.note(f"drift: nobody was told that {key} was undone")

    def _may_repair(self, held: Held) -> bool:
        cls = self._stand.effect_type(self._stand.subject.driver_name, held.kind)
        return cls is not None and cls.repairable
