"""What a driver has once its journal is open: instances, engine, inventory."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from dracore.cdi import Cdi
from dracore.errors import DracoreError
from dracore.inventory import Inventory
from dracore.inventory.ports import Contexts
from dracore.kubelet.podresources import PodResources
from dracore.node.claims import ApiClaims
from dracore.node.configs import ClaimConfigs
from dracore.node.reports import Reports
from dracore.node.shared import Shared
from dracore.node.simulated import null_devices
from dracore.node.surroundings import Surroundings
from dracore.prepare import Engine, Instances, Journal
from dracore.prepare.snapshot import Snapshot


class Parts:
    """Opens the journal of driver `name` in `folder` and puts together what works on it; `start` begins to
    start the plugins.

    :param may_publish: told when this instance has become the one that publishes.
    :raises JournalError: it cannot be used, or a live process of the same instance id does; nothing is left
        open then. JournalBusy: another process holds it now.
    """

    def __init__(
        self, name: str, folder: Path, shared: Shared, reports: Reports, may_publish: Callable[[], None]
    ) -> None:
        configuration = shared.configuration
        simulation = configuration.simulated()
        self._offered = shared.offered
        self._filter = shared.offered()
        with contextlib.ExitStack() as undo:
            self.journal = Journal.open(folder, seam=shared.seam, reports=reports)
            undo.callback(self.journal.close)
            self.instances = Instances(
                self.journal,
                folder,
                shared.instance,
                on_change=lambda publisher: may_publish() if publisher else None,
                seam=shared.seam,
                reports=reports,
            )
            undo.callback(self.instances.stop)
            self.instances.start()
            self.engine = Engine(
                driver=name,
                folder=folder,
                journal=self.journal,
                boot_id=shared.boot_id,
                hooks=shared.hooks,
                devices=_Devices(self),
                configs=ClaimConfigs(shared.hooks.current, name),
                claims=ApiClaims(shared.api, name),
                pods=PodResources(configuration.kubelet.pod_resources_socket),
                cdi=Cdi(
                    configuration.cdi.dir,
                    name,
                    seam=shared.seam,
                    transform=null_devices if simulation else None,
                ),
                surroundings=Surroundings(
                    name, configuration.node, simulation, shared.hooks, shared.session, shared.api
                ),
                seam=shared.seam,
                reports=reports,
                admission=shared.admission,
            )
            self.inventory = Inventory(
                name,
                configuration.node,
                shared.hooks,
                cast(
                    "Contexts", self.engine
                ),  # its contexts have properties where the protocol has attributes
                self.engine.health,
                prepared=self.prepared,
                drifted=self._drifted,
                offered=self._filter,
                reports=reports,
                elsewhere=shared.started,
            )
            undo.pop_all()

    def start(self) -> None:
        """Begins to start the plugins. From before this, a reload reaches the inventory."""
        if self._offered() is not self._filter:
            self.inventory.refilter(self._offered())
        self.inventory.start()

    def wait_started(self, deadline: float, ending: Callable[[], bool]) -> None:
        """Waits for the first start of the plugins, at most until `deadline` (monotonic)."""
        while time.monotonic() < deadline and not ending():
            if not any(plugin.state in ("waiting", "starting") for plugin in self.inventory.status()):
                return
            time.sleep(0.005)

    def stop(self) -> None:
        self.instances.stop()
        self.inventory.stop()
        self.engine.close()

    def snapshot(self) -> Snapshot:
        """What the journal says now; nothing where it cannot be read, which :meth:`problems` say."""
        try:
            return self.engine.snapshot()
        except DracoreError:
            return Snapshot((), ())

    def prepared(self) -> list[tuple[str, str, str]]:
        """Plugin, pool and device of everything that claims have.

        :raises JournalError: what cannot be read must not count as nothing.
        """
        claims = self.engine.snapshot().claims
        return [(device.plugin, device.pool, device.device) for claim in claims for device in claim.devices]

    def publishes(self) -> bool:
        try:
            return self.instances.is_publisher()
        except DracoreError:
            return False  # nobody knows; `problems` say why

    def problems(self) -> list[str]:
        """What is wrong with the journal."""
        with contextlib.suppress(DracoreError):  # it is remembered as the journal's problem
            self.journal.read(lambda tx: tx.meta("boot"))
        problem = self.journal.look()
        return [problem] if problem else []

    def blocked(self) -> list[str]:
        """Who keeps it from being written."""
        return [self.journal.blocked] if self.journal.blocked else []

    def _drifted(self) -> dict[tuple[str, str], str]:
        return {device: drift.text for drift in self.engine.drifts() for device in drift.devices}


class _Devices:
    """The engine's ``Devices``: made before the inventory, which needs the engine."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def find(self, pool: str, device: str) -> Any:
        return self._parts.inventory.find(pool, device)

    def identified(self, identity: str) -> Any:
        return self._parts.inventory.identified(identity)

    def ready(self) -> bool:
        return hasattr(self._parts, "inventory") and self._parts.inventory.complete()
