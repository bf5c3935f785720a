from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from dracore import Driver, Taint, hookimpl
from dracore.inventory import Inventory
from dracore.inventory.runner import Times
from dracore.plugins import Plugins

DRIVER = "gpu.example.com"
FAST = Times(interval=3600, gap=0.0, first_retry=0.001, last_retry=0.01)


def plugin(driver: Any = DRIVER, **hooks: Any) -> SimpleNamespace:
    """A plugin out of functions. ``dra_discover`` may be any callable (hooks proper are functions)."""
    discover = hooks.pop("dra_discover", lambda ctx: [])
    marked = {name: hookimpl(value) for name, value in hooks.items()}

    @hookimpl
    def dra_driver() -> Any:
        return driver if isinstance(driver, Driver) else Driver(driver)

    @hookimpl
    def dra_discover(ctx: Any) -> Any:
        return discover(ctx)

    @hookimpl
    def dra_prepare(ctx: Any) -> Any: ...

    base = {"dra_driver": dra_driver, "dra_discover": dra_discover, "dra_prepare": dra_prepare}
    return SimpleNamespace(**base | marked)


class Contexts:
    """Contexts that write down what starts; what `dra_start` returned is found as in a real node."""

    def __init__(self) -> None:
        self.inventory: Inventory | None = None
        self.started: list[str] = []
        self.settling: list[str] = []
        self.left_over: dict[str, bool] = {}

    def context(self, plugin: str) -> Any:
        return SimpleNamespace(plugin=plugin, session=lambda name=None: self._session(name or plugin))

    @contextlib.contextmanager
    def starting(self, plugin: str) -> Iterator[Any]:
        yield self.context(plugin)
        self.started.append(plugin)

    def settled(self, plugin: str) -> bool:
        """Whether something was reverted that the plugin had held before."""
        self.settling.append(plugin)
        return self.left_over.pop(plugin, False)

    def _session(self, plugin: str) -> Any:
        assert self.inventory is not None
        return self.inventory.session(plugin)


@dataclass(frozen=True)
class Stored:
    plugin: str
    device: str
    taint: Taint
    message: str


class Health:
    """A health store in memory, with the journal's rule for times."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str, str], Stored] = {}

    def store(self, plugin: str, device: str, taint: Taint, message: str = "") -> Taint:
        kept = self.kept.setdefault((plugin, device, taint.key), Stored(plugin, device, taint, message))
        return kept.taint

    def clear(self, plugin: str, device: str, *, key: str | None = None) -> bool:
        gone = [place for place in self.kept if place[:2] == (plugin, device) and key in (None, place[2])]
        return bool([self.kept.pop(place) for place in gone])

    def all(self) -> list[Stored]:
        return list(self.kept.values())


class Reports:
    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def event(self, reason: str, message: str, *, claim: Any = None, warning: bool = True) -> None:
        self.events.append((reason, message))


class Bench:
    """Makes inventories and stops them."""

    def __init__(self) -> None:
        self.health = Health()
        self.reports = Reports()
        self.prepared: list[tuple[str, str, str]] = []
        self.contexts = Contexts()
        self.made: list[Inventory] = []

    def make(self, plugins: dict[str, Any], *, times: Times = FAST, **options: Any) -> Inventory:
        inventory = Inventory(
            DRIVER,
            "node-1",
            Plugins.of(plugins),
            self.contexts,
            self.health,
            prepared=lambda: list(self.prepared),
            reports=self.reports,
            times=times,
            **options,
        )
        self.contexts.inventory = inventory
        self.made.append(inventory)
        return inventory

    def run(self, plugins: dict[str, Any], **options: Any) -> Inventory:
        inventory = self.make(plugins, **options)
        inventory.start()
        assert inventory.wait_ready(10)
        return inventory


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for inventory in bench.made:
        inventory.stop()


@pytest.fixture(name="plugin")
def plugin_fixture() -> Any:
    return plugin
