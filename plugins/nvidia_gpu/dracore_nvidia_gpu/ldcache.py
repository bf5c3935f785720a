"""Reads the folders out of ``ld.so.cache`` (glibc, ``sysdeps/generic/dl-cache.h``).

Distributions that keep libraries elsewhere than in the usual folders name them there.
"""

from __future__ import annotations

import os
import struct

_MAGIC = b"glibc-ld.so.cache1.1"
_OLD_MAGIC = b"ld.so-1.7.0\0"
_HEADER = struct.Struct("=20sII5I")  # magic, entries, length of the strings, flags and extension
_ENTRY = struct.Struct("=iIIIQ")  # flags, key, value, os version, hardware capability
_OLD_ENTRY_SIZE = 12


DRIVER_LIBRARIES = ("libcuda.so", "libnvidia-ml.so")


def library_folders(path: str, names: tuple[str, ...] = DRIVER_LIBRARIES) -> tuple[str, ...]:
    """The folders of libraries whose names begin so, in the cache's order; () where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return _folders(file.read(), names)
    except (OSError, struct.error, ValueError):
        return ()


def _folders(data: bytes, names: tuple[str, ...]) -> tuple[str, ...]:
    base = 0
    if data.startswith(_OLD_MAGIC):  # an old cache with the new one behind it, aligned to 8
        (count,) = struct.unpack_from("=I", data, len(_OLD_MAGIC))
        base = (len(_OLD_MAGIC) + 4 + count * _OLD_ENTRY_SIZE + 7) & ~7
    if not data.startswith(_MAGIC, base):
        return ()
    count = _HEADER.unpack_from(data, base)[1]
    folders: dict[str, None] = {}
    for index in range(count):
        _, key, value, _, _ = _ENTRY.unpack_from(data, base + _HEADER.size + index * _ENTRY.size)
        if _text(data, base + key).startswith(names):
            folders[os.path.dirname(_text(data, base + value))] = None
    return tuple(folders)


def _text(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode("utf-8", "surrogateescape")
