"""Power cuts: what is left of the driver's folders when only what was fsynced counts.

One recording run notes, at every point, what a power cut there would leave, in two ways that file systems
have: ``lost``, where names and contents are those of the last fsync of folder and file, and ``names``, where
folders are as they were and contents those of the last fsync (so a file that was renamed into its place
unsynced is empty). The hardware keeps what it has; a reboot then takes away what it takes away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dracore.testing.crash import rules
from dracore.testing.crash.children import ended, points_of, untouched_ground
from dracore.testing.crash.play import Player
from dracore.testing.crash.points import Points
from dracore.testing.crash.scenario import Scenario
from dracore.testing.crash.snapshots import Snapshots
from dracore.testing.crash.sqlitevfs import SqliteSyncs
from dracore.testing.crash.stand import Stand, Subject, start


class Disk:
    """What is durable below a folder, from the fsyncs that Python and SQLite make in this process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._contents: dict[int, bytes] = {}
        self._names: dict[str, dict[str, int]] = {}
        self._open: dict[tuple[str, int], int] = {}
        self._fsync = os.fsync
        os.fsync = os.fdatasync = self._heard  # type: ignore[assignment]
        self._sqlite = SqliteSyncs(self._heard_sqlite)

    def _heard(self, file: Any) -> None:
        number = file if isinstance(file, int) else file.fileno()
        self._fsync(number)
        path = os.readlink(f"/proc/self/fd/{number}")
        if not path.startswith(str(self.root)):
            return
        if os.path.isdir(path):
            self._folder(path)
        else:
            self._contents[os.fstat(number).st_ino] = Path(path).read_bytes()

    def _heard_sqlite(self, path: str, with_folder: bool) -> None:
        if not path.startswith(str(self.root)):
            return
        # Never closed: closing any descriptor of the journal's files would drop SQLite's locks on them.
        place = (path, os.stat(path).st_ino)
        if place not in self._open:
            self._open[place] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        file = self._open[place]
        self._contents[place[1]] = os.pread(file, os.fstat(file).st_size, 0)
        if with_folder:
            self._folder(os.path.dirname(path))

    def _folder(self, path: str) -> None:
        self._names[path] = {entry.name: entry.inode() for entry in os.scandir(path)}

    def image(self, way: str) -> dict[str, bytes | None]:
        """Relative paths to contents (None: a folder) after a power cut now."""
        found: dict[str, bytes | None] = {}
        self._into(found, str(self.root), way)
        return found

    def _into(self, found: dict[str, bytes | None], folder: str, way: str) -> None:
        here = {entry.name: entry for entry in os.scandir(folder)} if os.path.isdir(folder) else {}
        if way == "names" or folder == str(self.root):
            names = {name: entry.inode() for name, entry in here.items()}
        else:
            names = self._names.get(folder, {})
        for name, inode in names.items():
            path = os.path.join(folder, name)
            entry = here.get(name)
            if path.endswith("-shm"):
                continue  # SQLite makes it anew
            if entry is not None and entry.is_dir(follow_symlinks=False):
                found[os.path.relpath(path, self.root)] = None
                self._into(found, path, way)
            else:
                found[os.path.relpath(path, self.root)] = self._contents.get(inode, b"")


def record(subject: Subject, folder: Path, story: Scenario, store: Path) -> Any:
    """Plays the scenario once; every different image of a power cut is kept (:mod:`snapshots`).

    Answers the points, what the ground was like before, and (name, way, point) for each image.
    """
    before = untouched_ground(subject, folder)
    (folder / "disk").mkdir()
    disk = Disk(folder / "disk")
    snapshots = Snapshots(folder, store)
    points = points_of(subject, "power")
    cuts: dict[str, tuple[str, str]] = {}

    def cut(point: str, detail: str) -> None:
        for way in ("lost", "names"):
            cuts.setdefault(snapshots.take(disk.image(way)), (way, f"{point} {detail}"))

    points.watch(cut)
    Player(subject, folder, points, story).open().play()
    cut("the end", "")
    return points.seen, before, [(name, *cut) for name, cut in cuts.items()]


def after_cut(subject: Subject, folder: Path, before: Any) -> list[str]:
    """The node comes back, in another boot, with what its disk kept."""
    stand = Stand(subject, folder, Points())
    found = [f"cdi: {text}" for text in _torn(stand)]
    stand.cluster.reboot()
    stand.ground.reboot()
    stand.ground.heal()
    stand = start(subject, folder, Points())
    with ended(stand):
        stand.engine.drain()
        found += [f"after the power cut, {text}" for text in rules.check(stand)]
        stand.cluster.forget_promises()
        return found + rules.go_on(stand, before)


def _torn(stand: Stand) -> Iterator[str]:
    folder = stand.cdi_folder
    for file in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        if (
            not file.name.startswith(".")
            and file not in stand.foreign
            and not file.read_bytes().endswith(b"}\n")
        ):
            yield f"{file.name} stands under its name and is not whole"
