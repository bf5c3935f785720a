"""Who owns the slices: with the owner they are garbage-collected."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from dracore.errors import KubeError, NotFound
from dracore.kube.client import KubeClient, Object


@dataclass(frozen=True)
class Owner:
    """A cluster-scoped object. The `uid` of a Node may be left out; it is looked up."""

    kind: str
    name: str
    api_version: str = "v1"
    uid: str = ""


class NoOwner(KubeError):
    """The owner does not exist yet; the API server is well, so asking again soon costs it little."""


class OwnerReference:
    """The ``ownerReferences`` of our slices; the uid is looked up when it is first needed."""

    def __init__(self, client: KubeClient, owner: Owner | None) -> None:
        self._client = client
        self._given = owner
        self._owner = owner
        self._lock = threading.Lock()

    def as_json(self) -> list[Object]:
        """One controller reference, or none where nothing owns the slices.

        :raises KubeError: the node cannot be read.
        """
        with self._lock:
            if self._owner is None:
                return []
            if not self._owner.uid:
                self._owner = replace(self._owner, uid=self._look_up(self._owner))
            owner = self._owner
        return [
            {
                "apiVersion": owner.api_version,
                "kind": owner.kind,
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
            }
        ]

    def forget(self) -> None:
        """Looks the uid up again next time: slices that vanish may mean that the node was made anew."""
        with self._lock:
            self._owner = self._given

    def _look_up(self, owner: Owner) -> str:
        if (owner.api_version, owner.kind) != ("v1", "Node"):
            raise KubeError(
                "the owner of the slices has no uid", where=f"{owner.kind} {owner.name}", fix="give it"
            )
        try:
            node = self._client.get(f"/api/v1/nodes/{owner.name}", timeout=10.0)
        except NotFound as error:
            raise NoOwner(
                f"there is no node object {owner.name}",
                fix="slices follow as soon as the kubelet has registered the node; look at `node` of the "
                "configuration",
                status=error.status,
                reason=error.reason,
            ) from error
        return str(node["metadata"]["uid"])
