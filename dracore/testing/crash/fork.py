"""Work in forked children of a process that never opened SQLite, gRPC or threads: milliseconds each."""

from __future__ import annotations

import faulthandler
import json
import os
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT = 30.0
"""Seconds after which a child is ended and counts as hung."""


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    killed: bool
    failed: str
    """What ended it instead of an answer; empty: nothing."""
    answer: Any = None


def forked(work: Callable[[], Any], out: Path) -> Ended:
    """Runs `work` in a child and answers what it answered (JSON), by way of the file `out`."""
    assert threading.active_count() == 1, "a process with threads must not fork"
    out.unlink(missing_ok=True)
    hung = out.with_suffix(".hung")
    hung.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            # Left open: it is written to by a thread without Python.
            faulthandler.dump_traceback_later(LIMIT, exit=True, file=open(hung, "w"))  # noqa: SIM115
            out.write_text(json.dumps({"answer": work()}))
            code = 0
        except BaseException as error:  # noqa: BLE001 - told to the parent, whatever it is
            place = "".join(traceback.format_tb(error.__traceback__)[-2:])
            out.write_text(json.dumps({"failed": f"{type(error).__name__}: {error}\n{place}"}))
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) == signal.SIGKILL:
            return Ended(True, "")
        return Ended(False, f"it was ended by signal {os.WTERMSIG(status)}")
    if not out.exists() and hung.exists() and (frames := hung.read_text().splitlines()[1:]):
        where = "; ".join(" ".join(frame.split()) for frame in frames[:3])
        return Ended(False, f"it hung for {LIMIT:.0f} s, longer than a call may take, in {where}")
    content = json.loads(out.read_text()) if out.exists() else {"failed": "it ended without a word"}
    return Ended(False, content.get("failed", ""), content.get("answer"))


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder in memory where that can be had: SIGKILL loses nothing of it, and fsync costs nothing."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of an unforeseeable name is made in it
    base = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="dracore-crash-", dir=base) as name:
        yield Path(name)


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def shared_out(tasks: int, jobs: int, work: Callable[[int], Any]) -> list[Any]:
    """Runs ``work(0..tasks-1)`` in `jobs` forked workers, each taking the next one; answers in order."""
    todo, fill = os.pipe()
    for number in range(tasks):
        os.write(fill, number.to_bytes(4, "big"))
    os.close(fill)
    with tempfile.TemporaryDirectory(prefix="dracore-jobs-") as name:
        children = []
        for _ in range(jobs):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    while taken := os.read(todo, 4):
                        number = int.from_bytes(taken, "big")
                        Path(name, str(number)).write_text(json.dumps(work(number)))
                    code = 0
                except BaseException:  # noqa: BLE001 - a worker must not go on as its parent
                    traceback.print_exc()
                finally:
                    os._exit(code)
            children.append(pid)
        os.close(todo)
        bad = [pid for pid in children if os.waitpid(pid, 0)[1]]
        if bad:
            raise RuntimeError("a worker of the crash matrix failed; see above")
        return [json.loads(Path(name, str(number)).read_text()) for number in range(tasks)]
