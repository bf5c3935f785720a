"""Signals that end the demo, also one that Python has lost."""

from __future__ import annotations

import signal
from types import FrameType


class Interrupts:
    """SIGINT, SIGTERM (`timeout`) and SIGHUP (a closed terminal) raise KeyboardInterrupt, to clean up.

    Python drops an exception that a signal raises inside a finalizer, and imports run many of those. So the
    demo also asks between its steps, and while it waits.
    """

    def __init__(self) -> None:
        self._seen = False

    def install(self) -> None:
        """From now on; belongs to the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._interrupt)

    def check(self) -> None:
        """:raises KeyboardInterrupt: a signal has come."""
        if self._seen:
            raise KeyboardInterrupt

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._seen = True
        raise KeyboardInterrupt
