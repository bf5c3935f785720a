"""A folder that is kept equal to a description of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class File:
    content: str
    mode: int = 0o644


@dataclass(frozen=True)
class Link:
    target: str


@dataclass(frozen=True)
class Socket:
    """A unix socket that nobody listens on."""


Entry = File | Link | Socket
Tree = dict[str, Entry]
"""Entries by their path from the folder; folders are those that the paths need."""


def render(root: Path, tree: Mapping[str, Entry]) -> None:
    """Makes `root` hold the entries and no longer those of earlier calls; what others put there stays.

    What is right already is not touched; a file changes by rename, so that readers never see half of one. One
    caller at a time.
    """
    root.mkdir(parents=True, exist_ok=True)
    spare = root.with_name(
        f"{root.name}.new"
    )  # outside of the tree, where what a kill leaves disturbs nobody
    list_file = root.with_name(f"{root.name}.rendered")
    before = set(list_file.read_text(encoding="utf-8").splitlines()) if list_file.exists() else set()
    if before != tree.keys():
        # First both: whoever continues after a crash must know of every entry there may be.
        _put(list_file, File("\n".join(sorted(before | tree.keys()))), spare)
    for path in before - tree.keys():
        _remove(root, path)
    for folder in sorted({os.path.dirname(path) for path in tree}):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for path, entry in tree.items():
        _put(root / path, entry, spare)
    _put(list_file, File("\n".join(sorted(tree))), spare)


def _remove(root: Path, path: str) -> None:
    """The entry, and the folders that are empty without it."""
    (root / path).unlink(missing_ok=True)
    while path := os.path.dirname(path):
        try:
            (root / path).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return


def _put(path: Path, entry: Entry, temporary: Path) -> None:
    try:
        found: os.stat_result | None = os.lstat(path)
    except FileNotFoundError:
        found = None
    if found is not None and _is(path, found, entry):
        return
    temporary.unlink(missing_ok=True)
    match entry:
        case File(content, mode):
            temporary.write_text(content, encoding="utf-8")
            temporary.chmod(mode)
        case Link(target):
            temporary.symlink_to(target)
        case Socket():
            os.mknod(temporary, stat.S_IFSOCK | 0o666)
    os.rename(temporary, path)


def _is(path: Path, found: os.stat_result, entry: Entry) -> bool:
    match entry:
        case File(content, mode):
            data = content.encode()
            return (
                stat.S_ISREG(found.st_mode)
                and stat.S_IMODE(found.st_mode) == mode
                and found.st_size == len(data)
                and path.read_bytes() == data
            )
        case Link(target):
            return stat.S_ISLNK(found.st_mode) and os.readlink(path) == target
        case Socket():
            return stat.S_ISSOCK(found.st_mode)
