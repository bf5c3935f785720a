"""What the engine and the inventory of one driver are given of the process around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog

from dracore.errors import ClaimError, DracoreError, PluginError
from dracore.model.context import Simulation
from dracore.model.effect import Effect
from dracore.node.api import Api
from dracore.plugins import Plugins


class Surroundings:
    """The node, the settings of plugins, their sessions, the API client.

    :param plugins: asked anew each time: a reload replaces the settings.
    """

    def __init__(
        self,
        driver: str,
        node: str,
        simulation: Simulation | None,
        plugins: Callable[[], Plugins],
        api: Api,
    ) -> None:
        self.driver = driver
        self.node = node
        self.simulation = simulation
        self._plugins = plugins
        self._api = api
        self._session: Callable[[str], Any] = lambda plugin: None

    def sessions(self, session: Callable[[str], Any]) -> None:
        """Says where the sessions of plugins are found."""
        self._session = session

    def settings(self, plugin: str) -> Any:
        return self._plugins().settings(plugin)

    def log(self, plugin: str) -> Any:
        return structlog.get_logger("dracore.plugin").bind(driver=self.driver, plugin=plugin)

    def session(self, plugin: str) -> Any:
        return self._session(plugin)

    def kube(self) -> Any:
        return self._api()


class Hooks:
    """Calls plugins for the engine (its ``HookCaller``)."""

    def __init__(self, plugins: Callable[[], Plugins]) -> None:
        self._plugins = plugins

    def plugins(self, driver: str) -> Sequence[str]:
        return self._plugins().plugins(driver)

    def call(self, plugin: str, hook: str, /, **arguments: Any) -> Any:
        """The hook's answer.

        :raises DracoreError: it failed; a defect comes as PluginError, and its traceback is logged.
        """
        try:
            return self._plugins().call(plugin, hook, **arguments)
        except ClaimError:
            raise
        except DracoreError as error:
            if isinstance(error, PluginError) and error.__cause__ is not None:
                structlog.get_logger("dracore.plugin").error(
                    "a hook failed", plugin=plugin, hook=hook, exc_info=error.__cause__
                )
            raise

    def effect_type(self, driver: str, kind: str) -> type[Effect] | None:
        return self._plugins().effect_type(driver, kind)

    def distribution_of(self, driver: str, kind: str) -> str:
        """The package that brings an effect kind, as one would install it."""
        plugins = self._plugins()
        for plugin in plugins.plugins(driver):
            if any(effect.kind == kind for effect in plugins.call(plugin, "dra_effects") or ()):
                return plugins.distribution(plugin).name
        return ""
