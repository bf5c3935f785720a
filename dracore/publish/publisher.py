"""Keeps the slices of one driver equal to the inventory: takes pools, writes, repairs what others change."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from dracore.errors import DracoreError, KubeError
from dracore.kube.backoff import Backoff
from dracore.kube.client import KubeClient
from dracore.kube.reflector import Reflector
from dracore.kube.workqueue import Workers, WorkQueue
from dracore.model.device import Pool
from dracore.publish import wire
from dracore.publish.keeper import PoolKeeper
from dracore.publish.owner import NoOwner, Owner, OwnerReference
from dracore.publish.probe import FeatureProbe
from dracore.publish.report import Report
from dracore.publish.shaper import Shaper, node_selection
from dracore.publish.status import PublishObserver, PublishStatus
from dracore.publish.view import LIFETIME, SliceView
from dracore.publish.wanted import Wanted
from dracore.publish.writer import Held, Refused, SliceWriter

Object: TypeAlias = dict[str, Any]

PROBE_INTERVAL = 3600.0
"""Seconds after which the server is asked again what it keeps."""
HELD_INTERVAL = 0.5
"""Seconds after which an instance that may not write looks again."""
OWNER_INTERVAL = 2.0
"""Longest wait for the node object, which a kubelet that starts makes at any moment."""
SETTLE = 0.02
"""Seconds to wait after a foreign change: who deletes one slice usually deletes all."""

_PROBE, _VERSION, _ALL = "(features)", "(server version)", "(all)"
"""Keys of the work queue that are no pool's name."""

_log = logging.getLogger(__name__)


