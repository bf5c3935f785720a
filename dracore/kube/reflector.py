"""A local copy of a collection: listed once, then kept current by a watch.

It survives what an API server does to its clients: expired resource versions, connections that end, restarts,
refusals. Attempts are spaced by a growing, jittered delay, so that it is never a hot loop, whatever the
server answers.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from dracore.errors import DracoreError, Gone, KubeError, Unreachable
from dracore.kube.backoff import Backoff
from dracore.kube.client import PAGE_SIZE, KubeClient, Object, pages
from dracore.kube.status import error_of
from dracore.kube.watch import Watch

WATCH_SECONDS = (300, 600)
"""A watch is asked to end by itself after a random time in this range, as the field's clients do."""

LASTED = 5.0
"""Seconds after which a watch that brought nothing still counts as one that worked."""

_log = logging.getLogger(__name__)


class Handler(Protocol):
    """Is called on the reflector's thread; must not block for long. Objects are not to be changed."""

    def __call__(self, old: Object | None, new: Object | None) -> None:
        """Added: `old` is None. Deleted: `new` is None. Modified: both are there."""


@dataclass
class Counts:
    """What a reflector has done so far, for metrics and tests."""

    lists: int = 0
    watches: int = 0
    failures: int = 0
    events: int = 0


@dataclass
class _Store:
    lock: threading.Lock = field(default_factory=threading.Lock)
    objects: dict[str, Object] = field(default_factory=dict)


