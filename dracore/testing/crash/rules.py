"""What must hold between two calls. Each finding begins with the name of the rule it breaks."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from dracore.errors import DeviceBusy, DracoreError, EffectFailed
from dracore.model.effect import Absent
from dracore.prepare import Journal, holdings, records
from dracore.prepare.holdings import Held
from dracore.prepare.locks import digest
from dracore.prepare.transaction import Tx
from dracore.testing.cdi import CdiCache, CdiError
from dracore.testing.crash.cluster import KubeletCall, same_answer
from dracore.testing.crash.scenario import Prepare, Step, Unprepare
from dracore.testing.crash.stand import Stand

T = TypeVar("T")

RULES = {
    "finished": "after recovery nothing is half done: no intent, no pending revert that could be made",
    "held": "every effect is held by a claim that is prepared or waits, or by a plugin",
    "present": "what the journal calls applied is on the node, and its probe says so",
    "nothing-left": "what is on the node belongs to an effect; when all is released, it is as it was before",
    "promise": "what the kubelet was told stays true: a prepared claim stays prepared, with the same answer",
    "cdi": "every prepared claim has its CDI file, whole, and every CDI file a claim",
    "alone": "one device is prepared for one claim, save shares of it and admin access",
    "used": "what containers run with stays prepared, whatever the API server says of the claim",
    "doubt": "nothing is released on doubt: not at a first look, not while somebody does not answer",
    "drift": "what somebody has undone is said, and made again only where its plugin says that it may be",
    "late": "a prepare whose caller has gone changes nothing",
    "foreign": "files of others are never touched",
    "strays": "no folder, lock of a unit or spec without its claim",
    "order": "nothing is made before what it needs or taken away while it is needed",
    "again": "prepare and unprepare may be called again, and end well where nothing is in their way",
    "undone": "a prepare that is refused has undone what it did before it answers",
    "survives": "a fault is an answer, never the end of the process",
    "probe-truth": "probe says Present after apply (with apply's outcome) and Absent after revert",
    "outside": "an effect writes nowhere but on the ground, where it can be observed",
    "same": "what containers get depends on devices, parameters and outcomes of effects, and on nothing else",
    "revert-again": "revert may come twice: a crash may lie between it and the note that it was made",
    "revert-unmade": "revert is safe where nothing was made: a crash may lie between intent and apply",
}
"""Every rule, by the name that findings begin with."""


def check(stand: Stand, *, settled: bool = True, swept: bool = True) -> list[str]:
    """What is wrong now; nobody is working on a claim.

    :param settled: reverts that fail are no excuse any more.
    :param swept: a start has swept what belongs to nobody.
    """
    return [
        *_effects(stand, settled),
        *_claims(stand, settled, swept),
        *(_files(stand) if swept else ()),
        *(f"order: {text}" for text in stand.ground.faults()),
        *stand.cluster.faults(),
    ]


def _effects(stand: Stand, settled: bool) -> list[str]:
    found = []
    journal = stand.engine.kit.journal
    held: list[Held]
    held, holders, claims = journal.read(
        lambda tx: (holdings.every(tx), holdings.all_holders(tx), {r.ref.uid: r for r in records.every(tx)})
    )
    for effect in held:
        name = f"{effect.kind} {effect.key}"
        if effect.state != "applied":
            ready = [h for h in holders.get(effect.key, []) if h in claims and claims[h].state == "prepared"]
            found += [
                f"held: claim {holder} is prepared, and its {name} is {effect.state}" for holder in ready
            ]
            if settled:
                found.append(f"finished: {name} is left {effect.state} ({effect.error or 'no error'})")
            continue
        own = holders.get(effect.key, [])
        if not own:
            found.append(f"held: {name} is applied and nobody holds it")
        for holder in own:
            record = claims.get(holder)
            if holder.startswith("plugin:") or (record and record.state in ("prepared", "waiting")):
                continue
            state = record.state if record else "not in the journal"
            if settled or record is None:
                found.append(f"held: {name} is held by claim {holder}, which is {state}")
        known = effect.drift or effect.key in stand.ground.destroyed()
        if not known and isinstance(stand.engine.effects.probing.probe(effect, lambda: 30.0), Absent):
            found.append(f"present: {name} is applied for the journal, and its probe says Absent")
    strays = stand.ground.strays([effect.key for effect in held])
    return found + [f"nothing-left: {stray}, is on the node and in no journal" for stray in strays]


def _claims(stand: Stand, settled: bool, swept: bool) -> list[str]:
    found = []
    journal = stand.engine.kit.journal
    known = {record.ref.uid: record for record in stand.engine.records()}
    for uid, record in known.items():
        if record.state in ("preparing", "releasing") and settled:
            found.append(f"finished: claim {uid} is left {record.state} ({record.error or 'no error'})")
    cdi = CdiCache([stand.cdi_folder])
    told = {uid for uid, (promise, _) in stand.cluster.promises().items() if promise == "prepared"}
    for uid, record in known.items():
        # Without a start in between, a file that nobody was told of is written with the kubelet's next call.
        if record.state != "prepared" or not (swept or uid in told):
            continue
        for result in record.answer:
            try:
                container = cdi.resolve(result.cdi_ids)
            except CdiError as error:
                found.append(f"cdi: claim {uid} is prepared, and {error}")
            else:
                wrong = stand.ground.wrong_in(container)
                found += [f"cdi: claim {uid} is prepared, and in its container {text}" for text in wrong]
        specs = _of(journal, records.specs, uid)
        if not stand.engine.kit.cdi.intact(specs):
            found.append(f"cdi: claim {uid} is prepared, and its files differ from the journal")
    names = {file.name for file in stand.foreign}
    for file in sorted(stand.cdi_folder.glob("*.json")):
        # Always: the record is committed before its file is written, and forgotten after that is removed.
        stem = f"dracore-{stand.subject.driver_name}-"
        if file.name not in names and not any(file.name.startswith(f"{stem}{uid}") for uid in known):
            found.append(f"cdi: {file.name} belongs to no claim")
    if stand.with_foreign and (gone := sorted(names - set(os.listdir(stand.cdi_folder)))):
        found.append(f"foreign: {', '.join(gone)}, which somebody else made, is gone")
    found += [
        f"cdi: {file.name} is no spec: {error}"
        for file, error in cdi.errors.items()
        if file.name not in names
    ]
    for uid, (promise, answer) in stand.cluster.promises().items():
        now = known.get(uid)
        if promise == "prepared":
            if now is None or now.state not in ("prepared", "waiting"):
                state = now.state if now else "not in the journal"
                found.append(f"promise: the kubelet has an answer for claim {uid}, which is {state} now")
            elif now.state == "prepared" and not same_answer(answer, now.answer):
                found.append(f"promise: claim {uid} has another answer than the kubelet was given")
        elif promise == "released" and now is not None:
            found.append(f"promise: the kubelet was told that claim {uid} is released, and it is {now.state}")

    taken: dict[tuple[str, str], str] = {}
    for uid in known:
        for device in _of(journal, records.devices, uid):
            if device.admin or device.share:
                continue
            other = taken.setdefault((device.pool, device.device), uid)
            if other != uid:
                found.append(f"alone: claims {other} and {uid} both have {device.device}")
    for uid in stand.cluster.running:
        state = known[uid].state if uid in known else "not in the journal"
        if state not in ("prepared", "waiting"):
            found.append(f"used: containers run with claim {uid}, which is {state}")

    def loose(tx: Tx) -> list[Any]:
        return tx.rows("SELECT DISTINCT uid FROM occupied UNION SELECT DISTINCT uid FROM specs")

    found += [f"strays: rows of claim {row[0]}" for row in journal.read(loose) if row[0] not in known]
    return found


def _files(stand: Stand) -> list[str]:
    found = []
    uids = {record.ref.uid for record in stand.engine.records()}
    folder = stand.cdi_folder
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if file in stand.foreign or not file.name.startswith("."):
            continue
        stem = f"dracore-{stand.subject.driver_name}-"
        # What a writer of a known claim left goes with its next write, or with the claim.
        if not any(file.name.lstrip(".").startswith(f"{stem}{uid}") for uid in uids):
            found.append(f"cdi: {file.name} belongs to no claim")
    keys = stand.engine.kit.journal.read(lambda tx: {digest(held.key) for held in holdings.every(tx)})
    for sort, known in (("claims", uids), ("effects", keys)):
        here = stand.plugin_folder / sort
        names = sorted(entry.name for entry in here.iterdir()) if here.is_dir() else []
        found += [f"strays: folder {sort}/{name} belongs to nobody" for name in names if name not in known]
    return found


def untouched(stand: Stand, before: Any) -> list[str]:
    """Where nothing is held, the node must be as it was when nothing was held `before`."""
    after = stand.ground.observe()
    if after == before or stand.engine.kit.journal.read(holdings.every):
        return []
    return [f"nothing-left: nothing is held and the node is not as it was: {difference(before, after)}"]


def answered(stand: Stand, step: Step, error: DracoreError | None) -> list[str]:
    """What is wrong with the answer to one step, when no fault was about."""
    if not isinstance(step, (Prepare, Unprepare)):
        return []
    what = f"{type(step).__name__.lower()} of claim {step.claim}"
    if error is None:
        return [f"again: {what} ends well, and should be refused"] if step.refused else []
    found = [] if step.refused else [f"again: {what}, with nothing in its way, says: {error}"]
    record = stand.engine.kit.journal.read(lambda tx: records.get(tx, step.claim))
    if isinstance(step, Prepare) and record is not None and record.state in ("preparing", "releasing"):
        found.append(f"undone: {what} was refused, and the claim is left {record.state}")
    return found


def go_on(stand: Stand, before: Any, *, swept: bool = True) -> list[str]:
    """The kubelet goes on after the fault: asks for every claim again, then lets go of all of them.

    Nothing is in the way any more, so every claim can be prepared, save one whose device another one has, or
    whose effect was undone under another one; and that one when the others are released.

    :param before: what the ground was like when nothing was held.
    """
    found: list[str] = []
    later: list[str] = []
    cluster, engine = stand.cluster, stand.engine
    cluster.all_is_well()
    stand.ground.set_all()
    for uid in cluster.claims:
        promise, answer = cluster.promises().get(uid, ("nothing", None))
        try:
            now = engine.prepare(cluster.ref(uid), KubeletCall(30.0, stand.points, stand.clock))
        except DracoreError as error:
            if promise == "prepared":
                found.append(f"again: prepare of claim {uid}, which was answered before, says: {error}")
            elif _in_the_way(stand, uid, error):
                later.append(uid)
            else:
                found.append(f"again: prepare of claim {uid}, with nothing in its way, says: {error}")
            continue
        if promise in ("prepared", "again") and not same_answer(answer, now):
            found.append(f"promise: claim {uid} has another answer after the fault")
        cluster.prepared(uid, now)
    engine.drain()  # what was put off in these calls
    found += [f"asked again, {text}" for text in check(stand, swept=swept)]
    known = {record.ref.uid for record in engine.records()} | set(cluster.promises())
    found += _let_go(stand, sorted(known))
    for uid in later:
        try:
            engine.prepare(cluster.ref(uid), KubeletCall(30.0, stand.points, stand.clock))
        except DracoreError as error:
            found.append(f"again: prepare of claim {uid}, when all others are released, says: {error}")
        found += _let_go(stand, [uid])
    engine.effects.release(f"plugin:{stand.subject.plugin}", lambda: 30.0)
    found += [f"again: {error}" for error in engine.drain()]
    found += [f"all released, {text}" for text in check(stand, swept=swept)]
    return found + [f"all released, {text}" for text in untouched(stand, before)]


def _let_go(stand: Stand, uids: Sequence[str]) -> list[str]:
    found = []
    for uid in uids:
        try:
            stand.engine.unprepare(stand.cluster.ref(uid), KubeletCall(30.0, stand.points, stand.clock))
            stand.cluster.released(uid)
        except DracoreError as error:
            found.append(f"again: unprepare of claim {uid} says: {error}")
    return found


def _in_the_way(stand: Stand, uid: str, error: DracoreError) -> bool:
    """Whether a claim may be refused because of another one."""
    journal = stand.engine.kit.journal
    if isinstance(error, DeviceBusy):
        wanted = set(stand.cluster.allocated(uid))
        others = [record.ref.uid for record in stand.engine.records() if record.ref.uid != uid]
        return any(
            device.device in wanted for other in others for device in _of(journal, records.devices, other)
        )
    holders = journal.read(holdings.all_holders)
    undone = {holder for key in stand.ground.destroyed() for holder in holders.get(key, [])}
    return isinstance(error, EffectFailed) and bool(undone - {uid})


def _of(journal: Journal, read: Callable[[Tx, str], T], uid: str) -> T:
    return journal.read(lambda tx: read(tx, uid))


def difference(before: Any, after: Any) -> str:
    """Two observations, for a person."""
    if isinstance(before, dict) and isinstance(after, dict):
        parts = [f"+{k}={after[k]!r}" for k in after if k not in before]
        parts += [f"-{k}" for k in before if k not in after]
        parts += [
            f"{k}={after[k]!r} (was {before[k]!r})" for k in before if k in after and before[k] != after[k]
        ]
        return ", ".join(parts)
    return f"{json.dumps(after)} instead of {json.dumps(before)}"
