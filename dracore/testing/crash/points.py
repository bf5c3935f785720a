"""The seam of a run: notes every point, and at one of them dies or fails."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Callable, Collection
from types import FrameType
from typing import Any, Literal, TypeAlias

Fault: TypeAlias = Literal[
    "none", "kill", "ENOSPC", "EIO", "EROFS", "timeout", "defect", "exit", "full", "gone", "stop"
]
"""What happens at the chosen point: ``kill`` is SIGKILL; an errno, ``timeout`` or ``defect`` is raised once;
``exit`` is what ends a thread, SystemExit or CancelledError, raised once in an effect's own code;
``full`` lets every later write of the engine fail with ENOSPC; ``gone`` ends the caller's patience; ``stop``
is SIGSTOP."""

_WRITES = ("journal.begin", "journal.commit", "cdi.", "file.")
_INSIDE = ("effect.before.before", "effect.apply.before", "effect.revert.before", "effect.probe.before")


class Points:
    """Counts the points of one process, from 0.

    :param target: the number of the point at which `fault` happens; -1: never.
    :param sources: prefixes of source files. Between the lines of effects' own code in these, points lie
        too (``effect.apply.line``), so that a change is also left half made.
    """

    def __init__(
        self,
        target: int = -1,
        fault: Fault = "none",
        *,
        sources: Collection[str] = (),
    ) -> None:
        self.target = target
        self.fault: Fault = fault
        self.seen: list[str] = []
        self.caller_gone = False
        self.resumed = False
        """It was stopped, and goes on."""
        self.on_resume: Callable[[], None] = lambda: None
        self.dies_then = False
        """And dies with its next commit."""
        self._sources = tuple(sources)
        self._listeners: list[Callable[[str, str], None]] = []
        self._full = False
        self._step = ""

    def watch(self, listener: Callable[[str, str], None]) -> None:
        """`listener` is told of every point from here on, before the fault."""
        self._listeners.append(listener)

    def unwatch(self, listener: Callable[[str, str], None]) -> None:
        self._listeners.remove(listener)

    def calm(self) -> None:
        """No fault from here on."""
        self.target, self._full, self.caller_gone = -1, False, False

    def __call__(self, point: str, detail: str = "") -> None:
        if self._sources:
            sys.settrace(None)
        self._pass(point, detail)
        if self._sources and point in _INSIDE:
            self._step = f"{point.rsplit('.', 1)[0]}.line"
            sys.settrace(self._enter)

    def _pass(self, point: str, detail: str) -> None:
        number = len(self.seen)
        self.seen.append(f"{point} {detail}".rstrip())
        for listener in list(self._listeners):
            listener(point, detail)
        if self.resumed and self.dies_then and point == "journal.commit.after":
            os.kill(os.getpid(), signal.SIGKILL)
        if number == self.target:
            self._fail(point)
        elif self._full and point.startswith(_WRITES) and point.endswith(".before"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _fail(self, point: str) -> None:
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.fault == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
            self.resumed = True
            self.on_resume()
        elif self.fault == "full":
            self._full = True
            if point.startswith(_WRITES) and point.endswith(".before"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        elif self.fault == "gone":
            self.caller_gone = True
        elif self.fault == "timeout":
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        elif self.fault == "defect":
            raise ValueError(f"a defect at {point}")
        elif self.fault == "exit":
            raise (SystemExit, asyncio.CancelledError)[self.target % 2](f"an exit at {point}")
        elif self.fault != "none":
            number = getattr(errno, self.fault)
            raise OSError(number, os.strerror(number))

    # --- between the lines of an effect -----------------------------------------------------------------

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(self._sources) else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event in ("line", "return"):
            place = f"{frame.f_code.co_name}:{frame.f_lineno}"
            if event == "return":
                place += " (end)"
            tracer = sys.gettrace()
            sys.settrace(None)
            try:
                self._pass(self._step, place)
            finally:
                sys.settrace(tracer)
        return self._line