class Reflector:
    """Keeps a copy of the objects under `path` that `field_selector` and `label_selector` choose.

    :param handlers: called for each change, also for deletions that a new list reveals. One that raises is
        logged and loses that change only.
    :param on_error: called with each failure and the seconds until the next attempt.
    :param on_list: called after each complete list: the server answers (again).
    """

    def __init__(
        self,
        client: KubeClient,
        path: str,
        *,
        field_selector: str = "",
        label_selector: str = "",
        handlers: tuple[Handler, ...] = (),
        on_error: Callable[[DracoreError, float], None] | None = None,
        on_list: Callable[[], None] | None = None,
        page_size: int = PAGE_SIZE,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.synced = threading.Event()
        self.counts = Counts()
        self._client = client
        self._selectors = {
            name: value
            for name, value in (("fieldSelector", field_selector), ("labelSelector", label_selector))
            if value
        }
        self._handlers = handlers
        self._on_error = on_error
        self._on_list = on_list
        self._page_size = page_size
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._store = _Store()
        self._version = ""
        self._stopping = threading.Event()
        self._watch_lock = threading.Lock()
        self._watch: Watch | None = None
        self._thread: threading.Thread | None = None

    # --- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the thread; :attr:`synced` is set after the first complete list."""
        self._thread = threading.Thread(target=self._run, name=f"reflector {self.path}", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Ends a blocked watch at once and waits for the thread, at most `timeout` seconds."""
        self._stopping.set()
        with self._watch_lock:
            if self._watch is not None:
                self._watch.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    # --- reading ------------------------------------------------------------------------------------

    def get(self, name: str, namespace: str = "") -> Object | None:
        """The object as last seen."""
        with self._store.lock:
            return self._store.objects.get(f"{namespace}/{name}" if namespace else name)

    def list(self) -> list[Object]:
        """All objects as last seen, in no particular order."""
        with self._store.lock:
            return list(self._store.objects.values())

    @property
    def resource_version(self) -> str:
        """How far this copy has come: no later change is in it, every earlier one is."""
        return self._version

    # --- the loop -----------------------------------------------------------------------------------

    def _run(self) -> None:
        must_list = True
        while not self._stopping.is_set():
            try:
                if must_list:
                    self._list()
                    must_list = False
                if self._watch_once():
                    self._backoff.reset()
                    continue
                problem: DracoreError = Unreachable("the watch ended at once", where=f"watch {self.path}")
            except Gone as error:
                problem, must_list = error, True
            except KubeError as error:
                # Without any answer the server may come back as another one, with an older history: a watch
                # from our version would then be silent for ever. A refusal may end with a new list, too.
                problem, must_list = error, must_list or not isinstance(error, _Broken)
            except Exception as error:  # noqa: BLE001
                # An answer that is no JSON, a page that is not a list: the server's fault, not our end.
                _log.exception("unexpected failure of the reflector of %s", self.path)
                problem, must_list = DracoreError(f"{type(error).__name__}: {error}", where=self.path), True
            if self._stopping.is_set():
                return
            self._pause(problem)

    def _pause(self, problem: DracoreError) -> None:
        self.counts.failures += 1
        delay = self._backoff.next()
        if self._on_error is not None:
            self._on_error(problem, delay)
        else:
            _log.warning("%s; next attempt in %.1f s", problem, delay)
        self._stopping.wait(delay)

    def _list(self) -> None:
        self.counts.lists += 1
        fresh: dict[str, Object] = {}
        version = ""
        for page in pages(self._client, self.path, self._selectors, self._page_size):
            if self._stopping.is_set():
                return
            fresh.update((_key(item), _lean(item)) for item in page.items)
            version = page.resource_version
        with self._store.lock:
            old = self._store.objects
            self._store.objects = fresh
        self._version = version
        for key, before in old.items():
            after = fresh.get(key)
            if after is None or _uid(after) != _uid(before):
                self._tell(before, None)
        for key, after in fresh.items():
            earlier = old.get(key)
            if earlier is None or _uid(after) != _uid(earlier):
                self._tell(None, after)
            elif _version(after) != _version(earlier):
                self._tell(earlier, after)
        self.synced.set()
        if self._on_list is not None:
            self._on_list()

    def _watch_once(self) -> bool:
        """Follows one watch to its end; False where it ended at once and brought nothing new."""
        seconds = random.randint(*WATCH_SECONDS)
        params = {
            **self._selectors,
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": seconds,
        }
        self.counts.watches += 1
        started, version = self._clock(), self._version
        watch = self._client.watch(self.path, params=params, silence=seconds + 30.0)
        with self._watch_lock:
            self._watch = watch
        try:
            if self._stopping.is_set():
                watch.close()
            for event in watch:
                self._apply(event)
        except KubeError as error:
            if self._progressed(started, version):
                self._backoff.reset()
            if error.status is None:
                raise _Broken(error.what, where=error.where) from error
            raise
        finally:
            with self._watch_lock:
                self._watch = None
            watch.close()
        return self._progressed(started, version)

    def _progressed(self, started: float, version: str) -> bool:
        return self._version != version or self._clock() - started >= LASTED

    def _apply(self, event: Mapping[str, Any]) -> None:
        kind, obj = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            code = int(obj.get("code") or 500)
            raise error_of(code, obj.get("reason"), str(obj.get("message") or ""), f"watch {self.path}")
        self.counts.events += 1
        version = _version(obj)
        if kind == "BOOKMARK":
            self._version = version or self._version
            return
        key, obj = _key(obj), _lean(obj)
        with self._store.lock:
            old = self._store.objects.pop(key, None)
            if kind != "DELETED":
                self._store.objects[key] = obj
        self._version = version or self._version
        if kind == "DELETED":
            self._tell(obj if old is None else old, None)
        elif old is not None and _uid(old) != _uid(obj):
            self._tell(old, None)
            self._tell(None, obj)
        else:
            self._tell(old, obj)

    def _tell(self, old: Object | None, new: Object | None) -> None:
        for handler in self._handlers:
            try:
                handler(old, new)
            except Exception:  # noqa: BLE001 - it loses this change only
                _log.exception("a handler of the reflector of %s failed", self.path)


class _Broken(Unreachable):
    """A watch that had begun broke off: the server was there a moment ago, so resume from our version."""


def _lean(obj: Object) -> Object:
    """Without ``managedFields``: they are as large as the rest, and nobody here reads them."""
    obj["metadata"].pop("managedFields", None)
    return obj


def _key(obj: Object) -> str:
    meta = obj["metadata"]
    namespace = meta.get("namespace")
    return f"{namespace}/{meta['name']}" if namespace else str(meta["name"])


def _uid(obj: Object) -> str:
    return str(obj["metadata"].get("uid", ""))


def _version(obj: Object) -> str:
    return str((obj.get("metadata") or {}).get("resourceVersion", ""))
