"""Which parts of the scheduler's allocator are switched on: feature gates by Kubernetes release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

from dracore.errors import AllocationError

RELEASES = ("1.34", "1.35", "1.36", "1.37")


def minor(release: str) -> str:
    """The entry of :data:`RELEASES` that a version belongs to: ``v1.36.2`` to ``1.36``.

    :raises AllocationError: it is none of them.
    """
    found = ".".join(release.removeprefix("v").split(".")[:2])
    if found not in RELEASES:
        raise AllocationError(
            f"the gates of Kubernetes {release[:40]} are not known", fix=f"one of {', '.join(RELEASES)}"
        )
    return found


@dataclass(frozen=True, slots=True)
class Features:
    """What the allocator knows; the defaults are those of Kubernetes 1.37."""

    admin_access: bool = True
    prioritized_list: bool = True
    partitionable_devices: bool = True
    consumable_capacity: bool = True
    fractional_range: bool = False
    device_taints: bool = True
    taint_rules: bool = True
    binding_conditions: bool = True
    extended_resources: bool = True
    list_attributes: bool = False
    derived_attributes: bool = False
    compatibility_groups: bool = False
    optional_node_operations: bool = False
    plain_allocator: bool = False
    """The scheduler's plainest allocator is taken: see :meth:`of`."""

    @property
    def skips_count(self) -> bool:
        """Whether slices that skip node operations are anything special (KEP-5945).

        The scheduler has several allocators and takes the plainest that has all that is switched on; only the
        one that is taken for these gates looks at the field. An API server with the gate off drops it anyway.
        """
        return (
            self.optional_node_operations
            or self.list_attributes
            or self.derived_attributes
            or self.compatibility_groups
        )

    @classmethod
    def of(cls, release: str = RELEASES[-1], gates: Mapping[str, bool] | None = None) -> Features:
        """The features of a release, with some gates set otherwise.

        :param release: ``1.36``; a ``v`` in front and a patch number behind are taken too.
        :raises AllocationError: a release or gate that is not known.
        """
        index = RELEASES.index(minor(release))
        wanted = {gate: defaults[index] for gate, (_, defaults) in GATES.items()}
        for gate, on in (gates or {}).items():
            if gate not in GATES and gate not in OTHERS:
                raise AllocationError(
                    f"{gate} is no gate of the allocator", fix=f"one of {', '.join(sorted(GATES))}"
                )
            wanted[gate] = on
        if index == 0:
            # Rules had no gate of their own yet.
            wanted["DRADeviceTaintRules"] = wanted["DRADeviceTaints"]
        features = cls(**{field.name: False for field in fields(cls)})
        known = {GATES[gate][0]: on for gate, on in wanted.items() if gate in GATES and GATES[gate][0]}
        features = replace(features, **known)
        # One control flow for two gates: conditions are stored in the claim's device status.
        both = wanted["DRADeviceBindingConditions"] and wanted["DRAResourceClaimDeviceStatus"]
        features = replace(
            features,
            binding_conditions=both,
            # Rules are worth nothing where taints are not looked at.
            taint_rules=features.taint_rules and features.device_taints,
        )
        plain = index >= RELEASES.index(_PLAIN_SINCE) and not features._beyond_plain
        return replace(features, plain_allocator=plain)

    @property
    def _beyond_plain(self) -> bool:
        """Whether something is on that the plainest allocator does not know.

        It knows neither shares nor distinctAttribute nor binding conditions, and takes the fields of these as
        if they were not there. Up to 1.35 it also knew none of the gates that are on by default, so that no
        scheduler took it.
        """
        return (
            self.consumable_capacity or self.binding_conditions or self.fractional_range or self.skips_count
        )


_PLAIN_SINCE = "1.36"

