"""One bit of the journal's file flips while nobody has it open: no answer changes, or the damage is said."""

import contextlib
import os
import random
import shutil
import sqlite3

import pytest
from prepare_harness import Call, FileThing, LaterThing, StaysThing, Thing, World

from dracore.errors import DracoreError
from dracore.model.edits import ContainerEdits
from dracore.model.prepared import Prepared
from dracore.prepare import schema

FLIPS = int(os.environ.get("DRACORE_FLIPS", "60"))
"""Of each run; the places are drawn by a seed."""
UIDS = [f"c{i}" for i in range(5)]


def use(world):
    """Hooks that are the same before and after."""
    common = ContainerEdits(env={"COMMON": "libraries" * 20})

    @world.on("dra_prepare")
    def _prepare(ctx, device, result, config):
        number = device.name[-1]
        ctx.hold(Thing("mode"))
        if number != "0":
            made = ctx.hold(StaysThing(f"part-{number}", needs="mode"))
            ctx.hold(FileThing(f"f{number}"))
            return Prepared(
                ContainerEdits(env={"PART": f"{made['id']}"}), common, facts={"n": number}, status={"s": 1}
            )
        ctx.hold(LaterThing("label"))
        return world.prepared(device)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Claims prepared, one of them waiting, one effect pending, a taint, a timeline; then it ended well."""
    world = World(tmp_path_factory.mktemp("flips"))
    use(world)
    engine = world.engine()
    engine.recover()
    for number, uid in enumerate(UIDS):
        engine.prepare(world.claim(uid, f"dev-{number}", share="a" if number == 4 else ""), Call())
    engine.suspend(UIDS[3], "a test")
    engine.close()
    return world


def answers(world, engine):
    """All that a start can be asked, with what is expected of a whole journal."""
    now = engine.snapshot()
    known = [
        (c.ref, c.state, c.awaited, c.error, c.devices, [(e.kind, e.key, e.outcome) for e in c.effects])
        for c in now.claims
    ]
    effects = sorted((e.kind, e.key, e.state, e.holders, e.outcome, e.error, e.drift) for e in now.effects)
    timelines = [engine.timeline(uid) for uid in UIDS]
    prepared = [list(engine.prepare(ref, Call())) for ref in refs(world)]
    files = {name: (world.folder / "cdi" / name).read_bytes() for name in world.cdi_files()}
    made = [line for line in world.hardware.log if line.startswith("make")]
    for ref in refs(world):
        engine.unprepare(ref, Call())
    failures = [str(error) for error in engine.drain()]
    left = (sorted(world.hardware.things), world.hardware.violations, world.cdi_files())
    return known, effects, timelines, prepared, files, made, failures, left


def refs(world):
    return [world.claim(uid, f"dev-{n}", share="a" if n == 4 else "") for n, uid in enumerate(UIDS)]


def start(original, folder, content):
    world = World(folder)
    use(world)
    (world.plugin_folder / "journal.db").write_bytes(content)
    return world


def outcome(original, expected, tmp_path, content, what):
    folder = tmp_path / "copy"
    shutil.copytree(original.folder, folder)
    world = start(original, folder, content)
    try:
        try:
            engine = world.engine()
        except DracoreError as error:
            assert error.fix, what  # noqa: PT017
            return f"refused: {error.what}"
        try:
            engine.recover()
            said = " ".join(text for _, text in world.reports.events)
            if not said:
                assert answers(world, engine) == expected, what
                return "whole"
            return said_and_safe(world, engine, expected, what)
        finally:
            engine.close()
    finally:
        shutil.rmtree(folder)


def said_and_safe(world, engine, expected, what):
    """After a said damage a claim may be refused; no answer is false, what is known is undone in order."""
    assert {reason for reason, _ in world.reports.events} & {"JournalDamaged", "JournalLost"}, what
    right, known = expected[3], len(engine.snapshot().effects) == len(expected[1])
    for ref, answer in zip(refs(world), right, strict=True):
        try:
            assert list(engine.prepare(ref, Call())) == answer, what
        except DracoreError:
            continue
    engine.snapshot()
    engine.drifts()
    for ref in refs(world):
        with contextlib.suppress(DracoreError):
            engine.unprepare(ref, Call())
    engine.drain()
    if known:  # else a later prepare finds on the node what the journal has lost
        assert world.hardware.violations == [], what
    return "said"


def test_no_answer_is_false(original, tmp_path):
    path = original.plugin_folder / "journal.db"
    content = path.read_bytes()
    folder = tmp_path / "whole"
    shutil.copytree(original.folder, folder)
    world = start(original, folder, content)
    engine = world.engine()
    engine.recover()
    expected = answers(world, engine)
    engine.close()
    assert world.reports.events == []
    assert expected[-1] == ([], [], set())
    choose = random.Random(int(os.environ.get("DRACORE_FLIPS_SEED", "7")))
    used = [place for place, byte in enumerate(content) if byte]
    places = [*range(100)][:: max(1, 100 * 4 // FLIPS)] + choose.sample(used, FLIPS)
    found = {}
    for place in places:
        bit = choose.randrange(8)
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        how = outcome(original, expected, tmp_path, bytes(flipped), f"byte {place}, bit {bit}")
        found[how] = found.get(how, 0) + 1
    assert found.get("said", 0) > FLIPS / 4, found
    assert set(found) == {"said", "whole"}, found  # a refusal would need a person


@pytest.mark.parametrize("table", [t.table for t in schema.checksums.TABLES if t.table != "instances"])
def test_each_table_is_checked_in_each_column(original, tmp_path, table):
    """A cell that another program sets without the checksum's triggers, as a flipped bit would."""
    (summed,) = (t for t in schema.checksums.TABLES if t.table == table)
    for column in summed.columns:
        folder = tmp_path / column
        folder.mkdir()
        shutil.copytree(original.folder, folder, dirs_exist_ok=True)
        connection = sqlite3.connect(folder / "plugin" / "journal.db", isolation_level=None)
        if not connection.execute(f"SELECT 1 FROM {table}").fetchone():
            connection.execute(
                f"INSERT INTO {table} ({', '.join(summed.columns)}, whole)"
                f" VALUES ({', '.join('1' * len(summed.columns))}, 1)"
            )
        (statement,) = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE name = ?", (f"{table}_altered",)
        ).fetchone()
        connection.execute(f"DROP TRIGGER {table}_altered")
        order = ", ".join(summed.key)
        first = " AND ".join(f"{k} = (SELECT {k} FROM {table} ORDER BY {order} LIMIT 1)" for k in summed.key)
        value = (
            f"CASE typeof({column}) WHEN 'integer' THEN {column} + 70000"
            f" ELSE coalesce({column}, '') || '7' END"
        )
        connection.execute(f"UPDATE {table} SET {column} = {value} WHERE {first}")
        connection.execute(statement)
        connection.close()
        world = start(original, folder, (folder / "plugin" / "journal.db").read_bytes())
        engine = world.engine()
        assert [reason for reason, _ in world.reports.events] == ["JournalDamaged"], column
        engine.close()
        shutil.rmtree(folder)


