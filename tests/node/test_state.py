"""What people do to the files of a running node plugin, and to those of one that is to start."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TOYS = "toys.example.com"


def folder_of(world: Any) -> Path:
    return Path(world.kubelet.plugins_dir / TOYS)


def names_in(process: Any) -> set[str]:
    return {claim["name"] for claim in process.status()["claims"]}


def replace_by_a_copy(folder: Path) -> None:
    shutil.copy(folder / "journal.db", folder.parent / "copy")
    os.rename(folder.parent / "copy", folder / "journal.db")


REMOVALS: dict[str, Callable[[Path], object]] = {
    "moved": lambda folder: (folder / "journal.db").rename(folder / "moved"),
    "the folder deleted": lambda folder: shutil.rmtree(folder),
    "replaced by a copy of it": replace_by_a_copy,
}


@pytest.mark.parametrize("how", REMOVALS)
def test_a_journal_that_is_taken_away_under_the_process_is_put_back(world: Any, how: str) -> None:
    process = world.ready(world.configure(observe={"port": 0}))
    world.claim("c", "toy-0")
    world.kubelet.run_pod("c", ["c"])
    REMOVALS[how](folder_of(world))
    world.until(lambda: world.events("JournalRestored"), "the journal")
    # Killed in the next moment: the file in its place has it all.
    process.kill()
    process = world.ready(world.configure(observe={"port": 0}))
    assert names_in(process) == {"c"}
    assert process.degradations() == []
    world.claim("d", "toy-1")
    world.kubelet.run_pod("d", ["d"], retry_for=30)
    assert world.held() == ["toy-0", "toy-1"]
    for name in ("c", "d"):
        world.kubelet.delete_pod(name, retry_for=20)
    assert (world.held(), world.specs(), names_in(process)) == ([], {}, set())
    assert process.stop() == 0


def test_it_goes_on_without_a_restart(world: Any) -> None:
    process = world.ready(world.configure(observe={"port": 0}))
    for round_, how in enumerate(("the folder deleted", "moved", "the folder deleted")):
        world.claim(f"c{round_}", f"toy-{round_}")
        world.kubelet.run_pod(f"c{round_}", [f"c{round_}"], retry_for=30)
        REMOVALS[how](folder_of(world))
        world.until(
            lambda n=round_: (
                f'dracore_journal_restored_total{{driver="{TOYS}"}} {n + 1}.0' in process.metrics()
            ),
            "the journal",
        )
        world.until(lambda: process.page() == (200, "ok\n"), "the sockets")
    world.until(lambda: process.degradations() == [], "all well")
    assert names_in(process) == {"c0", "c1", "c2"}
    for round_ in range(3):
        world.kubelet.delete_pod(f"c{round_}", retry_for=20)
    assert (world.held(), names_in(process)) == ([], set())
    assert process.stop() == 0
    assert [path.name for path in folder_of(world).glob("journal.db*")] == ["journal.db"]


def test_two_instances_put_it_back_once_and_go_on_with_one(world: Any) -> None:
    old = world.ready(None, "old")
    new = world.process(None, "new")
    world.until(new.registered, "the second")
    world.claim("c", "toy-0")
    world.kubelet.run_pod("c", ["c"], retry_for=20)
    shutil.rmtree(folder_of(world))
    world.until(lambda: world.events("JournalRestored"), "the journal")
    world.until(lambda: len(world.sockets()) == 4, "the sockets of both")
    world.claim("d", "toy-1")
    world.kubelet.run_pod("d", ["d"], retry_for=30)
    world.until(lambda: names_in(old) == names_in(new) == {"c", "d"}, "one journal for both")
    assert old.stop() == 0
    assert names_in(new) == {"c", "d"}
    again = world.process(None, "third")
    world.until(again.registered, "another")
    assert names_in(again) == {"c", "d"}
    for name in ("c", "d"):
        world.kubelet.delete_pod(name, retry_for=20)
    assert world.held() == []


def test_one_that_cannot_be_put_back_stops_new_claims_and_is_said(world: Any) -> None:
    process = world.ready(world.configure(observe={"port": 0}))
    world.claim("c", "toy-0")
    world.kubelet.run_pod("c", ["c"])
    folder = folder_of(world)
    elsewhere = folder.with_name("elsewhere")
    os.rename(folder, elsewhere)
    folder.write_text("a file where the folder was")
    (text,) = world.until(
        lambda: [t for t in process.degradations() if "cannot be put back" in t], "the problem"
    )
    assert "do not restart dracore" in text
    code, said = process.page("/readyz")
    assert code == 503
    assert "cannot be put back" in said
    assert process.page()[0] == 200, "a liveness probe must not restart it now"
    world.until(lambda: world.events("JournalDisplaced"), "the event")
    folder.unlink()
    world.until(lambda: process.page("/readyz")[0] == 200, "the way back")
    world.until(lambda: process.page()[0] == 200, "the sockets in the new folder")
    assert names_in(process) == {"c"}
    world.kubelet.delete_pod("c", retry_for=20)
    assert world.held() == []


def test_one_that_is_cut_off_in_place_is_refused_until_a_restart_sets_it_aside(world: Any) -> None:
    process = world.ready(world.configure(observe={"port": 0}))
    world.claim("c", "toy-0")
    world.kubelet.run_pod("c", ["c"])
    with sqlite3.connect(folder_of(world) / "journal.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    os.truncate(folder_of(world) / "journal.db", 100)
    world.until(lambda: "damaged while it is open" in "".join(process.degradations()), "the problem")
    assert process.page()[0] == 503
    world.claim("d", "toy-1")
    with pytest.raises(Exception, match="database disk image is malformed; restart the driver"):
        world.kubelet.run_pod("d", ["d"])
    assert world.held() == ["toy-0"], "nothing is done that could not be written down"
    process.kill()
    process = world.ready(world.configure(observe={"port": 0}))
    (event, *_) = world.until(lambda: world.events("JournalLost"), "what is not known any more")
    assert "CDI file" in event["message"]
    assert f'dracore_journal_damaged_total{{driver="{TOYS}"}} 1.0' in process.metrics()
    assert "set aside" in "".join(process.degradations())
    world.kubelet.run_pod("d", ["d"], retry_for=20)


def test_a_journal_that_is_gone_at_the_start_is_said(world: Any) -> None:
    process = world.ready()
    uid = world.claim("c", "toy-0")["metadata"]["uid"]
    world.kubelet.run_pod("c", ["c"])
    process.kill()
    for path in folder_of(world).glob("journal.db*"):
        path.unlink()
    process = world.ready(world.configure(observe={"port": 0}))
    (event,) = world.until(lambda: world.events("JournalLost"), "the event")
    assert "nobody knows what to undo" in event["message"]
    assert uid in event["message"]
    assert event["message"] in "".join(process.degradations())
    assert f'dracore_journal_lost_total{{driver="{TOYS}"}} 1.0' in process.metrics()
    assert world.specs(), "containers may be started with it still"


def test_a_first_start_says_nothing_of_it(world: Any) -> None:
    process = world.ready()
    assert process.degradations() == []
    assert not world.events("JournalLost")


def test_a_newer_major_is_refused_with_nothing_changed(world: Any) -> None:
    process = world.ready()
    world.claim("c", "toy-0")
    world.kubelet.run_pod("c", ["c"])
    process.kill()  # its log is not in the database yet
    folder = folder_of(world)
    code = (
        "import os, sqlite3, sys; connection = sqlite3.connect(sys.argv[1]); "
        "connection.execute('PRAGMA user_version = 2000'); connection.commit(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder / "journal.db")], check=True)

    def everything() -> dict[str, bytes]:
        # The index (-shm) is rebuilt by whoever looks; it holds nothing of its own.
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.name.endswith("-shm")
        }

    before, sockets, specs = everything(), world.sockets(), world.specs()
    refused = world.process()
    assert refused.child.wait(30) == 1
    text = refused.log.read_text()
    assert "the journal has version 2.0 and this dracore reads 1.x; nothing was changed" in text
    assert "Traceback" not in text
    assert len(text.splitlines()) == 1
    assert (everything(), world.sockets(), world.specs()) == (before, sockets, specs)
    assert world.held() == ["toy-0"]
