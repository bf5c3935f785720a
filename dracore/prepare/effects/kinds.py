"""Effects between their classes, which plugins bring, and their rows in the journal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from threading import current_thread, main_thread
from typing import Any, TypeVar

from dracore.errors import DracoreError, EffectConflict, EffectFailed, JournalError, PluginError
from dracore.model.effect import Effect
from dracore.prepare import holdings, records
from dracore.prepare.holdings import Held
from dracore.prepare.kit import Kit
from dracore.prepare.transaction import encode

T = TypeVar("T")


class Kinds:
    """The effect classes of one driver."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._renamed: dict[str, dict[str, str]] = {}
        """Of each kind that was asked for: what it calls an effect by now that is held under another key."""

    def check(self, effect: Effect) -> None:
        """:raises PluginError: it is no effect, or of a class that a restarted driver would not know."""
        if not isinstance(effect, Effect):
            raise PluginError(f"ctx.hold takes an effect, not {type(effect).__name__}")
        if self._kit.hooks.effect_type(self._kit.driver, effect.kind) is not type(effect):
            raise PluginError(
                f"effect kind {effect.kind} is not registered for {self._kit.driver}, so a restarted driver "
                "could not undo it",
                fix=f"name {type(effect).__name__} in dra_effects",
            )

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
            return asked(cls.decode, held.params)
        except Exception as error:
            raise PluginError(
                f"effect {held.kind} does not take its own parameters of an earlier version: {said(error)}",
                fix="give new fields of an effect a default",
            ) from error

    def check_key(self, effect: Effect) -> None:
        """What an earlier version of the class holds under another key is one thing under two locks: the
        release of one would undo what the other holds.

        :raises EffectConflict: naming the holders; they can be released, since their rows say what they hold.
        """
        renamed = self._renamed.get(effect.kind)
        if renamed is None or effect.key in renamed:  # those of earlier versions only become fewer
            renamed = self._renamed[effect.kind] = self._find_renamed(effect.kind)
        key = renamed.get(effect.key)
        if key is not None:
            names = self._kit.journal.read(lambda tx: records.names(tx, holdings.holders(tx, key)))
            raise EffectConflict(
                f"{effect.kind} {effect.key} is held as {key} by {', '.join(names)}: an earlier version of "
                "its plugin called it so",
                fix="delete those pods first; a plugin must not change an effect's key",
            )

    def _find_renamed(self, kind: str) -> dict[str, str]:
        found = {}
        for held in self._kit.journal.read(lambda tx: holdings.every(tx, kind=kind)):
            with contextlib.suppress(Exception):  # it is said where that effect is needed
                key = asked(lambda: self.decode(held).key)  # noqa: B023 - called here
                if key != held.key:
                    found[key] = held.key
        return found

    def check_same(self, effect: Effect, held: Held, holders: Sequence[str]) -> None:
        """:raises EffectConflict: what is held on its key is of another kind, or has other parameters."""
        if held.kind == effect.kind:
            known = self.decode(held)
            if encode(known.params()) == encode(effect.params()):
                return
            what = f"{effect.kind} {effect.key} is held with other parameters"
        else:
            what = f"{effect.key} is held by another effect, {held.kind},"
        names = self._kit.journal.read(lambda tx: records.names(tx, holders))
        raise EffectConflict(
            f"{what} by {', '.join(names)}",
            fix="ask for the same, or wait until it is released",
        )


def asked(step: Callable[..., T], *arguments: Any) -> T:
    """What a step of an effect answers; whatever it raises is an :class:`Exception`.

    SystemExit, CancelledError and the like would end the thread that asks (the reconciler's, for good), or
    the start of the driver, again and again. Ctrl-C while it starts is the user's.
    """
    try:
        return step(*arguments)
    except Exception:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():
            raise
        raise EffectFailed(said(error)) from error


def text_of(effect: Effect) -> str:
    """An effect for a person; one whose preview fails still has a kind and a key."""
    try:
        return asked(effect.preview)
    except Exception:  # noqa: BLE001 - a bad preview must not stand in the way of the real message
        return f"{effect.kind} {effect.key}"


def failed(what: str, error: BaseException) -> DracoreError:
    """What is answered where a step of an effect raised `error`."""
    if isinstance(error, JournalError):
        return error
    fix = error.fix if isinstance(error, DracoreError) else None
    return EffectFailed(f"{what}: {said(error)}", fix=fix)


def said(error: BaseException) -> str:
    """An error in one line, without what to do."""
    if isinstance(error, DracoreError):
        return f"{error.where}: {error.what}" if error.where else error.what
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
