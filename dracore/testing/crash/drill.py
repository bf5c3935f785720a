"""Around every change of a scenario: does probe tell the truth, and may revert come twice or for nothing?"""

from __future__ import annotations

import json
from typing import Any

from dracore.model.effect import Absent, Effect, Present, Unknown
from dracore.prepare import holdings, records
from dracore.prepare.effects import EffectNode
from dracore.prepare.holdings import Held
from dracore.prepare.transaction import Tx, decode, encode
from dracore.testing.crash.play import Player
from dracore.testing.crash.points import Points
from dracore.testing.crash.rules import difference


class Drill:
    """Listens at the seam of a run without faults; findings go into `found`."""

    def __init__(self, player: Player, found: list[str]) -> None:
        self._player = player
        self._found = found
        self._absent_before: set[str] = set()
        self._present_on: dict[str, Any] = {}
        """What the node was like where probe said Present before anything was applied, by key."""
        self._bare: dict[str, Any] = {}
        """What the node was like just before apply, by key."""
        self.applied: dict[str, bool] = {}
        """Kinds of effects that were applied: whether the ground was seen to change with any of them."""
        self._specs: dict[str, Any] = {}
        """What containers get, by all that it may depend on."""
        self._busy = False

    def __call__(self, point: str, detail: str) -> None:
        if self._busy or not hasattr(self._player.working, "engine"):
            return
        self._busy = True
        try:
            if point == "effect.apply.before":
                held, effect, node = self._effect(detail)
                self._unmade(held, effect, node)
                self._bare[held.key] = self._observe()
            elif point == "journal.commit.after" and detail.startswith("effect.outcome "):
                self._made(*self._effect(f" {detail.partition(' ')[2]}"))
            elif point == "effect.revert.after":
                self._reverted(*self._effect(detail))
            elif point == "reply.prepare.before":
                self._answered(detail)
        finally:
            self._busy = False

    def unseen(self) -> list[str]:
        """What to say where the ground did not change with any effect: it would look the same left behind."""
        if not self.applied or any(self.applied.values()):
            return []
        kinds = ", ".join(sorted(self.applied))
        return [f"outside: {kinds}: apply changes nothing that observe() of the ground tells of"]

    def _effect(self, label: str) -> tuple[Held, Effect, EffectNode]:
        key = label.partition(" ")[2]
        engine = self._player.working.engine
        held = engine.kit.journal.read(lambda tx: holdings.get(tx, key))
        assert held is not None
        return held, engine.effects.kinds.decode(held), EffectNode(engine.kit, key, lambda: 30.0)

    def _unmade(self, held: Held, effect: Effect, node: EffectNode) -> None:
        seen = self._probe(effect, node)
        if isinstance(seen, Absent):
            self._absent_before.add(held.key)
        before = self._observe()
        if isinstance(seen, Present):
            self._present_on[held.key] = before
        what = f"revert-unmade: {held.kind} {held.key}: revert, where apply never came,"
        try:
            effect.revert(node, held.before, None)
        except BaseException as error:  # noqa: BLE001 - that is what is looked for
            self._found.append(f"{what} raises {type(error).__name__}: {error}")
        after = self._observe()
        if after != before:
            self._found.append(f"{what} changes the node: {difference(before, after)}")

    def _made(self, held: Held, effect: Effect, node: EffectNode) -> None:
        seen = self._probe(effect, node)
        what = f"probe-truth: {held.kind} {held.key}: probe"
        changed = self._observe() != self._bare.pop(held.key, None)
        self.applied[held.kind] = self.applied.get(held.kind, False) or changed
        unmade = self._present_on.pop(held.key, None)
        if unmade is not None and (now := self._observe()) != unmade:
            self._found.append(
                f"{what} says Present before apply, which then changes the node: {difference(unmade, now)}"
            )
        if isinstance(seen, Absent):
            self._found.append(f"{what} says Absent just after apply")
        elif isinstance(seen, Unknown) and type(effect).probe is not Effect.probe:
            self._found.append(f"{what} says Unknown just after apply: it can never tell ({seen.reason})")
        elif isinstance(seen, Present) and seen.outcome is not None:
            outcome = decode(encode(seen.outcome))
            if outcome != held.outcome:
                self._found.append(f"{what} says {outcome!r}, and apply's outcome was {held.outcome!r}")
        elif not isinstance(seen, (Present, Unknown)):
            verb = "raises" if isinstance(seen, BaseException) else "answers"
            self._found.append(f"{what} {verb} {seen!r}; it must answer Present, Absent or Unknown")

    def _reverted(self, held: Held, effect: Effect, node: EffectNode) -> None:
        if held.key in self._absent_before and isinstance(self._probe(effect, node), Present):
            self._found.append(f"probe-truth: {held.kind} {held.key}: probe says Present just after revert")
        for outcome, which in ((held.outcome, "again"), (None, "again, as after a crash in apply,")):
            before = self._observe()
            what = f"revert-again: {held.kind} {held.key}: revert, called {which}"
            try:
                effect.revert(node, held.before, outcome)
            except BaseException as error:  # noqa: BLE001 - that is what is looked for
                self._found.append(f"{what} raises {type(error).__name__}: {error}")
            after = self._observe()
            if after != before:
                self._found.append(f"{what} changes the node: {difference(before, after)}")

    def _answered(self, uid: str) -> None:
        """What containers get must be the same when all that it may depend on is."""
        kit = self._player.working.engine.kit

        def read(tx: Tx) -> tuple[list[Any], Any]:
            record = records.get(tx, uid)
            found = [holdings.get(tx, key) for key in sorted(holdings.keys_of(tx, uid))]
            outcomes = [(held.key, held.outcome) for held in found if held is not None]
            return [kit.boot_id, uid, record and record.digest, outcomes], records.specs(tx, uid)

        depends, specs = kit.journal.read(read)
        known = self._specs.setdefault(json.dumps(depends), specs)
        if known != specs:
            self._found.append(
                f"same: claim {uid} was prepared anew with the same devices and outcomes of effects, and its "
                f"containers get something else: {_first(known, specs)}"
            )

    def _probe(self, effect: Effect, node: EffectNode) -> Any:
        try:
            return effect.probe(node)
        except BaseException as error:  # noqa: BLE001 - told by the caller
            return error

    def _observe(self) -> Any:
        return self._player.working.ground.observe()


def _first(known: Any, now: Any) -> str:
    """Where two texts begin to differ."""
    one, two = repr(known), repr(now)
    place = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), 0)
    here = slice(max(0, place - 30), place + 30)
    return f"...{two[here]}... instead of ...{one[here]}..."


def watch(player: Player, points: Points, found: list[str]) -> Drill:
    """Drills every effect that `player` holds from here on."""
    drill = Drill(player, found)
    points.watch(drill)
    return drill
