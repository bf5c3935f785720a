"""The current devices of one driver: whoever asks gets the last view, whoever subscribes each new one."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from dracore.errors import DracoreError
from dracore.inventory.memory import Memory
from dracore.inventory.merge import Merge, Problem, View
from dracore.inventory.news import News
from dracore.inventory.ports import Contexts, Drifted, Filter, HealthStore, Hooks, Prepared, Reports
from dracore.inventory.runner import Answer, Runner, State, Times
from dracore.inventory.shaping import Shaper
from dracore.model.device import Device, Pool, Taint
from dracore.model.prepared import Check, Health

STOP_SECONDS = 10.0
"""How long one plugin may take to come out of a hook when the process stops."""


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """One plugin of the driver, for status. `error` is why it failed or has no answer yet."""

    plugin: str
    state: State
    error: str


class Inventory:
    """Discovers, merges, shapes and keeps the devices of one driver.

    :param pool: the name of the node's own pool: the node's.
    :param contexts: gives hooks their contexts, and brackets ``dra_start``.
    :param health: keeps taints over restarts.
    :param prepared: what claims have prepared; such a device stays, with a taint, when it vanishes.
    :param drifted: pool and name of devices whose claims hold an effect that somebody undid, and what is
        the matter; they are unhealthy and tainted until it is made good.
    :param offered: the filter of the node configuration.
    :param elsewhere: whether a required plugin of another driver has started.
    """

    def __init__(
        self,
        driver: str,
        pool: str,
        hooks: Hooks,
        contexts: Contexts,
        health: HealthStore,
        *,
        prepared: Prepared = tuple,
        drifted: Drifted = dict,
        offered: Filter | None = None,
        reports: Reports | None = None,
        elsewhere: Callable[[str], bool] = lambda plugin: True,
        times: Times = Times(),  # noqa: B008 - a value
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self.driver = driver
        self._hooks = hooks
        self._contexts = contexts
        self._offered = offered
        self._elsewhere = elsewhere
        self._log = structlog.get_logger("dracore.inventory").bind(driver=driver)
        self._memory = Memory(health, prepared, drifted, self._log, now)
        self._news = News(reports, self._log)
        self._merging = threading.Lock()
        self._settled = threading.Condition()
        self._view = View()
        self._offering: tuple[Pool, ...] | None = None
        self._subscribers: list[Callable[[Sequence[Pool]], None]] = []
        self._runners = {
            plugin: Runner(
                plugin, hooks, contexts, self._required(plugin), self._answered, self._log, times, clock
            )
            for plugin in hooks.plugins(driver)
        }
        self._merge = Merge(driver, pool, Shaper(self._runners, hooks, contexts, self.started).shape)

    # --- life ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to start and ask the plugins; returns at once."""
        for runner in self._runners.values():
            runner.start()

    def stop(self) -> None:
        """Closes the sessions, in reverse order. The last view stays readable. Effects stay."""
        for runner in self._runners.values():
            runner.interrupt()
        for runner in reversed(self._runners.values()):
            runner.stop(STOP_SECONDS)

    def wait_ready(self, timeout: float) -> bool:
        """Waits until the pool is offered; False when it was not within `timeout` seconds."""
        with self._settled:
            return self._settled.wait_for(self.ready, timeout)

    # --- reading ---------------------------------------------------------------------------------------

    def ready(self) -> bool:
        """Whether every plugin of the driver has answered discovery, or failed several times."""
        return self._offering is not None

    def complete(self) -> bool:
        """Whether every plugin's devices are known: what is not among them is not on this node."""
        return all(runner.answer.discovery is not None for runner in self._runners.values())

    def pools(self) -> list[Pool]:
        """What is offered now; empty before the inventory is ready."""
        return list(self._offering or ())

    def find(self, pool: str, device: str) -> tuple[Device, str] | None:
        """A device with the plugin that contributed it. The filter holds none back here: it may be allocated
        already."""
        return self._view.devices.get((pool, device))

    def identified(self, identity: str) -> tuple[Device, str] | None:
        """The device that *is* `identity`, whatever its name is now."""
        return self._view.identities.get(identity)

    def problems(self) -> list[Problem]:
        """All that is not as it should be, plugin by plugin."""
        found = [
            Problem(plugin, runner.answer.error)
            for plugin, runner in self._runners.items()
            if runner.answer.error
        ]
        return found + list(self._view.problems)

    def lost(self) -> list[tuple[str, str]]:
        """Pool and name of devices that are gone while claims have them prepared."""
        return sorted(self._view.lost)

    def drifted(self) -> Mapping[tuple[str, str], str]:
        """Devices that are tainted because an effect of their claim was undone, and what is the matter."""
        return self._memory.drifts

    def status(self) -> list[PluginStatus]:
        return [
            PluginStatus(plugin, runner.answer.state, runner.answer.error)
            for plugin, runner in self._runners.items()
        ]

    def health(self) -> list[tuple[str, Health]]:
        """The health that plugins last reported, with the plugin; what drift says of a device comes last."""
        found = [(plugin, entry) for plugin, r in self._runners.items() for entry in r.answer.health]
        for key, text in self._memory.drifts.items():
            if key in self._view.devices:
                device, plugin = self._view.devices[key]
                found.append((plugin, Health(device.name, "Unhealthy", text)))
        return found

    def preflight(self) -> list[tuple[str, Check]]:
        """Asks every started plugin for its checks now."""
        checks: list[tuple[str, Check]] = []
        for plugin, runner in self._runners.items():
            if not runner.started.is_set() or not self._hooks.implements(plugin, "dra_preflight"):
                continue
            try:
                answer = self._hooks.call(plugin, "dra_preflight", ctx=self._contexts.context(plugin))
                checks += [(plugin, check) for check in answer or ()]
            except DracoreError as error:
                checks.append((plugin, Check("preflight", ok=False, message=str(error))))
        return checks

    def session(self, plugin: str) -> Any:
        """What ``dra_start`` of a plugin of this driver returned; None where it is not running."""
        runner = self._runners.get(plugin)
        return runner.session if runner is not None else None

    def started(self, plugin: str) -> bool:
        """Whether ``dra_start`` of a plugin of this driver has returned."""
        runner = self._runners.get(plugin)
        return runner is not None and runner.started.is_set()

    # --- changing --------------------------------------------------------------------------------------

    def subscribe(self, callback: Callable[[Sequence[Pool]], None]) -> Callable[[], None]:
        """Calls `callback` with the pools, now where they are ready and after each change, one at a time.

        It hands them on and returns; it must not change the inventory.

        :returns: a function that ends it.
        """
        with self._merging:
            self._subscribers.append(callback)
            if self._offering is not None:
                callback(self._offering)

        def unsubscribe() -> None:
            with self._merging:
                self._subscribers.remove(callback)

        return unsubscribe

    def rescan(self) -> None:
        """Asks every plugin to discover again."""
        for runner in self._runners.values():
            runner.ask()

    def refresh(self) -> None:
        """Merges again without asking plugins: a claim came or went."""
        self._renew()

    def refilter(self, offered: Filter | None) -> None:
        """Replaces the filter of the node configuration."""
        self._offered = offered
        self._renew()

    # --- merging ---------------------------------------------------------------------------------------

    def _required(self, plugin: str) -> Callable[[], bool]:
        def required() -> bool:
            return all(
                self._runners[name].started.is_set() if name in self._runners else self._elsewhere(name)
                for name in self._hooks.requires(plugin)
            )

        return required

    def _answered(self, plugin: str, answer: Answer) -> None:
        if answer.state == "running":
            self._memory.keep(plugin, answer.health)
        if answer.settled:
            self._news.answered(plugin, answer)
        if answer.settled or answer.state == "not yet":
            self._renew()

    def _renew(self) -> None:
        with self._merging:
            before = self._view
            prepared = self._memory.prepared(before)
            view = self._merge.view(
                {
                    plugin: runner.answer.discovery
                    for plugin, runner in self._runners.items()
                    if runner.answer.discovery is not None
                },
                prepared=prepared,
                before=before,
                lost_taint=self._lost_taint,
                stored=self._memory.taints(),
                drifted=self._memory.drifted(),
                offered=self._offered,
            )
            self._view = view
            self._news.changed(before, view, prepared)
            self._memory.still_lost(view.lost)
            if not all(runner.answer.settled for runner in self._runners.values()):
                return
            if view.pools != self._offering:
                with self._settled:
                    self._offering = view.pools
                    self._settled.notify_all()
                for callback in self._subscribers:
                    try:
                        callback(view.pools)
                    except Exception:  # noqa: BLE001 - whoever it is will hear of the next change
                        self._log.exception("a subscriber failed")

    def _lost_taint(self, plugin: str, pool: str, device: str) -> Taint:
        """A plugin that returns a lost device itself, with a taint of its own, never comes here."""
        key = self._hooks.lost_taint(plugin) or f"{self.driver}/device-lost"
        return self._memory.lost_taint(key, pool, device)
