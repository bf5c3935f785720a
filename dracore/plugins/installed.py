"""The plugins that are installed: found by entry points, imported when they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Literal, TypeAlias

from dracore.errors import DracoreError, PluginError
from dracore.plugins.checks import DRIVER_GROUP, checked
from dracore.plugins.plugin import Distribution, Plugin, nearest

GROUP = "dracore.plugins"
"""Entry points of plugins: name to module (or object)."""
EntryPoints: TypeAlias = Callable[[str], Iterable[EntryPoint]]


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One installed plugin, as ``dracore plugins`` shows it.

    :param problem: why it cannot be used; empty where it can.
    """

    name: str
    distribution: Distribution
    state: Literal["enabled", "available", "broken"]
    driver: str = ""
    requires: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    problem: str = ""


class Installed:
    """The plugins that are installed, imported when they are asked for."""

    def __init__(self, find: EntryPoints) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[str, Plugin | DracoreError] = {}
        self._points: dict[str, list[EntryPoint]] = {}
        for point in find(GROUP):
            self._points.setdefault(point.name, []).append(point)
        self._drivers = {point.name: point.value.strip() for point in find(DRIVER_GROUP)}

    def names(self) -> list[str]:
        return sorted(self._points)

    def load(self, name: str) -> Plugin:
        with self._lock:
            if name not in self._loaded:
                try:
                    self._loaded[name] = self._load(name)
                except DracoreError as error:
                    self._loaded[name] = error
            loaded = self._loaded[name]
        if isinstance(loaded, DracoreError):
            raise loaded
        return loaded

    def _load(self, name: str) -> Plugin:
        points = self._points.get(name, [])
        if not points:
            known = ", ".join(self.names()) or "none"
            hint = nearest(name, self._points)
            raise PluginError(
                f"plugin {name!r} is not installed (installed: {known})",
                fix=hint or "install the distribution that has it, or take it out of `plugins`",
            )
        origins = sorted({_origin(point).name for point in points})
        if len(origins) > 1:
            raise PluginError(
                f"plugin {name!r} is installed twice, by {' and '.join(origins)}", fix="uninstall one of them"
            )
        origin = _origin(points[0])
        try:
            value = points[0].load()
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"cannot be imported from {points[0].value}: {type(error).__name__}: {error}",
                where=f"plugin {name} of {origin}",
                fix=f"reinstall {origin.name or 'it'}, or take the plugin out of `plugins`",
            ) from error
        return checked(name, value, origin, self._drivers.get(name, ""))

    def others(self, enabled: Iterable[str]) -> Iterable[Plugin]:
        for name in self._points.keys() - set(enabled):
            try:
                yield self.load(name)
            except DracoreError:
                continue  # `dracore plugins` tells; here only what works can help

    def distribution(self, name: str) -> Distribution:
        points = self._points.get(name)
        return _origin(points[0]) if points else Distribution()

    def describe(self) -> Iterable[PluginInfo]:
        for name in self.names():
            try:
                yield info_of(self.load(name), "available")
            except DracoreError as error:
                yield PluginInfo(name, self.distribution(name), "broken", problem=str(error))


def info_of(plugin: Plugin, state: Literal["enabled", "available"]) -> PluginInfo:
    return PluginInfo(
        plugin.name, plugin.distribution, state, plugin.driver, plugin.requires, tuple(sorted(plugin.hooks))
    )


def _origin(point: EntryPoint) -> Distribution:
    dist = point.dist
    return Distribution(dist.name, dist.version) if dist else Distribution()
