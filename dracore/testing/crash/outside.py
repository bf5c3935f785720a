"""Hears where effects write: what lies outside the folder of a run is neither observed nor made anew."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FIRST = {"os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "os.chown", "os.utime"}
_SECOND = {"os.rename", "os.link", "os.symlink"}
_STEPS = ("effect.apply.before", "effect.revert.before", "effect.before.before")


class Outside:
    """Listens at the seam and at Python's audit hooks, in a forked child: nothing is undone.

    :param run: the folder of the run: its ground and its disk may be written to.
    :param tell: told of each place once, with the effect that wrote there.
    """

    def __init__(self, run: Path, tell: Callable[[str], None]) -> None:
        home = run.resolve()
        self._allowed = (f"{home}/node/", f"{home}/disk/", "/dev/null", "/dev/tty", "/proc/self")
        self._tell = tell
        self._effect = ""
        self._known: set[tuple[str, str]] = set()
        sys.addaudithook(self._heard)

    def __call__(self, point: str, detail: str) -> None:
        self._effect = detail if point in _STEPS else ""

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._effect:
            return
        if event == "open":
            path = arguments[0] if arguments[2] & _WRITES else None
        else:
            path = arguments[0] if event in _FIRST else arguments[1] if event in _SECOND else None
        if not isinstance(path, (str, bytes, os.PathLike)) or not os.path.isabs(path):
            return  # relative to an open folder, which was found by its path
        place = os.path.realpath(os.fsdecode(path))
        if place.startswith(self._allowed) or place.endswith((".pyc", "__pycache__")):
            return
        effect = self._effect
        if (effect, place) not in self._known:
            self._known.add((effect, place))
            shown = place.replace(tempfile.gettempdir(), "$TMPDIR")
            self._tell(f"outside: {effect} writes {shown}, which is not below the folder of its ground")
