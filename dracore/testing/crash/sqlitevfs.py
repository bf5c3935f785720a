"""Hears of every fsync that SQLite itself makes, by standing in its VFS (https://sqlite.org/vfs.html).

Python's ``os.fsync`` never sees those: the library makes them in C. For one forked child; nothing is undone.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sqlite3
from collections.abc import Callable

_OK = 0
_CREATE = 0x00000004
_MAIN_JOURNAL, _SUPER_JOURNAL, _WAL = 0x00000800, 0x00004000, 0x00080000

_File = ctypes.c_void_p
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, _File, ctypes.c_int)
_Open = ctypes.CFUNCTYPE(
    # The name as a bare pointer: SQLite keeps it, so it must not be that of a copy.
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,
    _File,
    ctypes.c_int,
    ctypes.POINTER(ctypes.c_int),
)


class _Methods(ctypes.Structure):
    """``sqlite3_io_methods`` up to version 3; only `sync` is replaced."""

    _fields_ = [
        ("version", ctypes.c_int),
        ("close", ctypes.c_void_p),
        ("read", ctypes.c_void_p),
        ("write", ctypes.c_void_p),
        ("truncate", ctypes.c_void_p),
        ("sync", ctypes.c_void_p),
        *((f"other{i}", ctypes.c_void_p) for i in range(13)),
    ]


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs`` up to xOpen."""

    _fields_ = [
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
    ]


class SqliteSyncs:
    """Calls ``synced(path, with_folder)`` after each fsync that SQLite makes in this process.

    ``with_folder``: the folder was synced too, as SQLite does with the first sync of a journal or WAL that it
    made.
    """

    def __init__(self, synced: Callable[[str, bool], None]) -> None:
        library = _library()
        if library is None:
            raise RuntimeError("this Python has SQLite built in, so its fsyncs cannot be heard of")
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        vfs = library.sqlite3_vfs_find(None).contents
        self._synced = synced
        self._paths: dict[int, tuple[str, bool]] = {}
        self._original = _Open(vfs.open)
        self._tables: dict[int, tuple[_Methods, object, object]] = {}
        self._opened = _Open(self._open)
        vfs.open = ctypes.cast(self._opened, ctypes.c_void_p)

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out: object) -> int:
        result: int = self._original(vfs, name, file, flags, out)
        if result == _OK and name is not None:
            made = bool(flags & _CREATE and flags & (_MAIN_JOURNAL | _SUPER_JOURNAL | _WAL))
            self._paths[file] = (os.fsdecode(ctypes.string_at(name)), made)
            # The file begins with a pointer to its methods, a table that SQLite keeps for all such files.
            place = ctypes.cast(file, ctypes.POINTER(ctypes.c_void_p))
            table = place[0]
            if table is not None:
                place[0] = self._table(table)
        return result

    def _table(self, original: int) -> int:
        if original not in self._tables:
            methods = _Methods.from_buffer_copy(ctypes.cast(original, ctypes.POINTER(_Methods)).contents)
            sync = _Sync(methods.sync)

            def synced(file: int, flags: int) -> int:
                result: int = sync(file, flags)
                if result == _OK and file in self._paths:
                    path, made = self._paths[file]
                    self._paths[file] = (path, False)
                    self._synced(path, made)
                return result

            callback = _Sync(synced)
            methods.sync = ctypes.cast(callback, ctypes.c_void_p)
            self._tables[original] = (methods, sync, callback)
        return ctypes.addressof(self._tables[original][0])


def available() -> bool:
    """Whether this Python's SQLite is a shared library."""
    return _library() is not None


def _library() -> ctypes.CDLL | None:
    for name in ("libsqlite3.so.0", ctypes.util.find_library("sqlite3")):
        if not name:
            continue
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        library.sqlite3_libversion.restype = ctypes.c_char_p
        if library.sqlite3_libversion().decode() == sqlite3.sqlite_version and _is_loaded(name):
            return library
    return None


def _is_loaded(name: str) -> bool:
    """Whether Python's own module uses the shared library: it is the same only then."""
    import _sqlite3

    file = getattr(_sqlite3, "__file__", None)
    if file is None:
        return False
    with open(file, "rb") as content:
        return os.path.basename(name).partition(".so")[0].encode() in content.read()
