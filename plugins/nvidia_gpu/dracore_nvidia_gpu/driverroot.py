"""Where the driver is installed: a folder of the host that this process may see under another path.

Inside the root every symlink is resolved as a process with that root would (an absolute target stays inside),
and only what is really a file counts, so that a folder of the same name shadows nothing.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dracore_nvidia_gpu.ldcache import library_folders

LIBRARY_FOLDERS = (
    "/",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    "/usr/lib/aarch64-linux-gnu/nvidia/current",
    "/lib64",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib",
    "/usr/local/lib",
    "/glibc/lib",
)
"""Searched in this order (NVIDIA's own order first), then what the root's ld.so.cache names."""

BINARY_FOLDERS = ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/opt/bin", "/")
NVML_NAME = "libnvidia-ml.so.1"

_MAX_LINKS = 40  # what the kernel allows in one path

Stamp = tuple[int, int, int, int] | None


def stamp(path: str, *, follow: bool = True) -> Stamp:
    """Changes when a folder's entries, a file, or what stands at `path` changes; None: nothing there."""
    try:
        found = os.stat(path) if follow else os.lstat(path)
    except OSError:
        return None
    return (found.st_ino, found.st_dev, found.st_mtime_ns, found.st_rdev)


@dataclass(frozen=True, slots=True)
class Found:
    """A file under a root: `inside` as it was asked for, `real` with links resolved, both from the root."""

    inside: str
    real: str
    here: str
    """The path for this process."""
    host: str
    """The path on the host, for the container runtime."""


@dataclass(frozen=True, slots=True)
class Root:
    """A folder of the host.

    :param host: its path on the host.
    :param here: where this process sees it (a container mounts it somewhere else).
    """

    host: str = "/"
    here: str = "/"

    def path_here(self, inside: str) -> str:
        return _join(self.here, inside)

    def path_host(self, inside: str) -> str:
        return _join(self.host, inside)


class Look:
    """One look at a root; remembers every folder and link that its answers depend on (`stamps`)."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.stamps: dict[tuple[str, bool], Stamp] = {}
        self._entries: dict[str, tuple[str, tuple[str, ...]] | None] = {}

    def resolve(self, inside: str, *, remember: bool = False) -> str | None:
        """`inside` without symlinks, still from the root; None where it leads nowhere.

        With `remember` (for folders) the last link of the path counts among the `stamps` too; a file's link
        shows in the stamp of its folder.
        """
        done = "/"
        todo = [part for part in inside.split("/") if part][::-1]
        links = 0
        while todo:
            part = todo.pop()
            if part == ".":
                continue
            if part == "..":
                done = os.path.dirname(done)
                continue
            path = _join(done, part)
            here = self.root.path_here(path)
            try:
                mode = os.lstat(here).st_mode
            except OSError:
                return None
            if stat.S_ISLNK(mode):
                links += 1
                if links > _MAX_LINKS:
                    return None
                target = os.readlink(here)
                if todo or remember:
                    self.stamps[here, False] = stamp(here, follow=False)
                if target.startswith("/"):
                    done = "/"
                todo.extend([p for p in target.split("/") if p][::-1])
            else:
                done = path
        return done

    def folder(self, inside: str) -> tuple[str, tuple[str, ...]] | None:
        """The resolved path of a folder and the names in it, sorted; None where there is none."""
        if inside not in self._entries:
            self._entries[inside] = self._list(inside)
        return self._entries[inside]

    def file(self, inside: str, *, kinds: Iterable[int] = (stat.S_IFREG,)) -> Found | None:
        """The file at `inside` if, with links resolved, it is one of `kinds`."""
        real = self.resolve(inside)
        if real is None:
            return None
        here = self.root.path_here(real)
        try:
            mode = os.stat(here, follow_symlinks=False).st_mode
        except OSError:
            return None
        if stat.S_IFMT(mode) not in tuple(kinds):
            return None
        return Found(inside, real, here, self.root.path_host(real))

    def first(self, folders: Iterable[str], name: str) -> Found | None:
        """The file `name` in the first of the folders that has it."""
        return next(self.all(folders, name), None)

    def all(self, folders: Iterable[str], pattern: str) -> Iterator[Found]:
        """Files of the folders whose name fits `pattern` (as a shell would), each real file once."""
        seen: set[str] = set()
        for folder in folders:
            listed = self.folder(folder)
            if listed is None:
                continue
            for name in fnmatch.filter(listed[1], pattern):
                found = self.file(_join(folder, name))
                if found and found.real not in seen:
                    seen.add(found.real)
                    yield found

    def link(self, inside: str) -> str | None:
        """What the symlink at `inside` says (in a folder that :meth:`folder` resolved); None: no link."""
        try:
            return os.readlink(self.root.path_here(inside))
        except OSError:
            return None

    def library_folders(self) -> tuple[str, ...]:
        """Where libraries are looked for, best first."""
        cache = self.file("/etc/ld.so.cache")
        self.watch("/etc/ld.so.cache")
        if cache is None:
            return LIBRARY_FOLDERS
        return tuple(dict.fromkeys((*LIBRARY_FOLDERS, *library_folders(cache.here))))

    def watch(self, inside: str) -> None:
        """Adds one path to the `stamps`, whether there is anything or not."""
        here = self.root.path_here(inside)
        self.stamps[here, True] = stamp(here)

    def _list(self, inside: str) -> tuple[str, tuple[str, ...]] | None:
        real = self.resolve(inside, remember=True)
        if real is None:  # it appears when the nearest folder that exists changes
            parent = inside
            while real is None:
                parent = os.path.dirname(parent)
                real = self.resolve(parent) if parent != "/" else "/"
            self.watch(real)
            return None
        self.watch(real)
        here = self.root.path_here(real)
        try:
            return real, tuple(sorted(os.listdir(here)))
        except OSError:
            return None


def unchanged(stamps: Sequence[tuple[str, bool, Stamp]]) -> bool:
    """True while everything that the looks depended on is as it was."""
    for path, follow, before in stamps:
        if before is None:
            if os.access(path, os.F_OK):  # several times cheaper than an exception
                return False
        elif stamp(path, follow=follow) != before:
            return False
    return True


def find_nvml(root: Root) -> Found | None:
    """NVML's library under the root."""
    look = Look(root)
    return look.first(look.library_folders(), NVML_NAME)


def find_binary(root: Root, name: str) -> Found | None:
    """A program under the root; one that nobody may execute does not count."""
    look = Look(root)
    for found in look.all(BINARY_FOLDERS, name):
        if os.stat(found.here).st_mode & 0o111:
            return found
    return None


def _join(folder: str, inside: str) -> str:
    return folder.rstrip("/") + "/" + inside.lstrip("/") if inside != "/" else (folder.rstrip("/") or "/")
