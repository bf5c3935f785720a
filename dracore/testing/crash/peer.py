"""Another instance of the driver that was up when one died, and goes on without a restart."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from dracore.errors import DracoreError
from dracore.testing.crash import rules
from dracore.testing.crash.children import ended
from dracore.testing.crash.cluster import KubeletCall
from dracore.testing.crash.fork import Helper, emptied, forked
from dracore.testing.crash.play import Player
from dracore.testing.crash.points import Points
from dracore.testing.crash.scenario import Scenario
from dracore.testing.crash.stand import Stand, Subject, start

NO_WAIT = 5.0
"""Seconds of a call that waits for nothing: the last 5 are kept for the answer."""


class Peer:
    """A process with an instance that stays up while others die beside it.

    :param run: the folder of the runs, made anew for each.
    :param out: names files of its processes.
    """

    def __init__(self, subject: Subject, run: Path, out: Path) -> None:
        self._subject = subject
        self._run = run
        self._out = out
        self._helper = Helper(self._work, out.with_suffix(".peer"))
        self._stand: Stand

    def beside(self, story: Scenario, number: int, before: Any, *, undone: bool) -> list[str]:
        """One instance dies at point `number` of the scenario, beside another that does not.

        :param undone: the other one undoes what it left before the kubelet asks anything; else after.
        """
        emptied(self._run)
        up = self._helper.ask({})
        first = forked(lambda: self._die(story, number), self._out)
        ended = up if up.failed or up.killed else self._helper.ask({"undone": undone, "before": before})
        if not first.killed:
            return [f"the point was not passed again ({first.failed or 'it came to its end'})"]
        if ended.failed or ended.killed:
            return [f"survives: the peer ended: {ended.failed or 'killed'}"]
        found: list[str] = ended.answer
        if found:
            self.end()  # the next begins in a process of its own
        return found

    def end(self) -> None:
        self._helper.end()

    def _die(self, story: Scenario, number: int) -> None:
        Player(self._subject, self._run, Points(number, "kill"), story).open().play()

    def _work(self, question: dict[str, Any]) -> Any:
        """In the child: a start, and in the next question what it does once the other has died."""
        if question:
            return self._go_on(question["before"], question["undone"])
        self._stand = start(self._subject, self._run, Points())
        return None

    def _go_on(self, before: Any, undone: bool) -> list[str]:
        stand = self._stand
        stand.cluster.read()
        stand.ground.heal()
        if undone:
            stand.engine.drain()
        else:  # the kubelet is faster than the reconciler
            for uid in reversed(stand.cluster.claims):  # the one that had been there first comes last
                if stand.cluster.promises().get(uid, ("nothing", None))[0] != "released":
                    with contextlib.suppress(DracoreError):
                        call = KubeletCall(NO_WAIT, stand.points, stand.clock)
                        stand.cluster.prepared(uid, stand.engine.prepare(stand.cluster.ref(uid), call))
            stand.engine.drain()
        found = [f"beside a live instance, {text}" for text in rules.check(stand, swept=False)]
        found += rules.go_on(stand, before, swept=False)
        stand.stop()
        again = start(self._subject, self._run, Points())
        with ended(again):
            return found + [f"after the next start, {text}" for text in rules.check(again)]
