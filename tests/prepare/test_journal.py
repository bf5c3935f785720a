"""The journal itself: versions, damage, full disks, many writers, forks."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading

import pytest
from prepare_harness import Call, Reports, Thing, World, problems

from dracore.errors import JournalError, JournalTooNew
from dracore.prepare import Journal, restore, schema


def raw(folder, *statements):
    connection = sqlite3.connect(folder / "journal.db", isolation_level=None)
    answers = [connection.execute(statement).fetchall() for statement in statements]
    connection.close()
    return answers


class TestVersions:
    def test_a_newer_major_is_refused_and_nothing_is_changed(self, tmp_path):
        Journal.open(tmp_path).close()
        raw(tmp_path, f"PRAGMA user_version = {(schema.MAJOR + 1) * 1000}")
        before = (tmp_path / "journal.db").read_bytes()
        with pytest.raises(JournalTooNew, match="nothing was changed"):
            Journal.open(tmp_path)
        assert (tmp_path / "journal.db").read_bytes() == before
        assert not [p for p in tmp_path.iterdir() if "damaged" in p.name]

    def test_a_newer_minor_is_worked_on_and_kept(self, world):
        engine = world.engine()
        engine.prepare(world.claim("c1", "dev-0"), Call())
        engine.close()
        version = schema.MAJOR * 1000 + schema.MINOR + 1
        raw(
            world.plugin_folder,
            "ALTER TABLE claims ADD COLUMN novelty TEXT",
            "CREATE TABLE novelties (id INTEGER)",
            f"PRAGMA user_version = {version}",
        )
        engine = world.engine()
        engine.recover()
        engine.prepare(world.claim("c2", "dev-1"), Call())
        engine.unprepare(world.claim("c1", "dev-0"), Call())
        assert problems(world, engine) == []
        engine.close()
        assert raw(world.plugin_folder, "PRAGMA user_version") == [[(version,)]]

    def test_an_older_minor_is_brought_up_beside_an_instance_that_has_it_open(self, tmp_path, monkeypatch):
        old = Journal.open(tmp_path)
        step = ("ALTER TABLE claims ADD COLUMN novelty TEXT",)
        monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, step))
        monkeypatch.setattr(schema, "MINOR", schema.MINOR + 1)
        new = Journal.open(tmp_path)
        new.write("x", lambda tx: tx.set_meta("a", 1))
        assert new.read(lambda tx: tx.rows("SELECT novelty FROM claims")) == []
        old.write("x", lambda tx: tx.set_meta("b", 2))
        assert new.read(lambda tx: tx.meta("b")) == 2
        old.close()
        new.close()

    def test_another_sqlite_file_is_not_taken_for_a_journal(self, tmp_path):
        raw(tmp_path, "CREATE TABLE bookmarks (url TEXT)")
        with pytest.raises(JournalError, match="not a journal of dracore"):
            Journal.open(tmp_path)
        assert raw(tmp_path, "SELECT count(*) FROM bookmarks") == [[(0,)]]


class TestDamage:
    def damaged(self, world, damage):
        world.holds(Thing("a"), Thing("b", needs="a"))
        engine = world.engine()
        refs = [world.claim(f"c{i}", f"dev-{i}") for i in range(4)]
        for ref in refs[:1]:
            engine.prepare(ref, Call())
        engine.close()
        path = world.plugin_folder / "journal.db"
        damage(path)
        return refs

    def test_garbage_is_set_aside_and_said(self, world):
        self.damaged(world, lambda path: path.write_bytes(b"garbage" * 1000))
        engine = world.engine()
        engine.recover()
        (aside,) = [p for p in world.plugin_folder.iterdir() if "damaged" in p.name]
        assert aside.read_bytes() == b"garbage" * 1000
        (reason, text), (second, unknown) = world.reports.events
        assert reason == "JournalDamaged"
        assert aside.name in text
        assert "rows may be missing" in text
        assert second == "JournalLost"
        assert "dracore-test.example.com-c0.json" in unknown
        # Containers may still be started with these files; the journal does not know whose they are.
        assert world.cdi_files()
        engine.close()

    def test_what_can_be_read_is_taken_over_and_checked_on_the_node(self, world):
        def damage(path):
            """One page of the table that nobody needs for a release."""
            connection = sqlite3.connect(path)
            (page,) = connection.execute(
                "SELECT rootpage FROM sqlite_schema WHERE name = 'timeline'"
            ).fetchone()
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            connection.close()
            with path.open("r+b") as file:
                file.seek((page - 1) * size)
                file.write(b"\xff" * size)

        (ref, *_) = self.damaged(world, damage)
        with world.hardware.change() as state:
            del state["things"]["b"]  # meanwhile an administrator undid it
        engine = world.engine()
        engine.recover()
        assert world.reports.events[0][0] == "JournalDamaged"
        (claim,) = engine.snapshot().claims
        assert (claim.ref, claim.state) == (ref, "waiting")
        assert [e.key for e in claim.effects] == ["thing/a"]
        engine.prepare(ref, Call())
        assert problems(world, engine) == []
        engine.unprepare(ref, Call())
        assert world.hardware.things == {}
        engine.close()

    def test_a_truncated_file(self, world):
        (ref, *_) = self.damaged(world, lambda path: os.truncate(path, 5000))
        engine = world.engine()
        engine.recover()
        assert world.reports.events[0][0] == "JournalDamaged"
        engine.prepare(world.claim("new", "dev-5"), Call()) if "a" not in world.hardware.things else None
        engine.unprepare(ref, Call())
        engine.close()

    def test_it_is_not_set_aside_under_a_living_instance(self, world):
        other = Journal.open(world.plugin_folder)
        raw(world.plugin_folder, "PRAGMA wal_checkpoint(TRUNCATE)")
        # In a process of its own: another descriptor on the file in this one would drop SQLite's locks.
        script = "import sys; f = open(sys.argv[1], 'r+b'); f.write(b'\\xff' * 100)"
        subprocess.run([sys.executable, "-c", script, str(other.path)], check=True)
        with pytest.raises(JournalError, match="another instance has it open"):
            Journal.open(world.plugin_folder)
        assert not list(world.plugin_folder.glob("*damaged*"))
        other.close()

    def test_the_files_of_a_lost_journal_are_swept_only_by_the_reconciler(self, world):
        engine = world.engine()
        engine.prepare(world.claim("c1", "dev-0"), Call())
        engine.close()
        for path in world.plugin_folder.glob("journal.db*"):
            path.unlink()
        engine = world.engine()
        engine.recover()
        assert world.cdi_files()
        engine.close()


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "plugin").write_text("a file")
    with pytest.raises(JournalError, match="check space, permissions"):
        Journal.open(tmp_path / "plugin")


REMOVALS = {
    "moved": lambda f: os.rename(f / "journal.db", f / "moved"),
    "deleted": lambda f: os.unlink(f / "journal.db"),
    "all its files deleted": lambda f: [path.unlink() for path in f.glob("journal*")],
    "the folder deleted": shutil.rmtree,
    "the folder moved": lambda f: os.rename(f, f.with_name("elsewhere")),
    "replaced by an empty file": lambda f: (
        (f / "empty").touch(),
        os.rename(f / "empty", f / "journal.db"),
    ),
    "replaced by a copy": lambda f: (
        shutil.copy(f / "journal.db", f / "copy"),
        os.rename(f / "copy", f / "journal.db"),
    ),
    "replaced by another journal": lambda f: (
        Journal.open(f / "other").close(),
        os.rename(f / "other" / "journal.db", f / "journal.db"),
    ),
}


class TestTakenAway:
    """SQLite goes on with a file that has no name; dracore does not."""

    @pytest.mark.parametrize("how", REMOVALS)
    @pytest.mark.parametrize("noticed", ["by a commit", "by a look"])
    def test_it_is_put_back_whole(self, tmp_path, how, noticed):
        folder, reports = tmp_path / "plugin", Reports()
        journal = Journal.open(folder, reports=reports)
        journal.write("x", lambda tx: tx.set_meta("before", 1))
        REMOVALS[how](folder)
        if noticed == "by a commit":
            journal.write("x", lambda tx: tx.set_meta("after", 2))
        else:
            assert journal.look() == ""
            journal.write("x", lambda tx: tx.set_meta("after", 2))
        assert [reason for reason, _ in reports.events] == ["JournalRestored"]
        assert reports.counts == {"journal_restored_total": 1}
        # What stands under the name now, as another process reads it.
        script = (
            "import sqlite3, sys\n"
            "print(dict(sqlite3.connect(sys.argv[1]).execute('SELECT name, value FROM meta')))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(journal.path)], check=True, capture_output=True, text=True
        )
        assert "'before': 1" in done.stdout
        assert "'after': 2" in done.stdout
        journal.close()
        again = Journal.open(folder, reports=reports)
        assert again.read(lambda tx: (tx.meta("before"), tx.meta("after"))) == (1, 2)
        assert not again.lost
        assert len(reports.events) == 1
        again.close()

    def test_two_that_have_it_open_meet_in_the_same_file(self, tmp_path):
        folder, reports = tmp_path / "plugin", Reports()
        one, two = (Journal.open(folder, reports=reports) for _ in range(2))
        one.write("x", lambda tx: tx.set_meta("one", 1))
        shutil.rmtree(folder)
        two.write("x", lambda tx: tx.set_meta("two", 2))
        one.write("x", lambda tx: tx.set_meta("three", 3))
        two.write("x", lambda tx: tx.set_meta("four", 4))
        for journal in (one, two):
            names = journal.read(lambda tx: {name for (name,) in tx.rows("SELECT name FROM meta")})
            assert {"one", "two", "three", "four"} <= names
        assert len(reports.events) == 1
        # Whoever closes the lost file last must not remove the log of the new one.
        one.close()
        two.write("x", lambda tx: tx.set_meta("five", 5))
        two.close()
        again = Journal.open(folder)
        assert again.read(lambda tx: [tx.meta(n) for n in ("one", "two", "three", "four", "five")]) == [
            1,
            2,
            3,
            4,
            5,
        ]
        again.close()

    def test_one_that_lags_behind_does_not_put_back_what_is_old(self, tmp_path):
        folder = tmp_path / "plugin"
        one, two = (Journal.open(folder) for _ in range(2))
        shutil.rmtree(folder)
        one.write("x", lambda tx: tx.set_meta("one", 1))
        shutil.rmtree(folder)
        late = threading.Thread(target=lambda: two.write("x", lambda tx: tx.set_meta("two", 2)))
        late.start()
        late.join(0.3)
        assert late.is_alive(), "it waits for the one that knows more"
        one.write("x", lambda tx: tx.set_meta("three", 3))
        late.join()
        for journal in (one, two):
            assert journal.read(lambda tx: [tx.meta(n) for n in ("one", "two", "three")]) == [1, 2, 3]
            journal.close()

    def test_it_goes_on_alone_where_the_one_that_knew_more_has_died(self, tmp_path, monkeypatch):
        folder = tmp_path / "plugin"
        code = (
            "import pathlib, shutil, sys; from dracore.prepare import Journal; "
            "folder = pathlib.Path(sys.argv[1]); journal = Journal.open(folder); print(1, flush=True); "
            "input(); journal.write('x', lambda tx: tx.set_meta('one', 1)); shutil.rmtree(folder); "
            "__import__('os').kill(__import__('os').getpid(), 9)"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        child.stdout.readline()
        journal = Journal.open(folder)
        journal.write("x", lambda tx: tx.set_meta("zero", 0))
        shutil.rmtree(folder)
        child.communicate(b"\n")
        monkeypatch.setattr(restore, "PATIENCE", 0.2)
        for number in (2, 3):  # nor does what was gone on from before hold it up again
            journal.write("x", lambda tx, number=number: tx.set_meta("two", number))
            assert journal.read(lambda tx: [tx.meta(n) for n in ("zero", "one", "two")]) == [0, None, number]
            monkeypatch.setattr(restore, "PATIENCE", 60.0)
            shutil.rmtree(folder)
        journal.close()

    def test_many_threads_lose_no_commit_while_it_is_taken_away_again_and_again(self, tmp_path):
        folder = tmp_path / "plugin"
        journals = [Journal.open(folder) for _ in range(2)]
        done = []

        failures = []

        def write(journal, number):
            for i in range(30):
                try:
                    journal.write("x", lambda tx, i=i: tx.set_meta(f"{number}-{i}", i))
                except JournalError as error:
                    failures.append(error)
                    raise
                done.append(f"{number}-{i}")

        threads = [threading.Thread(target=write, args=(journals[n % 2], n)) for n in range(4)]
        for thread in threads:
            thread.start()
        for round_ in range(5):
            while len(done) < 20 * round_ and any(thread.is_alive() for thread in threads):
                pass
            shutil.rmtree(folder, ignore_errors=True)
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(done) == 120
        assert [journal.look() for journal in journals] == ["", ""]
        for journal in journals:
            found = journal.read(lambda tx: {name for (name,) in tx.rows("SELECT name FROM meta")})
            assert set(done) <= found
        for journal in journals:
            journal.close()

    def test_where_it_cannot_be_put_back_nothing_is_written(self, tmp_path):
        folder, reports = tmp_path / "plugin", Reports()
        journal = Journal.open(folder, reports=reports)
        shutil.rmtree(folder)
        folder.write_text("in the way")
        for _ in range(3):
            with pytest.raises(JournalError, match="cannot be put back"):
                journal.write("x", lambda tx: tx.set_meta("a", 1))
        assert "do not restart dracore before" in journal.look()
        assert [reason for reason, _ in reports.events] == ["JournalDisplaced"]
        folder.unlink()
        assert journal.look() == ""
        assert journal.read(lambda tx: tx.meta("a")) is None
        journal.write("x", lambda tx: tx.set_meta("a", 1))
        journal.close()

    def test_one_that_is_cut_off_in_place_is_not_written_to(self, tmp_path):
        reports = Reports()
        journal = Journal.open(tmp_path, reports=reports)
        journal.write("x", lambda tx: tx.set_meta("a", 1))
        raw(tmp_path, "PRAGMA wal_checkpoint(TRUNCATE)")
        journal.look()
        os.truncate(tmp_path / "journal.db", 5000)
        for _ in range(2):
            with pytest.raises(JournalError, match="restart the driver"):
                journal.write("x", lambda tx: tx.set_meta("b", 2))
        assert [reason for reason, _ in reports.events] == ["JournalDamaged"]
        assert reports.counts == {"journal_damaged_total": 1}
        journal.close()


def test_what_is_read_together_is_of_one_state(tmp_path):
    """Else a claim that is released meanwhile is prepared and holds nothing."""
    journal = Journal.open(tmp_path)
    journal.write("x", lambda tx: (tx.set_meta("a", 1), tx.set_meta("b", 1)))

    def read(tx):
        first = tx.meta("a")
        journal.write("x", lambda tx: (tx.set_meta("a", 2), tx.set_meta("b", 2)))
        return first, tx.meta("b")

    assert journal.read(read) == (1, 1)
    assert journal.read(lambda tx: tx.meta("b")) == 2
    with pytest.raises(KeyError):
        journal.read(lambda tx: {}["x"])
    assert journal.read(lambda tx: tx.meta("b")) == 2, "one that failed leaves nothing open"
    journal.close()


class TestWriters:
    def test_many_at_once_share_commits_and_lose_nothing(self, tmp_path):
        journal = Journal.open(tmp_path)
        failures = []

        def write(number):
            for i in range(25):
                name = f"{number}-{i}"

                def work(tx, name=name, i=i):
                    tx.set_meta(name, i)
                    if i % 5 == 4:
                        raise KeyError(name)

                try:
                    journal.write("x", work)
                except KeyError as error:
                    failures.append(error.args[0])

        threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        names = journal.read(
            lambda tx: {row[0] for row in tx.rows("SELECT name FROM meta WHERE name LIKE '%-%'")}
        )
        expected = {f"{n}-{i}" for n in range(8) for i in range(25) if i % 5 != 4}
        assert names == expected  # what failed left nothing, and took nobody with it
        assert len(failures) == 8 * 5
        journal.close()

    def test_numbers_are_never_given_twice(self, tmp_path):
        journal, other = Journal.open(tmp_path), Journal.open(tmp_path)
        numbers = []

        def take(journal):
            numbers.extend(journal.write("x", lambda tx: tx.number()) for _ in range(20))

        threads = [threading.Thread(target=take, args=(j,)) for j in (journal, other, journal)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(numbers) == list(range(1, 61))
        journal.close()
        other.close()

    def test_work_that_fails_in_sqlite_is_a_journal_error(self, tmp_path):
        journal = Journal.open(tmp_path)
        with pytest.raises(JournalError):
            journal.write("x", lambda tx: tx.execute("INSERT INTO nothing VALUES (1)"))
        journal.write("x", lambda tx: tx.set_meta("a", 1))
        journal.close()
        with pytest.raises(JournalError, match="closed"):
            journal.read(lambda tx: tx.meta("a"))

    def test_the_timeline_is_bounded(self, tmp_path, monkeypatch):
        monkeypatch.setattr("dracore.prepare.transaction.TIMELINE_LIMIT", 50)
        journal = Journal.open(tmp_path)

        def notes(tx):
            for i in range(200):
                tx.note("c1", "x", str(i))

        journal.write("x", notes)
        rows = journal.read(lambda tx: tx.rows("SELECT text FROM timeline ORDER BY id"))
        assert [row[0] for row in rows] == [str(i) for i in range(150, 200)]
        journal.close()


def test_a_forked_child_must_not_use_it(tmp_path):
    script = """
