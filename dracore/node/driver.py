"""One driver of the process: journal, engine, sockets, inventory, publisher, reconciler, put together."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import structlog

from dracore.cdi import Cdi
from dracore.config import NodeConfiguration
from dracore.errors import Busy, DracoreError, JournalBusy
from dracore.inventory import Inventory
from dracore.inventory.ports import Contexts, Filter
from dracore.kubelet.endpoint import DriverEndpoint
from dracore.kubelet.podresources import PodResources
from dracore.kubelet.registration import RegistrationState
from dracore.model.answer import Call, PreparedResult
from dracore.model.claim import ClaimRef
from dracore.model.device import Pool
from dracore.model.seam import Seam
from dracore.node.api import Api
from dracore.node.claims import ApiClaims
from dracore.node.configs import ClaimConfigs
from dracore.node.observer import PublishReports
from dracore.node.reports import Reports
from dracore.node.simulated import null_devices
from dracore.node.surroundings import Hooks, Surroundings
from dracore.observe.metrics import Metrics
from dracore.plugins import Plugins
from dracore.prepare import Engine, Instances, Journal, Reconciler
from dracore.prepare.ports import Admission
from dracore.prepare.snapshot import Snapshot

if TYPE_CHECKING:
    from dracore.kube.client import KubeClient
    from dracore.publish.publisher import Publisher
    from dracore.publish.status import PublishStatus

PLUGINS_SECONDS = 10.0
"""How long recovery waits for the first start of the plugins, whose sessions it needs; then it goes on."""

LOOK_SECONDS = 20.0
"""How long a look on demand is waited for."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Shared:
    """What all drivers of the process share.

    :param session: the session of any plugin of any driver.
    :param started: whether a plugin of any driver has started.
    """

    configuration: NodeConfiguration
    hooks: Hooks
    api: Api
    metrics: Metrics
    boot_id: str
    instance: str
    admission: Admission
    offered: Filter | None
    session: Callable[[str], Any]
    started: Callable[[str], bool]
    seam: Seam


