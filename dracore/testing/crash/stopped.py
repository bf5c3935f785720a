"""An instance that is stopped (SIGSTOP) at a point; another one takes over, then the first goes on."""

from __future__ import annotations

import os
import select
import signal
import traceback
from pathlib import Path
from typing import Any

from dracore.errors import Busy, DracoreError, JournalError
from dracore.prepare import context, journal, recovery
from dracore.testing.crash import rules
from dracore.testing.crash.children import ended
from dracore.testing.crash.cluster import KubeletCall
from dracore.testing.crash.fork import Helper, emptied, fork
from dracore.testing.crash.play import Player
from dracore.testing.crash.points import Points
from dracore.testing.crash.scenario import Scenario
from dracore.testing.crash.stand import Stand, Subject, start

SHORT = 2.02
"""Seconds of a call that waits for a lock for next to nothing: the last 2 are kept for the answer."""


class Successor:
    """A process whose instances take over from others that are stopped.

    :param run: the folder of the runs, made anew for each.
    :param out: names files of its processes.
    """

    def __init__(self, subject: Subject, run: Path, out: Path) -> None:
        self._subject = subject
        self._run = run
        self._said = out.with_suffix(".stopped")
        self._helper = Helper(self._work, out.with_suffix(".successor"))

    def beside(self, story: Scenario, number: int, before: Any, *, release: bool, dies: bool) -> list[str]:
        """One instance is stopped at point `number` of the scenario; what another one finds.

        :param release: the kubelet also lets go of the claims, before the stopped instance goes on.
        :param dies: the stopped instance goes on no further than its next commit.
        """
        emptied(self._run)
        self._said.unlink(missing_ok=True)
        pid = fork()
        if pid == 0:
            try:
                self._play(story, number, dies)
            except BaseException:  # noqa: BLE001 - told to the parent, whatever it is
                self._said.write_text(traceback.format_exc()[-500:])
            finally:
                os._exit(0)
        _, status = os.waitpid(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            said = self._said.read_text() if self._said.exists() else "it ended"
            return [f"the point was not passed again ({said})"]
        try:
            second = self._helper.ask({"older": pid, "release": release, "before": before})
        finally:
            os.kill(pid, signal.SIGCONT)
            os.waitpid(pid, 0)
        found = []
        if self._said.exists():
            found.append(f"survives: the one that was stopped: {self._said.read_text()}")
        if second.failed or second.killed:
            return [*found, f"survives: the one that takes over: {second.failed or 'killed'}"]
        if second.answer:
            self.end()  # the next begins in a process of its own
        return found + list(second.answer)

    def end(self) -> None:
        self._helper.end()

    def _play(self, story: Scenario, number: int, dies: bool) -> None:
        points = Points(number, "stop")
        points.dies_then = dies
        player = Player(self._subject, self._run, points, story).open()
        player.play()
        player.close()

    def _work(self, question: dict[str, Any]) -> list[str]:
        """In the child."""
        _be_impatient()
        found: list[str] = []
        stand = _started(self._subject, self._run, found)
        if stand is not None:
            found += _meanwhile(stand, question["release"])
        os.kill(question["older"], signal.SIGCONT)
        _await_end(question["older"])
        if stand is None:
            stand = start(self._subject, self._run, Points())
        stand.cluster.read()
        stand.ground.heal()
        stand.engine.drain()
        found += [f"after the stopped one went on, {text}" for text in rules.check(stand, swept=False)]
        found += rules.go_on(stand, question["before"], swept=False)
        stand.stop()
        again = start(self._subject, self._run, Points())
        with ended(again):
            return found + [f"after the next start, {text}" for text in rules.check(again)]


def _await_end(pid: int) -> None:
    """Until a process has ended and all its locks are free: a pipe of it closes before its last lock."""
    handle = os.pidfd_open(pid)
    try:
        select.select([handle], [], [])
    finally:
        os.close(handle)


def _started(subject: Subject, folder: Path, found: list[str]) -> Stand | None:
    """None where the stopped one has the journal or a key, and this one says so: it is started again."""
    try:
        return start(subject, folder, Points())
    except AssertionError as error:
        if not isinstance(error.__cause__, (JournalError, Busy)):
            found.append(f"survives: beside a stopped instance, {error}")
        return None


def _meanwhile(stand: Stand, release: bool) -> list[str]:
    """The kubelet asks the new one; what the stopped one is at must not come free, and nothing else fail."""
    cluster, engine = stand.cluster, stand.engine
    cluster.read()
    found = rules.check(stand, settled=False, swept=False)
    for uid in cluster.claims:
        promise, _ = cluster.promises().get(uid, ("nothing", None))
        if promise == "released":
            continue
        try:
            cluster.prepared(uid, engine.prepare(cluster.ref(uid), _call(stand)))
        except (Busy, JournalError):
            continue
        except DracoreError as error:
            if promise == "prepared":
                found.append(f"again: prepare of claim {uid}, which was answered before, says: {error}")
    found += rules.check(stand, settled=False, swept=False)
    for uid in cluster.claims if release else ():
        if uid in cluster.running:
            continue
        cluster.asked(uid)
        try:
            engine.unprepare(cluster.ref(uid), _call(stand))
            cluster.released(uid)
        except DracoreError:
            continue
    found += rules.check(stand, settled=False, swept=False)
    return [f"beside a stopped instance, {text}" for text in found]


def _call(stand: Stand) -> KubeletCall:
    return KubeletCall(SHORT, stand.points, stand.clock)


def _be_impatient() -> None:
    """Nobody waits for seconds for what a stopped process has, in this child."""
    journal.BUSY_TIMEOUT = 0.05
    journal.IMPATIENT = 0.05
    context.NODE_HOOK_TIME = SHORT
    recovery.TIME = SHORT
