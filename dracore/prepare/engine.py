"""The claim engine of one driver: what the kubelet's calls, the plugins and the reconciler go through."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dracore.errors import DracoreError
from dracore.model.answer import Call, PreparedResult
from dracore.model.claim import ClaimRef
from dracore.model.context import HeldEffect
from dracore.model.effect import Effect
from dracore.model.seam import Seam, no_seam
from dracore.prepare import holdings, recording, records, recovery
from dracore.prepare import snapshot as status
from dracore.prepare.calls import PREPARES, Calls
from dracore.prepare.context import PluginContext
from dracore.prepare.effects import Effects
from dracore.prepare.health import HealthTable
from dracore.prepare.journal import Journal
from dracore.prepare.kit import Kit
from dracore.prepare.locks import Locks
from dracore.prepare.ports import (
    Admission,
    Cdi,
    Claims,
    Clock,
    Configs,
    Devices,
    HookCaller,
    PodUsers,
    Reports,
    Silent,
    Surroundings,
    SystemClock,
)
from dracore.prepare.records import Record
from dracore.prepare.release import release
from dracore.prepare.snapshot import Drift
from dracore.prepare.transaction import Tx


class Engine:
    """Prepares and unprepares the claims of one driver (:class:`dracore.model.answer.ClaimEngine`).

    Making one settles in the journal what a reboot changed; :meth:`recover` does the rest, after the plugins
    have started and before the sockets answer. Thread-safe, and safe beside another process on `folder`.

    :param folder: the driver's plugin folder.
    :param admission: places for running prepares, shared by all drivers of the process.
    """

    def __init__(
        self,
        *,
        driver: str,
        folder: Path,
        journal: Journal,
        boot_id: str,
        hooks: HookCaller,
        devices: Devices,
        configs: Configs,
        claims: Claims,
        pods: PodUsers,
        cdi: Cdi,
        surroundings: Surroundings,
        clock: Clock = SystemClock(),  # noqa: B008 - no state
        seam: Seam = no_seam,
        reports: Reports = Silent(),  # noqa: B008 - no state
        admission: Admission | None = None,
    ) -> None:
        self.kit = Kit(
            driver=driver,
            folder=folder,
            boot_id=boot_id,
            journal=journal,
            locks=Locks(folder, seam),
            hooks=hooks,
            devices=devices,
            configs=configs,
            claims=claims,
            pods=pods,
            cdi=cdi,
            surroundings=surroundings,
            clock=clock,
            seam=seam,
            reports=reports,
        )
        self.effects = Effects(self.kit)
        self.health = HealthTable(journal)
        self._journal = journal
        self._starting: dict[str, set[str]] = {}
        recovery.after_start(self.kit)
        self._calls = Calls(self.kit, self.effects, admission or threading.BoundedSemaphore(PREPARES))

    # --- what the kubelet asks ----------------------------------------------------------------------

    def prepare(self, ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        """Prepares a claim, or gives the answer that it was prepared with.

        :raises DracoreError: its text is for the pod's event; the kubelet asks again.
        """
        return self._calls.prepare(ref, call)

    def repair(self, ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        """A full prepare of a claim that may be in use; a failure releases nothing."""
        return self._calls.prepare(ref, call, repair=True)

    def unprepare(self, ref: ClaimRef, call: Call) -> None:
        """Releases a claim from the journal alone; an unknown claim is a success.

        :raises DracoreError: something could not be undone yet; the kubelet asks again.
        """
        self._calls.unprepare(ref, call)

    # --- what plugins ask ---------------------------------------------------------------------------

    def context(self, plugin: str) -> PluginContext:
        """For node hooks of a plugin (:class:`dracore.model.context.NodeContext`)."""
        return PluginContext(self.kit, self.effects, plugin, lambda key: self._held_now(plugin, key))

    @contextlib.contextmanager
    def starting(self, plugin: str) -> Iterator[PluginContext]:
        """Around ``dra_start``, with its context. From here on it is noted what the plugin holds again, until
        :meth:`settled`; where ``dra_start`` fails, all stays."""
        self._starting[plugin] = set()
        try:
            yield self.context(plugin)
        except BaseException:
            self._starting.pop(plugin, None)
            raise

    def settled(self, plugin: str) -> bool:
        """After a plugin's first discovery, in which it may hold effects, too: what it held before its start
        and has not held again is released. Answers whether that has changed the node."""
        held = self._starting.pop(plugin, None)
        if held is None:
            return False
        holder = f"plugin:{plugin}"
        rest = [key for key in self._journal.read(lambda tx: holdings.keys_of(tx, holder)) if key not in held]
        try:
            self.effects.release(holder, recovery.time_left, keys=rest)
        except DracoreError as error:
            self.kit.reports.event("ReleaseFailed", f"plugin {plugin}: {error}")
        return bool(rest)

    def _held_now(self, plugin: str, key: str) -> None:
        if plugin in self._starting:
            self._starting[plugin].add(key)

    def held(self, kind: str | type[Effect] | None = None) -> Sequence[HeldEffect]:
        """The effects of one kind (or all) that this driver holds now, in the order of application."""
        return self.effects.held(kind)

    # --- life ---------------------------------------------------------------------------------------

    def recover(self) -> recovery.Recovered:
        """Brings node and journal together after a start; before the sockets answer.

        What cannot be undone now (a session that is not open yet) stays in the journal and is tried again.
        """
        done = recovery.recover(self.kit, self.effects)
        for error in done.failures:
            self.kit.reports.event("ReleaseFailed", str(error))
        return done

    def interrupt(self) -> None:
        """Waits of running prepares answer now; the kubelet asks again. For the end of the process."""
        self.kit.closing.set()

    def close(self) -> None:
        """Closes the journal. What is prepared stays prepared."""
        self.interrupt()
        self._journal.close()

    # --- looking ------------------------------------------------------------------------------------

    def snapshot(self) -> status.Snapshot:
        """Claims and effects as the journal has them: no hardware, no API server."""
        return status.take(self._journal, self.kit.driver)

    def timeline(self, uid: str) -> list[status.Entry]:
        """What happened to a claim, oldest first."""
        return status.timeline(self._journal, uid)

    def records(self) -> list[Record]:
        """All claims that the journal knows."""
        return self._journal.read(records.every)

    # --- what the reconciler asks -------------------------------------------------------------------

    def drain(self) -> list[DracoreError]:
        """Reverts and releases what earlier attempts left; answers what still fails."""
        done = recovery.Recovered()
        recovery.finish_dead(self.kit, self.effects, done)
        return done.failures + self.effects.drain(recovery.time_left)

    def release(self, record: Record, why: str, *, still: Callable[[], bool] = lambda: True) -> bool:
        """Releases a claim unless somebody is at it or it has moved on since `record` was read.

        :param still: asked under the claim's lock, when no Prepare can come in between any more.
        """
        uid = record.ref.uid
        lock = self.kit.locks.claim(uid)
        if not lock.acquire(0):
            return False
        try:
            if self._journal.read(lambda tx: records.get(tx, uid)) != record or not still():
                return False
            release(self.kit, self.effects, uid, recovery.time_left, why)
            return True
        finally:
            lock.release()

    def suspend(self, uid: str, why: str, *, kind: str = "", key: str = "") -> Record | None:
        """Makes a prepared claim wait for a repair, a prepare that runs the hooks again; answers its record.

        It waits until one succeeds, over restarts, and counts as drifted until then.

        :param kind: with `key`, the effect that is to be made good.
        """
        boot = self.kit.boot_id
        lock = self.kit.locks.claim(uid)
        if not lock.acquire(0):
            return None
        try:

            def move(tx: Tx) -> Record | None:
                record = records.get(tx, uid)
                if record is None or not record.may_run(boot):
                    return None
                if record.state == "prepared":
                    recording.suspend(tx, uid, boot, (kind, key, why), new_attempt=True)
                    tx.note(uid, "waiting", f"a repair: {why}")
                    return records.get(tx, uid)
                return record if record.state == "waiting" and record.repair else None

            return self._journal.write(f"claim.suspended {uid}", move)
        finally:
            lock.release()

    def mark_drift(self, key: str, text: str) -> Drift | None:
        """Keeps how the node differs from an effect (empty: it does not); None where it is gone by now."""

        def mark(tx: Tx) -> Drift | None:
            held = holdings.get(tx, key)
            if held is None:
                return None
            if held.drift != text:
                holdings.drifted(tx, key, text)
            holders = holdings.holders(tx, key)
            devices = dict.fromkeys((d.pool, d.device) for h in holders for d in records.devices(tx, h))
            return Drift(held.kind, key, tuple(holders), tuple(devices), text)

        held = self._journal.read(lambda tx: holdings.get(tx, key))
        if held is not None and held.drift == text:
            return self._journal.read(mark)
        return self._journal.write(f"effect.drift {key}", mark)

    def drifts(self) -> list[Drift]:
        """Every effect that the last probe found different, and every claim that is still to be repaired of
        one, for status and device health."""
        held = self._journal.read(holdings.every)
        marked = [self.mark_drift(h.key, h.drift) for h in held if h.drift]
        found = [drift for drift in marked if drift is not None]
        keys = {drift.key for drift in found}
        return found + [drift for _, drift in self.to_repair() if drift.key not in keys]

    def to_repair(self) -> list[tuple[Record, Drift]]:
        """Claims that wait for a repair, and of what."""

        def read(tx: Tx) -> list[tuple[Record, Drift]]:
            found = []
            for record in records.every(tx, unsettled=True):
                if record.state == "waiting" and record.repair and record.ran == self.kit.boot_id:
                    devices = dict.fromkeys((d.pool, d.device) for d in records.devices(tx, record.ref.uid))
                    kind, key, text = record.repair
                    found.append((record, Drift(kind, key, (record.ref.uid,), tuple(devices), text)))
            return found

        return self._journal.read(read)