class Publisher:
    """Publishes the pools of one driver.

    It watches only the slices of its driver and node, and writes only those: never another node's or
    driver's.

    :param node_name: this node; pools without a node selection are reachable from it alone. Empty: a
        controller of devices that lie on no node; every pool then names its nodes, and `owner` may be None.
    :param dense: pack 64 devices a slice from the start: for drivers with health, counters or lists.
    :param prepared: the (pool, device) names in use on this node; such a device stays published even
        where the server cannot keep its taint.
    :param may_write: asked before every write; the other instance of a rolling update answers no.
    :param probe_interval: seconds after which the server is asked again which fields it keeps.
    :param confirm_within: seconds after which a write that the watch has not brought is no longer believed.
    :param only_pool: restricts the publisher to one pool; others of the same driver are left alone.
    """

    def __init__(
        self,
        client: KubeClient,
        driver: str,
        node_name: str,
        *,
        dense: bool = False,
        owner: Owner | None = None,
        prepared: Callable[[], Collection[tuple[str, str]]] = tuple,
        may_write: Callable[[], bool] = lambda: True,
        observer: PublishObserver | None = None,
        only_pool: str = "",
        probe_interval: float = PROBE_INTERVAL,
        confirm_within: float = LIFETIME,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.driver = driver
        self._client = client
        self._observer = observer or PublishObserver()
        self._probe_interval = probe_interval
        self._reflector = Reflector(
            client,
            wire.PATH,
            field_selector=f"spec.driver={driver},spec.nodeName={node_name}",
            handlers=(self._changed,),
            on_error=self._watch_failed,
            on_list=self._server_answers,
        )
        if owner is None and node_name:
            owner = Owner("Node", node_name)
        reference = OwnerReference(client, owner)
        self._view = SliceView(self._reflector, clock, confirm_within)
        self._writer = SliceWriter(
            client,
            self._view,
            driver,
            owner.name if owner else "",
            reference,
            may_write=may_write,
            wrote=lambda verb: self._observer.wrote(verb),
        )
        self._wanted = Wanted()
        self._report = Report(driver, self._writer, self._observer)
        self._keeper = PoolKeeper(
            driver,
            self._wanted,
            Shaper(
                driver,
                node_name,
                only_pool=only_pool,
                dense=dense,
                prepared=prepared,
                probe=FeatureProbe(
                    client, driver, only_pool or node_name or "probe", node_selection(node_name)
                ),
                writer=self._writer,
            ),
            self._writer,
            self._view,
            reference,
            self._report,
            self._observer,
            only_pool=only_pool,
            confirm_within=confirm_within,
            clock=clock,
            now=now,
        )
        self._queue: WorkQueue[str] = WorkQueue(backoff=lambda: Backoff(first=0.1, limit=60.0), clock=clock)
        self._workers = Workers(self._queue, self._work, name=f"publish {driver}")
        self._server: Object | None = None
        self._list_problem = ""

    # --- life and input -----------------------------------------------------------------------------

    def start(self) -> None:
        """Starts to watch and, once :meth:`update` was called, to write."""
        self._reflector.start()
        self._workers.start()
        self._queue.add(_VERSION)
        self._queue.add_after(_PROBE, self._probe_interval)

    def stop(self, timeout: float = 5.0) -> None:
        """Stops after the write that is under way. The slices stay: who restarts finds them."""
        self._workers.stop(timeout)
        self._reflector.stop(timeout)

    def update(self, pools: Sequence[Pool]) -> None:
        """These pools, whole, are what the driver has now. Returns at once.

        Nothing is written, nor deleted, before the first call. A pool that is not named any more is deleted.
        """
        for name in self._wanted.replace(pools):
            self._retry_now(name)
        # Slices of pools that nobody names any more, from before our start.
        self._queue.add(_ALL)

    def refresh(self) -> None:
        """Looks at everything anew: what is prepared has changed, or writing is allowed again."""
        self._wanted.touch()
        self._queue.add(_ALL)

    def drain(self, timeout: float) -> bool:
        """Waits for a write under way, for who hands publishing over after `may_write` turned false."""
        return self._writer.drain(timeout)

    def status(self) -> PublishStatus:
        """The last publish and what is not published as discovered. Thread-safe."""
        status, problem = self._report.status(), self._list_problem
        if problem and not self._reflector.synced.is_set():
            return PublishStatus(status.published, (*status.degradations, problem))
        return status

    # --- what happens on the server -----------------------------------------------------------------

    def _changed(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None
        if self._view.is_echo(obj, deleted=new is None):
            return
        self._queue.add_after(obj["spec"]["pool"]["name"], SETTLE)

    def _watch_failed(self, problem: DracoreError, delay: float) -> None:
        self._list_problem = f"slices cannot be watched: {problem}"
        _log.warning("%s: %s; next attempt in %.1f s", self.driver, problem, delay)
        # The server may come back as another version, with other features.
        self._queue.add_after(_VERSION, 1.0)

    def _server_answers(self) -> None:
        """What failed while the server was away waits no longer."""
        for name in self._wanted.names().intersection(self._keeper.failing()):
            self._retry_now(name)

    def _retry_now(self, name: str) -> None:
        self._queue.forget(name)
        self._queue.add(name)

    # --- the worker ---------------------------------------------------------------------------------

    def _work(self, key: str) -> None:
        if not self._reflector.synced.wait(0.2):
            self._queue.add_after(key, 0.05)
            return
        try:
            if key == _PROBE:
                self._reprobe()
                self._queue.add_after(_PROBE, self._probe_interval)
            elif key == _VERSION:
                self._check_version()
            elif key == _ALL:
                self._queue_all()
            elif (again := self._keeper.sync(key)) is not None:
                self._queue.add_after(key, again)
        except Held:
            self._queue.add_after(key, HELD_INTERVAL)
            return
        except (KubeError, Refused) as error:
            self._failed(key, error)
            return
        except Exception as error:  # noqa: BLE001
            # Said like any failure, and tried again: a pool that is not published must not look well.
            _log.exception("%s, %s: a defect", self.driver, key)
            self._failed(key, DracoreError(f"a defect of dracore: {type(error).__name__}: {error}"))
            return
        self._queue.forget(key)

    def _failed(self, key: str, error: DracoreError) -> None:
        delay = self._queue.retry(key, limit=OWNER_INTERVAL if isinstance(error, NoOwner) else None)
        self._keeper.failed(key, error)
        self._observer.failed(key, str(error), delay)
        _log.warning("%s, %s: %s; next attempt in %.1f s", self.driver, key, error, delay)

    def _check_version(self) -> None:
        server = self._client.server_version(timeout=10.0)
        if self._server is not None and server != self._server:
            _log.info("%s: the API server is now %s", self.driver, server.get("gitVersion"))
            self._reprobe()
        self._server = server
        self._queue_all()

    def _reprobe(self) -> None:
        self._keeper.forget()
        self._queue_all()

    def _queue_all(self) -> None:
        stored = {str(obj["spec"]["pool"]["name"]) for obj in self._view.list()}
        for name in self._wanted.names() | stored:
            self._queue.add(name)
