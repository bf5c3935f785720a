"""Plays a scenario in this process, up to its end or to the fault."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from dracore.errors import DracoreError
from dracore.testing.crash import scenario as steps
from dracore.testing.crash.cluster import KubeletCall
from dracore.testing.crash.points import Points
from dracore.testing.crash.scenario import Scenario, Step
from dracore.testing.crash.stand import Stand, Subject, start
from dracore.testing.crash.state import state_of


class Player:
    """The kubelet, the reconciler and fate, around one or (in a handover) two drivers of this process."""

    def __init__(self, subject: Subject, folder: Path, points: Points, story: Scenario) -> None:
        self.subject = subject
        self.folder = folder
        self.points = points
        self.story = story
        self.stand: Stand
        self.working: Stand
        """The stand whose code runs: the next one already while it starts."""
        self.older: Stand | None = None

    def open(self) -> Player:
        """The first start; claims are on the API server."""
        self.stand = self._start()
        if not self.stand.cluster.claims:
            for uid, ask in self.story.claims.items():
                self.stand.cluster.put(uid, ask)
        return self

    def play(self, between: Callable[[Step, DracoreError | None], None] = lambda step, error: None) -> None:
        """Takes the steps; what the driver answers with an error is the kubelet's business.

        :param between: called after each step, with the error that it was answered.
        """
        for step in self.story.steps:
            self.points.caller_gone = False
            answered = None
            try:
                self.take(step)
            except DracoreError as error:
                answered = error
            between(step, answered)
            if self.points.resumed:
                return  # the kubelet has long gone over to another instance

    def close(self) -> None:
        for stand in (self.stand, self.older):
            if stand is not None:
                stand.stop()

    def take(self, step: Step) -> None:
        """One step.

        :raises DracoreError: what the driver answered.
        """
        stand = self.stand
        match step:
            case steps.Prepare(uid, seconds, comes, _):
                if not comes:
                    self._prepare(uid, seconds)
                else:
                    with self._when_it_waits(lambda: stand.ground.set(comes)):
                        self._prepare(uid, seconds)
                    stand.ground.set(comes)
            case steps.Late(uid, waiting):
                self._late(uid, waiting)
            case steps.Unprepare(uid, _):
                stand.cluster.run(uid, run=False)  # the kubelet has ended them before
                stand.cluster.asked(uid)
                stand.engine.unprepare(stand.cluster.ref(uid), self._call())
                stand.cluster.released(uid)
            case steps.Reallocate(uid, ask):
                if set(stand.cluster.named(stand.cluster.ref(uid).name)) <= {uid}:
                    stand.cluster.asked(uid)
                    stand.cluster.put(uid, ask)
            case steps.Delete(uid):
                stand.cluster.asked(uid)
                stand.cluster.delete(uid)
            case steps.Recreate(uid, old, ask):
                name = stand.cluster.ref(old).name
                for other in stand.cluster.named(name):
                    stand.cluster.asked(other)
                    stand.cluster.delete(other)
                stand.cluster.put(uid, replace(ask, name=name))
            case steps.Containers(uid, run):
                promise, _ = stand.cluster.promises().get(uid, ("nothing", None))
                stand.cluster.run(uid, run=run and promise == "prepared")
            case steps.Outage(of, over):
                stand.cluster.outage(of, over=over)
            case steps.Destroy(name):
                stand.ground.destroy(name)
            case steps.TurnClock(by):
                stand.clock.turn(by)
            case steps.Set(flag):
                stand.ground.set(flag)
            case steps.Fail(what, name, times):
                stand.ground.fail(what, name, times)
            case steps.Drain():
                with contextlib.suppress(OSError, ValueError):  # the reconciler outlives any failure
                    stand.engine.drain()
            case steps.Reconcile():
                self._look(0.0)
                self._look(90.0)
            case steps.Look(after):
                self._look(after)
            case steps.Restart(boot, minor):
                self._restart(boot, minor)
            case steps.Handover(end, back, minor):
                self._hand_over(end, back, minor)

    def _prepare(self, uid: str, seconds: float) -> None:
        stand = self.stand
        promise, _ = stand.cluster.promises().get(uid, ("nothing", None))
        # A claim that the kubelet has an answer for stays promised while it is prepared once more.
        stand.cluster.asked(uid, keep=promise in ("prepared", "again"))
        call = KubeletCall(seconds, self.points, stand.clock)
        stand.cluster.prepared(uid, stand.engine.prepare(stand.cluster.ref(uid), call))

    def _late(self, uid: str, waiting: bool) -> None:
        """What a prepare leaves behind whose caller has gone must be what it found."""
        stand, points = self.stand, self.points
        began = len(points.seen)
        found = [] if waiting else [state_of(self.folder)]

        def leave() -> None:
            points.caller_gone = True
            stand.ground.set_all()
            found.append(state_of(self.folder))

        call = KubeletCall(30.0, points, stand.clock, gone=not waiting)
        waits = self._when_it_waits(leave) if waiting else contextlib.nullcontext()
        with waits, contextlib.suppress(DracoreError):
            stand.engine.prepare(stand.cluster.ref(uid), call)
        failed = began <= points.target < len(points.seen) and points.fault != "gone"
        if found and not failed and state_of(self.folder) != found[0]:
            stand.cluster.note(f"late: a prepare of claim {uid} whose caller has gone changed something")

    @contextlib.contextmanager
    def _when_it_waits(self, then: Callable[[], None]) -> Iterator[None]:
        """`then` happens as soon as a prepare waits, and has let go of the claim's lock or is about to."""
        told: list[str] = []

        def listen(point: str, detail: str) -> None:
            if not told and point == "journal.commit.after" and detail.startswith("claim.waiting"):
                told.append(detail)
                then()

        self.points.watch(listen)
        try:
            yield
        finally:
            self.points.unwatch(listen)

    def _look(self, after: float) -> None:
        stand = self.stand
        stand.clock.pass_by(after)
        with (
            stand.looks.one(exact=self.points.fault == "none"),
            contextlib.suppress(OSError, ValueError),  # the reconciler outlives any failure
        ):
            stand.reconciler.look()

    def _call(self) -> KubeletCall:
        return KubeletCall(30.0, self.points, self.stand.clock)

    def _restart(self, boot: bool, minor: int) -> None:
        self.close()
        self.older = None
        if boot:
            self.stand.cluster.reboot()
            self.stand.cluster.forget_promises()
            self.stand.ground.reboot()
            shutil.rmtree(self.stand.cdi_folder, ignore_errors=True)
        self.stand = self._start(minor)

    def _start(self, minor: int = 0) -> Stand:
        return start(self.subject, self.folder, self.points, self._made, minor=minor)

    def _made(self, stand: Stand) -> None:
        self.working = stand
        self.points.on_resume = stand.cluster.fall_silent

    def _hand_over(self, end: bool, back: bool, minor: int) -> None:
        if back and self.older is not None:
            self.older, self.stand = self.stand, self.older
        elif end:
            if self.older is not None:
                self.older.stop()
                self.older = None
        else:
            self.older, self.stand = self.stand, self._start(minor)
        self.stand.cluster.read()
        self._made(self.stand)
