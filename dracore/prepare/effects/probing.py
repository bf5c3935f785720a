"""What the node says of an effect, and what follows from it. Its key's lock is held."""

from __future__ import annotations

from dracore.errors import EffectFailed
from dracore.model.effect import Absent, Present, Probe, Unknown
from dracore.prepare import holdings, recording, records
from dracore.prepare.effects.kinds import Kinds, asked, said
from dracore.prepare.effects.node import EffectNode, TimeLeft
from dracore.prepare.holdings import Held
from dracore.prepare.kit import Kit
from dracore.prepare.transaction import Tx, decode, encode


class Probing:
    """Asks whether the effects of one driver are on the node."""

    def __init__(self, kit: Kit, kinds: Kinds) -> None:
        self._kit = kit
        self._journal = kit.journal
        self._kinds = kinds

    def probe(self, held: Held, time_left: TimeLeft) -> Probe:
        """Whether the effect is on the node. Never raises: what cannot be told is Unknown."""
        label = f"{held.kind} {held.key}"
        try:
            effect = self._kinds.decode(held)
            self._kit.seam("effect.probe.before", label)
            answer = asked(effect.probe, EffectNode(self._kit, held.key, time_left))
            self._kit.seam("effect.probe.after", label)
        except Exception as error:  # noqa: BLE001 - that is what Unknown is for
            return Unknown(said(error))
        if not isinstance(answer, (Present, Absent, Unknown)):
            return Unknown(f"probe answered {type(answer).__name__}")
        return answer

    def check(self, key: str, time_left: TimeLeft) -> tuple[Held, Probe] | None:
        """Probes an applied effect and acts on the answer; None where it is gone or being reverted.

        Gone and held by nobody that runs: it is forgotten.
        """
        known = self._journal.read(lambda tx: holdings.get(tx, key))
        if known is None or known.state != "applied":
            return None
        found = self.probe(known, time_left)
        if isinstance(found, Absent):
            self._lose(known)
        elif isinstance(found, Present) and known.drift:
            needed = self._journal.read(lambda tx: self._needing(tx, known))
            if not needed or not changed(known, found):
                return self._confirm(known, found), found
        return known, found

    def settle(self, held: Held, asking: str, time_left: TimeLeft) -> Held | None:
        """An effect that may not be there any more (a reboot, an administrator): the node says."""
        found = self.probe(held, time_left)
        if isinstance(found, Present):
            return self._confirm(held, found, asking)
        if isinstance(found, Unknown):
            raise EffectFailed(
                f"it cannot be told whether {held.kind} {held.key} is still there: {found.reason}",
                fix="the kubelet asks again",
            )
        needing = self._lose(held, asking)
        if needing:
            raise EffectFailed(
                f"{held.kind} {held.key} was undone by somebody while {', '.join(needing)} needs it",
                fix="it is made again with those claims' next full prepare",
            )
        return None

    def _confirm(self, held: Held, found: Present, asking: str = "") -> Held:
        """The effect is there after all; ids may have changed with a reboot."""
        outcome = held.outcome if found.outcome is None else decode(encode(found.outcome))

        def present(tx: Tx) -> Held | None:
            if outcome != held.outcome:
                tx.execute("UPDATE effects SET outcome = ? WHERE key = ?", (encode(outcome), held.key))
                _begin_anew(tx, held, asking, "has changed")
            holdings.drifted(tx, held.key, "")
            return holdings.get(tx, held.key)

        return self._journal.write(f"effect.confirm {held.key}", present) or held

    def _lose(self, held: Held, asking: str = "") -> list[str]:
        """Forgets an effect that is gone, save where others than `asking` need it: answers those."""

        def lose(tx: Tx) -> list[str]:
            needing = self._needing(tx, held, asking)
            if needing:
                return records.names(tx, needing)
            for holder in holdings.holders(tx, held.key):
                tx.note(holder, "lost", held.drift, kind=held.kind, key=held.key)
            _begin_anew(tx, held, asking, "was undone by somebody")
            holdings.forget(tx, held.key)
            return []

        needing = self._journal.read(lambda tx: records.names(tx, self._needing(tx, held, asking)))
        return needing or self._journal.write(f"effect.lost {held.key}", lose)

    def _needing(self, tx: Tx, held: Held, asking: str = "") -> list[str]:
        """Holders of an effect, without `asking`, whose containers may use it or whose attempt counts on it.

        Nobody counts on one that is in doubt. Where somebody is asking: those that wait for a repair need it
        made again.
        """
        found = []
        doubt = held.drift.startswith(holdings.DOUBT)
        for holder in holdings.holders(tx, held.key):
            record = records.get(tx, holder)
            if holder == asking or record is None:
                continue
            to_repair = record.state == "waiting" and record.ran == self._kit.boot_id
            counts = record.state == "preparing" or (to_repair and not asking)
            if record.state == "prepared" or (counts and not doubt):
                found.append(holder)
        return found


def changed(held: Held, found: Present) -> bool:
    """Whether the node has something else in the effect's place (another instance id)."""
    return found.outcome is not None and encode(found.outcome) != encode(held.outcome)


def _begin_anew(tx: Tx, held: Held, asking: str, what: str) -> None:
    """Claims that wait and hold the effect: an attempt that waits just now would go on with what it knew."""
    for holder in holdings.holders(tx, held.key):
        record = records.get(tx, holder)
        if record is None or record.state != "waiting" or holder == asking:
            continue
        awaited = record.awaited
        if not awaited.startswith(records.NEXT_PREPARE):
            awaited = f"{records.NEXT_PREPARE}: {held.kind} {held.key} {what}"
        recording.move(tx, holder, "waiting", awaited=awaited, error=record.error, new_attempt=True)
