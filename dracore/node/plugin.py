"""The node plugin: every driver of one configuration, and the life of the process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from dracore.admin.server import AdminServer
from dracore.config import Loaded
from dracore.errors import ClaimError, ConfigError, DracoreError
from dracore.inventory.ports import Filter
from dracore.kubelet.names import check_instance, status_path
from dracore.model.device import JSON
from dracore.model.seam import Seam, no_seam
from dracore.node import orphans, status
from dracore.node.api import Api
from dracore.node.driver import DriverNode
from dracore.node.parts import Parts
from dracore.node.reload import Reload
from dracore.node.shared import Shared
from dracore.node.start import DriverStart
from dracore.node.surroundings import Hooks
from dracore.observe.metrics import Metrics
from dracore.plugins import Plugins

if TYPE_CHECKING:
    from dracore.kube.client import KubeClient
    from dracore.observe.web import WebServer

PREPARES = 48
"""Claims that are prepared at a time in the whole process."""

_log = structlog.get_logger(__name__)


class NodePlugin:
    """Serves the drivers of `loaded` on this node. ``start``, then ``drain`` and ``stop``.

    :param instance: tells instances of a rolling update apart; empty: the only one.
    """

    def __init__(self, loaded: Loaded, *, instance: str = "", seam: Seam = no_seam) -> None:
        self.loaded = loaded
        self.instance = check_instance(instance)
        self.started = datetime.now(UTC)
        # Tells the youngest of several instances, whatever was done to the clock since.
        self._uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.metrics = Metrics()
        self.problems: list[str] = []
        configuration = loaded.configuration
        self._stopping = threading.Event()
        self._api = Api(configuration.kube.kubeconfig)
        self._hooks = Hooks(loaded.plugins)
        self._offered = offered(configuration.filter)
        self.shared = Shared(
            configuration=configuration,
            hooks=self._hooks,
            api=self._api,
            metrics=self.metrics,
            boot_id=_boot_id(configuration.host.boot_id_file),
            instance=instance,
            admission=threading.BoundedSemaphore(PREPARES),
            offered=lambda: self._offered,
            session=self._session,
            started=lambda plugin: any(parts.inventory.started(plugin) for parts in self._opened()),
            seam=seam,
        )
        served = dict.fromkeys([*loaded.plugins.drivers(), *configuration.drain])
        self._starts = [DriverStart(name, self.shared, self._stopping.is_set) for name in served]
        self.admin = AdminServer(
            status_path(configuration.host.status_socket, instance),
            {
                "status": self.status,
                "instance": self._instance,
                "reconcile": self._reconcile,
                "timeline": self.timeline,
            },
        )
        self.web: WebServer | None = None
        self._connector = threading.Thread(
            target=self._api.wait, args=(self._stopping, self._connect), name="connect", daemon=True
        )
        self.metrics.source(lambda: status.samples(self.drivers))
        self.reload = Reload(self)

    # --- life ---------------------------------------------------------------------------------------

    @property
    def drivers(self) -> list[DriverNode]:
        return [start.driver for start in self._starts]

    def start(self, ending: Callable[[], bool] = lambda: False) -> None:
        """Returns when each driver serves the kubelet, waits for another process, or has failed while others
        have not (it is tried again); the API server may come later.

        :param ending: whether the process is to end: it returns early then.
        :raises DracoreError: no driver can be started; whatever was started is stopped again.
        """
        simulation = self.loaded.configuration.simulation
        if simulation is not None:
            _log.warning("SIMULATED hardware: nothing here is real", simulation=simulation.node)
        port = self.loaded.configuration.observe.port
        if port is not None:
            from dracore.observe.web import WebServer

            self.web = WebServer(port, self.metrics, self.health, self.not_ready)
            self.web.start()
        self._start_admin()
        for start in self._starts:
            start.begin()
        self._connector.start()
        for start in self._starts:
            while not start.settled.wait(0.2):
                if ending():
                    return
        failures = [start.failure for start in self._starts if start.failure is not None]
        if failures and len(failures) == len(self._starts):
            self.stop()
            raise failures[0]
        for start in self._starts:
            start.say()

    def drain(self) -> None:
        """Answers what runs on all drivers, at most 40 s; then the kubelet lets go of them."""
        self._stopping.set()  # what has not started yet need not
        threads = [threading.Thread(target=driver.drain, name="drain") for driver in self.drivers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def stop(self) -> None:
        """Ends everything. Claims stay prepared, slices stay published."""
        self._stopping.set()
        if self._connector.is_alive():
            self._connector.join(5)  # first: what it is about to start could not be stopped
        for start in reversed(self._starts):
            start.stop()
        self.admin.stop()
        if self.web is not None:
            self.web.stop()
        self._api.close()

    def _start_admin(self) -> None:
        try:
            self.admin.start()
        except DracoreError as error:
            # Pods matter more than the view on them.
            self.problems.append(str(error))
            _log.error("`dracore status` cannot ask this process", error=str(error))

    def _connect(self, client: KubeClient) -> None:
        for start in self._starts:
            start.connect(client)

    # --- questions ----------------------------------------------------------------------------------

    def health(self) -> list[str]:
        """What the kubelet would find wrong, by really asking."""
        return [text for driver in self.drivers for text in driver.check()]

    def not_ready(self) -> list[str]:
        """Which drivers the kubelet cannot start pods with yet, and why."""
        return [text for driver in self.drivers for text in driver.not_ready()]

    def status(self) -> JSON:
        """What ``dracore status -o json`` shows."""
        plugins = self._hooks.current
        drivers = self.drivers  # of one moment: a start that failed replaces its driver
        states = {plugin.plugin: plugin for driver in drivers for plugin in driver.plugins()}
        served = [driver.name for driver in drivers]
        snapshots = [driver.snapshot() for driver in drivers]
        effects = [effect for snapshot in snapshots for effect in snapshot.effects]
        simulation = self.loaded.configuration.simulation
        return {
            "node": self.loaded.configuration.node,
            "simulated": simulation.node if simulation else None,
            "instance": self._instance(),
            "plugins": [
                {
                    "name": name,
                    "version": plugins.distribution(name).version,
                    "driver": plugins.driver(name),
                    "state": states[name].state,
                    "problem": states[name].error,
                }
                for name in plugins.plugins()
            ],
            "drivers": [status.driver_json(driver) for driver in drivers],
            "claims": [c for snapshot in snapshots for c in status.claims_json(snapshot.claims)],
            "effects": status.effects_json(effects),
            "checks": [
                {
                    "plugin": name,
                    "name": check.name,
                    "ok": check.ok,
                    "message": check.message,
                    "fix": check.fix,
                }
                for parts in self._opened()
                for name, check in parts.inventory.preflight()
            ],
            "problems": [
                *self.problems,
                *self.reload.problems,
                *orphans.unserved(self.loaded.configuration.kubelet.plugins_dir, served),
                *([self._api.problem] if self._api.problem else []),
                *([self.web.problem] if self.web and self.web.problem else []),
                *status.effect_problems(effects),
            ],
        }

    def timeline(self, uid: str = "") -> JSON:
        """What ``dracore explain-prepare`` shows of one claim, oldest first.

        :raises ClaimError: no driver of this node knows anything of it.
        """
        opened = [(driver.name, driver.parts) for driver in self.drivers if driver.parts is not None]
        entries = status.merged({name: parts.engine.timeline(uid) for name, parts in opened})
        if not entries:
            raise ClaimError(
                f"nothing is known here of a claim with uid {uid!r}",
                fix="`dracore status` lists the claims of this node; kubectl shows a claim's metadata.uid",
            )
        states = [
            claim
            for _, parts in opened
            for claim in status.claims_json(c for c in parts.snapshot().claims if c.ref.uid == uid)
        ]
        return {"uid": uid, "claims": states, "entries": entries}

    def _instance(self) -> JSON:
        started = self.started.isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {"id": self.instance, "pid": os.getpid(), "started": started, "uptime": self._uptime}

    def _reconcile(self) -> JSON:
        return {driver.name: driver.reconcile() for driver in self.drivers}

    # --- plugins ------------------------------------------------------------------------------------

    @property
    def plugins(self) -> Plugins:
        """The plugins with the settings that are in effect."""
        return self._hooks.current

    def use_settings(self, settings: dict[str, Any]) -> None:
        """Gives plugins other settings; their next hooks find them."""
        self._hooks.current = self._hooks.current.with_settings(settings)
        for parts in self._opened():
            parts.inventory.rescan()

    def use_filter(self, text: str | None) -> None:
        """:raises SelectorError: it does not compile."""
        self._offered = offered(text)
        for parts in self._opened():
            parts.inventory.refilter(self._offered)

    def _opened(self) -> list[Parts]:
        return [driver.parts for driver in self.drivers if driver.parts is not None]

    def _session(self, plugin: str) -> Any:
        for parts in self._opened():
            if parts.inventory.started(plugin):
                return parts.inventory.session(plugin)
        return None


def offered(text: str | None) -> Filter | None:
    """The configuration's ``filter``, compiled.

    :raises SelectorError: it does not compile.
    """
    if text is None:
        return None
    from dracore import selectors

    matches: Callable[..., bool] = selectors.compile(text).matches
    return matches


def _boot_id(path: Path) -> str:
    fix = "name a file that holds another text after each boot"
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the boot id cannot be read from {path}: {error}", where="host.bootIdFile", fix=fix
        ) from error
    if not text:
        # Taken for a boot id, it would be the same after every reboot.
        raise ConfigError(f"there is no boot id in {path}: it is empty", where="host.bootIdFile", fix=fix)
    return text
