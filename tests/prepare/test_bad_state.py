"""A journal that was cut off, flipped, or lost: whatever it was, nothing is lost without a word.

Each case begins with a driver that was killed (its log is not in the database yet) or that ended well, with
claims prepared. Then either a start finds nothing wrong and knows all, or says what is not known any more.
"""

import os
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from prepare_harness import Call, Thing, World

from dracore.errors import DracoreError
from dracore.prepare import Journal, Reconciler

HERE = Path(__file__).parent
UIDS = [f"0b5d4d6c-8d5f-4f26-9d6f-0a4a2c7f1e1{i}" for i in range(6)]

CHILD = """
import os, sys
from pathlib import Path
from prepare_harness import Call, Thing, World
world = World(Path(sys.argv[1]))
engine = world.engine()
engine.recover()
for number, uid in enumerate(sys.argv[3:]):
    world.holds(Thing(f"base-{number % 2}"), Thing(f"top-{number}", needs=f"base-{number % 2}"))
    engine.prepare(world.claim(uid, f"dev-{number}"), Call())
if sys.argv[2] == "ended":
    engine.close()
os._exit(0)
"""


class Clock:
    time = 1000.0

    def now(self):
        return self.time

    def monotonic(self):
        return self.time


@pytest.fixture(scope="module", params=["killed", "ended"])
def original(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    environment = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent.parent}"}
    subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), request.param, *UIDS], check=True, env=environment
    )
    return folder


def copy_of(original, tmp_path, number=0):
    folder = tmp_path / f"copy-{number}"
    shutil.copytree(original, folder)
    return World(folder)


def check(world, what):
    """Starts it, and asks that each claim and effect is known, or its loss said in so many words."""
    clock = Clock()
    there = world.hardware.things
    try:
        engine = world.engine(clock=clock)
    except DracoreError as error:
        return f"refused: {error}" if error.fix else pytest.fail(f"{what}: {error} says not what to do")
    try:
        engine.recover()
        now = engine.snapshot()
        known = {claim.ref.uid for claim in now.claims}
        saved = engine.kit.journal.salvaged
        read = {row["uid"] for row in saved.rows.get("claims", ())} if saved else set()
        assert read & set(UIDS) <= known, f"{what}: what could be read was released unasked"
        said = " ".join(text for _, text in world.reports.events)
        for uid in set(UIDS) - known:
            # Its CDI file is still there: the reconciler alone may remove it.
            assert f"dracore-test.example.com-{uid}.json" in world.cdi_files(), f"{what}: {uid}"
            assert uid in said or " more" in said, f"{what}: {uid} is lost in silence: {said}"
        held = {effect.key.partition("/")[2] for effect in now.effects}
        for name in world.hardware.things.keys() - held:
            assert f"thing/{name}" in said or "rows may be missing" in said or "nobody knows" in said, (
                f"{what}: the effect {name} is lost in silence: {said}"
            )
        for effect in now.effects:
            assert effect.key.partition("/")[2] in world.hardware.things, f"{what}: {effect.key}"
        if said:
            reasons = {reason for reason, _ in world.reports.events}
            assert reasons & {"JournalDamaged", "JournalLost"}, what
            assert world.reports.counts, what
        for uid in UIDS:
            engine.unprepare(world.claim(uid, "dev-0"), Call())
        left = set(world.hardware.things)
        assert not left or "may be missing" in said or "left on the node" in said or "nobody" in said, what
        assert world.hardware.violations == [], what
        world.cluster.clear()
        reconciler = Reconciler(engine)
        for _ in range(2):
            reconciler.look()
            clock.time += 90
        # What the journal knew is undone once no pod can be using it; what it did not, nobody can undo.
        assert engine.snapshot().effects == (), what
        assert set(world.hardware.things) <= set(there) - held, what
        assert not [name for name in world.cdi_files() if name.endswith(".json")], what
        return "said" if said else "whole"
    finally:
        engine.close()


def test_untouched_it_is_whole(original, tmp_path):
    assert check(copy_of(original, tmp_path), "untouched") == "whole"