def test_an_older_instance_may_write_rows_without(world):
    """It inserts rows without a checksum, and leaves none where it changes a row: neither is damage."""
    engine = world.engine()
    engine.prepare(world.claim("c1", "dev-0"), Call())
    old = sqlite3.connect(world.plugin_folder / "journal.db", isolation_level=None)
    assert old.execute("SELECT whole FROM claims").fetchone()[0] is not None
    old.execute("UPDATE claims SET awaited = 'x' WHERE uid = 'c1'")
    old.execute("INSERT INTO timeline (at, uid, what, kind, key, text) VALUES (1, 'c1', 'old', '', '', '')")
    assert old.execute("SELECT whole FROM claims").fetchall() == [(None,)]
    assert old.execute("SELECT whole FROM timeline WHERE what = 'old'").fetchall() == [(None,)]
    old.close()
    engine.close()
    again = world.engine()
    again.recover()
    assert world.reports.events == []
    assert again.suspend("c1", "a test")
    assert again.kit.journal.read(lambda tx: tx.row("SELECT whole NOT NULL FROM claims")) == (1,)
    again.close()


def test_a_journal_of_an_older_version_gets_checksums(tmp_path, monkeypatch):
    steps = schema.STEPS
    monkeypatch.setattr(schema, "STEPS", steps[:3])
    monkeypatch.setattr(schema, "MINOR", 2)
    monkeypatch.setattr(schema.checksums, "install", lambda connection: None)
    monkeypatch.setattr(schema.checksums, "fill", lambda connection: None)
    world = World(tmp_path)
    old = world.engine()
    ref = world.claim("c1", "dev-0")
    answer = old.prepare(ref, Call())
    old.close()
    monkeypatch.undo()
    new = world.engine()
    assert new.kit.journal.read(lambda tx: tx.row("SELECT count(*) FROM claims WHERE whole NOT NULL")) == (1,)
    assert new.prepare(ref, Call()) == answer
    new.close()
    assert world.reports.events == []
