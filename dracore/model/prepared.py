"""What the claim hooks answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from dracore.model.device import JSON
from dracore.model.edits import ContainerEdits

HealthState: TypeAlias = Literal["Healthy", "Unhealthy", "Unknown"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """One device (or a whole claim, or a shared group), ready for containers.

    :param edits: what a container gets for this device.
    :param common: what a container gets once per claim and plugin, however many devices it has (driver
        libraries); identical `common` edits of several devices are written once.
    :param facts: what later hooks and status see (a uuid, an instance id). JSON.
    :param status: conditions and data for ``claim.status.devices`` (KEP-4817). JSON.
    :param metadata: attributes for the device metadata file (KEP-5304). JSON.
    """

    edits: ContainerEdits = field(default_factory=ContainerEdits)
    common: ContainerEdits = field(default_factory=ContainerEdits)
    facts: Mapping[str, JSON] = field(default_factory=dict)
    status: Mapping[str, JSON] = field(default_factory=dict)
    metadata: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """The health of one device, or one thing that is the matter with it; a device may have several.

    With `taint_key` and not healthy it asks for a taint that survives a restart of the driver. ``Healthy``
    ends all taints that were asked for of this device; with `taint_key` that one alone.
    """

    device: str
    state: HealthState
    message: str = ""
    taint_key: str = ""
    taint_effect: Literal["", "None", "NoSchedule", "NoExecute"] = ""
    taint_value: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One preflight check's verdict, for a person."""

    name: str
    ok: bool
    message: str = ""
    fix: str = ""
