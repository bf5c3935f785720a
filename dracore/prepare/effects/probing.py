"""What the node says of an effect, and what follows from it. Its key's lock is held."""

from __future__ import annotations

from collections.abc import Sequence

from dracore.errors import EffectFailed
from dracore.model.effect import Absent, Present, Probe, Unknown
from dracore.prepare import holdings, records
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
        held, holders = self._journal.read(lambda tx: (holdings.get(tx, key), holdings.holders(tx, key)))
        if held is None or held.state != "applied":
            return None
        found = self.probe(held, time_left)
        if isinstance(found, Unknown):
            return held, found
        runs = self._journal.read(lambda tx: any(_runs(records.get(tx, h)) for h in holders))
        if isinstance(found, Absent):
            if not runs:
                self._lost(held)
        elif held.drift and (not runs or not changed(held, found)):
            held = self._confirm(held, found)
        return held, found

    def settle(self, held: Held, holders: Sequence[str], asking: str, time_left: TimeLeft) -> Held | None:
        """An effect that may not be there any more (a reboot, an administrator): the node says."""
        found = self.probe(held, time_left)
        if isinstance(found, Present):
            return self._confirm(held, found)
        if isinstance(found, Unknown):
            raise EffectFailed(
                f"it cannot be told whether {held.kind} {held.key} is still there: {found.reason}",
                fix="the kubelet asks again",
            )
        running = self._journal.read(
            lambda tx: [h for h in holders if h != asking and _runs(records.get(tx, h))]
        )
        if running:
            names = self._journal.read(lambda tx: records.names(tx, running))
            raise EffectFailed(
                f"{held.kind} {held.key} was undone by somebody while {', '.join(names)} needs it",
                fix="it is made again with those claims' next full prepare",
            )
        self._lost(held)
        return None

    def _confirm(self, held: Held, found: Present) -> Held:
        """The effect is there after all; ids may have changed with a reboot."""
        outcome = held.outcome if found.outcome is None else decode(encode(found.outcome))

        def present(tx: Tx) -> Held | None:
            if outcome != held.outcome:
                tx.execute("UPDATE effects SET outcome = ? WHERE key = ?", (encode(outcome), held.key))
            holdings.drifted(tx, held.key, "")
            return holdings.get(tx, held.key)

        return self._journal.write(f"effect.confirm {held.key}", present) or held

    def _lost(self, held: Held) -> None:
        def lost(tx: Tx) -> None:
            for holder in holdings.holders(tx, held.key):
                tx.note(holder, "lost", held.drift, kind=held.kind, key=held.key)
            holdings.forget(tx, held.key)

        self._journal.write(f"effect.lost {held.key}", lost)


def changed(held: Held, found: Present) -> bool:
    """Whether the node has something else in the effect's place (another instance id)."""
    return found.outcome is not None and encode(found.outcome) != encode(held.outcome)


def _runs(record: records.Record | None) -> bool:
    """Whether containers may be using what the claim holds."""
    return record is not None and record.state == "prepared"
