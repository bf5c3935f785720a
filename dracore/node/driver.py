"""One driver of the process: its sockets, what is behind them, and the order of its life."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from dracore.errors import Busy, DracoreError, JournalBusy
from dracore.inventory import PluginStatus
from dracore.kubelet.endpoint import DriverEndpoint
from dracore.kubelet.registration import RegistrationState
from dracore.model.answer import Call, PreparedResult
from dracore.model.claim import ClaimRef
from dracore.model.device import Pool
from dracore.node.observer import PublishReports
from dracore.node.parts import Parts
from dracore.node.reports import Reports
from dracore.node.shared import Shared
from dracore.plugins import Plugins
from dracore.prepare import Reconciler
from dracore.prepare.snapshot import Snapshot

if TYPE_CHECKING:
    from dracore.kube.client import KubeClient
    from dracore.publish.publisher import Publisher
    from dracore.publish.status import PublishStatus

PLUGINS_SECONDS = 10.0
"""How long recovery waits for the first start of the plugins, whose sessions it needs; then it goes on."""

LOOK_SECONDS = 20.0
"""How long a look on demand is waited for."""

STARTING = Busy("the driver is starting", fix="the kubelet asks again")

_log = structlog.get_logger(__name__)


class DriverNode:
    """The parts of one driver in the order of their life: open, recover, serve, connect; drain, stop.

    Questions may come at any time: before `open` has returned there is nothing to tell but why.
    """

    def __init__(self, name: str, shared: Shared, reports: Reports) -> None:
        self.name = name
        self.reports = reports
        self._shared = shared
        configuration = shared.configuration
        self.folder = configuration.kubelet.plugins_dir / name
        self.parts: Parts | None = None
        self._reconciler: Reconciler | None = None
        self._publisher: Publisher | None = None
        self._unknown: list[str] = []
        self._serving = False
        self.not_yet: DracoreError | None = STARTING
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

    def open(self, ending: Callable[[], bool], blocked: Callable[[], None]) -> None:
        """Opens the journal and begins to start the plugins.

        An older instance may have been stopped inside a commit: giving up would help nobody, so the kubelet
        hears why its pods do not start, and the journal is tried again and again.

        :param ending: whether the process is to end.
        :param blocked: told that another process holds the journal.
        :raises JournalError: it cannot be used, or a live process of the same instance id does.
        """
        while self.parts is None:
            try:
                self.parts = Parts(self.name, self.folder, self._shared, self.reports, self._may_publish)
            except JournalBusy as error:
                if ending():
                    raise
                if not isinstance(self.not_yet, JournalBusy):
                    self.reports.event("JournalBlocked", f"waits for the journal: {error}")
                self.not_yet = error
                self.serve()
                blocked()
        if self.registered:
            self.parts.instances.mark_registered()
        self.parts.start()

    def recover(self, ending: Callable[[], bool] = lambda: False) -> None:
        """Undoes what a crash left half done; waits a while for the sessions of the plugins."""
        parts = self._opened()
        parts.wait_started(time.monotonic() + PLUGINS_SECONDS, ending)
        done = parts.engine.recover()
        self._unknown = done.unknown
        if parts.inventory.drifted():  # recovery has looked at what was in doubt
            parts.inventory.refresh()
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
        """The API server is known: publishing and reconciling begin."""
        from dracore.publish.publisher import Publisher

        parts = self._opened()
        hooks = self._shared.hooks
        self._publisher = Publisher(
            client,
            self.name,
            self._shared.configuration.node,
            dense=is_dense(hooks.current, self.name),
            prepared=lambda: {(pool, device) for _, pool, device in parts.prepared()},
            may_write=parts.instances.is_publisher,
            observer=PublishReports(self.reports, self._shared.metrics),
        )
        self._publisher.start()
        if not hooks.plugins(self.name):
            self._publisher.update(())  # nobody else will say that it offers nothing
        self._unsubscribe = parts.inventory.subscribe(self._publisher.update)
        self._reconciler = Reconciler(
            parts.engine,
            allowed=parts.instances.is_publisher,
            on_drift=lambda drift: parts.inventory.refresh(),
            on_release=self.claims_ended,
        )
        self._reconciler.start()

    def drain(self) -> None:
        """Answers what runs; then the kubelet is told to go."""
        self.endpoint.drain()

    def stop(self) -> None:
        """Ends every part; prepared claims stay. Safe after any step of a start that failed."""
        if self.parts is not None:
            self.parts.engine.interrupt()
        self.endpoint.stop()
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        for part in (self._reconciler, self._publisher, self.parts):
            if part is not None:
                part.stop()

    # --- at run time --------------------------------------------------------------------------------

    def reconcile(self) -> bool:
        """Looks for claims that are gone and for effects that somebody undid, now.

        False: not done in time, or not by this instance, or there is no API server yet.
        """
        return self._reconciler is not None and self._reconciler.look_now(LOOK_SECONDS)

    def claims_ended(self) -> None:
        """What is published may hang on what is prepared: a lost device leaves with its last claim."""
        inventory = self._opened().inventory
        if inventory.lost() or inventory.drifted():
            inventory.refresh()
        if self._publisher is not None and self._publisher.status().degradations:
            self._publisher.refresh()

    def _may_publish(self) -> None:
        """This instance has become the one that publishes and reconciles."""
        if self._publisher is not None:
            self._publisher.refresh()
        if self._reconciler is not None:
            self._reconciler.kick()

    def _registered(self, state: RegistrationState) -> None:
        if state.registered is False:
            self.reports.event("RegistrationRefused", f"the kubelet refuses {self.name}: {state.error}")
        if self.parts is None:
            return  # open() does it
        try:
            self.parts.instances.mark_registered(bool(state.registered))
        except DracoreError as error:
            _log.error("the registration could not be written down yet", driver=self.name, error=str(error))

    def _opened(self) -> Parts:
        assert self.parts is not None, "open() has returned"
        return self.parts

    # --- questions ----------------------------------------------------------------------------------

    @property
    def registered(self) -> bool:
        return bool(self.endpoint.registration.state.registered)

    def publishes(self) -> bool:
        return self.parts is not None and self.parts.publishes()

    def snapshot(self) -> Snapshot:
        """What the journal says now; nothing where it cannot be read, which `degradations` say."""
        return self.parts.snapshot() if self.parts is not None else Snapshot((), ())

    def pools(self) -> Sequence[Pool]:
        return self.parts.inventory.pools() if self.parts is not None else ()

    def plugins(self) -> list[PluginStatus]:
        if self.parts is not None:
            return self.parts.inventory.status()
        names = self._shared.hooks.plugins(self.name)
        return [PluginStatus(plugin, "waiting", self._why_not_yet()) for plugin in names]

    def publish_status(self) -> PublishStatus | None:
        return self._publisher.status() if self._publisher is not None else None

    def check(self) -> list[str]:
        """What a restart may make good, by really asking; empty: nothing.

        A start that goes on, or is tried again, is no such thing; and where the journal cannot be put back
        into its place, a restart would lose it.
        """
        problems = self.parts.problems() if self.parts is not None else []
        if not self._serving or (self.parts is not None and problems and not self.parts.journal.damaged):
            return []
        return self.endpoint.check() + [f"{self.name}: {text}" for text in problems]

    def not_ready(self) -> list[str]:
        """Why pods that need this driver cannot start here now."""
        found = [self._why_not_yet()] if self.not_yet is not None else []
        if not found and not self.registered:
            found.append("the kubelet has not registered it")
        if self.endpoint.problem:
            found.append(self.endpoint.problem)
        if self.parts is not None:
            found += self.parts.problems() + self.parts.blocked()
        return [f"{self.name}: {text}" for text in found]

    def _why_not_yet(self) -> str:
        return str(self.not_yet) if self.not_yet is not STARTING else STARTING.what

    def degradations(self) -> list[str]:
        """What is not as it should be with this driver, a text each."""
        found = [self._why_not_yet()] if self.not_yet is not None else []
        if self.parts is not None:
            found += self._of_devices(self.parts)
        registration = self.endpoint.registration.state
        if registration.error:
            found.append(f"the kubelet refuses the registration: {registration.error}")
        elif self._serving and not registration.registered:
            found.append(
                "the kubelet has not registered this driver yet, so nothing is published: it must run here, "
                f"and look for plugins in {self._shared.configuration.kubelet.registry_dir}"
            )
        if self.endpoint.problem:
            found.append(self.endpoint.problem)
        if self.parts is not None:
            found += self.parts.problems() + self.parts.blocked()
        found += self._unknown
        status = self.publish_status()
        return found + list(status.degradations if status else ())

    def _of_devices(self, parts: Parts) -> list[str]:
        found = [str(problem) for problem in parts.inventory.problems()]
        if not self._shared.hooks.plugins(self.name):
            left = len(parts.snapshot().claims)
            found.append(
                f"no plugin of it is enabled: it offers nothing, and {left} claims are to be released"
                if left
                else "no plugin of it is enabled and nothing is left of it: take it off `drain`"
            )
        found += [
            f"device {pool}/{name} is gone while a claim has it" for pool, name in parts.inventory.lost()
        ]
        found += [
            f"device {pool}/{name} is tainted while a claim has it: {text}"
            for (pool, name), text in sorted(parts.inventory.drifted().items())
        ]
        return found


def is_dense(plugins: Plugins, driver: str) -> bool:
    """Whether 64 devices go into a slice from the start: taints may come to any of them at any time."""
    return any(plugins.implements(plugin, "dra_health") for plugin in plugins.plugins(driver))


class _Claims:
    """The engine behind the sockets."""

    def __init__(self, driver: DriverNode) -> None:
        self._driver = driver

    def prepare(self, ref: ClaimRef, call: Call) -> Sequence[PreparedResult]:
        parts = self._ready()
        answer = parts.engine.prepare(ref, call)
        if parts.inventory.drifted():  # this very prepare may have made it good
            parts.inventory.refresh()
        return answer

    def unprepare(self, ref: ClaimRef, call: Call) -> None:
        self._ready().engine.unprepare(ref, call)
        self._driver.claims_ended()

    def _ready(self) -> Parts:
        why = self._driver.not_yet
        if why is not None:
            raise type(why)(why.what, where=why.where, fix=why.fix)
        assert self._driver.parts is not None
        return self._driver.parts
