"""Runs one scenario on a real small disk: python disk_child.py FOLDER SCENARIO, in a mount namespace."""

import os
import subprocess
import sys
from pathlib import Path

from prepare_harness import Call, Thing, World, problems

from dracore.errors import DracoreError


def mount(place: Path, options: str) -> None:
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def fill(folder: Path) -> Path:
    """Takes all the space that is left, down to the last byte."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return path


def refused(action) -> str:
    try:
        action()
    except DracoreError as error:
        return str(error)
    raise AssertionError("it was not refused")


def full_while_running(world: World) -> None:
    """Prepare and unprepare fail with words, nothing is done that is not written down, all goes on after."""
    mount(world.plugin_folder, "size=1m")
    world.holds(Thing("a"), Thing("b", needs="a"))
    engine = world.engine()
    engine.recover()
    first, second = world.claim("c1", "dev-0"), world.claim("c2", "dev-1")
    engine.prepare(first, Call())
    engine.kit.journal._file.writer.execute(
        "PRAGMA wal_checkpoint(TRUNCATE)"
    )  # its log has no room of its own
    filler = fill(world.plugin_folder)
    text = refused(lambda: engine.prepare(second, Call()))
    assert "database or disk is full" in text, text
    assert "check space" in text, text
    assert problems(world, engine) == []
    text = refused(lambda: engine.unprepare(first, Call()))
    assert "full" in text, text
    # Whatever was undone is known to be; nothing is on the node that the journal does not have.
    assert problems(world, engine, pending_ok=True) in ([], ["claim c1 is prepared without its CDI file"])
    filler.unlink()
    engine.prepare(second, Call())
    engine.unprepare(first, Call())
    engine.unprepare(second, Call())
    assert world.hardware.things == {}
    assert problems(world, engine) == []
    engine.close()


def full_in_the_middle(world: World) -> None:
    """The disk fills up between the change and its outcome."""
    mount(world.plugin_folder, "size=1m")
    world.holds(Thing("a"))
    engine = world.engine()
    engine.recover()
    engine.prepare(world.claim("c0", "dev-7"), Call())
    engine.unprepare(world.claim("c0", "dev-7"), Call())
    fillers = []

    def seam(point: str, detail: str = "") -> None:
        if point == "effect.apply.after" and not fillers:
            engine.kit.journal._file.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            fillers.append(fill(world.plugin_folder))

    world.seam = seam
    ref = world.claim("c1", "dev-0")
    text = refused(lambda: engine.prepare(ref, Call()))
    assert "full" in text, text
    # Half done, and the journal says so: an intent. It is undone as soon as there is room.
    assert {e.key for e in engine.snapshot().effects} == {f"thing/{n}" for n in world.hardware.things} | {
        "thing/a"
    }
    fillers[0].unlink()
    engine.drain()
    assert world.hardware.things == {}
    assert problems(world, engine) == []
    engine.prepare(ref, Call())
    assert problems(world, engine) == []
    engine.close()


def full_at_the_start(world: World) -> None:
    mount(world.plugin_folder, "size=1m")
    filler = fill(world.plugin_folder)
    text = refused(world.engine)
    assert "cannot open the journal" in text, text
    assert "check space" in text, text
    filler.unlink()
    engine = world.engine()
    engine.recover()
    world.holds(Thing("a"))
    ref = world.claim("c1", "dev-0")
    engine.prepare(ref, Call())
    engine.close()
    before = (world.plugin_folder / "journal.db").read_bytes()
    filler = fill(world.plugin_folder)
    text = refused(world.engine)
    assert "cannot open the journal" in text, text
    assert (world.plugin_folder / "journal.db").read_bytes() == before
    filler.unlink()
    engine = world.engine()
    engine.recover()
    engine.unprepare(ref, Call())
    assert world.hardware.things == {}
    assert world.reports.events == []
    engine.close()


def read_only_at_the_start(world: World) -> None:
    mount(world.plugin_folder, "size=4m")
    world.holds(Thing("a"))
    engine = world.engine()
    engine.recover()
    ref = world.claim("c1", "dev-0")
    engine.prepare(ref, Call())
    engine.close()
    remount(world.plugin_folder, "ro")
    before = {p.name: p.read_bytes() for p in world.plugin_folder.iterdir() if p.is_file()}
    text = refused(world.engine)
    assert "Read-only file system" in text, text
    assert str(world.plugin_folder) in text, text
    assert {p.name: p.read_bytes() for p in world.plugin_folder.iterdir() if p.is_file()} == before
    remount(world.plugin_folder, "rw")
    engine = world.engine()
    engine.recover()
    engine.unprepare(ref, Call())
    assert world.hardware.things == {}
    engine.close()


def cdi_full_or_read_only(world: World) -> None:
    """The claim fails, what it held is undone; a claim that is prepared can still be released."""
    cdi = world.folder / "cdi"
    mount(cdi, "size=64k")
    world.holds(Thing("a"))
    engine = world.engine()
    engine.recover()
    first, second = world.claim("c1", "dev-0"), world.claim("c2", "dev-1")
    filler = fill(cdi)
    text = refused(lambda: engine.prepare(first, Call()))
    assert "No space left" in text, text
    assert world.hardware.things == {}
    filler.unlink()
    engine.prepare(first, Call())
    remount(cdi, "ro")
    text = refused(lambda: engine.prepare(second, Call()))
    assert "Read-only file system" in text, text
    assert [c.ref.uid for c in engine.snapshot().claims] == ["c1"]
    text = refused(lambda: engine.unprepare(first, Call()))
    assert "Read-only file system" in text, text
    assert world.hardware.things == {}, "a file that cannot be removed is no reason to leave the hardware"
    remount(cdi, "rw")
    engine.drain()
    assert problems(world, engine) == []
    engine.close()


def main() -> None:
    world = World(Path(sys.argv[1]))
    scenarios = (
        full_while_running,
        full_in_the_middle,
        full_at_the_start,
        read_only_at_the_start,
        cdi_full_or_read_only,
    )
    {scenario.__name__: scenario for scenario in scenarios}[sys.argv[2]](world)
    os._exit(0)


if __name__ == "__main__":
    main()
