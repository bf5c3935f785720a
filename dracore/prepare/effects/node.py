"""The node as one effect sees it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from dracore.prepare.kit import Kit
from dracore.prepare.locks import digest

TimeLeft: TypeAlias = Callable[[], float]
"""Seconds that are left for what is being done."""


class EffectNode:
    """The node as one effect sees it (:class:`dracore.model.effect.Node`)."""

    def __init__(self, kit: Kit, key: str, time_left: TimeLeft) -> None:
        self._kit = kit
        self._folder = effect_dir(kit.folder, key)
        self._time_left = time_left
        self.name = kit.surroundings.node
        self.driver = kit.driver

    @property
    def dir(self) -> Path:
        if not self._folder.is_dir():
            self._kit.seam("file.mkdir.before", str(self._folder))
            self._folder.mkdir(parents=True, exist_ok=True)
            self._kit.seam("file.mkdir.after", str(self._folder))
        return self._folder

    def session(self, plugin: str) -> Any:
        return self._kit.surroundings.session(plugin)

    @property
    def kube(self) -> Any:
        return self._kit.surroundings.kube()

    def time_left(self) -> float:
        return self._time_left()


def effect_dir(folder: Path, key: str) -> Path:
    return folder / "effects" / digest(key)
