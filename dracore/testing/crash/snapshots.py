"""What the folder of a run holds at each of its points: what a SIGKILL there would leave.

The page cache survives the process, so a death leaves exactly what the files hold. One run notes it at every
point; each content is kept once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Collection, Mapping
from pathlib import Path

SETTLED = 100_000_000
"""Nanoseconds after which a file that was written again has another time: kernels count them in ticks."""

_Signature = tuple[int, int, int]


class Snapshots:
    """Keeps contents of one folder in a store, under names that say what they are.

    :param folder: of the run; its snapshots are laid out at the same path again, as files may name it.
    :param store: outside of it.
    """

    def __init__(self, folder: Path, store: Path) -> None:
        self._folder = folder
        self._store = store
        self._known: dict[str, tuple[_Signature, str]] = {}
        self._open: dict[tuple[str, int], int] = {}

    def take(self, disk: Mapping[str, bytes | None] | None = None) -> str:
        """Keeps what is there now, and answers its name: the same for the same.

        :param disk: what is kept instead of the folder ``disk``: contents, or None for a folder, by path.
        """
        found: dict[str, str] = {}
        self._into(found, str(self._folder), "", ("disk",) if disk is not None else ())
        for path, content in (disk or {}).items():
            found[f"disk/{path}"] = "folder 755" if content is None else f"file 600 {self._put(content)}"
        if disk is not None:
            found["disk"] = "folder 755"
        text = json.dumps(found, sort_keys=True)
        return self._put(text.encode())

    def lay_out(self, name: str) -> Path:
        """Makes the folder what it was."""
        content: dict[str, str] = json.loads((self._store / name).read_text())
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        for path, kept in content.items():  # sorted: folders before what is in them
            place = self._folder / path
            sort, _, value = kept.partition(" ")
            if sort == "link":
                place.symlink_to(value)
                continue
            mode, _, blob = value.partition(" ")
            if sort == "folder":
                place.mkdir()
            else:
                shutil.copyfile(self._store / blob, place)
            place.chmod(int(mode, 8))
        return self._folder

    def _into(self, found: dict[str, str], folder: str, prefix: str, without: Collection[str] = ()) -> None:
        for entry in os.scandir(folder):
            path = f"{prefix}{entry.name}"
            if path in without:
                continue
            if entry.is_symlink():
                found[path] = f"link {os.readlink(entry.path)}"
            elif entry.is_dir():
                found[path] = f"folder {entry.stat().st_mode & 0o7777:o}"
                self._into(found, entry.path, f"{path}/")
            elif entry.is_file() and not path.endswith("-shm"):  # SQLite makes that anew
                found[path] = f"file {entry.stat().st_mode & 0o7777:o} {self._kept(entry)}"

    def _kept(self, entry: os.DirEntry[str]) -> str:
        status = entry.stat()
        signature = (status.st_ino, status.st_size, status.st_mtime_ns)
        known = self._known.get(entry.path)
        if known is not None and known[0] == signature:
            return known[1]
        name = self._put(self._content(entry.path, status.st_ino))
        if time.time_ns() - status.st_mtime_ns > SETTLED:
            self._known[entry.path] = (signature, name)
        return name

    def _content(self, path: str, inode: int) -> bytes:
        if "journal.db" not in path:
            return Path(path).read_bytes()
        # Never closed: closing any descriptor of the journal's files would drop SQLite's locks on them.
        if (path, inode) not in self._open:
            self._open[path, inode] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        file = self._open[path, inode]
        return os.pread(file, os.fstat(file).st_size, 0)

    def _put(self, content: bytes) -> str:
        name = hashlib.sha256(content).hexdigest()
        place = self._store / name
        if not place.exists():
            beside = self._store / f"{name}.new"
            beside.write_bytes(content)
            beside.rename(place)
        return name