@pytest.mark.parametrize("ending", ["", "-wal"])
def test_cut_off_at_any_length(original, tmp_path, ending):
    path = Path("plugin") / f"journal.db{ending}"
    if not (original / path).exists():
        pytest.skip("a log is only there after a kill")
    size = (original / path).stat().st_size
    lengths = {0, 1, 15, 16, 31, 32, 100, 512, 4096, size // 3, size // 2, size - 4096, size - 100, size - 1}
    answers = {}
    for length in sorted(length for length in lengths if 0 <= length < size):
        world = copy_of(original, tmp_path, length)
        os.truncate(world.folder / path, length)
        answers[length] = check(world, f"{path} cut off at {length} of {size}")
        shutil.rmtree(world.folder)
    if ending == "-wal" or not (original / f"{path}-wal").exists():
        assert "whole" not in answers.values(), answers


def test_cut_off_after_each_of_its_commits(original, tmp_path):
    """What was half done there was finished in a commit that is lost: it must not be undone now."""
    path = Path("plugin") / "journal.db-wal"
    if not (original / path).exists():
        return  # it ended well: all is in the database
    content = (original / path).read_bytes()
    (size,) = struct.unpack_from(">I", content, 8)
    ends = range(32 + 24 + size, len(content), 24 + size)
    commits = [end for end in ends if content[end - size - 20 : end - size - 16] != bytes(4)]
    assert len(commits) > 20
    for length in commits:
        world = copy_of(original, tmp_path, length)
        os.truncate(world.folder / path, length)
        assert check(world, f"{path} cut off at {length}") == "said"
        shutil.rmtree(world.folder)


@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
def test_missing(original, tmp_path, ending):
    world = copy_of(original, tmp_path)
    path = world.plugin_folder / f"journal.db{ending}"
    if not path.exists():
        pytest.skip("a log is only there after a kill")
    path.unlink()
    # The index is made anew from the log; the rest is not.
    assert check(world, f"no {path.name}") == ("whole" if ending == "-shm" else "said")


def test_all_its_files_missing(original, tmp_path):
    world = copy_of(original, tmp_path)
    for path in world.plugin_folder.glob("journal.db*"):
        path.unlink()
    assert check(world, "no journal") == "said"
    assert world.reports.counts["journal_lost_total"] == 1


@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
def test_bits_flipped_anywhere(original, tmp_path, ending):
    """At the fields of headers, and at places that a seeded generator picks."""
    path = Path("plugin") / f"journal.db{ending}"
    if not (original / path).exists():
        pytest.skip("a log is only there after a kill")
    content = (original / path).read_bytes()
    choose = random.Random(20261122)
    places = {0, 18, 24, 28, 44, 60, 68, 96} | {choose.randrange(len(content)) for _ in range(16)}
    answers = []
    for place in sorted(places):
        world = copy_of(original, tmp_path, place)
        flipped = bytearray(content)
        flipped[place] ^= 1 << choose.randrange(8)
        (world.folder / path).write_bytes(flipped)
        answers.append(check(world, f"{path}, byte {place} of {len(content)}"))
        shutil.rmtree(world.folder)
    assert answers
    if ending == "-wal":
        assert "said" in answers


def test_an_effect_whose_row_was_altered_is_left_alone_and_named(original, tmp_path):
    """Undone by what the row says now, another thing would be unmade."""
    world = copy_of(original, tmp_path)
    path = world.plugin_folder / "journal.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = path.read_bytes()
    assert content.count(b'"name":"top-0"') == 1
    path.write_bytes(content.replace(b'"name":"top-0"', b'"name":"top-1"'))
    engine = world.engine()
    (reason, text), *_ = world.reports.events
    assert reason == "JournalDamaged"
    assert "effects thing/top-0 is not what was written" in text
    assert "left on the node: test.thing thing/top-0" in text
    engine.recover()
    engine.unprepare(world.claim(UIDS[0], "dev-0"), Call())
    assert {"top-0", "top-1"} <= set(world.hardware.things)
    engine.close()


def test_folders_of_claims_outlive_a_lost_journal_until_no_pod_uses_them(tmp_path):
    """A container may have the claim's folder mounted."""
    world, clock = World(tmp_path), Clock()

    @world.on("dra_prepare")
    def prepare(ctx, device, result, config):
        (ctx.claim_dir / "socket").write_text("in use")
        return world.prepared(device)

    engine = world.engine(clock=clock)
    for number in range(2):
        engine.prepare(world.claim(UIDS[number], f"dev-{number}"), Call())
    engine.close()
    foreign = world.plugin_folder / "claims" / "README"
    foreign.write_text("theirs")
    for path in world.plugin_folder.glob("journal.db*"):
        path.unlink()
    engine = world.engine(clock=clock)
    engine.recover()
    folders = [world.plugin_folder / "claims" / uid for uid in UIDS[:2]]
    assert all(folder.exists() for folder in folders)
    assert "claims/" + UIDS[0] in world.reports.events[-1][1]
    reconciler = Reconciler(engine)
    world.pods = {UIDS[1]: ("default/web-0",)}
    reconciler.look()
    clock.time += 90
    reconciler.look()
    assert [folder.exists() for folder in folders] == [False, True]
    world.pods = {}
    clock.time += 90
    reconciler.look()
    assert not folders[1].exists()
    assert foreign.exists()
    engine.close()


@pytest.mark.parametrize("removed", ["the journal", "the folder"])
def test_what_is_not_swept_yet_is_said_and_remembered_over_a_restart(tmp_path, removed):
    """Else the next start would remove the files of running containers."""
    world = World(tmp_path)
    engine = world.engine()
    engine.prepare(world.claim(UIDS[0], "dev-0"), Call())
    engine.close()
    if removed == "the folder":
        shutil.rmtree(world.plugin_folder)  # not even that there was a journal is known
    for path in world.plugin_folder.glob("journal.db*"):
        path.unlink()
    for start in range(3):
        engine = world.engine()
        engine.recover()
        assert world.cdi_files()
        assert [reason for reason, _ in world.reports.events] == ["JournalLost"] * (start + 1)
        assert UIDS[0] in world.reports.events[-1][1]
        engine.close()


class TestLocked:
    """Another process holds the database: every wait ends, and they do not add up."""

    def test_the_waits_of_one_call_do_not_add_up(self, world, monkeypatch):
        monkeypatch.setattr("dracore.prepare.journal.IMPATIENT", 0.01)
        engine = world.engine()
        journal = engine.kit.journal
        timeouts = []
        real = type(journal)._be_patient

        def be_patient(self, patient):
            timeouts.append(patient)
            real(self, patient)

        monkeypatch.setattr(type(journal), "_be_patient", be_patient)
        journal._file.writer.execute("PRAGMA busy_timeout = 50")
        other = sqlite3.connect(world.plugin_folder / "journal.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        world.holds(Thing("a"))
        for _ in range(3):
            with pytest.raises(DracoreError, match="another process holds it"):
                engine.prepare(world.claim("c1", "dev-0"), Call())
        assert timeouts == [False], "after one wait in vain the others are short"
        assert world.hardware.log == []
        other.execute("ROLLBACK")
        other.close()
        engine.prepare(world.claim("c1", "dev-0"), Call())
        assert timeouts == [False, True]
        engine.close()

    def test_a_lock_fails_all_that_wait_at_once(self, tmp_path):
        """Not one after the other, each after a time-out of its own."""
        import threading

        journal = Journal.open(tmp_path)
        journal._file.writer.execute("PRAGMA busy_timeout = 100")
        other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        begun = []
        real = journal._begin
        journal._begin = lambda: begun.append(1) or real()
        failures = []

        def write():
            try:
                journal.write("x", lambda tx: tx.set_meta("a", 1))
            except DracoreError as error:
                failures.append(str(error))

        with journal._writing:
            threads = [threading.Thread(target=write) for _ in range(16)]
            for thread in threads:
                thread.start()
            while len(journal._queue) < 16:
                pass
        for thread in threads:
            thread.join()
        other.close()
        assert len(failures) == 16
        assert len(begun) == 1
        journal.close()
