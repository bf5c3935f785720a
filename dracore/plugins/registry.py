"""The enabled plugins: found, checked, put in order, and called one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from dracore.errors import ConfigError, DracoreError, PluginError
from dracore.model.context import ConfigKind, SharingStrategy
from dracore.model.effect import Effect
from dracore.plugins.checks import checked
from dracore.plugins.contributions import clashes
from dracore.plugins.installed import EntryPoints, Installed, PluginInfo, info_of
from dracore.plugins.plugin import Distribution, Plugin

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Contributed(Generic[T]):
    """Something with the plugin that contributed it."""

    plugin: str
    value: T


class Plugins:
    """The enabled plugins of this process, in their order: requirements first, then as they were named."""

    def __init__(
        self,
        enabled: Iterable[Plugin],
        settings: Mapping[str, Any],
        installed: Installed,
    ) -> None:
        self._plugins = {plugin.name: plugin for plugin in enabled}
        self._settings = dict(settings)
        self._installed = installed
        self._drivers: dict[str, list[Plugin]] = {}
        for plugin in self._plugins.values():
            self._drivers.setdefault(plugin.driver, []).append(plugin)

    @classmethod
    def load(cls, enabled: Mapping[str, Any], find: EntryPoints | None = None) -> Plugins:
        """Imports and checks the enabled plugins.

        :param enabled: names to their sections of the node configuration, as they stand there.
        :param find: entry points of a group; default: those of the installed distributions.
        :raises PluginError: what is wrong with a plugin; :class:`ConfigError` with all of them for several.
        """
        plugins, problems = cls.find(enabled, find)
        if problems:
            raise _all_of([problem.value for problem in problems])
        return plugins

    @classmethod
    def find(
        cls, enabled: Mapping[str, Any], find: EntryPoints | None = None
    ) -> tuple[Plugins, list[Contributed[DracoreError]]]:
        """As :meth:`load`, but answers what is usable together with what is not."""
        installed = Installed(find or (lambda group: entry_points(group=group)))
        loaded: dict[str, Plugin] = {}
        problems: list[Contributed[DracoreError]] = []
        for name in enabled:
            try:
                loaded[name] = installed.load(name)
            except DracoreError as error:
                problems.append(Contributed(name, error))
        return cls._order(loaded, enabled, enabled, installed, problems)

    @classmethod
    def of(
        cls,
        plugins: Mapping[str, object],
        *,
        drivers: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Plugins:
        """Plugins made in this process (tests, embedding), checked as installed ones are.

        :param plugins: names to modules or objects with hooks.
        :param drivers: driver names of plugins without ``dra_driver``.
        :param settings: what :meth:`settings` answers.
        """
        drivers = drivers or {}
        made = {
            name: checked(name, value, Distribution(), drivers.get(name, ""))
            for name, value in plugins.items()
        }
        ordered, problems = cls._order(made, plugins, settings or {}, Installed(lambda _: ()), [])
        if problems:
            raise _all_of([problem.value for problem in problems])
        return ordered

    @classmethod
    def _order(
        cls,
        loaded: Mapping[str, Plugin],
        named: Iterable[str],
        settings: Mapping[str, Any],
        installed: Installed,
        problems: list[Contributed[DracoreError]],
    ) -> tuple[Plugins, list[Contributed[DracoreError]]]:
        ordered: dict[str, Plugin] = {}
        names = tuple(named)

        def visit(plugin: Plugin, path: tuple[str, ...]) -> None:
            if plugin.name in path:
                cycle = " → ".join((*path[path.index(plugin.name) :], plugin.name))
                error = PluginError(f"plugins require each other: {cycle}")
                problems.append(Contributed(plugin.name, error))
                return
            if plugin.name in ordered:
                return
            for name in plugin.requires:
                if name in loaded:
                    visit(loaded[name], (*path, plugin.name))
                elif name not in names:
                    problems.append(Contributed(plugin.name, _not_enabled(plugin, name, installed)))
            ordered.setdefault(plugin.name, plugin)

        for plugin in loaded.values():
            visit(plugin, ())
        plugins = cls(ordered.values(), settings, installed)
        for members in plugins._drivers.values():
            problems += [Contributed(name, error) for name, error in clashes(members)]
        return plugins, problems

    def with_settings(self, settings: Mapping[str, Any]) -> Plugins:
        """The same plugins with other settings (decoded ones instead of raw ones)."""
        return Plugins(self._plugins.values(), settings, self._installed)

    # --- calling ---------------------------------------------------------------------------------------

    def call(self, plugin: str, hook: str, /, **arguments: Any) -> Any:
        """Calls one hook of one plugin; None where it does not implement it.

        :raises DracoreError: what the plugin raised; anything else comes as :class:`PluginError`. Both say
            plugin and hook.
        """
        return self._plugins[plugin].call(hook, arguments)

    def implements(self, plugin: str, hook: str) -> bool:
        return hook in self._plugins[plugin].hooks

    # --- what they are ---------------------------------------------------------------------------------

    def drivers(self) -> tuple[str, ...]:
        """The drivers that the enabled plugins serve."""
        return tuple(self._drivers)

    def plugins(self, driver: str | None = None) -> tuple[str, ...]:
        """The enabled plugins (of one driver), in their order."""
        members = self._plugins.values() if driver is None else self._drivers.get(driver, ())
        return tuple(plugin.name for plugin in members)

    def driver(self, plugin: str) -> str:
        return self._plugins[plugin].driver

    def requires(self, plugin: str) -> tuple[str, ...]:
        return self._plugins[plugin].requires

    def lost_taint(self, plugin: str) -> str:
        """Key of the taint of devices that vanish while prepared; empty: the core's own."""
        return self._plugins[plugin].lost_taint

    def settings(self, plugin: str) -> Any:
        """The plugin's settings: decoded by its model where the node configuration was loaded."""
        return self._settings.get(plugin)

    def distribution(self, plugin: str) -> Distribution:
        """What the plugin was installed with, enabled or not."""
        if plugin in self._plugins:
            return self._plugins[plugin].distribution
        return self._installed.distribution(plugin)

    # --- what they contribute --------------------------------------------------------------------------

    def config_kinds(self, driver: str) -> tuple[Contributed[ConfigKind], ...]:
        """The opaque parameter kinds of a driver, in the order of its plugins."""
        return tuple(Contributed(p.name, kind) for p in self._drivers.get(driver, ()) for kind in p.kinds)

    def strategies(self, driver: str) -> Mapping[str, Contributed[SharingStrategy]]:
        """The sharing strategies of a driver by their names."""
        return {
            strategy.name: Contributed(p.name, strategy)
            for p in self._drivers.get(driver, ())
            for strategy in p.strategies
        }

    def effect_type(self, driver: str, kind: str) -> type[Effect] | None:
        """The effect type of a kind that the journal names; None where no installed plugin has it.

        Plugins that are installed and not enabled are asked too: their claims still have to be released.
        """
        for plugin in self._drivers.get(driver, ()):
            if kind in plugin.effects:
                return plugin.effects[kind]
        for plugin in self._installed.others(self._plugins):
            if plugin.driver == driver and kind in plugin.effects:
                return plugin.effects[kind]
        return None

    def describe(self) -> list[PluginInfo]:
        """Every enabled plugin, then every other one that is installed, with what is wrong with it."""
        enabled = [info_of(plugin, "enabled") for plugin in self._plugins.values()]
        return enabled + [info for info in self._installed.describe() if info.name not in self._plugins]


def _all_of(problems: Sequence[DracoreError]) -> DracoreError:
    if len(problems) == 1:
        return problems[0]
    text = "; ".join(map(str, problems))
    return ConfigError(f"{len(problems)} faults in plugins: {text}", problems=problems)


def _not_enabled(plugin: Plugin, name: str, installed: Installed) -> PluginError:
    if name in installed.names():
        return PluginError(
            f"plugin {plugin.name!r} requires the plugin {name!r}, which is not enabled",
            fix=f"add {name!r} to `plugins` of the node configuration",
        )
    return PluginError(
        f"plugin {plugin.name!r} requires the plugin {name!r}, which is not installed",
        fix=f"install it (the bundled ones are distributions named dracore-…) and add {name!r} to `plugins`",
    )
