"""Plays a scenario in this process, up to its end or to the fault."""

from __future__ import annotations

import contextlib
from pathlib import Path

from dracore.errors import DracoreError
from dracore.testing.crash import scenario as steps
from dracore.testing.crash.cluster import KubeletCall
from dracore.testing.crash.points import Points
from dracore.testing.crash.scenario import Scenario, Step
from dracore.testing.crash.stand import Stand, Subject, start


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

    def play(self) -> None:
        """Takes the steps; what the driver answers with an error is the kubelet's business."""
        for step in self.story.steps:
            self.points.caller_gone = False
            try:
                self.take(step)
            except DracoreError:
                continue

    def close(self) -> None:
        for stand in (self.stand, self.older):
            if stand is not None:
                stand.engine.close()

    def take(self, step: Step) -> None:
        """One step.

        :raises DracoreError: what the driver answered.
        """
        stand = self.stand
        match step:
            case steps.Prepare(uid, seconds):
                self._prepare(uid, seconds)
            case steps.Unprepare(uid):
                stand.cluster.asked(uid)
                stand.engine.unprepare(stand.cluster.ref(uid), self._call())
                stand.cluster.released(uid)
            case steps.Reallocate(uid, ask):
                stand.cluster.asked(uid)
                stand.cluster.put(uid, ask)
            case steps.Delete(uid):
                stand.cluster.asked(uid)
                stand.cluster.delete(uid)
            case steps.Set(flag):
                stand.ground.set(flag)
            case steps.Fail(what, name, times):
                stand.ground.fail(what, name, times)
            case steps.Drain():
                with contextlib.suppress(OSError, ValueError):  # the reconciler outlives any failure
                    stand.engine.drain()
            case steps.Reconcile():
                reconciler = stand.reconciler()
                for _ in range(2):
                    with contextlib.suppress(OSError, ValueError):  # likewise
                        reconciler.look()
            case steps.Restart(boot):
                self._restart(boot)
            case steps.Handover(end, back):
                self._hand_over(end, back)

    def _prepare(self, uid: str, seconds: float) -> None:
        stand = self.stand
        promise, _ = stand.cluster.promises().get(uid, ("nothing", None))
        # A claim that the kubelet has an answer for stays promised while it is prepared once more.
        stand.cluster.asked(uid, keep=promise in ("prepared", "again"))
        call = KubeletCall(seconds, self.points, stand.clock)
        stand.cluster.prepared(uid, stand.engine.prepare(stand.cluster.ref(uid), call))

    def _call(self) -> KubeletCall:
        return KubeletCall(30.0, self.points, self.stand.clock)

    def _restart(self, boot: bool) -> None:
        self.close()
        self.older = None
        if boot:
            self.stand.cluster.reboot()
            self.stand.cluster.forget_promises()
            self.stand.ground.reboot()
            for file in list(self.stand.cdi_folder.glob("*")) if self.stand.cdi_folder.is_dir() else ():
                file.unlink()
        self.stand = self._start()

    def _start(self) -> Stand:
        return start(self.subject, self.folder, self.points, self._made)

    def _made(self, stand: Stand) -> None:
        self.working = stand

    def _hand_over(self, end: bool, back: bool) -> None:
        if back and self.older is not None:
            self.older, self.stand = self.stand, self.older
        elif end:
            if self.older is not None:
                self.older.engine.close()
                self.older = None
        else:
            self.older, self.stand = self.stand, self._start()
        self.stand.cluster.read()
        self.working = self.stand
