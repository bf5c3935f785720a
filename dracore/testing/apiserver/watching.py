"""One watch: the stream of events of a table from a version on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from dracore.testing.apiserver.resources import Resource
from dracore.testing.apiserver.selectors import Selection
from dracore.testing.apiserver.status import StatusError
from dracore.testing.apiserver.store import Change, Store

Object = dict[str, Any]
Render = Callable[[Object], Object]


def initial(store: Store, resource: Resource, version: str) -> tuple[int, list[Object]]:
    """Where the watch starts, and the objects to announce first when no version was given."""
    if version in ("", "0"):
        objects, current = store.snapshot(resource.storage)
        return current, objects
    return int(version), []


class Watch:
    """Iterate over it for encoded events; ``None`` means that nothing happened for a while."""

    def __init__(
        self,
        store: Store,
        resource: Resource,
        namespace: str,
        selection: Selection,
        render: Render,
        *,
        version: str,
        bookmarks: bool,
        bookmark_interval: float,
        send_initial: bool = False,
        stopped: Callable[[], bool],
        bookmark_round: Callable[[], int],
    ) -> None:
        self._store = store
        self._resource = resource
        self._namespace = namespace
        self._selection = selection
        self._render = render
        self._bookmarks = bookmarks
        self._interval = bookmark_interval
        self._stopped = stopped
        self._round = bookmark_round
        self._send_initial = send_initial
        self._version_asked = version

    def _sees(self, obj: Object | None) -> bool:
        if obj is None:
            return False
        inside = not self._namespace or obj["metadata"].get("namespace", "") == self._namespace
        return inside and self._selection.matches(obj)

    def events(self, deadline: float) -> Iterator[bytes | None]:
        """Encoded lines until ``deadline`` (monotonic seconds) or the server cuts; None as a heartbeat."""
        asked = "" if self._send_initial else self._version_asked
        version, objects = initial(self._store, self._resource, asked)
        for obj in objects:
            if self._sees(obj):
                yield self._line("ADDED", obj)
        if self._send_initial and self._bookmarks:
            yield self._bookmark(version, {"k8s.io/initial-events-end": "true"})
        last_bookmark, seen_round = time.monotonic(), self._round()
        while not self._stopped() and time.monotonic() < deadline:
            try:
                changes = self._wait(version, deadline, last_bookmark, seen_round)
            except StatusError as error:
                yield json.dumps({"type": "ERROR", "object": error.body}).encode() + b"\n"
                return
            for change in changes:
                if (event := self._event(change)) is not None:
                    yield event
            version = max(version, changes[-1].version) if changes else version
            due = time.monotonic() - last_bookmark >= self._interval or self._round() != seen_round
            if self._bookmarks and due:
                with self._store.lock:
                    if not self._store.since(self._resource.storage, version):
                        version = max(version, self._store.version)
                seen_round, last_bookmark = self._round(), time.monotonic()
                yield self._bookmark(version, {})
            elif not changes:
                yield None

    def _wait(self, version: int, deadline: float, last_bookmark: float, seen_round: int) -> list[Change]:
        with self._store.changed:
            changes = self._store.since(self._resource.storage, version)
            if changes or self._stopped() or self._round() != seen_round:
                return changes
            until = min(deadline, last_bookmark + self._interval) - time.monotonic()
            self._store.changed.wait(min(max(until, 0.0), 1.0))
            return self._store.since(self._resource.storage, version)

    def _event(self, change: Change) -> bytes | None:
        """The change as this watch sees it: an object that enters or leaves the selection appears or goes."""
        before = self._sees(change.previous)
        now = self._sees(change.object) and change.type != "DELETED"
        if now:
            return self._line("MODIFIED" if before else "ADDED", change.object)
        if not before:
            return None
        if change.type == "DELETED" or change.previous is None:
            return self._line("DELETED", change.object)
        metadata = {**change.previous["metadata"], "resourceVersion": str(change.version)}
        return self._line("DELETED", {**change.previous, "metadata": metadata})

    def _line(self, kind: str, obj: Object) -> bytes:
        return json.dumps({"type": kind, "object": self._render(obj)}, separators=(",", ":")).encode() + b"\n"

    def _bookmark(self, version: int, annotations: Object) -> bytes:
        metadata: Object = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        obj = {"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": metadata}
        return json.dumps({"type": "BOOKMARK", "object": obj}).encode() + b"\n"
