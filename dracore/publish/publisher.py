"""Keeps the slices of one driver equal to the inventory: takes pools, writes, repairs what others change."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from dracore.errors import Conflict, DracoreError, KubeError
from dracore.kube.backoff import Backoff
from dracore.kube.client import KubeClient
from dracore.kube.reflector import Reflector
from dracore.kube.workqueue import Workers, WorkQueue
from dracore.model.device import Device, NodeSelection, Pool
from dracore.publish import names, wire
from dracore.publish.desired import Desired, build
from dracore.publish.features import used_by
from dracore.publish.owner import NoOwner, Owner, OwnerReference
from dracore.publish.pacer import Pacer
from dracore.publish.pack import Names
from dracore.publish.probe import FeatureProbe
from dracore.publish.status import Published, PublishObserver, PublishStatus
from dracore.publish.validate import check_pool
from dracore.publish.view import LIFETIME, SliceView
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

_DEVICE_INDEX = re.compile(r"spec\.devices\[(\d+)\]")
_log = logging.getLogger(__name__)


@dataclass
class _PoolState:
    """What the worker knows of one pool."""

    pacer: Pacer = field(default_factory=Pacer)
    built_from: int = -1
    desired: Desired | None = None
    settled: Desired | None = None
    generation: int = 0
    published: datetime | None = None
    problem: str = ""
    texts: tuple[str, ...] = ()
    refused: dict[str, tuple[Device, str]] = field(default_factory=dict)


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
        self._node_name = node_name
        self._node = NodeSelection(node_name=node_name) if node_name else NodeSelection(all_nodes=True)
        self._dense = dense
        self._prepared = prepared
        self._may_write = may_write
        self._observer = observer or PublishObserver()
        self._only_pool = only_pool
        self._probe_interval = probe_interval
        self._confirm_within = confirm_within
        self._clock = clock
        self._now = now
        self._reflector = Reflector(
            client,
            wire.PATH,
            field_selector=f"spec.driver={driver},spec.nodeName={node_name}",
            handlers=(self._changed,),
            on_error=self._watch_failed,
            on_list=self._server_answers,
        )
        self._view = SliceView(self._reflector, clock, confirm_within)
        if owner is None and node_name:
            owner = Owner("Node", node_name)
        self._owner = OwnerReference(client, owner)
        self._writer = SliceWriter(
            client,
            self._view,
            driver,
            owner.name if owner else "",
            self._owner,
            may_write=may_write,
            wrote=lambda verb: self._observer.wrote(verb),
        )
        self._probe = FeatureProbe(client, driver, only_pool or node_name or "probe", self._node)
        self._queue: WorkQueue[str] = WorkQueue(backoff=lambda: Backoff(first=0.1, limit=60.0), clock=clock)
        self._workers = Workers(self._queue, self._work, name=f"publish {driver}")
        self._lock = threading.Lock()
        self._pools: dict[str, Pool] | None = None
        self._version = 0
        self._states: dict[str, _PoolState] = {}
        self._strays: dict[str, Pacer] = {}
        self._status = PublishStatus()
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
        with self._lock:
            old = self._pools or {}
            self._pools = {pool.name: pool for pool in pools}
            self._version += 1
            affected = {*old, *self._pools}
        for name in affected:
            self._queue.forget(name)
            self._queue.add(name)
        # Slices of pools that nobody names any more, from before our start.
        self._queue.add(_ALL)

    def refresh(self) -> None:
        """Looks at everything anew: what is prepared has changed, or writing is allowed again."""
        with self._lock:
            self._version += 1
        self._queue.add(_ALL)

    def drain(self, timeout: float) -> bool:
        """Waits for a write under way, for who hands publishing over after `may_write` turned false."""
        return self._writer.drain(timeout)

    def status(self) -> PublishStatus:
        """The last publish and what is not published as discovered. Thread-safe."""
        with self._lock:
            status, problem = self._status, self._list_problem
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
        with self._lock:
            failed = [
                name for name in self._pools or () if name in self._states and self._states[name].problem
            ]
        for name in failed:
            self._queue.forget(name)
            self._queue.add(name)

    def _queue_all(self) -> None:
        with self._lock:
            known = set(self._pools or ())
        stored = {str(obj["spec"]["pool"]["name"]) for obj in self._view.list()}
        for name in known | stored:
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
            else:
                self._sync(key)
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
        state = self._states.get(key)
        # A conflict is everyday life: the object was read again, the next attempt knows more.
        if state is not None and not isinstance(error, Conflict):
            state.problem = f"pool {key} is not published: {error}"
            self._tell()
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
        self._probe.forget()
        self._writer.forget()
        with self._lock:
            self._version += 1
        for state in self._states.values():
            state.refused.clear()
        self._queue_all()

    def _sync(self, name: str) -> None:
        with self._lock:
            pools, version = self._pools, self._version
        if pools is None:
            return
        if not self._may_write():
            raise Held("another instance of this driver publishes")
        if name not in pools:
            self._remove(name)
            return
        state = self._states.setdefault(name, _PoolState())
        if state.built_from != version:
            self._build(pools[name], state)
            state.built_from = version
        desired = state.desired
        if desired is None:
            self._tell()
            return
        plan = self._writer.plan(name, desired.specs, state.generation)
        repair = state.settled is desired and plan.writes > 0
        if repair:
            if (wait := state.pacer.wait(self._clock())) > 0:
                self._queue.add_after(name, wait)
                return
            if plan.create:
                self._owner.forget()
            _log.info("%s, pool %s: %d foreign changes to put right", self.driver, name, plan.writes)
        try:
            dropped = self._writer.apply(name, desired.specs, plan)
        except Refused as error:
            if not self._withhold(pools[name], state, error):
                raise
            self._queue.add(name)
            return
        # Without a write of this attempt, too: the answer to an earlier one may have been lost.
        news = plan.writes > 0 or state.settled is not desired
        state.settled, state.generation, state.problem = desired, plan.generation, ""
        if news:
            state.published = self._now()
            self._observer.published(name, plan.generation, len(desired.specs))
        if repair:
            self._observer.repaired(name, plan.writes)
        if self._view.unconfirmed():
            # A slice that vanished before our watch had seen it makes no event: look once more.
            self._queue.add_after(name, self._confirm_within * 1.02)
        self._tell()
        if dropped:
            # The probe should have known: ask again, so that no device loses a taint that keeps it safe.
            self._probe.forget()
            with self._lock:
                self._version += 1
            self._queue.add(name)

    def _remove(self, name: str) -> None:
        """Deletes the slices of a pool that we do not have (any more)."""
        gone = self._states.pop(name, None)
        ours = not self._only_pool or name == self._only_pool
        if ours and self._writer.stored(name):
            # Ours from before is deleted at once; one that somebody makes again and again is not.
            wait = 0.0 if gone else self._strays.setdefault(name, Pacer()).wait(self._clock())
            if wait > 0:
                self._queue.add_after(name, wait)
                return
            self._writer.delete_pool(name)
        if gone is not None:
            self._tell()

    def _build(self, pool: Pool, state: _PoolState) -> None:
        misplaced = self._misplaced(pool)
        checked = check_pool(pool)
        if misplaced or checked.pool is None:
            state.desired = None
            state.texts = (*([misplaced] if misplaced else ()), *map(str, checked.problems))
            return
        devices = {device.name: device for device in checked.pool.devices}
        state.refused = {
            name: (device, said)
            for name, (device, said) in state.refused.items()
            if devices.get(name) == device
        }
        needed = used_by(checked.pool)
        before = state.desired
        desired = build(
            checked,
            self._probe.support(needed) if needed else {},
            self._node,
            previous=before.layout if before else self._layout(pool.name),
            dense=self._dense,
            prepared={device for name, device in self._prepared() if name == pool.name},
            refused=state.refused,
        )
        assert desired is not None
        if before is not None and state.settled is before and desired.specs == before.specs:
            state.settled = desired  # what stands is still what we want: a difference is a foreign one
        state.desired, state.texts = desired, desired.texts

    def _misplaced(self, pool: Pool) -> str:
        if self._only_pool and pool.name != self._only_pool:
            return f"pool {pool.name} is not published: this publisher is for the pool {self._only_pool}"
        if self._node_name and pool.node not in (None, self._node):
            return f"pool {pool.name} is not published: it lies on other nodes than {self._node_name}"
        if not self._node_name and pool.node is None:
            return f"pool {pool.name} is not published: it names no nodes"
        if pool.driver != self.driver:
            return f"pool {pool.name} is not published: it belongs to the driver {pool.driver}"
        return ""

    def _layout(self, pool: str) -> tuple[Names, ...]:
        """How the slices on the server are laid out: what an earlier process of ours has published."""
        stored = self._writer.stored(pool)
        newest = max((int(obj["spec"]["pool"]["generation"]) for obj in stored), default=0)
        found: dict[int, Names] = {}
        for obj in stored:
            of_pool = obj["spec"]["pool"]
            index = names.index_of(obj["metadata"]["name"], int(of_pool["resourceSliceCount"]))
            if index is not None and int(of_pool["generation"]) == newest:
                found[index] = wire.names_in(obj["spec"])
        return tuple(found.get(index, Names()) for index in range(max(found, default=-1) + 1))

    def _withhold(self, pool: Pool, state: _PoolState, refused: Refused) -> bool:
        """Leaves out the devices that the server's refusal names; False where it names none."""
        assert state.desired is not None
        layout = state.desired.layout[refused.index].devices
        devices = {device.name: device for device in pool.devices}
        named = {int(index) for index in _DEVICE_INDEX.findall(refused.error.what)}
        bad = [layout[index] for index in named if index < len(layout)]
        for name in bad:
            state.refused[name] = (devices[name], refused.error.what)
        state.built_from = -1
        return bool(bad)

    def _tell(self) -> None:
        """Makes the status anew and tells the observer what is new in it."""
        texts: dict[str, None] = {}
        for name, state in sorted(self._states.items()):
            texts.update(dict.fromkeys(state.texts))
            if state.desired is not None:
                texts.update(dict.fromkeys(self._writer.adopted_texts(name, state.desired.specs)))
            if state.problem:
                texts[state.problem] = None
        wanted = [state for state in self._states.values() if state.desired is not None]
        times = [state.published for state in wanted if state.published is not None]
        published = None
        if times and len(times) == len(wanted):
            slices = sum(len(state.desired.specs) for state in wanted if state.desired is not None)
            published = Published(max(times), max(state.generation for state in wanted), slices)
        with self._lock:
            before = self._status.degradations
            self._status = PublishStatus(published, tuple(texts))
        for text in texts:
            if text not in before:
                _log.warning("%s: %s", self.driver, text)
                self._observer.degraded(text)
        for text in before:
            if text not in texts:
                self._observer.recovered(text)
