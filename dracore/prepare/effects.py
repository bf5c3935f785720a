"""Holding, releasing and reverting effects: the only place where a node is changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dracore.errors import (
    ClaimError,
    DracoreError,
    EffectConflict,
    EffectFailed,
    EffectRefused,
    JournalError,
    PluginError,
)
from dracore.model.context import HeldEffect
from dracore.model.device import JSON
from dracore.model.effect import Absent, Effect, Present, Probe, Unknown
from dracore.prepare import holdings, records
from dracore.prepare.holdings import Held
from dracore.prepare.kit import Kit, lock_time
from dracore.prepare.locks import Lock, digest
from dracore.prepare.transaction import Tx, decode, encode

TimeLeft = Callable[[], float]


class Holder(Protocol):
    """Who holds: a claim (by uid) or a plugin (``plugin:NAME``)."""

    @property
    def name(self) -> str: ...

    def joining(self, tx: Tx) -> Any:
        """Runs in the same transaction as the hold; a claim writes its record with its first one."""
        ...

    def joined(self, value: Any) -> None:
        """What `joining` answered, once it is committed."""
        ...


@dataclass(frozen=True)
class PluginHolder:
    plugin: str

    @property
    def name(self) -> str:
        return f"plugin:{self.plugin}"

    def joining(self, tx: Tx) -> None:
        pass

    def joined(self, value: Any) -> None:
        pass


class EffectNode:
    """The node as one effect sees it (:class:`dracore.model.effect.Node`)."""

    def __init__(self, kit: Kit, key: str, time_left: TimeLeft) -> None:
        self._kit = kit
        self._folder = effect_dir(kit.folder, key)
        self._time_left = time_left
        self.name = kit.surroundings.node
        self.driver = kit.driver

    @property
    def dir(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def session(self, plugin: str) -> Any:
        return self._kit.surroundings.session(plugin)

    @property
    def kube(self) -> Any:
        return self._kit.surroundings.kube()

    def time_left(self) -> float:
        return self._time_left()


def effect_dir(folder: Path, key: str) -> Path:
    return folder / "effects" / digest(key)


class Effects:
    """The effects of one driver on this node. Thread-safe; every change happens under its key's lock."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._journal = kit.journal
        self._seam = kit.seam

    # --- holding ------------------------------------------------------------------------------------

    def hold(self, effect: Effect, holder: Holder, time_left: TimeLeft) -> JSON:
        """Makes `holder` a holder of the effect, applying it where nobody held it; answers the outcome.

        :raises EffectConflict: the key is held with another kind or other parameters.
        :raises EffectRefused: its ``before`` refused.
        :raises EffectFailed: it could not be applied (and was undone), or what stood on the key before could
            not be undone yet.
        :raises Busy: the key did not come free in time.
        """
        self._check(effect)
        key = effect.key
        lock = self._kit.locks.key(key)
        with self._taken(lock, key, time_left):
            held, holders = self._journal.read(lambda tx: (holdings.get(tx, key), holdings.holders(tx, key)))
            lost: list[str] = []
            if held and held.drift and held.state == "applied":
                held = self._settle(held, holders, holder.name, time_left)
                lost = [] if held else [h for h in holders if h.startswith("plugin:") and h != holder.name]
            if held and (held.state != "applied" or not holders):
                # An intent that its process did not live to finish, or a revert that failed: never adopted.
                self._finish(held, time_left)
                held = None
            if held is None:
                outcome = self._apply(effect, holder, time_left)
                for plugin in lost:  # it held what is made again here, and will not ask a second time
                    self._journal.write(f"effect.join {key}", lambda tx, h=plugin: holdings.join(tx, key, h))  # type: ignore[misc]
                return outcome
            self._same(effect, held, holders)
            if holder.name not in holders:

                def join(tx: Tx) -> Any:
                    value = holder.joining(tx)
                    holdings.join(tx, key, holder.name)
                    tx.note(holder.name, "hold", "held already, shared", kind=held.kind, key=key)
                    return value

                holder.joined(self._journal.write(f"effect.join {key}", join))
            return held.outcome

    def look(self, effect: Effect) -> JSON:
        """The outcome of an equal effect that somebody holds; nothing changes and nobody holds it more.

        :raises ClaimError: there is none.
        """
        self._check(effect)
        key = effect.key
        held, holders = self._journal.read(lambda tx: (holdings.get(tx, key), holdings.holders(tx, key)))
        if held is None or held.state != "applied" or held.drift or not holders:
            raise ClaimError(
                f"admin access changes nothing on the node, and this would have to be made first: "
                f"{text_of(effect)}",
                fix="ask for it without admin access, or wait until another claim has it",
            )
        self._same(effect, held, holders)
        return held.outcome

    def _apply(self, effect: Effect, holder: Holder, time_left: TimeLeft) -> JSON:
        key, kind = effect.key, effect.kind
        label = f"{kind} {key}"
        node = EffectNode(self._kit, key, time_left)
        try:
            self._seam("effect.before.before", label)
            before_text = encode(effect.before(node))
            params = decode(encode(effect.params()))
            self._seam("effect.before.after", label)
        except EffectRefused:
            raise
        except Exception as error:
            raise _failed(f"cannot begin {text_of(effect)}", error) from error
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
                holder=holder.name,
            )
            tx.note(holder.name, "apply", text_of(effect), kind=kind, key=key)
            return value

        holder.joined(self._journal.write(f"effect.intent {key}", intend))
        outcome = None
        try:
            self._seam("effect.apply.before", label)
            outcome_text = encode(effect.apply(node, before))
            outcome = decode(outcome_text)
            self._seam("effect.apply.after", label)

            def applied(tx: Tx) -> None:
                holdings.applied(tx, key, outcome_text)
                tx.note(holder.name, "applied", kind=kind, key=key)

            self._journal.write(f"effect.outcome {key}", applied)
        except Exception as error:
            failure = _failed(f"{text_of(effect)} failed", error)
            self._undo(effect, holder.name, before, outcome, time_left, str(failure))
            raise failure from error
        return outcome

    def _undo(
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
        self._finish(held, time_left, holder)

    def drain(self, time_left: TimeLeft) -> list[DracoreError]:
        """Reverts what waits for it and belongs to no claim that is being released; answers what failed.

        Passes over keys that are locked: somebody is at them.
        """
        failures: list[DracoreError] = []
        for candidate in self._journal.read(holdings.pending):
            lock = self._kit.locks.key(candidate.key)
            if not lock.acquire(0):
                continue
            try:
                held, busy = self._journal.read(lambda tx, key=candidate.key: _orphan(tx, key))  # type: ignore[misc]
                if held is not None and not busy:
                    self._finish(held, time_left)
            except DracoreError as error:
                failures.append(error)
            finally:
                lock.release()
        return failures

    # --- reverting ----------------------------------------------------------------------------------

    def _finish(self, held: Held, time_left: TimeLeft, holder: str = "") -> None:
        """Reverts an effect and forgets it. Its key's lock is held."""
        holder = holder or next(iter(self._journal.read(lambda tx: holdings.holders(tx, held.key))), "")
        try:
            effect = self.decode(held)
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
            raise _failed(f"cannot undo {held.kind} {held.key}", error) from error
        self._forget(held.key, held.kind, holder)

    def _revert(self, effect: Effect, key: str, before: JSON, outcome: JSON, time_left: TimeLeft) -> None:
        label = f"{effect.kind} {key}"
        self._seam("effect.revert.before", label)
        effect.revert(EffectNode(self._kit, key, time_left), before, outcome)
        self._seam("effect.revert.after", label)
        folder = effect_dir(self._kit.folder, key)
        if folder.exists():
            shutil.rmtree(folder)

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
                effect = self.decode(held)
            except PluginError:
                continue  # without its plugin nobody asks for it
            answer.append(HeldEffect(effect, held.outcome, tuple(holders.get(held.key, ()))))
        return answer

    def probe(self, held: Held, time_left: TimeLeft) -> Probe:
        """Whether the effect is on the node. Never raises: what cannot be told is Unknown."""
        label = f"{held.kind} {held.key}"
        try:
            effect = self.decode(held)
            self._seam("effect.probe.before", label)
            answer = effect.probe(EffectNode(self._kit, held.key, time_left))
            self._seam("effect.probe.after", label)
        except Exception as error:  # noqa: BLE001 - that is what Unknown is for
            return Unknown(_said(error))
        if not isinstance(answer, (Present, Absent, Unknown)):
            return Unknown(f"probe answered {type(answer).__name__}")
        return answer

    def decode(self, held: Held) -> Effect:
        """The effect out of the journal, as its current class.

        :raises PluginError: nothing that is installed has the kind, or its class does not take the
            parameters any more.
        """
        cls = self._kit.hooks.effect_type(self._kit.driver, held.kind)
        if cls is None:
            raise PluginError(
                f"no installed plugin knows the effect {held.kind} that was made on {held.key}",
                fix=f"install {held.distribution or 'the plugin that made it'} again; it need not be enabled",
            )
        try:
            return cls.decode(held.params)
        except Exception as error:
            raise PluginError(
                f"effect {held.kind} does not take its own parameters of an earlier version: {_said(error)}",
                fix="give new fields of an effect a default",
            ) from error

    def _settle(self, held: Held, holders: Sequence[str], asking: str, time_left: TimeLeft) -> Held | None:
        """An effect that may not be there any more (a reboot, an administrator): the node says."""
        found = self.probe(held, time_left)
        if isinstance(found, Present):
            return self.confirm(held, found)
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

    def confirm(self, held: Held, found: Present) -> Held:
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

    def check_present(self, key: str, time_left: TimeLeft) -> tuple[Held, Probe] | None:
        """Probes an applied effect under its key's lock; None where it is busy, gone or being reverted.

        Gone and held by nobody that runs: it is forgotten.
        """
        lock = self._kit.locks.key(key)
        if not lock.acquire(0):
            return None
        try:
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
                held = self.confirm(held, found)
            return held, found
        finally:
            lock.release()

    # --- checks -------------------------------------------------------------------------------------

    def _check(self, effect: Effect) -> None:
        if not isinstance(effect, Effect):
            raise PluginError(f"ctx.hold takes an effect, not {type(effect).__name__}")
        if self._kit.hooks.effect_type(self._kit.driver, effect.kind) is not type(effect):
            raise PluginError(
                f"effect kind {effect.kind} is not registered for {self._kit.driver}, so a restarted driver "
                "could not undo it",
                fix=f"name {type(effect).__name__} in dra_effects",
            )

    def _same(self, effect: Effect, held: Held, holders: Sequence[str]) -> None:
        if held.kind == effect.kind:
            known = self.decode(held)
            if encode(known.params()) == encode(effect.params()):
                return
            what = f"{effect.kind} {effect.key} is held with other parameters"
        else:
            what = f"{effect.key} is held by another effect, {held.kind},"
        names = self._journal.read(lambda tx: records.names(tx, holders))
        raise EffectConflict(
            f"{what} by {', '.join(names)}",
            fix="ask for the same, or wait until it is released",
        )

    def _taken(self, lock: Lock, key: str, time_left: TimeLeft) -> Any:
        return self._kit.locks.taken(lock, lock_time(time_left()), lambda: self._who_is_at(key))

    def _who_is_at(self, key: str) -> str:
        holders = self._journal.read(lambda tx: records.names(tx, holdings.holders(tx, key)))
        return f"{key} is being changed" + (f" for {', '.join(holders)}" if holders else "")


def changed(held: Held, found: Present) -> bool:
    """Whether the node has something else in the effect's place (another instance id)."""
    return found.outcome is not None and encode(found.outcome) != encode(held.outcome)


def text_of(effect: Effect) -> str:
    """An effect for a person; one whose preview fails still has a kind and a key."""
    try:
        return effect.preview()
    except Exception:  # noqa: BLE001 - a bad preview must not stand in the way of the real message
        return f"{effect.kind} {effect.key}"


def _orphan(tx: Tx, key: str) -> tuple[Held | None, bool]:
    """A pending effect, and whether a claim that is being prepared or released will revert it in order."""
    held = holdings.get(tx, key)
    if held is None or held.state == "applied":
        return None, False
    found: Iterable[records.Record | None] = (records.get(tx, h) for h in holdings.holders(tx, key))
    return held, any(record is not None and record.state in ("preparing", "releasing") for record in found)


def _runs(record: records.Record | None) -> bool:
    """Whether containers may be using what the claim holds."""
    return record is not None and record.state == "prepared"


def _failed(what: str, error: BaseException) -> DracoreError:
    if isinstance(error, JournalError):
        return error
    fix = error.fix if isinstance(error, DracoreError) else None
    return EffectFailed(f"{what}: {_said(error)}", fix=fix)


def _said(error: BaseException) -> str:
    if isinstance(error, DracoreError):
        return f"{error.where}: {error.what}" if error.where else error.what
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
