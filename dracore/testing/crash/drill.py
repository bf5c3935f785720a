"""Around every change of a scenario: does probe tell the truth, and may revert come twice or for nothing?"""

from __future__ import annotations

from typing import Any

from dracore.model.effect import Absent, Effect, Present, Unknown
from dracore.prepare import holdings
from dracore.prepare.effects import EffectNode
from dracore.prepare.holdings import Held
from dracore.prepare.transaction import decode, encode
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
        self._busy = False

    def __call__(self, point: str, detail: str) -> None:
        if self._busy or not hasattr(self._player.working, "engine"):
            return
        self._busy = True
        try:
            if point == "effect.apply.before":
                self._unmade(*self._effect(detail))
            elif point == "journal.commit.after" and detail.startswith("effect.outcome "):
                self._made(*self._effect(f" {detail.partition(' ')[2]}"))
            elif point == "effect.revert.after":
                self._reverted(*self._effect(detail))
        finally:
            self._busy = False

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
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            self._found.append(f"{what} raises {type(error).__name__}: {error}")
        after = self._observe()
        if after != before:
            self._found.append(f"{what} changes the node: {difference(before, after)}")

    def _made(self, held: Held, effect: Effect, node: EffectNode) -> None:
        seen = self._probe(effect, node)
        what = f"probe-truth: {held.kind} {held.key}: probe"
        unmade = self._present_on.pop(held.key, None)
        if unmade is not None and (now := self._observe()) != unmade:
            self._found.append(
                f"{what} says Present before apply, which then changes the node: {difference(unmade, now)}"
            )
        if isinstance(seen, Absent):
            self._found.append(f"{what} says Absent just after apply")
        elif isinstance(seen, Present) and seen.outcome is not None:
            outcome = decode(encode(seen.outcome))
            if outcome != held.outcome:
                self._found.append(f"{what} says {outcome!r}, and apply's outcome was {held.outcome!r}")
        elif not isinstance(seen, (Present, Unknown)):
            verb = "raises" if isinstance(seen, Exception) else "answers"
            self._found.append(f"{what} {verb} {seen!r}; it must answer Present, Absent or Unknown")

    def _reverted(self, held: Held, effect: Effect, node: EffectNode) -> None:
        if held.key in self._absent_before and isinstance(self._probe(effect, node), Present):
            self._found.append(f"probe-truth: {held.kind} {held.key}: probe says Present just after revert")
        for outcome, which in ((held.outcome, "again"), (None, "again, as after a crash in apply,")):
            before = self._observe()
            what = f"revert-again: {held.kind} {held.key}: revert, called {which}"
            try:
                effect.revert(node, held.before, outcome)
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                self._found.append(f"{what} raises {type(error).__name__}: {error}")
            after = self._observe()
            if after != before:
                self._found.append(f"{what} changes the node: {difference(before, after)}")

    def _probe(self, effect: Effect, node: EffectNode) -> Any:
        try:
            return effect.probe(node)
        except Exception as error:  # noqa: BLE001 - told by the caller
            return error

    def _observe(self) -> Any:
        return self._player.working.ground.observe()


def watch(player: Player, points: Points, found: list[str]) -> None:
    """Drills every effect that `player` holds from here on."""
    points.watch(Drill(player, found))
