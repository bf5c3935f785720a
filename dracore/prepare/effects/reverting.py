"""Undoing effects. The key's lock is held."""

from __future__ import annotations

import shutil

from dracore.errors import JournalError, PluginError
from dracore.model.device import JSON
from dracore.model.effect import Effect
from dracore.prepare import holdings
from dracore.prepare.effects.kinds import Kinds, asked, failed
from dracore.prepare.effects.node import EffectNode, TimeLeft, effect_dir
from dracore.prepare.holdings import Held
from dracore.prepare.kit import Kit
from dracore.prepare.transaction import Tx


class Reverting:
    """Reverts the effects of one driver, and forgets them."""

    def __init__(self, kit: Kit, kinds: Kinds) -> None:
        self._kit = kit
        self._journal = kit.journal
        self._kinds = kinds

    def finish(self, held: Held, time_left: TimeLeft, holder: str = "") -> None:
        """Reverts an effect and forgets it.

        :raises EffectFailed: its revert failed; it stays, to be tried again.
        :raises PluginError: its plugin is not installed.
        """
        holder = holder or next(iter(self._journal.read(lambda tx: holdings.holders(tx, held.key))), "")
        try:
            effect = self._kinds.decode(held)
            if held.state == "applied":
                # Said before it is done: who finds it half reverted must not take it for whole.
                def mark(tx: Tx) -> None:
                    holdings.reverting(tx, held.key)
                    tx.note(holder, "revert", kind=held.kind, key=held.key)

                self._journal.write(f"effect.reverting {held.key}", mark)
            self._revert(effect, held.key, held.before, held.outcome, time_left)
        except JournalError:
            raise
        except Exception as error:
            self._remember(held.key, held.kind, holder, error)
            if isinstance(error, PluginError):
                raise
            raise failed(f"cannot undo {held.kind} {held.key}", error) from error
        self._forget(held.key, held.kind, holder)

    def undo(
        self, effect: Effect, holder: str, before: JSON, outcome: JSON, time_left: TimeLeft, why: str
    ) -> None:
        """After a failed apply: half of it may be there. What cannot be undone now stays in the journal."""
        try:
            self._journal.write(
                f"effect.error {effect.key}",
                lambda tx: tx.note(holder, "error", why, kind=effect.kind, key=effect.key),
            )
            self._revert(effect, effect.key, before, outcome, time_left)
            self._forget(effect.key, effect.kind, holder)
        except Exception as error:  # noqa: BLE001 - the apply's failure is what is answered
            self._remember(effect.key, effect.kind, holder, error)

    def _revert(self, effect: Effect, key: str, before: JSON, outcome: JSON, time_left: TimeLeft) -> None:
        label = f"{effect.kind} {key}"
        self._kit.seam("effect.revert.before", label)
        asked(effect.revert, EffectNode(self._kit, key, time_left), before, outcome)
        self._kit.seam("effect.revert.after", label)
        folder = effect_dir(self._kit.folder, key)
        if folder.exists():
            self._kit.seam("file.rmtree.before", str(folder))
            shutil.rmtree(folder)
            self._kit.seam("file.rmtree.after", str(folder))

    def _forget(self, key: str, kind: str, holder: str) -> None:
        def forget(tx: Tx) -> None:
            holdings.forget(tx, key)
            tx.note(holder, "reverted", kind=kind, key=key)

        self._journal.write(f"effect.gone {key}", forget)

    def _remember(self, key: str, kind: str, holder: str, error: Exception) -> None:
        """A revert failed: it is to be tried again. Where even that cannot be written, the intent says so."""

        def remember(tx: Tx) -> None:
            holdings.reverting(tx, key, str(error))
            tx.note(holder, "error", f"revert: {error}", kind=kind, key=key)

        self._kit.pending.set()
        try:
            self._journal.write(f"effect.failed {key}", remember)
        except Exception:  # noqa: BLE001 - the state before says the same: not finished
            self._kit.reports.count("journal_errors_total")
