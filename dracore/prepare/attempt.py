"""One attempt at preparing one claim: the hooks in their order, and what becomes of a failure.

The record is written with the first change to the node or the first wait; a claim whose hooks change nothing
needs a single commit. From its first commit to its end the attempt holds the claim's lock, save in a wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dracore.cdi import Part
from dracore.errors import ClaimError, DeviceGone, DracoreError, PluginError, Superseded, Waiting
from dracore.model.answer import Call, PreparedResult
from dracore.model.claim import Claim
from dracore.model.context import PreparedDevice
from dracore.model.device import JSON, Device
from dracore.model.edits import ContainerEdits
from dracore.model.effect import Effect
from dracore.model.prepared import Prepared
from dracore.prepare import holdings, records
from dracore.prepare.context import AttemptContext
from dracore.prepare.effects import Effects
from dracore.prepare.kit import WAIT_MARGIN, Kit, lock_time
from dracore.prepare.locks import Lock
from dracore.prepare.ports import Resolved
from dracore.prepare.records import DeviceRecord, Record, State
from dracore.prepare.release import release
from dracore.prepare.transaction import Tx, encode

FIRST_POLL, LONGEST_POLL = 0.02, 0.5
"""Seconds between two looks at what is awaited."""


class Overtaken(Superseded):
    """Another attempt has the claim now; the engine follows it."""


@dataclass
class _Work:
    """What one result has so far."""

    device: Device
    plugin: str
    config: Any
    prepared: Prepared
    edits: list[tuple[str, ContainerEdits]]
    common: list[tuple[str, ContainerEdits]]


class Attempt:
    """Prepares `claim`; its lock is held.

    :param record: what the journal has of this allocation (a claim that waits), or None.
    :param repair: the claim's containers may be running: a failure releases nothing.
    """

    def __init__(
        self,
        kit: Kit,
        effects: Effects,
        claim: Claim,
        record: Record | None,
        lock: Lock,
        call: Call,
        *,
        repair: bool = False,
    ) -> None:
        self.kit = kit
        self.effects = effects
        self.claim = claim
        self._lock = lock
        self._rpc = call
        self._before = record
        self._repair = repair
        # Under a repair the claim stays waiting: what it holds must survive the death of this process.
        self._state: State = "waiting" if repair else "preparing"
        awaited = "a repair" if repair else ""
        self._record = Record(claim.ref, self._state, 0, claim.digest(), kit.boot_id, awaited=awaited)
        self._begun = False
        self._devices: list[DeviceRecord] = []
        self._facts: dict[str, Mapping[str, JSON]] = {}
        self._repeated: set[str] = set()
        self._over: DracoreError | None = None
        self._made_dir = False

    @property
    def name(self) -> str:
        """As a holder: the claim's uid."""
        return self.claim.ref.uid

    def run(self) -> tuple[PreparedResult, ...]:
        """Runs the hooks, commits, writes the CDI files; answers what the kubelet is told.

        :raises Waiting: what is awaited did not come about in time; what is held stays held.
        :raises Overtaken: another attempt has taken the claim over; nothing was changed since.
        :raises DracoreError: anything else; what the claim held is released.
        """
        try:
            return self._run()
        except Exception as error:
            if self._over is not None:
                # A hook may have caught it and gone on, or raised something of its own.
                raise self._over from error
            self._roll_back(error)
            raise

    def _run(self) -> tuple[PreparedResult, ...]:
        found = self._find_devices()
        resolved = self._resolve([device for device, _ in found])
        self._devices = [
            DeviceRecord.of(result, device, plugin, self.kit.boot_id)
            for result, (device, plugin) in zip(self.claim.results, found, strict=True)
        ]
        # Read first, so that hooks never see a claim that must be refused; what counts is the same check in
        # the transaction that writes the record.
        self.kit.journal.read(lambda tx: records.guard(tx, self.name, self._devices))
        self._validate(found, resolved)
        if self._before is not None:
            self._begin()
        work = self._prepare(found, resolved)
        self._share(work, resolved)
        if self._before is not None:
            self._release_unrepeated()
        return self._finish(work)

    # --- before anything changes --------------------------------------------------------------------

    def _find_devices(self) -> list[tuple[Device, str]]:
        known: Sequence[DeviceRecord] = ()
        if self._before is not None:
            known = self.kit.journal.read(lambda tx: records.devices(tx, self.name))
        found = []
        for position, result in enumerate(self.claim.results):
            now = self.kit.devices.find(result.pool, result.device)
            if position < len(known):
                now = self._same_hardware(known[position], now)
            if now is None:
                if not self.kit.devices.ready():
                    raise ClaimError(
                        f"device {result.device} is not known: discovery has not answered, or failed",
                        fix="the kubelet asks again",
                    )
                raise DeviceGone(
                    f"device {result.device} of pool {result.pool} is not on this node any more",
                    fix="delete the pod, so that another device is allocated",
                )
            found.append(now)
        return found

    def _same_hardware(
        self, known: DeviceRecord, now: tuple[Device, str] | None
    ) -> tuple[Device, str] | None:
        """Within a boot the identity decides, across a boot the name, for the same sort of hardware."""
        record = self._before
        assert record is not None
        if record.boot == self.kit.boot_id:
            if now is None or now[0].identity != known.identity:
                now = self.kit.devices.identified(known.identity)
            return now
        if now is not None and now[0].description != known.description:
            raise DeviceGone(
                f"device {known.device} is other hardware since the reboot: "
                f"{now[0].description or 'unnamed'}, and was {known.description or 'unnamed'}",
                fix="delete the pod, so that another device is allocated",
            )
        return now

    def _resolve(self, devices: Sequence[Device]) -> Resolved:
        resolved = self.kit.configs.resolve(self.claim, devices)
        if not any(result.admin_access for result in self.claim.results):
            return resolved
        # What a claim asks of a device that it only looks at is not applied: defaults, and no sharing.
        plain = self.kit.configs.resolve(replace(self.claim, configs=()), devices)
        results = self.claim.results
        configs = [
            plain.configs[i] if result.admin_access else resolved.configs[i]
            for i, result in enumerate(results)
        ]
        groups = [
            replace(group, members=tuple(i for i in group.members if not results[i].admin_access))
            for group in resolved.groups
        ]
        return Resolved(configs, [group for group in groups if group.members])

    def _validate(self, found: Sequence[tuple[Device, str]], resolved: Resolved) -> None:
        configs = {
            result.request: config
            for result, config in zip(self.claim.results, resolved.configs, strict=True)
        }
        concerned = {plugin for _, plugin in found} | {group.plugin for group in resolved.groups}
        for plugin in self._ordered(concerned):
            ctx = AttemptContext(self, plugin, readonly="dra_validate")
            self.kit.hooks.call(plugin, "dra_validate", ctx=ctx, configs=configs)
        self.check_open()

    def _ordered(self, plugins: set[str]) -> list[str]:
        return [plugin for plugin in self.kit.hooks.plugins(self.kit.driver) if plugin in plugins]

    # --- the hooks ----------------------------------------------------------------------------------

    def _prepare(self, found: Sequence[tuple[Device, str]], resolved: Resolved) -> list[_Work]:
        results = self.claim.results
        wide: dict[str, Prepared] = {}
        for plugin in self._ordered({plugin for _, plugin in found}):
            devices = [
                device
                for (device, owner), result in zip(found, results, strict=True)
                if owner == plugin and not result.admin_access
            ]
            if devices:
                ctx = AttemptContext(self, plugin)
                answer = self._call(plugin, "dra_prepare_claim", ctx=ctx, devices=devices)
                if answer is not None:
                    wide[plugin] = answer
                    self._facts[plugin] = answer.facts
        work = []
        for (device, plugin), result, config in zip(found, results, resolved.configs, strict=True):
            ctx = AttemptContext(self, plugin, admin=result.admin_access)
            prepared = self._call(plugin, "dra_prepare", ctx=ctx, device=device, result=result, config=config)
            if prepared is None:
                raise PluginError(
                    "answered nothing; it must answer Prepared", where=f"plugin {plugin}, hook dra_prepare"
                )
            parts = [prepared] if plugin not in wide or result.admin_access else [wide[plugin], prepared]
            work.append(
                _Work(
                    device,
                    plugin,
                    config,
                    prepared,
                    [(plugin, part.edits) for part in parts if part.edits],
                    [(plugin, part.common) for part in parts if part.common],
                )
            )
        return work

    def _share(self, work: list[_Work], resolved: Resolved) -> None:
        for group in resolved.groups:
            members = [work[i] for i in group.members]
            devices = [
                PreparedDevice(w.device, self.claim.results[i], w.config, w.prepared)
                for i, w in zip(group.members, members, strict=True)
            ]
            answer = self._call(
                group.plugin,
                "dra_share",
                ctx=AttemptContext(self, group.plugin),
                strategy=group.strategy,
                params=group.params,
                devices=devices,
            )
            if answer is None:
                raise PluginError(
                    f"does not serve the sharing strategy {group.strategy}",
                    where=f"plugin {group.plugin}, hook dra_share",
                )
            for member in members:
                if answer.edits:
                    member.edits.append((group.plugin, answer.edits))
                if answer.common:
                    member.common.append((group.plugin, answer.common))

    def _call(self, plugin: str, hook: str, **arguments: Any) -> Prepared | None:
        answer: Prepared | None = self.kit.hooks.call(plugin, hook, **arguments)
        self.check_open()
        fault = "" if answer is None else _fault(answer)
        if fault:
            raise PluginError(fault, where=f"plugin {plugin}, hook {hook}")
        return answer

    # --- what contexts ask for ----------------------------------------------------------------------

    def check_open(self) -> None:
        """:raises DracoreError: a wait of this attempt has ended it."""
        if self._over is not None:
            raise self._over

    def time_left(self) -> float:
        return self._rpc.time_left()

    def claim_facts(self, plugin: str) -> Mapping[str, JSON]:
        return self._facts.get(plugin, {})

    def make_claim_dir(self) -> Path:
        self.check_open()
        path = self.kit.claim_dir(self.name)
        if not self._made_dir:
            path.mkdir(parents=True, exist_ok=True)
            self._made_dir = True
        return path

    def hold(self, effect: Effect) -> JSON:
        outcome = self.effects.hold(effect, self, self._rpc.time_left)
        self._repeated.add(effect.key)
        return outcome

    def joining(self, tx: Tx) -> Record | None:
        """The claim's record is in the same commit as its first hold."""
        return None if self._begun else self._write_record(tx)

    def joined(self, value: Record | None) -> None:
        if value is not None:
            self._record = value
            self._begun = True

    def wait(self, predicate: Callable[[], Any], what: str) -> Any:
        """See :meth:`dracore.model.context.ClaimContext.wait`."""
        self.check_open()
        value = predicate()
        if value:
            return value
        self._pause(what)
        pause = FIRST_POLL
        next_look = self.kit.clock.monotonic() + 1.0
        failure: Exception | None = None
        while True:
            left = self._rpc.time_left() - WAIT_MARGIN
            if left <= 0 or self.kit.closing.is_set() or not self._rpc.alive():
                raise self._end(Waiting(f"waits for {what}", fix="the kubelet asks again"))
            self.kit.closing.wait(min(pause, left))
            pause = min(pause * 1.5, LONGEST_POLL)
            if self.kit.clock.monotonic() >= next_look:
                next_look += 1.0
                self._see_whether_overtaken()
            try:
                value = predicate()
            except Exception as error:  # noqa: BLE001 - it is raised again, under the lock
                failure = error
            if value or failure:
                break
        self._resume(what)
        if failure is not None:
            raise failure
        return value

    # --- waiting ------------------------------------------------------------------------------------

    def _pause(self, what: str) -> None:
        """Committed as waiting before the lock is let go: preparing with a free lock means a dead process."""

        def waiting(tx: Tx) -> Record | None:
            record = None if self._begun else self._write_record(tx)
            records.move(tx, self.name, "waiting", awaited=what)
            tx.note(self.name, "waiting", what)
            return record

        self.joined(self.kit.journal.write(f"claim.waiting {self.name}", waiting))
        self._lock.release()

    def _resume(self, what: str) -> None:
        if not self._lock.acquire(lock_time(self._rpc.time_left())):
            raise self._end(Overtaken(f"another call is preparing the claim, which waited for {what}"))
        try:
            if not self._rpc.alive():
                raise self._end(
                    Waiting(f"waits for {what}; the caller has gone", fix="the kubelet asks again")
                )
            self._see_whether_overtaken()

            def resume(tx: Tx) -> None:
                records.move(tx, self.name, self._state)
                tx.note(self.name, "resumed", what)

            self.kit.journal.write(f"claim.resumed {self.name}", resume)
        except Exception as error:
            if self._over is None:
                # Nothing is known to be committed: the claim is still waiting and others may take it.
                self._over = error if isinstance(error, DracoreError) else ClaimError(str(error))
            self._lock.release()
            raise

    def _see_whether_overtaken(self) -> None:
        record = self.kit.journal.read(lambda tx: records.get(tx, self.name))
        if record is None:
            raise self._end(Overtaken("the claim was released meanwhile", fix="the kubelet asks again"))
        if record.attempt != self._record.attempt:
            raise self._end(Overtaken("another call has taken the claim over", fix="the kubelet asks again"))

    def _end(self, error: DracoreError) -> DracoreError:
        """Nothing of this attempt may touch the claim from here on, whatever the hook makes of `error`."""
        self._over = error
        return error

    def _call_left(self) -> float:
        return self._rpc.time_left()

    # --- the record ---------------------------------------------------------------------------------

    def _write_record(self, tx: Tx) -> Record:
        record = records.begin(tx, self._record, self._devices)
        tx.note(self.name, "preparing", ", ".join(d.device for d in self._devices))
        return record

    def _begin(self) -> None:
        """A claim that waited: a new attempt takes it over, with the devices as they are now."""
        self.joined(self.kit.journal.write(f"claim.begin {self.name}", self._write_record))

    def _release_unrepeated(self) -> None:
        """What earlier attempts held and this one did not ask for."""
        keys = self.kit.journal.read(lambda tx: holdings.keys_of(tx, self.name))
        rest = [key for key in keys if key not in self._repeated]
        if rest:
            self.effects.release(self.name, self._rpc.time_left, keys=rest)

    def _finish(self, work: Sequence[_Work]) -> tuple[PreparedResult, ...]:
        uid, results = self.name, self.claim.results
        specs = self.kit.cdi.render(
            uid,
            [Part(result, w.edits, w.common) for result, w in zip(results, work, strict=True)],
        )
        answer = tuple(
            PreparedResult(
                requests=(result.base_request,),
                pool=result.pool,
                device=result.device,
                cdi_ids=(self.kit.cdi.id_of(uid, result),),
                share_id=result.share_id,
            )
            for result in results
        )
        if self._before is not None:
            old = self.kit.journal.read(lambda tx: records.spec_names(tx, uid))
            self.kit.cdi.remove(name for name in old if name not in specs)

        devices = [
            replace(device, facts=p.facts, status=p.status, metadata=p.metadata)
            for device, p in zip(self._devices, (w.prepared for w in work), strict=True)
        ]
        names = ", ".join(device.device for device in devices)

        def finish(tx: Tx) -> Record | None:
            tx.note(uid, "prepared", names)
            if not self._begun:
                return records.at_once(tx, replace(self._record, answer=answer), devices, specs)
            records.finish(tx, replace(self._record, answer=answer), devices, specs)
            return None

        self.joined(self.kit.journal.write(f"claim.prepared {uid}", finish))
        # After the commit: a file that is missing is written again from the journal at the next start or
        # prepare; a file without a record would be nobody's.
        self.kit.cdi.write(specs)
        return answer

    def _roll_back(self, error: Exception) -> None:
        """What the claim holds is released in reverse before the error returns."""
        uid = self.name
        try:
            # Asked of the journal, not of what this attempt believes: a commit may have failed after it was
            # durable. A claim that waited and was refused before anything changed goes on waiting.
            record = self.kit.journal.read(lambda tx: records.get(tx, uid))
            if record is None:
                if self._made_dir:
                    self.kit.remove_claim_dir(uid)
            elif self._repair:
                self._keep(error)
            elif self._begun or self._before is None or record.state == "preparing":
                self.kit.journal.write(
                    f"claim.error {uid}", lambda tx: tx.note(uid, "error", f"prepare: {error}")
                )
                release(self.kit, self.effects, uid, self._undo_time, "prepare failed")
        except Exception as second:  # noqa: BLE001 - the first error is the one to answer
            # The record says what is left; the reconciler, the next call and the next start go on with it.
            self.kit.reports.event(
                "ReleaseFailed", f"could not undo a failed prepare: {second}", claim=self.claim.ref
            )

    def _keep(self, error: Exception) -> None:
        """A repair that failed: containers may run on what the claim holds, so it stays held."""

        def keep(tx: Tx) -> None:
            records.move(tx, self.name, "waiting", awaited="a repair", error=str(error))
            tx.note(self.name, "error", f"repair: {error}")

        self.kit.journal.write(f"claim.kept {self.name}", keep)

    def _undo_time(self) -> float:
        """Undoing is worth more time than the caller has: the claim must not stay half prepared."""
        return max(self._rpc.time_left(), 15.0)


def _fault(answer: Any) -> str:
    """What is wrong with what a claim hook answered; empty: nothing."""
    if not isinstance(answer, Prepared):
        return f"answered {type(answer).__name__}; it must answer Prepared"
    for name in ("edits", "common"):
        value = getattr(answer, name)
        if not isinstance(value, ContainerEdits):
            return f"answered Prepared with {name} of type {type(value).__name__}; it must be ContainerEdits"
    for name in ("facts", "status", "metadata"):
        try:
            encode(getattr(answer, name))
        except (TypeError, ValueError, RecursionError) as error:
            return f"answered Prepared with {name} that are not JSON: {error}"
    return ""
