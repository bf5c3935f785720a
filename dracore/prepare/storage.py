"""The journal's files: what is looked at before one is opened, and what is said where that fails.

Only sqlite3 opens the database and its index file (``-shm``): closing any other descriptor on them would drop
SQLite's locks. The log (``-wal``) carries none.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import sqlite3
import stat
from dataclasses import dataclass
from pathlib import Path

from dracore.errors import JournalBusy, JournalError
from dracore.prepare import checksums, schema, wal
from dracore.prepare.ports import Clock

ENDINGS = ("-wal", "-shm", "")
"""Of the files that belong together. The database last: while it is there under its name, a crash while they
are renamed begins again."""
LOOK_TIMEOUT = 5.0
"""Seconds to wait for another process that has the database locked."""

_OF_THE_PLACE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_ABORT,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_AUTH,
}
"""SQLite's primary result codes, https://sqlite.org/rescode.html"""

_MADE = b"A journal was made beside this file.\n"


def open_guard(path: Path) -> int:
    """A shared lock for life: nobody sets a journal aside that another has open."""
    guard = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_SH)
    except BaseException:
        os.close(guard)
        raise
    return guard


def was_made(guard: int) -> bool:
    """Whether a journal was finished here before, now or once."""
    return os.fstat(guard).st_size > 0


def mark_made(guard: int) -> None:
    if not was_made(guard):
        os.write(guard, _MADE)
        os.fsync(guard)


@dataclass(frozen=True, slots=True)
class Damage:
    """:param tail: of what could be read, the latest commits may be missing."""

    text: str
    tail: bool = False


def damage_of(path: Path, guard: int) -> Damage | None:
    """Looks at what is there without changing it; answers what is wrong with its content.

    :raises JournalTooNew: as :func:`schema.version_of`; also of a damaged one, where that can be read.
    """
    if not path.exists() or path.stat().st_size == 0:
        return Damage("the database is gone, and its log is not", tail=True) if has_log(path) else None
    log, index = Path(f"{path}-wal"), Path(f"{path}-shm")
    # Where another process writes, what is half written would look like damage.
    last = wal.index_of(index) if (by_itself := alone(guard)) else None
    if by_itself and (fault := _header_fault(path)):
        return Damage(fault)
    found = _content(path, made=was_made(guard))
    if found is None and by_itself:
        text = wal.damage_of(log, last, wal.index_of(index))
        return Damage(text, tail=True) if text else None
    return found


def _header_fault(path: Path) -> str:
    """What SQLite would take for a file that nobody may write to; no process may have it open.

    Bytes 18 and 19: https://sqlite.org/fileformat2.html#file_format_version_numbers
    """
    with path.open("rb") as file:
        versions = file.read(100)[18:20]
    return "" if versions in (b"", b"\1\1", b"\2\2") else "the header of the file is malformed"


def _content(path: Path, *, made: bool) -> Damage | None:
    connection = _open_to_read(path)
    try:
        version = schema.version_of(connection, damaged=True)
        if version is None:
            return Damage("nothing is left of it", tail=True) if made else None
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            return Damage(" ".join(str(found).split()))
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        if path.stat().st_size % size and not has_log(path):
            return Damage("its last page is cut off")  # SQLite takes zeros for what is missing
        text = schema.altered(connection, version) or checksums.altered(connection)
        return Damage(text) if text else None
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if _is_of_the_place(error):
            raise
        return Damage(str(error))
    finally:
        connection.close()


def _open_to_read(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=LOOK_TIMEOUT)