import os, sys
from pathlib import Path
from dracore.errors import JournalError
from dracore.prepare import Journal
journal = Journal.open(Path(sys.argv[1]))
pid = os.fork()
if pid == 0:
    try:
        journal.write("x", lambda tx: None)
    except JournalError as error:
        os._exit(7 if "forked child" in str(error) else 1)
    os._exit(2)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
journal.write("x", lambda tx: tx.set_meta("a", 1))
journal.close()
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)


def test_a_full_disk_fails_the_claim_and_not_the_driver(world, monkeypatch):
    engine = world.engine()
    world.holds(Thing("a"))
    ref = world.claim("c1", "dev-0")
    full = [True]

    def seam(point, detail=""):
        if full[0] and point == "journal.commit.before":
            raise OSError(28, "No space left on device")

    world.seam = seam
    with pytest.raises(JournalError, match="No space left on device; check space"):
        engine.prepare(ref, Call())
    assert world.hardware.log == []
    full[0] = False
    engine.prepare(ref, Call())
    assert problems(world, engine) == []
    engine.close()
    assert json.dumps(Reports().events) == "[]"
    assert World


def test_a_prepare_right_after_it_was_deleted_puts_it_back_before_it_answers(world, tmp_path):
    """Before anybody has looked: a process that is killed then leaves a journal that knows the claim."""
    world.holds(Thing("a"))
    engine = world.engine()
    for path in world.plugin_folder.glob("journal.db*"):
        path.unlink()
    ref = world.claim("c1", "dev-0")
    answer = engine.prepare(ref, Call())
    shutil.copytree(world.folder, tmp_path / "killed", ignore=shutil.ignore_patterns("killed"))
    engine.close()
    after = World(tmp_path / "killed")
    after.holds(Thing("a"))
    engine = after.engine()
    engine.recover()
    assert after.reports.events == []
    assert engine.prepare(after.claim("c1", "dev-0"), Call()) == answer
    engine.unprepare(ref, Call())
    assert after.hardware.things == {}
    engine.close()
