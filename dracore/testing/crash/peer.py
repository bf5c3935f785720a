"""Another instance of the driver that was up when one died, and goes on without a restart."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from dracore.errors import DracoreError
from dracore.testing.crash import rules
from dracore.testing.crash.cluster import KubeletCall
from dracore.testing.crash.fork import Ended, forked
from dracore.testing.crash.play import Player
from dracore.testing.crash.points import Points
from dracore.testing.crash.scenario import Scenario
from dracore.testing.crash.stand import Subject, start

NO_WAIT = 5.0
"""Seconds of a call that waits for nothing: the last 5 are kept for the answer."""


def with_peer(
    subject: Subject, folder: Path, story: Scenario, number: int, before: Any, out: Path, *, undone: bool
) -> list[str]:
    """One instance dies at point `number` of the scenario, beside another that does not.

    :param undone: the other one undoes what it left before the kubelet asks anything; else after.
    """
    up, tell_up = os.pipe()
    go, tell_go = os.pipe()
    answer = out.with_suffix(".peer")
    answer.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        # Forks once more, so that `forked` can tell how it ended; this one only hands that on.
        os.close(up)
        os.close(tell_go)
        ended = forked(
            lambda: _peer(subject, folder, before, tell_up, go, undone), answer.with_suffix(".inner")
        )
        text = ended.failed or ("killed" if ended.killed else "")
        lines = [f"survives: the peer ended: {text}"] if text else list(ended.answer)
        answer.write_text("\n".join(lines))
        os._exit(0)
    os.close(tell_up)
    os.close(go)
    os.read(up, 1)  # the peer has started, or ended (then there is an answer)
    first: Ended = forked(lambda: _die(subject, folder, story, number), out)
    os.close(tell_go)
    os.waitpid(pid, 0)
    os.close(up)
    found = (
        [] if first.killed else [f"the point was not passed again ({first.failed or 'it came to its end'})"]
    )
    return found + [line for line in answer.read_text().splitlines() if line]


def _die(subject: Subject, folder: Path, story: Scenario, number: int) -> None:
    points = Points(number, "kill")
    Player(subject, folder, points, story).open().play()


def _peer(subject: Subject, folder: Path, before: Any, tell_up: int, go: int, undone: bool) -> list[str]:
    stand = start(subject, folder, Points())
    os.write(tell_up, b"1")
    os.close(tell_up)
    os.read(go, 1)  # until the other has died
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
    again = start(subject, folder, Points())
    return found + [f"after the next start, {text}" for text in rules.check(again)]
