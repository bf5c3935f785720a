"""Making one change: what stands there now, the intent, the change, its outcome. The key's lock is held."""

from __future__ import annotations

from typing import Any

from dracore.errors import EffectRefused
from dracore.model.device import JSON
from dracore.model.effect import Effect
from dracore.prepare import holdings
from dracore.prepare.effects.holder import Holder
from dracore.prepare.effects.kinds import asked, failed, text_of
from dracore.prepare.effects.node import EffectNode, TimeLeft
from dracore.prepare.effects.reverting import Reverting
from dracore.prepare.kit import Kit
from dracore.prepare.transaction import Tx, decode, encode


class Applying:
    """Applies the effects of one driver that nobody holds."""

    def __init__(self, kit: Kit, reverting: Reverting) -> None:
        self._kit = kit
        self._journal = kit.journal
        self._reverting = reverting

    def apply(self, effect: Effect, holder: Holder, time_left: TimeLeft) -> JSON:
        """Makes the change for `holder`; answers the outcome.

        :raises EffectRefused: its ``before`` refused; nothing was changed.
        :raises EffectFailed: it could not be applied, and was undone.
        """
        key, kind = effect.key, effect.kind
        label = f"{kind} {key}"
        node = EffectNode(self._kit, key, time_left)
        try:
            self._kit.seam("effect.before.before", label)
            before_text = encode(asked(effect.before, node))
            params = decode(encode(asked(effect.params)))
            self._kit.seam("effect.before.after", label)
        except EffectRefused:
            raise
        except Exception as error:
            raise failed(f"cannot begin {text_of(effect)}", error) from error
        # What hooks see is what a later process would read from the journal.
        before = decode(before_text)
        distribution = self._kit.hooks.distribution_of(self._kit.driver, kind)

        def intend(tx: Tx) -> Any:
            value = holder.joining(tx)
            holdings.intend(
                tx,
                key=key,
                kind=kind,
                params=params,
                before=before_text,
                distribution=distribution,
                deferrable=effect.deferrable,
                reboot=effect.reboot,
                boot=self._kit.boot_id,
                holder=holder.name,
            )
            tx.note(holder.name, "apply", text_of(effect), kind=kind, key=key)
            return value

        holder.joined(self._journal.write(f"effect.intent {key}", intend))
        outcome = None
        try:
            self._kit.seam("effect.apply.before", label)
            outcome_text = encode(asked(effect.apply, node, before))
            outcome = decode(outcome_text)
            self._kit.seam("effect.apply.after", label)

            def applied(tx: Tx) -> None:
                holdings.applied(tx, key, outcome_text)
                tx.note(holder.name, "applied", kind=kind, key=key)

            self._journal.write(f"effect.outcome {key}", applied)
        except Exception as error:
            failure = failed(f"{text_of(effect)} failed", error)
            self._reverting.undo(effect, holder.name, before, outcome, time_left, str(failure))
            raise failure from error
        return outcome
