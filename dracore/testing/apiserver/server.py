"""The embedded API server: a store, its rules, and a loopback port."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dracore.testing.apiserver import resources as kinds
from dracore.testing.apiserver.decode import decode
from dracore.testing.apiserver.faults import Fault
from dracore.testing.apiserver.handler import Handler
from dracore.testing.apiserver.registry import DEFAULT_NAMESPACES, Write
from dracore.testing.apiserver.resources import Resource
from dracore.testing.apiserver.selectors import Selection, select
from dracore.testing.apiserver.served import Served

Object = dict[str, Any]


class EmbeddedAPI(Served):
    """A small Kubernetes API server on loopback HTTP, for tests and the demo.

    It serves ``resource.k8s.io/v1``, pods, nodes, namespaces, leases and events as kube-apiserver ``version``
    does (1.34 to 1.37, with that version's feature gates and ``feature_gates`` over them), without
    authentication. Methods named after verbs read and write objects in the process, past the request log and
    the faults.

    :param port: 0 for any free one; kept across :meth:`restart`.
    :param bookmark_interval: seconds between bookmarks of a watch.
    :param history: changes of each kind that a watch can look back on.
    """

    def __init__(
        self,
        *,
        version: str = "1.37",
        feature_gates: Mapping[str, bool] | None = None,
        port: int = 0,
        bookmark_interval: float = 60.0,
        history: int = 5000,
    ) -> None:
        super().__init__(version, feature_gates, bookmark_interval, history)
        self._port = port
        self._listener: socket.socket | None = None
        self._guard = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._acceptor: threading.Thread | None = None
        for name in DEFAULT_NAMESPACES:
            self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    # --- life -----------------------------------------------------------------------------------------

    def start(self) -> EmbeddedAPI:
        """Opens the port; returns itself."""
        self._stopping.clear()
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=128)
        self._port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(
            target=self._accept, args=(self._listener,), name="embedded-api", daemon=True
        )
        self._acceptor.start()
        return self

    def stop(self) -> None:
        """Closes the port and cuts every connection; the objects stay."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        self._stopping.set()
        try:
            listener.shutdown(socket.SHUT_RDWR)
        finally:
            listener.close()
        self.cut_watches()
        with self._guard:
            open_now = dict(self._connections)
        for connection, thread in open_now.items():
            _shut(connection)
            thread.join(5)
        if self._acceptor is not None:
            self._acceptor.join(5)

    def restart(self, downtime: float = 0.0) -> None:
        """Cuts all connections, is away for ``downtime`` seconds, and comes back on the same port."""
        self.stop()
        if downtime:
            time.sleep(downtime)
        self.start()

    def __enter__(self) -> EmbeddedAPI:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, address = listener.accept()
            except OSError:
                return
            thread = threading.Thread(
                target=self._connection, args=(connection, address), name="embedded-api-request", daemon=True
            )
            with self._guard:
                self._connections[connection] = thread
                thread.start()  # under the guard: stop() joins what stands here

    def _connection(self, connection: socket.socket, address: Any) -> None:
        try:
            if not self._stopping.is_set():
                Handler(connection, address, self)  # type: ignore[arg-type]
        except OSError:
            pass  # the peer reset the connection before its first request
        finally:
            with self._guard:
                self._connections.pop(connection, None)
            _shut(connection)
            connection.close()

    # --- addresses ------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def kubeconfig(self) -> str:
        """A kubeconfig (JSON, which is YAML) whose only context is this server."""
        name = "embedded"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": self.url}}],
            "users": [{"name": name, "user": {"token": "embedded"}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
        return json.dumps(content, indent=2) + "\n"

    def write_kubeconfig(self, path: Path | str) -> Path:
        target = Path(path)
        target.write_text(self.kubeconfig(), encoding="utf-8")
        return target

    # --- switches for tests ---------------------------------------------------------------------------

    def fault(self, **what: Any) -> Fault:
        """Adds a :class:`Fault` (same keywords) and returns it, for ``faults.remove``."""
        return self.faults.add(Fault(**what))

    def compact(self) -> int:
        """Forgets history: older versions get 410 from now on."""
        return self.store.compact()

    def save(self, path: Path) -> None:
        """Writes all objects to a file, replacing it at once."""
        beside = path.with_name(path.name + ".new")
        beside.write_text(json.dumps(self.store.dump()), encoding="utf-8")
        beside.replace(path)

    def load(self, path: Path) -> None:
        """Replaces all objects by those of a file that :meth:`save` wrote."""
        self.store.load(json.loads(path.read_text(encoding="utf-8")))

    # --- verbs, in the process ------------------------------------------------------------------------

    def _resource_of(self, obj: Mapping[str, Any]) -> Resource:
        for resource in kinds.RESOURCES:
            if (resource.api_version, resource.kind) == (obj["apiVersion"], obj["kind"]):
                return resource
        raise KeyError(f"{obj['apiVersion']} {obj['kind']} is not served")

    def create(self, obj: Object, *, manager: str = "test") -> Object:
        """Creates and, where ``obj`` has a status, writes that too (as a controller would)."""
        resource = self._resource_of(obj)
        decoded = decode(obj, resource.shape)
        namespace = decoded.get("metadata", {}).get("namespace", "default") if resource.namespaced else ""
        new = self.registry.create(resource, namespace, decoded, Write(manager))
        if resource.status and "status" in decoded and resource.kind != "Namespace":
            new = self.update_status({**new, "status": decoded["status"]}, manager=manager)
        return new

    def get(self, plural: str, name: str, namespace: str = "", *, group: str = kinds.DRA) -> Object:
        """Raises StatusError (404) when there is none."""
        return self.registry.get(kinds.find(plural, group), namespace, name)

    def list(
        self, plural: str, namespace: str = "", *, group: str = kinds.DRA, labels: str = "", fields: str = ""
    ) -> list[Object]:
        resource = kinds.find(plural, group)
        selection = select(resource, labels, fields) if labels or fields else Selection()
        return self.registry.list(resource, namespace, selection)[0]

    def update(self, obj: Object, *, manager: str = "test") -> Object:
        resource, metadata = self._resource_of(obj), obj["metadata"]
        where = (resource, metadata.get("namespace", ""), metadata["name"])
        return self.registry.update(*where, decode(obj, resource.shape), Write(manager))

    def update_status(self, obj: Object, *, manager: str = "test") -> Object:
        resource, metadata = self._resource_of(obj), obj["metadata"]
        where = (resource, metadata.get("namespace", ""), metadata["name"])
        return self.registry.update(*where, decode(obj, resource.shape), Write(manager, subresource="status"))

    def delete(
        self, plural: str, name: str, namespace: str = "", *, group: str = kinds.DRA, grace: int | None = 0
    ) -> None:
        options = {} if grace is None else {"gracePeriodSeconds": grace}
        self.registry.delete(kinds.find(plural, group), namespace, name, options, dry_run=False)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it was closed already
        connection.shutdown(socket.SHUT_RDWR)
