"""Makes the API server's slices of one pool equal to the desired ones, with as few writes as possible."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from dracore.errors import Conflict, DracoreError, Invalid, NotFound, Unreachable
from dracore.kube.client import KubeClient
from dracore.publish import names, wire
from dracore.publish.features import gates_of
from dracore.publish.owner import OwnerReference
from dracore.publish.plan import Plan, make_plan
from dracore.publish.view import SliceView

Object: TypeAlias = dict[str, Any]

WRITE_TIMEOUT = 20.0


class Held(DracoreError):
    """Another instance of the driver publishes now; nothing was written."""


class Refused(DracoreError):
    """The API server refuses the content of one slice. `index` tells which, `error` what it said."""

    def __init__(self, index: int, error: Invalid) -> None:
        super().__init__(error.what, where=error.where, fix=error.fix)
        self.index = index
        self.error = error


@dataclass(frozen=True)
class _Adopted:
    """What the server made of a slice that we sent; wanting more would be an endless loop of updates."""

    sent: Object
    stored: Object
    text: str


@dataclass(frozen=True)
class _Unanswered:
    """A creation whose answer was lost. The slice may stand, or come to stand, unseen by us."""

    generation: int
    specs: tuple[Object, ...]


class SliceWriter:
    """Writes the slices of one driver and owner; used by one thread.

    :param may_write: asked before every request that changes something.
    :param wrote: told the verb of each such request that succeeded.
    """

    def __init__(
        self,
        client: KubeClient,
        view: SliceView,
        driver: str,
        owner_name: str,
        owner: OwnerReference,
        *,
        may_write: Callable[[], bool] = lambda: True,
        wrote: Callable[[str], None] = lambda verb: None,
    ) -> None:
        self._client = client
        self._view = view
        self._driver = driver
        self._owner_name = owner_name
        self._owner = owner
        self._may_write = may_write
        self._wrote = wrote
        self._writing = threading.Lock()
        self._adopted: dict[tuple[str, int], _Adopted] = {}
        self._unanswered: dict[str, _Unanswered] = {}

    def check_allowed(self) -> None:
        """:raises Held: `may_write` says no."""
        if not self._may_write():
            raise Held("another instance of this driver publishes")

    def stored(self, pool: str) -> list[Object]:
        """The slices of a pool that stand on the server."""
        return [obj for obj in self._view.list() if obj["spec"]["pool"]["name"] == pool]

    def plan(self, pool: str, specs: Sequence[Object], last_generation: int) -> Plan:
        """What would have to be written."""

        def same(index: int, obj: Object) -> bool:
            if wire.same_content(specs[index], obj["spec"]):
                return True
            adopted = self._adopted.get((pool, index))
            return (
                adopted is not None
                and adopted.sent == specs[index]
                and wire.same_content(adopted.stored, obj["spec"])
            )

        lost = self._unanswered.get(pool)
        # With other content beside it, in its generation, it would make a mixture that looks complete.
        spent = lost.generation if lost is not None and lost.specs != tuple(specs) else 0
        return make_plan(len(specs), self.stored(pool), same, last_generation, spent)

    def apply(self, pool: str, specs: Sequence[Object], plan: Plan) -> bool:
        """Carries out a plan; True where the server stored less than was sent.

        :raises Held: `may_write` said no.
        :raises Refused: the server says that a slice is invalid.
        :raises KubeError: anything else; what was written so far counts, plan again. After a conflict the
            object has been read again.
        """
        for obj in plan.delete:
            self._delete(obj)
        dropped = False
        for index, obj in plan.update:
            dropped |= self._update(pool, specs, plan.generation, index, obj)
        for index in plan.create:
            dropped |= self._create(pool, specs, plan.generation, index)
        return dropped

    def delete_pool(self, pool: str) -> None:
        """Deletes all slices of a pool that we do not have any more."""
        for obj in self.stored(pool):
            self._delete(obj)
        self.forget(pool)

    def adopted_texts(self, pool: str, specs: Sequence[Object]) -> list[str]:
        """What the server dropped although it was sent, once a text."""
        texts = [
            adopted.text
            for (name, index), adopted in self._adopted.items()
            if name == pool and index < len(specs) and adopted.sent == specs[index]
        ]
        return list(dict.fromkeys(texts))

    def forget(self, pool: str = "") -> None:
        """Forgets what the server dropped (of one pool): the next plan asks for it again."""
        self._adopted = {key: value for key, value in self._adopted.items() if pool and key[0] != pool}

    def drain(self, timeout: float) -> bool:
        """Waits until a request that is under way has ended; False where it did not in `timeout` seconds."""
        if not self._writing.acquire(timeout=timeout):
            return False
        self._writing.release()
        return True

    # --- single writes ------------------------------------------------------------------------------

    @contextmanager
    def _allowed(self) -> Iterator[None]:
        with self._writing:
            self.check_allowed()
            yield

    def _delete(self, obj: Object) -> None:
        meta = obj["metadata"]
        path = f"{wire.PATH}/{meta['name']}"
        try:
            with self._allowed():
                self._client.delete(
                    path, uid=meta["uid"], resource_version=meta["resourceVersion"], timeout=WRITE_TIMEOUT
                )
            self._wrote("delete")
        except NotFound:
            pass
        except Conflict:
            self._read_again(obj)
            raise
        self._view.deleted(obj)

    def _update(self, pool: str, specs: Sequence[Object], generation: int, index: int, obj: Object) -> bool:
        spec = self._spec(wire.with_times(specs[index], obj["spec"]), generation, len(specs))
        metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
        body = {
            "apiVersion": wire.API_VERSION,
            "kind": "ResourceSlice",
            "metadata": metadata | {"ownerReferences": self._owner.as_json()},
            "spec": spec,
        }
        try:
            with self._allowed():
                stored = self._client.update(f"{wire.PATH}/{metadata['name']}", body, timeout=WRITE_TIMEOUT)
        except Invalid as error:
            raise Refused(index, error) from error
        except NotFound:
            self._view.deleted(obj)
            raise
        except Conflict:
            self._read_again(obj)
            raise
        self._wrote("update")
        return self._stored(pool, specs, index, stored)

    def _create(self, pool: str, specs: Sequence[Object], generation: int, index: int) -> bool:
        prefix = names.prefix(index, len(specs), self._driver, self._owner_name)
        metadata: Object = {"generateName": prefix}
        if owners := self._owner.as_json():
            metadata["ownerReferences"] = owners
        body = {
            "apiVersion": wire.API_VERSION,
            "kind": "ResourceSlice",
            "metadata": metadata,
            "spec": self._spec(specs[index], generation, len(specs)),
        }
        try:
            with self._allowed():
                stored = self._client.create(wire.PATH, body, timeout=WRITE_TIMEOUT)
        except Invalid as error:
            raise Refused(index, error) from error
        except Unreachable:
            self._unanswered[pool] = _Unanswered(generation, tuple(specs))
            raise
        self._wrote("create")
        return self._stored(pool, specs, index, stored)

    def _stored(self, pool: str, specs: Sequence[Object], index: int, stored: Object) -> bool:
        self._view.wrote(stored)
        sent, got = specs[index], stored["spec"]
        if wire.same_content(sent, got):
            self._adopted.pop((pool, index), None)
            return False
        fields = wire.missing_fields(sent, got)
        text = f"{', '.join(fields)}: dropped by the API server (feature gate {gates_of(fields)})"
        self._adopted[(pool, index)] = _Adopted(sent, got, text)
        return True

    def _read_again(self, obj: Object) -> None:
        try:
            fresh = self._client.get(f"{wire.PATH}/{obj['metadata']['name']}", timeout=WRITE_TIMEOUT)
        except NotFound:
            self._view.deleted(obj)
        else:
            self._view.wrote(fresh)

    @staticmethod
    def _spec(spec: Object, generation: int, count: int) -> Object:
        pool = {**spec["pool"], "generation": generation, "resourceSliceCount": count}
        return {**spec, "pool": pool}
