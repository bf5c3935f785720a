"""One look at the devices without a running driver: nothing is held, nothing is written, nothing is left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from dracore.errors import EffectRefused
from dracore.inventory.inventory import Inventory
from dracore.inventory.merge import Problem
from dracore.inventory.ports import Filter
from dracore.model.context import HeldEffect, NodeContext, Simulation
from dracore.model.device import JSON, Pool, Taint
from dracore.model.effect import Effect
from dracore.plugins import Plugins


@dataclass(frozen=True, slots=True)
class Look:
    """What one driver would offer. `complete` is False where a plugin failed, or gave no answer in time."""

    pools: tuple[Pool, ...]
    problems: tuple[Problem, ...]
    complete: bool


def look(
    plugins: Plugins,
    node: str,
    *,
    simulation: Simulation | None = None,
    offered: Filter | None = None,
    timeout: float = 30.0,
) -> Mapping[str, Look]:
    """What each driver of `plugins` would offer on this node now."""
    inventories: dict[str, Inventory] = {}

    def session(plugin: str) -> Any:
        return next((i.session(plugin) for i in inventories.values() if i.started(plugin)), None)

    def started(plugin: str) -> bool:
        return any(inventory.started(plugin) for inventory in inventories.values())

    for driver in plugins.drivers():
        contexts = _Contexts(driver, node, plugins, simulation, session)
        inventories[driver] = Inventory(
            driver, node, plugins, contexts, _NoHealth(), offered=offered, elsewhere=started
        )
    try:
        for inventory in inventories.values():
            inventory.start()
        return {
            driver: Look(
                pools=tuple(inventory.pools()) if answered else (),
                problems=tuple(inventory.problems()),
                complete=answered and all(plugin.state != "failed" for plugin in inventory.status()),
            )
            for driver, inventory in inventories.items()
            for answered in [inventory.wait_ready(timeout)]
        }
    finally:
        for inventory in reversed(inventories.values()):
            inventory.stop()


class _Contexts:
    def __init__(
        self, driver: str, node: str, plugins: Plugins, simulation: Simulation | None, session: Any
    ) -> None:
        self._made = {
            plugin: _Context(driver, node, plugin, plugins.settings(plugin), simulation, session)
            for plugin in plugins.plugins(driver)
        }

    def context(self, plugin: str) -> NodeContext:
        return self._made[plugin]

    @contextlib.contextmanager
    def starting(self, plugin: str) -> Iterator[NodeContext]:
        yield self._made[plugin]

    def settled(self, plugin: str) -> bool:
        return False


class _Context:
    """A :class:`~dracore.model.context.NodeContext` that changes nothing."""

    def __init__(
        self,
        driver: str,
        node: str,
        plugin: str,
        settings: Any,
        simulation: Simulation | None,
        session: Any,
    ) -> None:
        self.driver = driver
        self.node = node
        self.plugin = plugin
        self.settings = settings
        self.simulation = simulation
        self.log: Any = structlog.get_logger("dracore.plugin").bind(driver=driver, plugin=plugin)
        self._session = session

    def session(self, plugin: str | None = None) -> Any:
        return self._session(plugin or self.plugin)

    def held(self, kind: str | type[Effect]) -> Sequence[HeldEffect]:
        return ()

    def hold(self, effect: Effect) -> JSON:
        raise EffectRefused(
            f"nothing may change while devices are only looked at ({effect.preview()})",
            where=f"plugin {self.plugin}",
        )

    def release(self, effect: Effect) -> None:
        pass  # nothing is held

    @property
    def kube(self) -> Any:
        raise EffectRefused(
            "there is no API server while devices are only looked at", where=f"plugin {self.plugin}"
        )


class _NoHealth:
    def store(self, plugin: str, device: str, taint: Taint, message: str = "") -> Taint:
        return taint

    def clear(self, plugin: str, device: str, *, key: str | None = None) -> bool:
        return False

    def all(self) -> Sequence[Any]:
        return ()
