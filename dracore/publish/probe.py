"""Asks the API server, by dry-run, which gated fields it keeps."""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Any

from dracore.errors import Invalid, KubeError, Unreachable
from dracore.kube.client import KubeClient, Object
from dracore.model.device import (
    Capacity,
    CounterConsumption,
    CounterSet,
    Device,
    NodeSelection,
    RequestPolicy,
    Taint,
    ValidRange,
)
from dracore.model.quantity import Quantity
from dracore.publish import wire
from dracore.publish.features import Feature, Support
from dracore.publish.pack import Packed

_ONE, _TWO = Quantity.parse(1), Quantity.parse(2)


def _slices(feature: Feature) -> tuple[Packed, ...]:
    """The smallest slices that use a feature."""
    match feature:
        case Feature.TAINTS:
            return (_one(taints=(Taint("dracore.dev/probe", "NoSchedule"),)),)
        case Feature.COUNTERS:
            # In slices of their own, as we publish them: a 1.34 server with the gate on refuses that.
            sets = (CounterSet("probe", {"units": _TWO}),)
            draw = CounterConsumption("probe", {"units": _ONE})
            return Packed(counter_sets=sets), _one(consumes=(draw,))
        case Feature.SHARING:
            policy = RequestPolicy(default=_ONE, valid_range=ValidRange(min=_ONE))
            return (_one(capacity={"units": Capacity(_TWO, policy)}, allow_multiple_allocations=True),)
        case Feature.BINDING:
            conditions = ("dracore.dev/ready",), ("dracore.dev/failed",)
            bound = _one(
                binds_to_node=True, binding_conditions=conditions[0], binding_failure_conditions=conditions[1]
            )
            return (bound,)
        case Feature.LISTS:
            return (_one(attributes={"probe": ("a", "b")}),)
        case Feature.NODES:
            return (_one(),)


def _one(**fields: Any) -> Packed:
    return Packed(devices=(Device("probe", **fields),))


class FeatureProbe:
    """What this server does with each feature; asked when first needed, remembered until :meth:`forget`.

    Nothing is stored on the server: every request is a dry run.
    """

    def __init__(self, client: KubeClient, driver: str, pool: str, node: NodeSelection) -> None:
        self._client = client
        self._driver = driver
        self._pool = pool
        self._node = node
        self._lock = threading.Lock()
        self._known: dict[Feature, Support] = {}

    def support(self, needed: Collection[Feature]) -> dict[Feature, Support]:
        """What the server does with the needed features.

        :raises Unreachable: the server does not answer; nothing is known then.
        """
        with self._lock:
            for feature in Feature:
                if feature in needed and feature not in self._known:
                    self._known[feature] = self._ask(feature)
            return {feature: self._known[feature] for feature in needed}

    def known(self) -> dict[Feature, Support]:
        """What has been found out so far."""
        with self._lock:
            return dict(self._known)

    def forget(self) -> None:
        """Makes the next :meth:`support` ask again: an hour has passed, or the server is another one."""
        with self._lock:
            self._known.clear()

    def _ask(self, feature: Feature) -> Support:
        for packed in _slices(feature):
            support = self._try(self._body(packed, per_device_nodes=feature is Feature.NODES))
            if support.state == "refused" and not self._plain_is_taken():
                # A policy or webhook refuses even a plain slice: the refusal says nothing of the feature.
                return Support("unknown", support.detail)
            if support.state != "kept":
                return support
        return Support("kept")

    def _plain_is_taken(self) -> bool:
        return self._try(self._body(_one(), per_device_nodes=False)).state == "kept"

    def _try(self, body: Object) -> Support:
        try:
            stored = self._client.create(wire.PATH, body, dry_run=True, timeout=10.0)
        except Invalid as error:
            return Support("refused", error.what)
        except Unreachable:
            raise
        except KubeError as error:
            return Support("unknown", str(error))
        if wire.same_content(body["spec"], stored["spec"]):
            return Support("kept")
        return Support("dropped", ", ".join(wire.missing_fields(body["spec"], stored["spec"])))

    def _body(self, packed: Packed, *, per_device_nodes: bool) -> Object:
        spec = wire.slice_spec(
            self._driver, self._pool, packed, self._node, per_device_nodes=per_device_nodes
        )
        spec["pool"] |= {"generation": 1, "resourceSliceCount": 1}
        return {
            "apiVersion": wire.API_VERSION,
            "kind": "ResourceSlice",
            "metadata": {"generateName": f"dracore-probe-{self._driver.lower()}-"},
            "spec": spec,
        }