class DriverNode:
    """The parts of one driver in the order of their life: open, recover, serve, connect; drain, stop."""

    engine: Engine
    inventory: Inventory

    def __init__(self, name: str, shared: Shared) -> None:
        self.name = name
        self._shared = shared
        configuration = shared.configuration
        self.folder = configuration.kubelet.plugins_dir / name
        self.reports = Reports(name, configuration.node, shared.metrics)
        self._pods = PodResources(configuration.kubelet.pod_resources_socket)
        self._journal: Journal | None = None
        self._instances: Instances | None = None
        self._reconciler: Reconciler | None = None
        self._publisher: Publisher | None = None
        self._unknown: list[str] = []
        self._serving = False
        self.not_yet: DracoreError | None = Busy("the driver is starting", fix="the kubelet asks again")
        """Why the kubelet's calls cannot be answered yet."""
        self._unsubscribe: Callable[[], None] | None = None
        self.endpoint = DriverEndpoint(
            name,
            _Claims(self),
            registry=configuration.kubelet.registry_dir,
            data_dir=self.folder,
            instance=shared.instance,
            metrics=shared.metrics,
            on_status=self._registered,
            seam=shared.seam,
        )

    # --- life ---------------------------------------------------------------------------------------

    def open(self, ending: Callable[[], bool] = lambda: False) -> None:
        """Opens the journal and begins to start the plugins.

        :param ending: whether the process is to end, asked while another one holds the journal.
        :raises JournalError: it cannot be used, or a live process of the same instance id does.
        """
        shared = self._shared
        configuration = shared.configuration
        self._journal = self._open_journal(ending)
        self._instances = Instances(
            self._journal,
            self.folder,
            shared.instance,
            on_change=lambda publisher: self._may_publish() if publisher else None,
            seam=shared.seam,
            reports=self.reports,
        )
        self._instances.start()
        if self.registered:
            self._instances.mark_registered()
        simulation = configuration.simulated()
        devices = _Devices(self)
        self.engine = Engine(
            driver=self.name,
            folder=self.folder,
            journal=self._journal,
            boot_id=shared.boot_id,
            hooks=shared.hooks,
            devices=devices,
            configs=ClaimConfigs(shared.hooks.current, self.name),
            claims=ApiClaims(shared.api, self.name),
            pods=self._pods,
            cdi=Cdi(
                configuration.cdi.dir,
                self.name,
                seam=shared.seam,
                transform=null_devices if simulation else None,
            ),
            surroundings=Surroundings(
                self.name, configuration.node, simulation, shared.hooks, shared.session, shared.api
            ),
            seam=shared.seam,
            reports=self.reports,
            admission=shared.admission,
        )
        self.inventory = Inventory(
            self.name,
            configuration.node,
            shared.hooks,
            cast("Contexts", self.engine),  # its contexts have properties where the protocol has attributes
            self.engine.health,
            prepared=self._prepared,
            drifted=self._drifted,
            offered=shared.offered,
            reports=self.reports,
            elsewhere=shared.started,
        )
        self.inventory.start()

    def _open_journal(self, ending: Callable[[], bool]) -> Journal:
        """An older instance may have been stopped inside a commit: ending here would help nobody, and the
        kubelet hears why its pods do not start."""
        while True:
            try:
                return Journal.open(self.folder, seam=self._shared.seam, reports=self.reports)
            except JournalBusy as error:
                if ending():
                    raise
                if not isinstance(self.not_yet, JournalBusy):
                    _log.error("waits for the journal", driver=self.name, error=str(error))
                self.not_yet = error
                self.serve()

    def recover(self, deadline: float) -> None:
        """Undoes what a crash left half done.

        :param deadline: (monotonic) until then the plugins' sessions are waited for.
        """
        while time.monotonic() < deadline and any(
            plugin.state in ("waiting", "starting") for plugin in self.inventory.status()
        ):
            time.sleep(0.005)
        done = self.engine.recover()
        self._unknown = done.unknown
        if self.inventory.drifted():  # recovery has looked at what was in doubt
            self.inventory.refresh()
        if done.released or done.rewritten or done.swept:
            _log.info(
                "recovered",
                driver=self.name,
                released=done.released,
                rewritten=done.rewritten,
                swept=done.swept,
            )
        self.not_yet = None

    def serve(self) -> None:
        """Lets the kubelet in, once.

        :raises SocketError: see :meth:`DriverEndpoint.start`.
        """
        if not self._serving:
            self.endpoint.start()
            self.endpoint.sweep()
            self._serving = True

    def connect(self, client: KubeClient) -> None:
        """The API server is known: events, publishing and reconciling begin."""
        from dracore.publish.publisher import Publisher

        assert self._instances is not None
        hooks = self._shared.hooks
        self.reports.connect(client)
        self._publisher = Publisher(
            client,
            self.name,
            self._shared.configuration.node,
            dense=is_dense(hooks.current, self.name),
            prepared=lambda: {(pool, device) for _, pool, device in self._prepared()},
            may_write=self._instances.is_publisher,
            observer=PublishReports(self.reports, self._shared.metrics),
        )
        self._publisher.start()
        if not hooks.plugins(self.name):
            self._publisher.update(())  # nobody else will say that it offers nothing
        self._unsubscribe = self.inventory.subscribe(self._publisher.update)
        self._reconciler = Reconciler(
            self.engine,
            allowed=self._instances.is_publisher,
            on_drift=lambda drift: self.inventory.refresh(),
            on_release=self.claims_ended,
        )
        self._reconciler.start()

    def check(self) -> list[str]:
        """What makes this driver unfit, by really asking; empty: nothing."""
        found = self.endpoint.check()
        return found + [f"{self.name}: {text}" for text in self._journal_problems()]

    def drain(self) -> None:
        """Answers what runs; then the kubelet is told to go."""
        self.endpoint.drain()

    def stop(self) -> None:
        """Ends every part; prepared claims stay. Safe after any step of a start that failed."""
        if self._journal is not None and hasattr(self, "engine"):
            self.engine.interrupt()
        self.endpoint.stop()
        if self._unsubscribe is not None:
            self._unsubscribe()
        for part in (self._reconciler, self._publisher, self._instances):
            if part is not None:
                part.stop()
        if hasattr(self, "inventory"):
            self.inventory.stop()
        if hasattr(self, "engine"):
            self.engine.close()
        elif self._journal is not None:
            self._journal.close()
        self.reports.stop()

    # --- at run time --------------------------------------------------------------------------------

    def reconcile(self) -> bool:
        """Looks for claims that are gone and for effects that somebody undid, now.

        False: not done in time, or not by this instance, or there is no API server yet.
        """
        return self._reconciler is not None and self._reconciler.look_now(LOOK_SECONDS)

    def claims_ended(self) -> None:
        """What is published may hang on what is prepared: a lost device leaves with its last claim."""
        if self.inventory.lost() or self.inventory.drifted():
            self.inventory.refresh()
        status = self.publish_status()
        if status is not None and status.degradations:
            assert self._publisher is not None
            self._publisher.refresh()

    def _may_publish(self) -> None:
        """This instance has become the one that publishes and reconciles."""
        if self._publisher is not None:
            self._publisher.refresh()
        if self._reconciler is not None:
            self._reconciler.kick()

    @property
    def registered(self) -> bool:
        return bool(self.endpoint.registration.state.registered)

    def publishes(self) -> bool:
        try:
            return self._instances is not None and self._instances.is_publisher()
        except DracoreError:
            return False  # nobody knows; `degradations` says why

    def snapshot(self) -> Snapshot:
        """What the journal says now; nothing where it cannot be read, which `degradations` says."""
        try:
            return self.engine.snapshot()
        except DracoreError:
            return Snapshot((), ())

    def pools(self) -> Sequence[Pool]:
        return self.inventory.pools()

    def publish_status(self) -> PublishStatus | None:
        return self._publisher.status() if self._publisher is not None else None

    def degradations(self) -> list[str]:
        """What is not as it should be with this driver, a text each."""
        found = [str(problem) for problem in self.inventory.problems()]
        if not self._shared.hooks.plugins(self.name):
            left = len(self.snapshot().claims)
            found.append(
                f"no plugin of it is enabled: it offers nothing, and {left} claims are to be released"
                if left
                else "no plugin of it is enabled and nothing is left of it: take it off `drain`"
            )
        found += [
            f"device {pool}/{name} is gone while a claim has it" for pool, name in self.inventory.lost()
        ]
        found += [
            f"device {pool}/{name} is tainted while a claim has it: {text}"
            for (pool, name), text in sorted(self.inventory.drifted().items())
        ]
        registration = self.endpoint.registration.state
        if registration.error:
            found.append(f"the kubelet refuses the registration: {registration.error}")
        elif not registration.registered:
            found.append(
                "the kubelet has not registered this driver yet, so nothing is published: it must run here, "
                f"and look for plugins in {self._shared.configuration.kubelet.registry_dir}"
            )
        if self.endpoint.problem:
            found.append(self.endpoint.problem)
        found += self._journal_problems()
        found += self._unknown
        status = self.publish_status()
        return found + list(status.degradations if status else ())

    def _journal_problems(self) -> list[str]:
        if self._journal is None:
            return []
        with contextlib.suppress(DracoreError):  # it is remembered as the journal's problem
            self._journal.read(lambda tx: tx.meta("boot"))
        problem = self._journal.look()
        return [problem] if problem else []

    def _prepared(self) -> list[tuple[str, str, str]]:
        """Plugin, pool and device of everything that claims have."""
        claims = self.engine.snapshot().claims  # what cannot be read must not count as nothing
        return [(device.plugin, device.pool, device.device) for claim in claims for device in claim.devices]

    def _drifted(self) -> dict[tuple[str, str], str]:
        return {device: drift.text for drift in self.engine.drifts() for device in drift.devices}

    def _registered(self, state: RegistrationState) -> None:
        if state.registered is False:
            self.reports.event("RegistrationRefused", f"the kubelet refuses {self.name}: {state.error}")
        if self._instances is None:
            return  # open() does it
        try:
            self._instances.mark_registered(bool(state.registered))
        except DracoreError as error:
            _log.error("the registration could not be written down", driver=self.name, error=str(error))


