"""Two processes of two schema versions on one journal, with claims prepared: a MINOR up, and down again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prepare_harness import Call, World

from dracore.prepare import schema

HERE = Path(__file__).parent


class Process:
    def __init__(self, folder, version):
        self.child = subprocess.Popen(
            [sys.executable, str(HERE / "version_child.py"), str(folder), version],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent.parent}"},
        )
        self.first = json.loads(self.child.stdout.readline())

    def ask(self, *command):
        self.child.stdin.write(json.dumps(command) + "\n")
        self.child.stdin.flush()
        answer = json.loads(self.child.stdout.readline())
        assert "ok" in answer, answer
        return answer["ok"]

    def end(self, how=None):
        if how is None:
            self.child.stdin.write('["stop"]\n')
            self.child.stdin.close()
        else:
            self.child.send_signal(how)
        self.child.wait(30)
        self.close()

    def close(self):
        for pipe in (self.child.stdin, self.child.stdout):
            pipe.close()


@pytest.fixture
def start(tmp_path):
    processes = []

    def start(version):
        processes.append(Process(tmp_path, version))
        return processes[-1]

    yield start
    for process in processes:
        if process.child.poll() is None:
            process.end(signal.SIGKILL)
        process.close()


@pytest.mark.parametrize("end", [None, signal.SIGKILL], ids=["ends", "is killed"])
def test_a_minor_up_and_down_with_both_alive(start, tmp_path, end):
    node = World(tmp_path).hardware
    old = start("this")
    first = old.ask("prepare", "c1", "dev-0")
    new = start("minor")
    assert new.first == {"ok": "started"}
    assert old.ask("versions") == new.ask("versions") == [schema.MAJOR * 1000 + schema.MINOR + 1]
    # Both work, on their own claims, on each other's, and on an effect that all share.
    new.ask("prepare", "c2", "dev-1")
    old.ask("prepare", "c3", "dev-2")
    assert new.ask("prepare", "c1", "dev-0") == first
    assert old.ask("know") == new.ask("know")
    assert node.log.count("make base=on") == 1
    old.ask("unprepare", "c2")
    new.ask("unprepare", "c3")
    assert set(node.things) == {"base", "top-dev-0"}
    new.ask("prepare", "c4", "dev-3")
    # Down: the newer goes, and another of the older version comes.
    new.end(end)
    again = start("this")
    assert again.first == {"ok": "started"}
    for process in (old, again):
        assert set(process.ask("know")) == {"c1", "c4"}
    assert again.ask("prepare", "c1", "dev-0") == first
    # And up once more: nothing is done twice.
    newer = start("minor")
    assert newer.first == {"ok": "started"}
    newer.ask("unprepare", "c1")
    again.ask("unprepare", "c4")
    assert old.ask("know") == newer.ask("know") == {}
    assert (node.things, node.violations) == ({}, [])
    for process in (old, again, newer):
        assert process.ask("drain") == []
        process.end()


def test_a_newer_major_is_refused_beside_a_live_one_with_nothing_changed(start, tmp_path):
    """The newer instance has the journal open, has claims prepared, and is not disturbed."""
    newer = start("major")
    newer.ask("prepare", "c1", "dev-0")
    folder = tmp_path / "plugin"

    def everything():
        return {
            str(path.relative_to(tmp_path)): path.read_bytes()
            for path in sorted(tmp_path.rglob("*"))
            if path.is_file() and path.name != "journal.db-shm"  # where readers note how far they read
        }

    before = everything()
    refused = start("this")
    assert "nothing was changed" in refused.first["error"]
    assert f"version {schema.MAJOR + 1}." in refused.first["error"]
    assert everything() == before
    assert newer.ask("know") == {"c1": ["thing/base", "thing/top-dev-0"]}
    newer.end(signal.SIGKILL)
    # Also when it is dead, and what it wrote last is in its log alone.
    before = everything()
    assert (folder / "journal.db-wal").stat().st_size > 0
    assert "nothing was changed" in start("this").first["error"]
    assert everything() == before
    newer = start("major")
    newer.ask("unprepare", "c1")
    assert World(tmp_path).hardware.things == {}
    newer.end()


def test_what_a_newer_minor_keeps_of_a_claim_is_not_emptied(world, engine):
    """By this version, as the older of two: it writes the columns that it knows."""
    ref = world.claim("c1", "dev-0")
    engine.prepare(ref, Call())

    def newer(tx):
        tx.execute("ALTER TABLE claims ADD COLUMN novelty TEXT")
        tx.execute("UPDATE claims SET novelty = 'kept'")

    engine.kit.journal.write("test", newer)
    engine.suspend("c1", "a repair")
    engine.prepare(ref, Call())
    assert engine.snapshot().claims[0].state == "prepared"
    assert engine.kit.journal.read(lambda tx: tx.row("SELECT novelty FROM claims")) == ("kept",)
