"""For tests of things that other threads and processes bring about: a condition is awaited, never a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SECONDS = 40.0
"""Far beyond what anything takes, so that a machine under load fails no test."""
STEP = 0.01


def until(condition: Callable[[], T], what: str | Callable[[], object] = "it", seconds: float = SECONDS) -> T:
    """Looks until `condition` gives something true, and gives that.

    :param what: what is awaited, for the error; a function tells what is there instead.
    :raises AssertionError: it did not come true in `seconds`.
    """
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            told = what if isinstance(what, str) else repr(what())
            raise AssertionError(f"{told} did not come true in {seconds:.0f} s")
        time.sleep(STEP)
    return value