def is_dense(plugins: Plugins, driver: str) -> bool:
    """Whether 64 devices go into a slice from the start: taints may come to any of them at any time."""
    return any(plugins.implements(plugin, "dra_health") for plugin in plugins.plugins(driver))


class _Devices:
    """The engine's ``Devices``: made before the inventory, which needs the engine."""

    def __init__(self, driver: DriverNode) -> None:
        self._driver = driver

    def find(self, pool: str, device: str) -> Any:
        return self._driver.inventory.find(pool, device)

    def identified(self, identity: str) -> Any:
        return self._driver.inventory.identified(identity)

    def ready(self) -> bool:
        return hasattr(self._driver, "inventory") and self._driver.inventory.complete()


class _Claims:
    """The engine behind the sockets."""

    def __init__(self, driver: DriverNode) -> None:
        self._driver = driver

    def prepare(self, ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        self._check()
        answer = self._driver.engine.prepare(ref, call)
        if self._driver.inventory.drifted():  # this very prepare may have made it good
            self._driver.inventory.refresh()
        return answer

    def unprepare(self, ref: ClaimRef, call: Call) -> None:
        self._check()
        self._driver.engine.unprepare(ref, call)
        self._driver.claims_ended()

    def _check(self) -> None:
        why = self._driver.not_yet
        if why is not None:
            raise type(why)(why.what, where=why.where, fix=why.fix)
