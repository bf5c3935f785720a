"""Claims and their allocations, as the API server gives them (``resource.k8s.io/v1``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dracore.model.device import JSON


@dataclass(frozen=True, slots=True, order=True)
class ClaimRef:
    """What the kubelet tells of a claim. Equality is by uid, namespace and name."""

    uid: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Result:
    """One allocated device: ``status.allocation.devices.results[]``."""

    request: str
    """With the sub-request, ``parent/sub``, where ``firstAvailable`` chose one."""
    driver: str
    pool: str
    device: str
    share_id: str = ""
    admin_access: bool = False
    consumed_capacity: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()

    @property
    def base_request(self) -> str:
        """The request without its sub-request: the name that the kubelet knows."""
        return self.request.partition("/")[0]

    @property
    def cdi_name(self) -> str:
        """The device part of a CDI name, unique in the claim: ``<device>`` or ``<device>-<shareID>``."""
        return f"{self.device}-{self.share_id}" if self.share_id else self.device


@dataclass(frozen=True, slots=True)
class OpaqueConfig:
    """One entry of ``status.allocation.devices.config`` that is for a given driver."""

    source: Literal["FromClass", "FromClaim"]
    driver: str
    parameters: JSON
    requests: tuple[str, ...] = ()
    """Empty: all requests. ``parent`` covers all of its sub-requests."""

    def applies_to(self, request: str) -> bool:
        return not self.requests or request in self.requests or request.partition("/")[0] in self.requests


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim with its allocation. `results` and `configs` are those of one driver, in the server's order."""

    ref: ClaimRef
    allocated: bool
    results: tuple[Result, ...] = ()
    configs: tuple[OpaqueConfig, ...] = ()
    reserved_for: tuple[str, ...] = ()
    """Uids of the consumers (pods or pod groups)."""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, obj: Mapping[str, Any], driver: str | None = None) -> Claim:
        """Reads a ResourceClaim; with `driver`, only that driver's results and configs."""
        meta = obj["metadata"]
        status = obj.get("status") or {}
        allocation = status.get("allocation")
        devices = (allocation or {}).get("devices") or {}
        results = tuple(
            Result(
                request=r["request"],
                driver=r["driver"],
                pool=r["pool"],
                device=r["device"],
                share_id=r.get("shareID") or "",
                admin_access=bool(r.get("adminAccess")),
                consumed_capacity=dict(r.get("consumedCapacity") or {}),
                tolerations=tuple(r.get("tolerations") or ()),
            )
            for r in devices.get("results") or ()
            if driver in (None, r["driver"])
        )
        configs = tuple(
            OpaqueConfig(
                source=c.get("source", "FromClaim"),
                driver=c["opaque"]["driver"],
                parameters=c["opaque"].get("parameters"),
                requests=tuple(c.get("requests") or ()),
            )
            for c in devices.get("config") or ()
            if c.get("opaque") and driver in (None, c["opaque"]["driver"])
        )
        return cls(
            ref=ClaimRef(meta["uid"], meta.get("namespace", ""), meta["name"]),
            allocated=allocation is not None,
            results=results,
            configs=configs,
            reserved_for=tuple(r["uid"] for r in status.get("reservedFor") or ()),
            annotations=dict(meta.get("annotations") or {}),
        )

    def digest(self) -> str:
        """A digest of results and configs: another one under the same uid is another allocation."""
        content = [
            [
                [
                    r.request,
                    r.driver,
                    r.pool,
                    r.device,
                    r.share_id,
                    r.admin_access,
                    sorted(r.consumed_capacity.items()),
                ]
                for r in self.results
            ],
            [[c.source, c.driver, c.parameters, list(c.requests)] for c in self.configs],
        ]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
