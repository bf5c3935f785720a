"""What the engine and the inventory of one driver are given of the process around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog

from dracore.errors import PluginError
from dracore.model.context import Simulation
from dracore.model.effect import Effect
from dracore.node.api import Api
from dracore.plugins import Plugins


class Surroundings:
    """The node, the settings of plugins, their sessions, the API client.

    :param hooks: answers settings; a reload replaces them.
    :param session: the session of any plugin of the process; None where it is not running.
    """

    def __init__(
        self,
        driver: str,
        node: str,
        simulation: Simulation | None,
        hooks: Hooks,
        session: Callable[[str], Any],
        api: Api,
    ) -> None:
        self.driver = driver
        self.node = node
        self.simulation = simulation
        self._hooks = hooks
        self._session = session
        self._api = api

    def settings(self, plugin: str) -> Any:
        return self._hooks.settings(plugin)

    def log(self, plugin: str) -> Any:
        return structlog.get_logger("dracore.plugin").bind(driver=self.driver, plugin=plugin)

    def session(self, plugin: str) -> Any:
        return self._session(plugin)

    def kube(self) -> Any:
        return self._api()


class Hooks:
    """The plugins as engine and inventory call them; the traceback of a defect goes to the log.

    A reload replaces `plugins` by the same ones with other settings.
    """

    def __init__(self, plugins: Plugins) -> None:
        self.current = plugins

    def plugins(self, driver: str) -> Sequence[str]:
        return self.current.plugins(driver)

    def requires(self, plugin: str) -> Sequence[str]:
        return self.current.requires(plugin)

    def lost_taint(self, plugin: str) -> str:
        return self.current.lost_taint(plugin)

    def implements(self, plugin: str, hook: str) -> bool:
        return self.current.implements(plugin, hook)

    def settings(self, plugin: str) -> Any:
        return self.current.settings(plugin)

    def call(self, plugin: str, hook: str, /, **arguments: Any) -> Any:
        """The hook's answer.

        :raises DracoreError: it failed; a defect comes as PluginError naming plugin and hook.
        """
        try:
            return self.current.call(plugin, hook, **arguments)
        except PluginError as error:
            if error.__cause__ is not None:
                structlog.get_logger("dracore.plugin").error(
                    "a hook has a defect", plugin=plugin, hook=hook, exc_info=error.__cause__
                )
            raise

    def effect_type(self, driver: str, kind: str) -> type[Effect] | None:
        return self.current.effect_type(driver, kind)

    def distribution_of(self, driver: str, kind: str) -> str:
        """The package that brings an effect kind, as one would install it; empty: no enabled plugin does."""
        for plugin in self.current.plugins(driver):
            if any(effect.kind == kind for effect in self.current.call(plugin, "dra_effects") or ()):
                return self.current.distribution(plugin).name
        return ""