def has_log(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.stat(f"{path}-wal").st_size > 0
    return False


def alone(guard: int) -> bool:
    """Whether no other process has the journal open."""
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # The attempt to convert a lock may have dropped it (flock(2)).
        fcntl.flock(guard, fcntl.LOCK_SH)
        return False
    fcntl.flock(guard, fcntl.LOCK_SH)
    return True


def set_aside(path: Path, guard: int, damage: str, clock: Clock) -> Path:
    """Renames the files of a damaged journal.

    :raises JournalError: another instance has it open.
    """
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JournalError(
            f"the journal is damaged ({damage}) and another instance has it open",
            fix="stop the other instance of this driver; the next start sets the file aside",
        ) from None
    aside = rename_all(path, "damaged", clock)
    fcntl.flock(guard, fcntl.LOCK_SH)
    return aside


def rename_all(path: Path, why: str, clock: Clock) -> Path:
    """Gives the files at `path` a name that nobody uses; they keep belonging together."""
    number = int(clock.now())
    while any(
        os.path.lexists(f"{path}.{why}-{number}{ending}") for ending in ENDINGS
    ):  # the clock may stand still, or go back
        number += 1
    aside = path.with_name(f"{path.name}.{why}-{number}")
    for ending in ENDINGS:
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{ending}", f"{aside}{ending}")
    sync_folder(path.parent)
    return aside


def make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, mode=0o750, exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- what is said -----------------------------------------------------------------------------------------


def check_access(path: Path) -> None:
    """:raises JournalError: the files belong to somebody else, whom SQLite's own files would shut out."""
    found = _not_ours(path)
    if found:
        raise JournalError(f"cannot open the journal: {found[0]}", where=str(path), fix=found[1])


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that the content is not what it wrote."""
    return isinstance(error, sqlite3.DatabaseError) and any(
        text in str(error) for text in ("malformed", "not a database", "Could not decode")
    )


def _is_of_the_place(error: BaseException) -> bool:
    """Whether an error is about the place where the file lies (locked, not permitted, no space), and says
    nothing of its content."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in _OF_THE_PLACE


def is_busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


def text_of(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)


def cannot(verb: str, path: Path, error: BaseException) -> JournalError:
    text = text_of(error)
    if is_busy(error):
        return JournalBusy(
            f"cannot {verb} the journal: {text}{_who_has_it_open(path)}",
            where=str(path),
            fix="another process holds it; let it go on, or end it",
        )
    if is_damage(error):
        fix = "restart the driver: it sets a damaged journal aside and reads what it can"
    else:
        found = _not_ours(path)
        if found:
            text, fix = found
        else:
            fix = "check space, permissions and health of that folder"
    return JournalError(f"cannot {verb} the journal: {text}", where=str(path), fix=fix)


def _who_has_it_open(path: Path) -> str:
    """The live instances of this driver, for a person; one can be read of while another process writes."""
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=0.1)) as connection:
            rows = connection.execute("SELECT id, pid FROM instances ORDER BY ordinal").fetchall()
    except (sqlite3.Error, OSError, UnicodeDecodeError):
        return ""
    found = [
        f"{instance} (pid {pid}{', stopped' if _is_stopped(pid) else ''})"
        for instance, pid in rows
        if pid != os.getpid() and is_locked(path.with_name(f"instance-{instance}.lock"))
    ]
    return f"; open in instance {', '.join(found)}" if found else ""


def _is_stopped(pid: int) -> bool:
    """Whether a process was stopped (SIGSTOP, a debugger); in another pod's namespace nobody can tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    except (OSError, IndexError):
        return False


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a file."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return error.errno != errno.ENOENT
    try:
        # Shared, so that two who look never take each other for the holder.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(file)


def _not_ours(path: Path) -> tuple[str, str] | None:
    """The first of the journal's files that belongs to somebody else and is closed to this process."""
    me = os.geteuid()
    beside = [Path(f"{path}{ending}") for ending in ("", "-wal", "-shm")]
    for file in (*reversed(path.parents), path.with_name("journal.lock"), *beside):
        try:
            found = file.stat()
        except OSError:
            continue
        folder = stat.S_ISDIR(found.st_mode)
        # Of the folders above, only the last one need be written to.
        needs = os.R_OK | os.W_OK if not folder else os.X_OK | (os.W_OK if file == path.parent else 0)
        if found.st_uid == me or os.access(file, needs, effective_ids=True):
            continue
        if os.statvfs(file).f_flag & os.ST_RDONLY:
            return None
        mode = stat.filemode(found.st_mode)
        text = f"{file} belongs to {_user(found.st_uid)} ({mode}) and this process runs as {_user(me)}"
        owner = _user(found.st_uid)
        return text, f"run dracore as {owner}, or give the folder {path.parent} to {_user(me)} (chown -R)"
    return None


def _user(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"