GATES: Mapping[str, tuple[str, tuple[bool, bool, bool, bool]]] = MappingProxyType(
    {
        "DRAAdminAccess": ("admin_access", (True, True, True, True)),
        "DRAPrioritizedList": ("prioritized_list", (True, True, True, True)),
        "DRAPartitionableDevices": ("partitionable_devices", (False, False, True, True)),
        "DRAConsumableCapacity": ("consumable_capacity", (False, False, True, True)),
        "DRAFractionalCapacityRange": ("fractional_range", (False, False, False, False)),
        "DRADeviceTaints": ("device_taints", (False, False, True, True)),
        "DRADeviceTaintRules": ("taint_rules", (False, False, False, True)),
        "DRADeviceBindingConditions": ("", (False, False, True, True)),
        "DRAResourceClaimDeviceStatus": ("", (True, True, True, True)),
        "DRAExtendedResource": ("extended_resources", (False, False, True, True)),
        "DRAListTypeAttributes": ("list_attributes", (False, False, False, False)),
        "DRADerivedAttributes": ("derived_attributes", (False, False, False, False)),
        "DRADeviceCompatibilityGroups": ("compatibility_groups", (False, False, False, False)),
        "DRAOptionalNodeOperations": ("optional_node_operations", (False, False, False, False)),
    }
)
"""Gate to feature, and whether it is on in each of :data:`RELEASES` (Kubernetes' versioned gate table)."""


OTHERS = frozenset(
    {
        "DynamicResourceAllocation",
        "DRANodeAllocatableResources",
        "DRAPartitionableDevicesType",
        "DRAResourceClaimGranularStatusAuthorization",
        "DRAResourcePoolStatus",
        "DRASchedulerFilterTimeout",
        "DRAWorkloadResourceClaims",
    }
)
"""Gates of dynamic resource allocation that are taken and change nothing here."""

INTRODUCED: Mapping[str, str] = MappingProxyType(
    {
        "DRADeviceTaintRules": "1.35",
        "DRAListTypeAttributes": "1.36",
        "DRAFractionalCapacityRange": "1.37",
        "DRADerivedAttributes": "1.37",
        "DRADeviceCompatibilityGroups": "1.37",
        "DRAOptionalNodeOperations": "1.37",
    }
)
"""Gates that the oldest of :data:`RELEASES` does not have, with the release that has them first."""

LOCKED: Mapping[str, str] = MappingProxyType(
    {
        "DRAAdminAccess": "1.36",
        "DRAPrioritizedList": "1.37",
        "DRAExtendedResource": "1.37",
        "DRAResourceClaimDeviceStatus": "1.37",
    }
)
"""Gates that are on and can no longer be switched off, with the release since when."""

NEEDS: Mapping[str, str] = MappingProxyType(
    {
        "DRADeviceTaintRules": "DRADeviceTaints",
        "DRADeviceBindingConditions": "DRAResourceClaimDeviceStatus",
        "DRADeviceCompatibilityGroups": "DRAPartitionableDevices",
        "DRAFractionalCapacityRange": "DRAConsumableCapacity",
    }
)
"""Gates that may be on only where another one is."""


def doubts(release: str, gates: Mapping[str, bool]) -> list[str]:
    """Why no server of that release runs with these gates: what is computed then is a mere what-if.

    :raises AllocationError: a release that is not known.
    """
    index = RELEASES.index(minor(release))
    on = {gate: defaults[index] for gate, (_, defaults) in GATES.items()} | dict(gates)
    found = []
    for gate, wanted in gates.items():
        since, first = LOCKED.get(gate), INTRODUCED.get(gate)
        if since is not None and index >= RELEASES.index(since) and not wanted:
            found.append(f"{gate} is locked on since {since}")
        if first is not None and index < RELEASES.index(first) and wanted:
            found.append(f"{gate} came with {first}")
        needs = NEEDS.get(gate)
        if wanted and needs is not None and not on[needs]:
            found.append(f"{gate} needs {needs}")
        if gate in OTHERS:
            found.append(f"{gate} changes nothing here")
    return found
