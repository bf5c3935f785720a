"""Effects that somebody has undone: found by probing, said, and made again where that is allowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dracore.errors import DracoreError
from dracore.model.effect import Absent, Present
from dracore.prepare import holdings, recovery
from dracore.prepare.effects import changed
from dracore.prepare.engine import Engine
from dracore.prepare.holdings import Held
from dracore.prepare.records import Record
from dracore.prepare.snapshot import Drift


class RepairCall:
    """A repair's :class:`~dracore.model.answer.Call`: nobody waits for its answer."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def time_left(self) -> float:
        return max(0.0, self._end - self._clock())

    def alive(self) -> bool:
        return True


class Drifts:
    """Looks at the effects of one driver, and repairs.

    :param go_on: asked before each step.
    :param on_drift: told when an effect is found undone, and when it is there again.
    """

    def __init__(self, engine: Engine, go_on: Callable[[], bool], on_drift: Callable[[Drift], None]) -> None:
        self._engine = engine
        self._kit = engine.kit
        self._go_on = go_on
        self._on_drift = on_drift
        self._unrepaired: dict[str, str] = {}
        """Claims whose repair failed, and how."""

    @property
    def unrepaired(self) -> bool:
        """Whether a repair has failed and is to be tried again."""
        return bool(self._unrepaired)

    def look(self) -> list[Drift]:
        """Probes every effect; reports those that changed, and repairs the ones that may be. Answers all
        that is not as it should be."""
        drifts = []
        tried: set[str] = set()
        effects, holders = self._kit.journal.read(lambda tx: (holdings.every(tx), holdings.all_holders(tx)))
        for known in effects:
            if not self._go_on():
                break
            seen = self._engine.effects.check_present(known.key, recovery.time_left)
            if seen is None:
                continue
            held, found = seen
            text = ""
            if isinstance(found, Absent):
                text = f"{held.kind} {held.key} was undone by somebody"
            elif isinstance(found, Present):
                if changed(held, found):
                    text = (
                        f"{held.kind} {held.key} is {found.outcome!r} now, and was made as {held.outcome!r}"
                    )
            else:
                continue
            drift = self._engine.mark_drift(held.key, text)
            if drift is None:
                if text and not known.drift:  # only claims that wait had it: it is forgotten by now
                    self._say(Drift(known.kind, known.key, tuple(holders.get(known.key, ())), (), text))
                continue
            if text != known.drift:
                self._report(drift)
            if text and not self._repair(held, drift, tried):
                drifts.append(drift)
        keys = {drift.key for drift in drifts}
        return drifts + [drift for drift in self._repair_again(tried) if drift.key not in keys]

    def _report(self, drift: Drift) -> None:
        if drift.text:
            self._say(drift)
        self._on_drift(drift)

    def _say(self, drift: Drift) -> None:
        self._kit.reports.count("drift_total")
        concerned = [record.ref for record in self._engine.records() if record.ref.uid in drift.holders]
        for claim in concerned:
            self._kit.reports.event("EffectDrifted", drift.text, claim=claim)
        if not concerned:  # a plugin's own effect is said of the node
            self._kit.reports.event("EffectDrifted", drift.text)

    def _repair_again(self, tried: set[str]) -> list[Drift]:
        """Claims whose repair failed, or did not live to its end; answers what is still not good.

        :param tried: those that were tried just now.
        """
        left = []
        waiting = self._engine.to_repair()
        for record, drift in waiting:
            if not self._go_on():
                break
            uid = record.ref.uid
            if uid in tried or not self._may_repair(uid) or not self._try_to_repair(record):
                left.append(drift)
            else:
                self._report(replace(drift, text=""))
        uids = {record.ref.uid for record, _ in waiting}
        self._unrepaired = {uid: text for uid, text in self._unrepaired.items() if uid in uids}
        return left

    def _repair(self, held: Held, drift: Drift, tried: set[str]) -> bool:
        """A full prepare of every claim that holds it; never of one effect under a running container."""
        claims = [holder for holder in drift.holders if not holder.startswith("plugin:")]
        if not self._is_repairable(held) or len(claims) < len(drift.holders):
            return False
        suspended = [
            self._engine.suspend(uid, drift.text, kind=drift.kind, key=drift.key)
            if self._may_repair(uid)
            else None
            for uid in claims
        ]
        repaired = True
        for record in suspended:
            if record is None:
                repaired = False
                continue
            tried.add(record.ref.uid)
            repaired = self._try_to_repair(record) and repaired
        if repaired:
            self._report(replace(drift, text=""))
        return repaired

    def _is_repairable(self, held: Held) -> bool:
        cls = self._kit.hooks.effect_type(self._kit.driver, held.kind)
        return cls is not None and cls.repairable

    def _may_repair(self, uid: str) -> bool:
        """Not where the claim's prepare would make something again, too, that must not be under a running
        container."""
        held = self._kit.journal.read(lambda tx: [holdings.get(tx, key) for key in holdings.keys_of(tx, uid)])
        return all(self._is_repairable(effect) for effect in held if effect is not None and effect.drift)

    def _try_to_repair(self, record: Record) -> bool:
        uid = record.ref.uid
        try:
            self._engine.repair(record.ref, RepairCall(recovery.TIME, self._kit.clock.monotonic))
        except DracoreError as error:
            if self._unrepaired.get(uid) != str(error):
                self._kit.reports.event("RepairFailed", str(error), claim=record.ref)
            self._unrepaired[uid] = str(error)
            return False
        self._unrepaired.pop(uid, None)
        return True
