"""A client of the API server for the tests: plain JSON, and nothing of dracore in it.

A test must not see the cluster through the code that it tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
import yaml

from .process import wait_for

Object = dict[str, Any]
Objects = list[Object]

# Kinds that the tests name without an apiVersion.
DEFAULT_VERSIONS = {
    "Pod": "v1",
    "Namespace": "v1",
    "Node": "v1",
    "Event": "v1",
    "ConfigMap": "v1",
    "Secret": "v1",
    "ResourceSlice": "resource.k8s.io/v1",
    "ResourceClaim": "resource.k8s.io/v1",
    "ResourceClaimTemplate": "resource.k8s.io/v1",
    "DeviceClass": "resource.k8s.io/v1",
    "Lease": "coordination.k8s.io/v1",
}


class ApiError(Exception):
    """An answer of the API server that is not a success."""

    def __init__(self, status: int, body: str) -> None:
        try:
            answer = json.loads(body)
        except ValueError:
            answer = {"message": body}
        self.status = status
        self.reason: str = answer.get("reason", "")
        self.message: str = answer.get("message", "")
        super().__init__(f"{status} {self.reason}: {self.message}")


@dataclass(frozen=True)
class Access:
    """Where the server is, how it is known, and who is asking."""

    url: str
    ca: Path
    token: str


class Api:
    """Objects as dicts. `kind` is the singular ("Pod") or "apiVersion/Kind" where the version matters."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._pool = urllib3.PoolManager(
            ca_certs=str(access.ca),
            headers={"Authorization": f"Bearer {access.token}"},
            retries=False,
            maxsize=4,
        )
        self._plurals: dict[str, dict[str, tuple[str, bool]]] = {}

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        timeout: float = 30.0,
    ) -> str:
        headers = {**self._pool.headers, "Content-Type": content_type}
        data = None if body is None else json.dumps(body).encode()
        answer = self._pool.request(
            method, self._access.url + path, body=data, headers=headers, timeout=urllib3.Timeout(timeout)
        )
        text = answer.data.decode(errors="replace")
        if answer.status >= 300:
            raise ApiError(answer.status, text)
        return text

    def json(self, *arguments: Any, **options: Any) -> Any:
        """`request`, with the answer read."""
        return json.loads(self.request(*arguments, **options))

    def reachable(self) -> bool:
        """Whether the server says that it is ready."""
        try:
            return self.request("GET", "/readyz", timeout=2.0) == "ok"
        except (ApiError, urllib3.exceptions.HTTPError, OSError):
            return False

    def version(self) -> Object:
        answer: Object = self.json("GET", "/version")
        return answer

    def gates(self) -> dict[str, bool]:
        """The feature gates of the server, from its metrics."""
        found = {}
        for line in self.request("GET", "/metrics").splitlines():
            if line.startswith("kubernetes_feature_enabled{"):
                found[line.split('name="')[1].split('"')[0]] = line.endswith(" 1")
        return found

    # ------------------------------------------------------------------ paths

    def _path(self, kind: str, namespace: str | None, name: str | None = None) -> str:
        version, _, kind = kind.rpartition("/")
        version = version or DEFAULT_VERSIONS[kind]
        root = f"/api/{version}" if version == "v1" else f"/apis/{version}"
        if version not in self._plurals:
            resources = self.json("GET", root)["resources"]
            self._plurals[version] = {
                entry["kind"]: (entry["name"], entry["namespaced"])
                for entry in resources
                if "/" not in entry["name"]
            }
        plural, namespaced = self._plurals[version][kind]
        middle = f"/namespaces/{namespace}" if namespaced and namespace else ""
        return f"{root}{middle}/{plural}" + (f"/{name}" if name else "")

    # ---------------------------------------------------------------- reading

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        answer: Object = self.json("GET", self._path(kind, namespace, name))
        return answer

    def find(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None when there is none."""
        try:
            return self.get(kind, name, namespace)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: str, namespace: str | None = None, fields: str = "", labels: str = "") -> Objects:
        query = {"fieldSelector": fields, "labelSelector": labels}
        chosen = urlencode({key: value for key, value in query.items() if value})
        items: Objects = self.json("GET", f"{self._path(kind, namespace)}?{chosen}")["items"]
        return items

    # ---------------------------------------------------------------- writing

    def create(self, thing: Object, dry_run: bool = False) -> Object:
        metadata = thing["metadata"]
        path = self._path(f"{thing['apiVersion']}/{thing['kind']}", metadata.get("namespace"))
        answer: Object = self.json("POST", path + ("?dryRun=All" if dry_run else ""), thing)
        return answer

    def apply(self, *things: Object | str, namespace: str | None = None) -> Objects:
        """Server-side apply of dicts or YAML texts (several documents each, `List`s too)."""
        done = []
        for thing in things:
            documents = yaml.safe_load_all(thing) if isinstance(thing, str) else [thing]
            for document in documents:
                items = document["items"] if document["kind"] == "List" else [document]
                done += [self._apply(item, namespace) for item in items]
        return done

    def _apply(self, thing: Object, namespace: str | None) -> Object:
        metadata = thing["metadata"]
        where = metadata.get("namespace") or namespace
        path = self._path(f"{thing['apiVersion']}/{thing['kind']}", where, metadata["name"])
        query = "?fieldManager=cluster-tests&force=true"
        answer: Object = self.json("PATCH", path + query, thing, "application/apply-patch+yaml")
        return answer

    def patch(
        self, kind: str, name: str, change: Object, namespace: str | None = None, subresource: str = ""
    ) -> Object:
        """A merge patch."""
        path = self._path(kind, namespace, name) + (f"/{subresource}" if subresource else "")
        answer: Object = self.json("PATCH", path, change, "application/merge-patch+json")
        return answer

    def delete(self, kind: str, name: str, namespace: str | None = None, grace: int | None = None) -> None:
        """Deletes it; nothing happens when it is not there. grace=0 is `kubectl delete --force` for pods."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        try:
            self.request(
                "DELETE",
                self._path(kind, namespace, name),
                body | ({} if grace is None else {"gracePeriodSeconds": grace}),
            )
        except ApiError as error:
            if error.status != 404:
                raise

    def delete_all(
        self, kind: str, namespace: str | None = None, fields: str = "", grace: int | None = None
    ) -> None:
        query = f"?{urlencode({'fieldSelector': fields})}" if fields else ""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace  # type: ignore[assignment]
        self.request("DELETE", self._path(kind, namespace) + query, options)

    # ---------------------------------------------------------------- waiting

    def wait(
        self,
        kind: str,
        name: str,
        what: str,
        condition: Callable[[Object], object],
        namespace: str | None = None,
        timeout: float = 30.0,
    ) -> Object:
        """The object as soon as `condition` is true of it; its status is in the error otherwise."""

        def look() -> Object | None:
            thing = self.find(kind, name, namespace)
            assert thing is not None, f"there is no {kind} {name}"
            assert condition(thing), json.dumps(thing.get("status", thing))
            return thing

        found = wait_for(f"{kind} {name} {what}", look, timeout)
        assert found is not None
        return found

    def wait_gone(self, kind: str, name: str, namespace: str | None = None, timeout: float = 30.0) -> None:
        def gone() -> bool:
            thing = self.find(kind, name, namespace)
            assert thing is None, json.dumps({"metadata": thing["metadata"], "status": thing.get("status")})
            return True

        wait_for(f"{kind} {name} is gone", gone, timeout)

    def pod_log(self, name: str, namespace: str, container: str | None = None) -> str:
        query = f"?container={container}" if container else ""
        return self.request("GET", f"{self._path('Pod', namespace, name)}/log{query}")

    def events(self, namespace: str | None = None, about: str | None = None) -> Objects:
        fields = f"involvedObject.name={about}" if about else ""
        return self.list("Event", namespace, fields=fields)
