"""Work in forked children of a process that never opened SQLite, gRPC or threads."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

LIMIT = 30.0
"""Seconds after which a child is ended and counts as hung."""

_SET_DEATH_SIGNAL = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    killed: bool
    failed: str
    """What ended it instead of an answer; empty: nothing."""
    answer: Any = None


def die_with(parent: int) -> None:
    """From here on this process is killed when its parent dies, however that dies (prctl(2)).

    :param parent: its pid; if that is not the parent any more, this process ends at once.
    """
    _LIBC.prctl(_SET_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def fork() -> int:
    """``os.fork``, with children that do not outlive their parent."""
    assert threading.active_count() == 1, "a process with threads must not fork"
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        die_with(parent)
    return pid


def forked(work: Callable[[], Any], out: Path) -> Ended:
    """Runs `work` in a child of its own and answers what it answered (JSON)."""
    helper = Helper(lambda _: work(), out)
    try:
        return helper.ask(None)
    finally:
        helper.end()


class Helper:
    """A forked child that answers one question after the other; one that fails, or is killed, is replaced.

    To be forked, to touch memory for the first time and to end costs more than most runs do.

    :param work: called in the child with each question (JSON); what it remembers is remembered there.
    :param out: names the child's own files.
    """

    def __init__(self, work: Callable[[Any], Any], out: Path) -> None:
        self._work = work
        self._hung = out.with_suffix(".hung")
        self._pid = 0
        self._questions: IO[str]
        self._answers: IO[str]

    def ask(self, question: Any) -> Ended:
        """Waits for the answer."""
        if not self._pid:
            self._start()
        try:
            self._questions.write(f"{json.dumps(question)}\n")
            self._questions.flush()
        except BrokenPipeError:
            return self._ended()
        line = self._answers.readline()
        if not line.endswith("\n"):
            return self._ended()
        content = json.loads(line)
        if "failed" in content:
            self.end()  # what it has left open is nothing for others
            return Ended(False, content["failed"])
        return Ended(False, "", content["answer"])

    def end(self) -> None:
        if self._pid:
            # An empty line: an end of file would be kept from it by children that were forked since.
            with suppress(BrokenPipeError):
                self._questions.write("\n")
                self._questions.flush()
            self._close()
            os.waitpid(self._pid, 0)
            self._pid = 0

    def _close(self) -> None:
        for pipe in (self._questions, self._answers):
            with suppress(BrokenPipeError):
                pipe.close()

    def _ended(self) -> Ended:
        """It has ended without an answer."""
        self._close()
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            return Ended(number == signal.SIGKILL, f"it was ended by signal {number}" * (number != 9))
        if self._hung.exists() and (frames := self._hung.read_text().splitlines()[1:]):
            where = "; ".join(" ".join(frame.split()) for frame in frames[:3])
            return Ended(False, f"it hung for {LIMIT:.0f} s, longer than a call may take, in {where}")
        return Ended(False, "it ended without a word")

    def _start(self) -> None:
        self._hung.unlink(missing_ok=True)
        theirs, ours = os.pipe(), os.pipe()
        self._pid = fork()
        if self._pid == 0:
            code = 1
            try:
                os.close(theirs[1])
                os.close(ours[0])
                self._serve(theirs[0], ours[1])
                code = 0
            finally:
                os._exit(code)
        os.close(theirs[0])
        os.close(ours[1])
        self._questions, self._answers = os.fdopen(theirs[1], "w"), os.fdopen(ours[0])

    def _serve(self, questions: int, answers: int) -> None:
        hung = open(self._hung, "w")  # noqa: SIM115 - written to by a thread without Python
        with os.fdopen(questions) as lines, os.fdopen(answers, "w") as out:
            while line := lines.readline().strip():
                faulthandler.dump_traceback_later(LIMIT, exit=True, file=hung)
                try:
                    content = json.dumps({"answer": self._work(json.loads(line))})
                except BaseException as error:  # noqa: BLE001 - told to the parent, whatever it is
                    place = "".join(traceback.format_tb(error.__traceback__)[-2:])
                    content = json.dumps({"failed": f"{type(error).__name__}: {error}\n{place}"})
                out.write(f"{content}\n")
                out.flush()
                faulthandler.cancel_dump_traceback_later()


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
            pid = fork()
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
