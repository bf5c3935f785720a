"""Room for deep recursion without touching the recursion limit, which belongs to the whole process.

Python counts the depth of each thread by itself: what goes on in a thread of its own has the whole limit
before it. The API server takes expressions nested 250 deep, whatever the depth of the caller here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")
STRIDE = 60
"""Levels of nesting that one thread takes; one level is up to ten frames."""


def apart(work: Callable[[], _T]) -> _T:
    """Does `work` in a thread of its own; gives what it gives and raises what it raises."""
    outcome: list[Any] = []

    def target() -> None:
        try:
            outcome.extend((True, work()))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            outcome.extend((False, error))

    thread = threading.Thread(target=target, name="dracore-selector", daemon=True)
    thread.start()
    thread.join()
    if outcome[0]:
        return outcome[1]  # type: ignore[no-any-return]
    raise outcome[1]
