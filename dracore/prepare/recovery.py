"""Bringing journal and node together: after a reboot, after a crash, after a damaged journal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from dracore.errors import DracoreError
from dracore.prepare import holdings, recording, records
from dracore.prepare.effects import Effects
from dracore.prepare.kit import Kit
from dracore.prepare.locks import digest
from dracore.prepare.records import DeviceRecord
from dracore.prepare.release import release
from dracore.prepare.transaction import Tx

TIME = 45.0
"""Seconds that one effect of a recovery is told to have."""
SHOWN = 5
"""Names that one text lists."""


@dataclass
class Recovered:
    """What a recovery did, for the log."""

    released: list[str] = field(default_factory=list)
    """Claims (uids) whose prepare or unprepare had died."""
    rewritten: list[str] = field(default_factory=list)
    """Claims whose CDI files were gone or different."""
    swept: list[str] = field(default_factory=list)
    failures: list[DracoreError] = field(default_factory=list)
    """What could not be undone yet; it is tried again."""
    unknown: list[str] = field(default_factory=list)
    """What a lost or damaged journal leaves unknown, a text each."""


def time_left() -> float:
    return TIME


@dataclass
class _Changed:
    """What a reboot or a damaged journal changes in the journal."""

    why: str = ""
    rebooted: bool = False
    gone: list[str] = field(default_factory=list)
    """Effects that did not survive."""
    doubtful: list[str] = field(default_factory=list)
    """Effects to be looked at before they count."""
    seen: dict[str, str] = field(default_factory=dict)
    """The boot up to which it is settled what became of an effect."""
    known: bool = False
    """The journal says all of it already."""


def after_start(kit: Kit) -> None:
    """First of all, before any plugin holds anything: what a reboot or a damaged journal changes in it.

    Effects that do not survive a reboot are forgotten, those that may are looked at before they count. Each
    row says which it is and in which boot it was made, since its plugin may not be installed now.
    Prepared claims become waiting: their next prepare runs the hooks again under the same CDI ids, and
    unprepare or the reconciler releases them.
    """
    if kit.journal.read(lambda tx: _changed(kit, tx)).known:
        return

    def work(tx: Tx) -> None:
        now = _changed(kit, tx)  # again: another instance may just have done it
        for key in now.gone:
            for holder in holdings.holders(tx, key):
                tx.note(holder, "gone", now.why, key=key)
            holdings.forget(tx, key)
        for key in now.doubtful:
            holdings.drifted(tx, key, f"{holdings.DOUBT} {now.why}")
        for key, boot in now.seen.items():
            holdings.seen_in(tx, key, boot)
        for record in records.every(tx) if now.rebooted else ():
            if record.state == "prepared" or (record.state == "waiting" and record.ran):
                recording.stop(tx, record.ref.uid, now.why)
                tx.note(record.ref.uid, "waiting", now.why)
        tx.set_meta("boot", kit.boot_id)
        tx.execute("DELETE FROM meta WHERE name = 'salvaged'")

    kit.journal.write("meta.boot", work)


def _changed(kit: Kit, tx: Tx) -> _Changed:
    last, salvaged = tx.meta("boot"), bool(tx.meta("salvaged"))
    changed = _Changed(rebooted=last is not None and last != kit.boot_id)
    changed.why = "the journal was damaged" if salvaged and not changed.rebooted else "the node was rebooted"
    for held in holdings.every(tx):
        made = held.boot or last or kit.boot_id
        cls = kit.hooks.effect_type(kit.driver, held.kind)
        at_reboot = held.reboot or (cls.reboot if cls else "")  # an older version's row does not say
        if made != kit.boot_id:
            if at_reboot == "gone":
                changed.gone.append(held.key)
                continue
            # One of which nothing is known stays in its boot, until a start that has its plugin.
            changed.seen[held.key] = kit.boot_id if at_reboot else made
        if held.state == "applied" and (salvaged or (made != kit.boot_id and at_reboot != "stays")):
            changed.doubtful.append(held.key)
    changed.known = last == kit.boot_id and not (salvaged or changed.gone or changed.doubtful)
    return changed


def recover(kit: Kit, effects: Effects) -> Recovered:
    """Undoes what died half-way, checks what must be there, sweeps what nobody knows.

    Passes over what a live instance has locked. Never fails for one claim or effect: what could not be done
    stays in the journal and in the answer.
    """
    done = Recovered()
    for held in kit.journal.read(holdings.every):
        if held.drift and held.state == "applied":
            try:
                effects.check_present(held.key, time_left)
            except DracoreError as error:
                done.failures.append(error)
    finish_dead(kit, effects, done)
    _release_nobodies(kit, effects, done)
    done.failures += effects.drain(time_left)
    _check_files(kit, done)
    if kit.journal.fresh:
        # The reconciler sweeps, once it is sure that no pod uses what is found.
        try:
            _say_unknown(kit, done)
        except DracoreError as error:
            done.failures.append(error)
    else:
        sweep(kit, (), done)
    return done


def _say_unknown(kit: Kit, done: Recovered) -> None:
    """What lies on the node and is not in a journal that was lost, or could be read in part only."""
    journal = kit.journal
    found = []
    try:
        found += [f"CDI file {name}" for name in kit.cdi.orphans(lambda: kit.journal.read(records.uids))]
    except DracoreError as error:
        done.failures.append(error)  # a prepare says it, too; a start goes on without
    found += [f"{sort}/{name}" for sort, names in _strays(kit).items() for name in names]
    shown = ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
    if not found and not journal.lost and not journal.salvaged:
        return  # a first start
    journal.unswept()
    if journal.salvaged:
        done.unknown.append(journal.salvaged.summary())
        if found:
            done.unknown.append(f"not in what could be read of the journal, and on the node: {shown}")
    else:
        done.unknown.append(
            "the journal that was here is gone, so nobody knows what to undo on this node; "
            + (f"found of its claims and effects: {shown}" if found else "no files of its claims were found")
        )
        kit.reports.count("journal_lost_total")
    if found or not journal.salvaged:
        kit.reports.event("JournalLost", done.unknown[-1])


def finish_dead(kit: Kit, effects: Effects, done: Recovered) -> None:
    """Releases claims whose prepare or unprepare did not live to its end: such a record with a free lock."""
    for record in kit.journal.read(lambda tx: records.every(tx, unsettled=True)):
        if record.state == "waiting":
            continue
        uid = record.ref.uid
        lock = kit.locks.claim(uid)
        try:
            if not lock.acquire(0):
                continue
            try:
                now = kit.journal.read(lambda tx, uid=uid: records.get(tx, uid))  # type: ignore[misc]
                if now is not None and now.state in ("preparing", "releasing"):
                    release(kit, effects, uid, time_left, f"its {now.state} had not come to an end")
                    done.released.append(uid)
            finally:
                lock.release()
        except DracoreError as error:
            done.failures.append(error)


def renew_devices(kit: Kit) -> bool:
    """After a reboot: which hardware the records of waiting claims mean now; the name decides.

    Until then their old identities could stand in the way of a claim whose device got one of them.
    Answers whether none are left to renew.
    """
    if not kit.devices.ready():
        return False

    def stale(tx: Tx) -> list[tuple[str, int, DeviceRecord]]:
        uids = tx.rows("SELECT DISTINCT uid FROM devices WHERE boot != ?", (kit.boot_id,))
        return [
            (uid, position, device)
            for (uid,) in uids
            for position, device in enumerate(records.devices(tx, uid))
            if device.boot != kit.boot_id
        ]

    changes = []
    for uid, position, old in kit.journal.read(stale):
        now = kit.devices.find(old.pool, old.device)
        if now is not None and now[0].description == old.description:
            occupies = {} if old.admin else dict(now[0].occupies)
            new = replace(old, identity=now[0].identity, occupies=occupies, boot=kit.boot_id)
            changes.append((uid, position, old, new))

    def renew(tx: Tx) -> None:
        for uid, position, old, new in changes:
            current = records.devices(tx, uid)
            if position < len(current) and current[position] == old:
                recording.renew_device(tx, uid, position, old, new)

    if changes:
        kit.journal.write("devices.renew", renew)
    return True


def sweep(kit: Kit, keep: Collection[str], done: Recovered) -> None:
    """Removes CDI files and folders of claims that neither the journal nor `keep` (uids) knows."""
    try:
        swept = kit.cdi.sweep(lambda: kit.journal.read(records.uids) | set(keep))
        done.swept += swept
        # A claim that another instance prepared in just this moment, over an old file of its own name.
        for uid in kit.journal.read(records.uids) if swept else ():
            specs = kit.journal.read(lambda tx, uid=uid: records.specs(tx, uid))  # type: ignore[misc]
            if not specs.keys().isdisjoint(swept):
                _restore(kit, uid)
        _sweep_folders(kit, keep, done)
    except DracoreError as error:
        done.failures.append(error)


def _release_nobodies(kit: Kit, effects: Effects, done: Recovered) -> None:
    """What is held by plugins that are not enabled any more, by no claim that is known, or by nobody."""
    enabled = {f"plugin:{name}" for name in kit.hooks.plugins(kit.driver)}
    nobodies = kit.journal.read(holdings.plugin_holders) - enabled
    if not kit.journal.fresh:  # else claims may be missing that pods use
        nobodies |= kit.journal.read(holdings.strangers)
    for holder in sorted(nobodies):
        try:
            effects.release(holder, time_left)
        except DracoreError as error:
            done.failures.append(error)
    for key in kit.journal.read(holdings.unheld):  # out of a damaged journal
        kit.journal.write(f"effect.unheld {key}", lambda tx, key=key: _unhold(tx, key))  # type: ignore[misc]


def _unhold(tx: Tx, key: str) -> None:
    if not holdings.holders(tx, key):
        holdings.reverting(tx, key)


def _check_files(kit: Kit, done: Recovered) -> None:
    for record in kit.journal.read(records.every):
        if record.state != "prepared":
            continue
        uid = record.ref.uid
        specs = kit.journal.read(lambda tx, uid=uid: records.specs(tx, uid))  # type: ignore[misc]
        if kit.cdi.intact(specs):
            continue
        try:
            if _restore(kit, uid):
                done.rewritten.append(uid)
        except DracoreError as error:
            done.failures.append(error)


def _restore(kit: Kit, uid: str) -> bool:
    """Writes the CDI files of a prepared claim again, unless somebody is at the claim."""
    lock = kit.locks.claim(uid)
    if not lock.acquire(0):
        return False
    try:
        record, specs = kit.journal.read(lambda tx: (records.get(tx, uid), records.specs(tx, uid)))
        if record is None or record.state != "prepared" or kit.cdi.intact(specs):
            return False
        kit.cdi.write(specs)
        return True
    finally:
        lock.release()


def _sweep_folders(kit: Kit, keep: Collection[str], done: Recovered) -> None:
    """Folders of claims and effects that the journal does not know. Anything else there is not ours."""
    for sort, names in _strays(kit).items():
        # Whose effect a folder belonged to, nothing tells any more: it stays while any of `keep` is unknown.
        unsure = sort == "effects" and set(keep) - kit.journal.read(records.uids)
        for name in () if unsure else sorted(names - set(keep)):
            lock = kit.locks.claim(name) if sort == "claims" else kit.locks.key_of(name)
            if not lock.acquire(0):
                continue
            try:
                # Again, under its lock: whoever made it may not have been known yet.
                if name in _strays(kit)[sort]:
                    shutil.rmtree(kit.folder / sort / name, ignore_errors=True)
                    done.swept.append(name)
            finally:
                lock.release()


def _strays(kit: Kit) -> dict[str, set[str]]:
    """Names of folders under ``claims`` and ``effects`` that the journal does not know."""

    def known(tx: Tx) -> dict[str, set[str]]:
        return {
            "claims": records.uids(tx),
            "effects": {digest(row[0]) for row in tx.rows("SELECT key FROM effects")},
        }

    there = {}
    for sort in ("claims", "effects"):
        folder = kit.folder / sort
        there[sort] = {e.name for e in os.scandir(folder) if e.is_dir()} if folder.is_dir() else set()
    # Read after the folders: what another instance makes meanwhile is in the journal before it is here.
    now = kit.journal.read(known)
    return {sort: names - now[sort] for sort, names in there.items()}
