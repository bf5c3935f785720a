"""The verbs on stored objects: get, list, create, update, patch, apply, delete."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from dracore.testing.apiserver import patches, ssa, status
from dracore.testing.apiserver.decode import decode, format_time
from dracore.testing.apiserver.fielderrors import required
from dracore.testing.apiserver.resources import Resource
from dracore.testing.apiserver.selectors import Selection
from dracore.testing.apiserver.ssa import Manager
from dracore.testing.apiserver.store import Store
from dracore.testing.apiserver.strategy import Strategy, check_identity

Object = dict[str, Any]
DEFAULT_NAMESPACES = ("default", "kube-system")
Change = Callable[[Object], Object]


@dataclass(frozen=True)
class Write:
    """How a write is to be done."""

    manager: str = "unknown"
    dry_run: bool = False
    subresource: str = ""
    force: bool = False


class Registry:
    """All objects of a server. Each verb raises StatusError for what the API server would refuse."""

    def __init__(self, store: Store, strategy: Strategy) -> None:
        self._store = store
        self._strategy = strategy

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        found = self._store.get(resource.storage, (namespace, name))
        if found is None:
            raise status.not_found(resource, name)
        return found

    def list(
        self,
        resource: Resource,
        namespace: str,
        selection: Selection,
        *,
        limit: int = 0,
        token: str = "",
        at: int | None = None,
    ) -> tuple[list[Object], Object]:
        """Objects and list metadata. ``at`` is an exact version; ``token`` continues an earlier page."""
        start: tuple[str, str] | None = None
        if token:
            version, start = _read_token(token)
            try:
                objects, shown = self._store.snapshot(resource.storage, version)
            except status.StatusError as error:
                raise _token_expired(error, start, self._store.version) from error
        else:
            objects, shown = self._store.snapshot(resource.storage, at)
        metadata: Object = {"resourceVersion": str(shown)}
        chosen = [
            obj
            for obj in objects
            if (not namespace or obj["metadata"].get("namespace", "") == namespace) and selection.matches(obj)
        ]
        if start is not None:
            chosen = [obj for obj in chosen if _key(obj) > start]
        if limit and len(chosen) > limit:
            page, rest = chosen[:limit], len(chosen) - limit
            metadata["continue"] = _token(shown, _key(page[-1]))
            if not selection:
                metadata["remainingItemCount"] = rest
            chosen = page
        return chosen, metadata

    def create(self, resource: Resource, namespace: str, obj: Object, write: Write) -> Object:
        with self._store.lock:
            new = self._placed(resource, namespace, obj)
            if new["metadata"].get("resourceVersion"):
                message = "resourceVersion should not be set on objects to be created"
                raise status.StatusError(500, "", message)
            new = self._strategy.for_create(resource, new)
            name = new["metadata"]["name"]
            if self._store.get(resource.storage, (namespace, name)) is not None:
                raise status.already_exists(resource, name)
            owner = Manager(write.manager, "Update", resource.api_version)
            new = ssa.updated(new, None, resource.shape, owner, self._strategy.timestamp())
            return new if write.dry_run else self._store.put(resource.storage, new)

    def _placed(self, resource: Resource, namespace: str, obj: Object) -> Object:
        """``obj`` of the right kind in the namespace of the request."""
        metadata = dict(obj.get("metadata") or {})
        for name, wanted in (("apiVersion", resource.api_version), ("kind", resource.kind)):
            if obj.get(name, wanted) != wanted:
                raise status.bad_request(
                    f"the {name} in the data ({obj[name]}) does not match the expected {name} ({wanted})"
                )
        if metadata.get("namespace", namespace) != namespace:
            raise status.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        if namespace:
            self._namespace_exists(namespace)
            metadata["namespace"] = namespace
        return {"apiVersion": resource.api_version, "kind": resource.kind, **obj, "metadata": metadata}

    def _namespace_exists(self, namespace: str) -> None:
        if self._store.get("namespaces", ("", namespace)) is None:
            message = f'namespaces "{namespace}" not found'
            details = {"name": namespace, "kind": "namespaces"}
            raise status.StatusError(404, "NotFound", message, details)

    def update(self, resource: Resource, namespace: str, name: str, obj: Object, write: Write) -> Object:
        def change(old: Object) -> Object:
            new = self._placed(resource, namespace, obj)
            if not new["metadata"].get("name"):
                raise status.bad_request("name must be provided")
            check_identity(resource, new, old)
            return new

        if resource.kind == "DeviceTaintRule" and not (obj.get("metadata") or {}).get("resourceVersion"):
            path = "metadata.resourceVersion"
            fault = status.invalid(resource, name, [required(path, "must be specified for an update")])
            raise fault
        return self._change(resource, namespace, name, change, write)

    def patch(
        self, resource: Resource, namespace: str, name: str, kind: str, patch: Any, write: Write
    ) -> Object:
        """``kind`` is the content type: JSON, merge or strategic merge patch."""

        def change(old: Object) -> Object:
            if kind == "application/json-patch+json":
                new = patches.json_patch(old, patch)
            elif kind == "application/merge-patch+json":
                new = patches.merge_patch(old, patch)
            else:
                new = patches.strategic_patch(old, patch, resource.shape)
            decoded = decode(new, resource.shape)
            asked = decoded.get("metadata", {}).get("resourceVersion")
            if isinstance(patch, dict) and "resourceVersion" not in (patch.get("metadata") or {}):
                asked = None
            if asked is None:
                decoded.get("metadata", {}).pop("resourceVersion", None)
            check_identity(resource, decoded, old)
            return decoded

        return self._change(resource, namespace, name, change, write)

    def _change(self, resource: Resource, namespace: str, name: str, change: Change, write: Write) -> Object:
        with self._store.lock:
            old = self.get(resource, namespace, name)
            asked = change(old)
            self._check_version(resource, asked, old)
            new = self._strategy.for_update(resource, asked, old, status=write.subresource == "status")
            owner = Manager(write.manager, "Update", resource.api_version, write.subresource)
            new = ssa.updated(new, old, resource.shape, owner, self._strategy.timestamp())
            return self._stored(resource, new, old, write)

    def _check_version(self, resource: Resource, asked: Object, old: Object) -> None:
        wanted = asked.get("metadata", {}).get("resourceVersion")
        if wanted and wanted != old["metadata"]["resourceVersion"]:
            raise status.conflict(resource, old["metadata"]["name"], status.MODIFIED)

    def _stored(self, resource: Resource, new: Object, old: Object, write: Write) -> Object:
        new = {
            **new,
            "metadata": {**new["metadata"], "resourceVersion": old["metadata"]["resourceVersion"]},
        }
        if write.dry_run or new == old:  # a write that changes nothing makes no new version
            return new
        finalizing = new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers")
        if finalizing and not new["metadata"].get("deletionGracePeriodSeconds"):
            return self._store.remove(resource.storage, new)
        return self._store.put(resource.storage, new)

    def apply(
        self, resource: Resource, namespace: str, name: str, applied: Object, write: Write
    ) -> tuple[Object, bool]:
        """Server-side apply; the object and whether it was created."""
        if (applied.get("metadata") or {}).get("managedFields"):
            raise status.bad_request("metadata.managedFields must be nil")
        with self._store.lock:
            live = self._store.get(resource.storage, (namespace, name))
            if live is None and write.subresource:
                raise status.not_found(resource, name)
            wanted = self._placed(resource, namespace, applied)
            wanted["metadata"].setdefault("name", name)
            reset = "spec" if write.subresource else "status"
            wanted = {key: value for key, value in wanted.items() if key != reset or not resource.status}
            owner = Manager(write.manager, "Apply", resource.api_version, write.subresource)
            if live is not None:
                self._check_version(resource, wanted, live)
                check_identity(resource, wanted, live)
            merged, owners = ssa.apply(live, wanted, resource.shape, owner, force=write.force)
            now = self._strategy.timestamp()
            if live is None:
                new = self._strategy.for_create(resource, merged)
                new = ssa.applied(new, None, owners, owner, now)
                return (new if write.dry_run else self._store.put(resource.storage, new)), True
            new = self._strategy.for_update(resource, merged, live, status=bool(write.subresource))
            new = ssa.applied(new, live, owners, owner, now)
            return self._stored(resource, new, live, write), False

    def delete(
        self, resource: Resource, namespace: str, name: str, options: Mapping[str, Any], *, dry_run: bool
    ) -> tuple[Object, bool]:
        """What is left and whether it is gone; False while finalizers or a grace period hold it."""
        with self._store.lock:
            old = self.get(resource, namespace, name)
            self._check_preconditions(resource, old, options.get("preconditions") or {})
            metadata = old["metadata"]
            grace = _grace(resource, old, options.get("gracePeriodSeconds"))
            if not metadata.get("finalizers") and not grace:
                return (old if dry_run else self._store.remove(resource.storage, old)), True
            already = metadata.get("deletionTimestamp") is not None
            if already and metadata.get("deletionGracePeriodSeconds", 0) == grace:
                return old, False
            when = self._strategy.now() + timedelta(seconds=grace)
            new = {
                **old,
                "metadata": {
                    **metadata,
                    "deletionTimestamp": metadata.get("deletionTimestamp") or format_time(when),
                    "deletionGracePeriodSeconds": grace,
                },
            }
            return (new if dry_run else self._store.put(resource.storage, new)), False

    def _check_preconditions(self, resource: Resource, old: Object, wanted: Mapping[str, Any]) -> None:
        metadata = old["metadata"]
        by_kind = replace(resource, plural=resource.kind)  # the API server names the kind here
        if wanted.get("uid") and wanted["uid"] != metadata["uid"]:
            why = (
                f"the UID in the precondition ({wanted['uid']}) does not match the UID in record "
                f"({metadata['uid']}). The object might have been deleted and then recreated"
            )
            raise status.conflict(by_kind, metadata["name"], why)
        version = wanted.get("resourceVersion")
        if version and version != metadata["resourceVersion"]:
            why = (
                f"the ResourceVersion in the precondition ({version}) does not match the "
                f"ResourceVersion in record "
                f"({metadata['resourceVersion']}). The object might have been modified"
            )
            raise status.conflict(by_kind, metadata["name"], why)

    def delete_collection(
        self,
        resource: Resource,
        namespace: str,
        selection: Selection,
        options: Mapping[str, Any],
        *,
        dry_run: bool,
    ) -> tuple[Sequence[Object], Object]:
        with self._store.lock:
            chosen, metadata = self.list(resource, namespace, selection)
            for obj in chosen:
                where = obj["metadata"].get("namespace", "")
                self.delete(resource, where, obj["metadata"]["name"], options, dry_run=dry_run)
            return chosen, metadata


def _grace(resource: Resource, old: Object, asked: int | None) -> int:
    """Seconds until a pod on a node may be gone; 0 for everything that is deleted at once."""
    if resource.kind != "Pod":
        return 0
    spec, phase = old.get("spec", {}), old.get("status", {}).get("phase")
    if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
        return 0
    if asked is not None:
        return max(asked, 0)
    pending = old["metadata"].get("deletionGracePeriodSeconds")
    return int(pending if pending is not None else spec.get("terminationGracePeriodSeconds", 30))


def _key(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _token(version: int, start: tuple[str, str]) -> str:
    content = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": "/".join(start)})
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[int | None, tuple[str, str]]:
    """The version (None: whatever is newest) and the key after which the page starts."""
    try:
        content = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, _, name = content["start"].partition("/")
        return (None if content["rv"] < 0 else content["rv"]), (namespace, name)
    except (ValueError, KeyError, TypeError) as error:
        raise status.bad_request(f"continue key is not valid: {error}") from error


def _token_expired(error: status.StatusError, start: tuple[str, str], current: int) -> status.StatusError:
    if error.code != 410:
        return error
    message = (
        "The provided continue parameter is too old to display a consistent list result. You "
        "can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve "
        "the remainder of "
        "the results. Continuing with the provided token results in an inconsistent list - objects that were "
        "created, modified, or deleted between the time the first chunk was returned and now "
        "may show up in the list."
    )
    return status.expired(message, {"continue": _token(-1, start), "resourceVersion": str(current)})
