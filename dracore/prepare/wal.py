"""What SQLite does not say of its log: that commits at its end could not be read.

SQLite takes a frame whose checksum is wrong for the end of the log, as after a power cut, and goes on without
what follows. But each commit of ours is on disk before the next begins (synchronous=FULL), so of one that was
cut off nothing more than itself is lost; and the index of the log (``-shm``), which is written after that,
counts what was whole. Formats: https://sqlite.org/fileformat2.html#walformat, https://sqlite.org/walformat.html
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

_HEADER, _FRAME = 32, 24
_MAGIC = 0x377F0682
"""The last bit: checksums read the words as big-endian."""
_MIDDLE = "its log is damaged: commits at its end cannot be read"


@dataclass(frozen=True, slots=True)
class Index:
    """How far a log is valid, as its index says.

    :param salts: tell this log from the one before its last reset.
    :param kept: frames that are in the database too (a checkpoint).
    """

    salts: bytes
    frames: int
    kept: int = 0


def index_of(path: Path) -> Index | None:
    """The index at `path` (``-shm``), which no process may have open; None where there is none.

    Its first half (two equal copies; another version would be refused by SQLite itself) is what counts.
    """
    try:
        with path.open("rb") as file:
            content = file.read(100)
    except OSError:
        return None
    if len(content) < 100 or content[:48] != content[48:96]:
        return None
    (frames,) = struct.unpack_from("=I", content, 16)
    (kept,) = struct.unpack_from("=I", content, 96)
    return Index(content[32:40], frames, kept)


def damage_of(path: Path, before: Index | None, after: Index | None) -> str:
    """What is wrong with the log at `path`; empty: nothing, or there is none.

    :param before: what the last writer's index said.
    :param after: what SQLite made of the log when it was opened just now.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = b""
    valid = after.frames if after else 0
    if len(content) < _HEADER or not _is_header(content):
        lost = before is not None and before.frames > before.kept
        if not content:  # a process that ends well removes it, when all of it is in the database
            return "its log is gone" if lost else ""
        return _MIDDLE if lost or len(content) > _HEADER else ""
    salts = content[16:24]
    if before and before.salts == salts and before.frames > valid:
        return _MIDDLE
    (size,) = struct.unpack_from(">I", content, 8)
    size = 65_536 if size == 1 else size
    behind = 0
    for start in range(_HEADER + valid * (_FRAME + size), len(content) - _FRAME + 1, _FRAME + size):
        commits = content[start + 4 : start + 8] != bytes(4)
        behind += commits and content[start + 8 : start + 16] == salts
    return _MIDDLE if behind > 1 else ""


def _is_header(content: bytes) -> bool:
    magic, version, size, _, _, _, *sums = struct.unpack_from(">8I", content)
    if magic & ~1 != _MAGIC or version != 3_007_000 or not 512 <= size <= 65_536:
        return False
    first = second = 0
    words = struct.unpack_from(f"{'>' if magic & 1 else '<'}6I", content)
    for i in range(0, 6, 2):
        first = (first + words[i] + second) & 0xFFFFFFFF
        second = (second + words[i + 1] + first) & 0xFFFFFFFF
    return [first, second] == sums
