"""What hooks are given: the contexts (as protocols; the core implements them) and the values they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from dracore.model.claim import Claim, Result
from dracore.model.device import JSON, Device
from dracore.model.effect import Effect
from dracore.model.prepared import Prepared


@dataclass(frozen=True, slots=True)
class Simulation:
    """Hardware that is not there, asked for by the node configuration and said so everywhere."""

    node: str
    """A name that the plugin knows (``dgx-h100``) or a file of the user's."""
    state_dir: Path
    boot_id_file: Path


@dataclass(frozen=True, slots=True)
class HeldEffect:
    """An effect that this driver holds on the node now."""

    effect: Effect
    outcome: JSON
    holders: tuple[str, ...]
    """Claim uids, or ``plugin:NAME`` for node-wide effects."""


class NodeContext(Protocol):
    """Given to every node hook of a plugin."""

    node: str
    """The Kubernetes node's name."""
    driver: str
    plugin: str
    settings: Any
    """The plugin's section of the node configuration, as its ``dra_settings`` model (None without)."""
    simulation: Simulation | None
    log: Any
    """A structlog logger with plugin and driver bound."""

    def session(self, plugin: str | None = None) -> Any:
        """What ``dra_start`` of this plugin (or of one that it requires) returned."""
        ...

    def held(self, kind: str | type[Effect]) -> Sequence[HeldEffect]:
        """The effects of one kind that this driver holds now; discovery describes the node without them."""
        ...

    def hold(self, effect: Effect) -> JSON:
        """Changes the node and answers the outcome. In node hooks the holder is the plugin itself."""
        ...

    def release(self, effect: Effect) -> None:
        """Node hooks: lets go of what this plugin holds on the effect's key, whatever its parameters; with
        the last holder it is reverted. Not held: nothing. What claims hold ends with them alone.
        """
        ...

    @property
    def kube(self) -> Any:
        """The API client (``dracore.kube.KubeClient``)."""
        ...


class ClaimContext(NodeContext, Protocol):
    """Given to every claim hook. `hold` makes the claim the holder."""

    claim: Claim
    """With this driver's results and configs only."""
    claim_dir: Path
    """A folder for this claim's files; made when first used, removed when the claim is released."""

    def wait(self, predicate: Callable[[], Any], what: str) -> Any:
        """Waits until `predicate` answers something true, and answers that.

        `what` names for a person what is awaited. The claim is `waiting` meanwhile. Unmet at the deadline:
        raises ``Waiting``; holds stay, and the kubelet's next call runs the hooks again.
        """
        ...

    def facts(self, plugin: str | None = None) -> Mapping[str, JSON]:
        """Facts of the claim-wide ``dra_prepare_claim`` of this plugin or another of the driver."""
        ...

    def time_left(self) -> float:
        """Seconds until this call must be answered."""
        ...


@dataclass(frozen=True, slots=True)
class PreparedDevice:
    """One result of a claim after ``dra_prepare``: what ``dra_share`` works on."""

    device: Device
    result: Result
    config: Any
    prepared: Prepared


@dataclass(frozen=True, slots=True)
class Driver:
    """The DRA driver that a plugin belongs to.

    :param name: a DNS subdomain of at most 63 characters, ``gpu.nvidia.com``.
    :param requires: plugins that must be enabled too and start first; their sessions are reachable.
    :param lost_taint: key of the taint (NoSchedule) of this plugin's devices that vanish while claims have
        them prepared, ``gpu.nvidia.com/gpu-lost``; empty: ``<driver>/device-lost``.
    """

    name: str
    requires: tuple[str, ...] = ()
    lost_taint: str = ""


MergeRule: TypeAlias = Literal["last", "merge", "one"]


@dataclass(frozen=True, slots=True)
class ConfigKind:
    """An opaque parameter kind that claims and classes of this driver may carry.

    :param api_version: ``resource.nvidia.com/v1beta1``.
    :param kind: ``GpuConfig``.
    :param model: a pydantic model of the fields beside apiVersion and kind.
    :param device_kinds: device kinds that it applies to.
    :param default: applies where neither class nor claim gives one; None: no configuration.
    :param merge: several that match one request: the last wins, all are merged in order, or exactly one
        may match.
    :param sharing: the field of `model` that takes a sharing strategy (``sharing``); empty: none.
    """

    api_version: str
    kind: str
    model: type[Any]
    device_kinds: tuple[str, ...]
    default: Any = None
    merge: MergeRule = "last"
    sharing: str = ""


@dataclass(frozen=True, slots=True)
class SharingStrategy:
    """A named way to share devices; it appears in config kinds that declare `sharing`.

    In YAML: ``sharing: {strategy: TimeSlicing, timeSlicingConfig: {…}}``.

    :param name: the value of ``strategy``.
    :param field: where its parameters stand, beside ``strategy``.
    :param model: pydantic model of the parameters.
    :param device_kinds: device kinds that it can share; empty: all.
    """

    name: str
    field: str
    model: type[Any]
    device_kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceClass:
    """A DeviceClass that the plugin's users expect (``dracore manifests`` prints it)."""

    name: str
    selectors: tuple[str, ...] = ()
    """CEL expressions, all of which must be true."""
    extended_resource_name: str = ""
    config: tuple[JSON, ...] = ()
    """Opaque parameters, apiVersion and kind included."""


@dataclass(frozen=True, slots=True)
class Permission:
    """A rule of RBAC that the plugin needs beyond the core's own."""

    api_groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    resource_names: tuple[str, ...] = field(default=())
    scope: Literal["cluster", "namespace"] = "cluster"
