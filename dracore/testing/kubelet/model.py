"""What the fake kubelet passes around: claims, prepared devices, pods and containers."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dracore.errors import DracoreError


class KubeletError(DracoreError):
    """What the kubelet would report of a pod or plugin, in its words."""


@dataclass(frozen=True, order=True)
class ClaimRef:
    """A claim as the kubelet names it to a driver."""

    namespace: str
    name: str
    uid: str

    @classmethod
    def of(cls, claim: Mapping[str, Any]) -> ClaimRef:
        """The reference to a claim object."""
        metadata = claim["metadata"]
        return cls(metadata.get("namespace", "default"), metadata["name"], metadata["uid"])


@dataclass(frozen=True)
class PreparedDevice:
    """One device of a driver's answer."""

    requests: tuple[str, ...]
    pool: str
    device: str
    cdi_ids: tuple[str, ...]
    share_id: str | None = None


@dataclass(frozen=True)
class Answer:
    """A driver's answer about one claim; with an error the devices are ignored."""

    devices: tuple[PreparedDevice, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class ContainerClaim:
    """``resources.claims[]`` of a container: a claim of the pod and, if not empty, one request of it."""

    name: str
    request: str = ""


@dataclass(frozen=True)
class Container:
    """A container and the claims that it uses."""

    name: str
    claims: tuple[ContainerClaim, ...] = ()


def pod_uid(name: str, namespace: str = "default") -> str:
    """The uid of a pod where none is given: the same for the same name, so that tests can reserve claims."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{namespace}.pod"))


@dataclass(frozen=True)
class Pod:
    """A pod on this node. ``claims`` maps the pod's own claim names to names of ResourceClaims."""

    name: str
    namespace: str
    uid: str
    claims: Mapping[str, str]
    containers: tuple[Container, ...]

    @classmethod
    def make(
        cls,
        name: str,
        claims: Mapping[str, str] | Iterable[str],
        *,
        namespace: str = "default",
        uid: str | None = None,
        containers: Iterable[Container] | None = None,
    ) -> Pod:
        """A list of claims: their pod names equal their own. No containers: one that uses all claims."""
        named = dict(claims) if isinstance(claims, Mapping) else {claim: claim for claim in claims}
        if containers is None:
            containers = [Container("main", tuple(ContainerClaim(claim) for claim in named))]
        return cls(name, namespace, uid or pod_uid(name, namespace), named, tuple(containers))


@dataclass
class ClaimInfo:
    """The kubelet's cache entry of one claim. ``prepared`` and ``unpreparing`` are not persisted."""

    claim: ClaimRef
    drivers: dict[str, tuple[PreparedDevice, ...]]
    skips: Mapping[str, frozenset[str]] = field(default_factory=dict)
    pods: set[str] = field(default_factory=set)
    prepared: bool = False
    unpreparing: bool = False

    def devices(self) -> list[tuple[str, PreparedDevice]]:
        """Every prepared device with its driver."""
        return [(driver, device) for driver, devices in self.drivers.items() for device in devices]

    def cdi_ids(self, request: str = "") -> list[str]:
        """Ids of the devices that serve a request; all of them when no request is named (KEP-4381)."""
        return [
            cdi_id
            for _, device in self.devices()
            if not request or not device.requests or request in device.requests
            for cdi_id in device.cdi_ids
        ]


def new_info(claim: Mapping[str, Any]) -> ClaimInfo:
    """The entry of an allocated claim; raises KubeletError when it is not allocated."""
    allocation = claim.get("status", {}).get("allocation")
    name = claim["metadata"]["name"]
    if not allocation:
        raise KubeletError(f"ResourceClaim {name}: not allocated")
    skips: dict[str, frozenset[str]] = {}
    for result in allocation.get("devices", {}).get("results") or ():
        listed = frozenset(result.get("skipNodeOperations") or ())
        driver = result["driver"]
        skips[driver] = skips[driver] & listed if driver in skips else listed
    return ClaimInfo(ClaimRef.of(claim), dict.fromkeys(skips, ()), skips)


def cdi_ids(container: Container, pod: Pod, infos: Mapping[tuple[str, str], ClaimInfo]) -> tuple[str, ...]:
    """The CDI ids that the kubelet hands to the runtime for a container.

    A claim named without a request gives all its devices; a named request the devices whose request names
    contain it, or that name none. Names are compared as they are: a driver that answers
    ``request/subrequest`` matches nothing, because containers name the request only.
    """
    found: list[str] = []
    for pod_claim, claim_name in pod.claims.items():
        for used in container.claims:
            if used.name != pod_claim:
                continue
            info = infos.get((pod.namespace, claim_name))
            if info is None:
                raise KubeletError(f"internal error: unable to get claim info for ResourceClaim {claim_name}")
            found += info.cdi_ids(used.request)
    return tuple(found)
