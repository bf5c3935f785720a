"""What the hooks of one attempt may ask for and do, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dracore.model.answer import Call
from dracore.model.claim import Claim
from dracore.model.device import JSON
from dracore.model.effect import Effect
from dracore.prepare.effects import Effects
from dracore.prepare.kit import Kit
from dracore.prepare.tenure import Tenure


class Scope:
    """Between the contexts of hooks and their attempt: it changes nothing once that has ended."""

    def __init__(self, kit: Kit, effects: Effects, claim: Claim, call: Call, tenure: Tenure) -> None:
        self.kit = kit
        self.effects = effects
        self.claim = claim
        self.facts: dict[str, Mapping[str, JSON]] = {}
        """What ``dra_prepare_claim`` of each plugin said."""
        self.held: set[str] = set()
        """Keys of what hooks have held in this attempt."""
        self.made_dir = False
        self._call = call
        self._tenure = tenure

    def check_open(self) -> None:
        """:raises DracoreError: what has ended the attempt."""
        self._tenure.check_open()

    def time_left(self) -> float:
        return self._call.time_left()

    def claim_dir(self) -> Path:
        """The claim's folder, made where it is not there."""
        self.check_open()
        path = self.kit.claim_dir(self.claim.ref.uid)
        if not self.made_dir:
            self.made_dir = True  # first: half of it may be there when this fails
            self.kit.seam("file.mkdir.before", str(path))
            path.mkdir(parents=True, exist_ok=True)
            self.kit.seam("file.mkdir.after", str(path))
        return path

    def hold(self, effect: Effect) -> JSON:
        self.check_open()
        outcome = self.effects.hold(effect, self._tenure, self._call.time_left)
        self.held.add(effect.key)
        return outcome

    def look(self, effect: Effect) -> JSON:
        """For a result with admin access, which holds nothing."""
        self.check_open()
        return self.effects.look(effect)

    def wait(self, predicate: Callable[[], Any], what: str) -> Any:
        return self._tenure.wait(predicate, what)
