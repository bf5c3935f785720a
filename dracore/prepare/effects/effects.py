"""What others ask of effects: hold, release, look. The only place where a node is changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dracore.errors import ClaimError, DracoreError, PluginError
from dracore.model.context import HeldEffect
from dracore.model.device import JSON
from dracore.model.effect import Effect, Probe
from dracore.prepare import holdings, records
from dracore.prepare.effects.applying import Applying
from dracore.prepare.effects.holder import Holder
from dracore.prepare.effects.kinds import Kinds, text_of
from dracore.prepare.effects.node import TimeLeft
from dracore.prepare.effects.probing import Probing
from dracore.prepare.effects.reverting import Reverting
from dracore.prepare.holdings import Held
from dracore.prepare.kit import Kit, lock_time
from dracore.prepare.locks import Lock
from dracore.prepare.transaction import Tx


class Effects:
    """The effects of one driver on this node. Thread-safe; every change happens under its key's lock."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._journal = kit.journal
        self.kinds = Kinds(kit)
        self.probing = Probing(kit, self.kinds)
        self._reverting = Reverting(kit, self.kinds)
        self._applying = Applying(kit, self._reverting)

    # --- holding ------------------------------------------------------------------------------------

    def hold(self, effect: Effect, holder: Holder, time_left: TimeLeft) -> JSON:
        """Makes `holder` a holder of the effect, applying it where nobody held it; answers the outcome.

        :raises EffectConflict: the key is held with another kind or other parameters.
        :raises EffectRefused: its ``before`` refused.
        :raises EffectFailed: it could not be applied (and was undone), or what stood on the key before could
            not be undone yet.
        :raises Busy: the key did not come free in time.
        """
        self.kinds.check(effect)
        self.kinds.check_key(effect)
        key = effect.key
        lock = self._kit.locks.key(key)
        with self._taken(lock, key, time_left):
            if lock.waited:
                holder.waited()
            held, holders = self._journal.read(lambda tx: (holdings.get(tx, key), holdings.holders(tx, key)))
            lost: list[str] = []
            if held and held.drift and held.state == "applied":
                held = self.probing.settle(held, holder.name, time_left)
                lost = [] if held else self._journal.read(lambda tx: self._lasting(tx, holders, holder.name))
            if held and (held.state != "applied" or not holders):
                # An intent that its process did not live to finish, or a revert that failed: never adopted.
                self._reverting.finish(held, time_left)
                held = None
            if held is None:
                outcome = self._applying.apply(effect, holder, time_left)
                for other in lost:
                    self._rejoin(key, other)
                return outcome
            self.kinds.check_same(effect, held, holders)
            if holder.name not in holders:

                def join(tx: Tx) -> Any:
                    value = holder.joining(tx)
                    holdings.join(tx, key, holder.name)
                    tx.note(holder.name, "hold", "held already, shared", kind=held.kind, key=key)
                    return value

                holder.joined(self._journal.write(f"effect.join {key}", join))
            return held.outcome

    def _lasting(self, tx: Tx, holders: Sequence[str], asking: str) -> list[str]:
        """Who else needs what is made again here: plugins, which will not ask a second time, and claims whose
        containers may be running."""
        found = []
        for holder in holders:
            record = records.get(tx, holder)
            runs = record is not None and record.may_run(self._kit.boot_id)
            if holder != asking and (runs or holder.startswith("plugin:")):
                found.append(holder)
        return found

    def _rejoin(self, key: str, holder: str) -> None:
        self._journal.write(f"effect.join {key}", lambda tx: holdings.join(tx, key, holder))

    def look(self, effect: Effect) -> JSON:
        """The outcome of an equal effect that somebody holds; nothing changes and nobody holds it more.

        :raises ClaimError: there is none.
        """
        self.kinds.check(effect)
        key = effect.key
        held, holders = self._journal.read(lambda tx: (holdings.get(tx, key), holdings.holders(tx, key)))
        if held is None or held.state != "applied" or held.drift or not holders:
            raise ClaimError(
                f"admin access changes nothing on the node, and this would have to be made first: "
                f"{text_of(effect)}",
                fix="ask for it without admin access, or wait until another claim has it",
            )
        self.kinds.check_same(effect, held, holders)
        return held.outcome

    # --- releasing ----------------------------------------------------------------------------------

    def release(self, holder: str, time_left: TimeLeft, *, keys: Sequence[str] | None = None) -> None:
        """Gives up what `holder` holds (or `keys` of it, latest first) in reverse order.

        The last holder's release reverts. The first revert that fails ends it, except deferrable ones:
        nobody holds those from here on, and :meth:`drain` reverts them.

        :raises EffectFailed: a revert failed; it and all that was held before it stay.
        :raises PluginError: the effect's plugin is not installed.
        """
        if keys is None:
            keys = self._journal.read(lambda tx: holdings.keys_of(tx, holder))
        for key in keys:
            lock = self._kit.locks.key(key)
            with self._taken(lock, key, time_left):
                self._release_one(holder, key, time_left)

    def _release_one(self, holder: str, key: str, time_left: TimeLeft) -> None:
        held, holders = self._journal.read(lambda tx: (holdings.get(tx, key), holdings.holders(tx, key)))
        if held is None or holder not in holders:
            return  # somebody who needed the key has reverted it
        if len(holders) > 1 and held.state == "applied":

            def leave(tx: Tx) -> None:
                holdings.leave(tx, key, holder)
                tx.note(holder, "release", "others hold it still", kind=held.kind, key=key)

            self._journal.write(f"effect.leave {key}", leave)
            return
        if held.deferrable:

            def defer(tx: Tx) -> None:
                holdings.leave(tx, key, holder)
                holdings.reverting(tx, key)
                tx.note(holder, "release", "its revert follows", kind=held.kind, key=key)

            self._journal.write(f"effect.defer {key}", defer)
            self._kit.pending.set()
            return
        self._reverting.finish(held, time_left, holder)

    def drain(self, time_left: TimeLeft) -> list[DracoreError]:
        """Reverts what waits for it and belongs to no claim that is being released; answers what failed.

        Passes over keys that are locked: somebody is at them.
        """
        failures: list[DracoreError] = []
        for held in self._journal.read(holdings.pending):
            try:
                self._drain_one(held.key, time_left)
            except DracoreError as error:
                failures.append(error)
        return failures

    def _drain_one(self, key: str, time_left: TimeLeft) -> None:
        lock = self._kit.locks.key(key)
        if not lock.acquire(0):
            return
        try:
            held, busy = self._journal.read(lambda tx: _orphan(tx, key))
            if held is not None and not busy:
                self._reverting.finish(held, time_left)
        finally:
            lock.release()

    # --- looking ------------------------------------------------------------------------------------

    def held(self, kind: str | type[Effect] | None = None) -> list[HeldEffect]:
        """What this driver holds now, of one kind or all, in the order of application."""
        name = kind if kind is None or isinstance(kind, str) else kind.kind
        found, holders = self._journal.read(
            lambda tx: (holdings.every(tx, kind=name), holdings.all_holders(tx))
        )
        answer = []
        for held in found:
            try:
                effect = self.kinds.decode(held)
            except PluginError:
                continue  # without its plugin nobody asks for it
            answer.append(HeldEffect(effect, held.outcome, tuple(holders.get(held.key, ()))))
        return answer

    def check_present(self, key: str, time_left: TimeLeft) -> tuple[Held, Probe] | None:
        """Probes an applied effect under its key's lock; None where it is busy, gone or being reverted.

        Gone and held by nobody that runs: it is forgotten.
        """
        lock = self._kit.locks.key(key)
        if not lock.acquire(0):
            return None
        try:
            return self.probing.check(key, time_left)
        finally:
            lock.release()

    def _taken(self, lock: Lock, key: str, time_left: TimeLeft) -> Any:
        return self._kit.locks.taken(lock, lock_time(time_left()), lambda: self._who_is_at(key))

    def _who_is_at(self, key: str) -> str:
        holders = self._journal.read(lambda tx: records.names(tx, holdings.holders(tx, key)))
        return f"{key} is being changed" + (f" for {', '.join(holders)}" if holders else "")


def _orphan(tx: Tx, key: str) -> tuple[Held | None, bool]:
    """A pending effect, and whether a claim that is being prepared or released will revert it in order."""
    held = holdings.get(tx, key)
    if held is None or held.state == "applied":
        return None, False
    found: Iterable[records.Record | None] = (records.get(tx, h) for h in holdings.holders(tx, key))
    return held, any(record is not None and record.state in ("preparing", "releasing") for record in found)
