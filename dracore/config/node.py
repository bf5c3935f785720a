"""``NodeConfiguration``: the one file that an operator writes for a node (docs/configuration.md)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from dracore.model.context import Simulation as SimulationValue
from dracore.model.names import DRIVER_NAME_LIMIT, EXPRESSION_LIMIT, is_dns_subdomain


def _absolute(path: Path) -> Path:
    """Relative paths begin where the command was started: sockets and CDI files need absolute ones."""
    return Path(os.path.abspath(path))


def _node_name(name: str) -> str:
    if not is_dns_subdomain(name):
        raise ValueError("a node's name is a lower-case DNS subdomain, as `kubectl get nodes` shows it")
    return name


def _driver_name(name: str) -> str:
    if not is_dns_subdomain(name, DRIVER_NAME_LIMIT):
        raise ValueError("a driver's name is a lower-case DNS subdomain, as `dracore status` shows it")
    return name


def _something(plugins: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    if not plugins and not info.data.get("drain"):
        raise PydanticCustomError("too_short", "at least one plugin")
    return plugins


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class _Section(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


class Kube(_Section):
    """How the API server is reached."""

    kubeconfig: AbsolutePath | None = None
    """A kubeconfig file. null: the file that $KUBECONFIG names, then the pod's own service account."""


class Kubelet(_Section):
    """Where the kubelet looks for drivers."""

    root_dir: AbsolutePath = Path("/var/lib/kubelet")
    """The kubelet's --root-dir; the three other places follow it."""
    plugins_dir: AbsolutePath = Field(default_factory=lambda data: data["root_dir"] / "plugins")
    """Each driver has its folder here, with its socket and its journal. Default: rootDir/plugins."""
    registry_dir: AbsolutePath = Field(default_factory=lambda data: data["root_dir"] / "plugins_registry")
    """Where the kubelet finds registration sockets. Default: rootDir/plugins_registry."""
    pod_resources_socket: AbsolutePath = Field(
        default_factory=lambda data: data["root_dir"] / "pod-resources/kubelet.sock"
    )
    """Where the kubelet says which pods use what. Default: rootDir/pod-resources/kubelet.sock."""


class Host(_Section):
    """Places on the host."""

    boot_id_file: AbsolutePath = Path("/proc/sys/kernel/random/boot_id")
    """Holds another text after each boot; what a reboot wiped is prepared anew."""
    status_socket: AbsolutePath = Path("/run/dracore/status.sock")
    """`dracore status` asks the running process here."""


class CdiSection(_Section):
    """Container device interface."""

    dir: AbsolutePath = Path("/var/run/cdi")
    """Where the container runtime reads CDI specs; one of its own configured folders."""


class Observe(_Section):
    """Logs and metrics."""

    logs: Literal["json", "console"] = "json"
    """One JSON object a line, or lines for a person."""
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """/metrics, /healthz and /readyz are served here; 0: any free port; null: not at all. A port that is
    taken is a warning, and is tried again."""


class SimulationSection(_Section):
    """Hardware that is not there. Every device says so in the attribute `simulated`."""

    node: Annotated[str, Field(min_length=1)]
    """Which machine to simulate: a name that the plugin knows (dgx-h100), or a file."""
    state_dir: AbsolutePath
    """Keeps the simulated hardware's state over restarts; made when missing."""


class NodeConfiguration(_Section):
    """What one node offers, and how."""

    api_version: Literal["dracore.dev/v1alpha1"] = "dracore.dev/v1alpha1"
    """The version of this file's format."""
    kind: Literal["NodeConfiguration"] = "NodeConfiguration"
    """The kind of this file."""
    node: Annotated[str, AfterValidator(_node_name)]
    """The Kubernetes node's name; ${NODE_NAME} in a pod that gets it from spec.nodeName."""
    drain: tuple[Annotated[str, AfterValidator(_driver_name)], ...] = ()
    """Drivers without an enabled plugin, served until their claims are released; they offer nothing."""
    plugins: Annotated[dict[str, dict[str, Any] | None], AfterValidator(_something)]
    """The enabled plugins, each with its own section (null or {} for none)."""
    filter: Annotated[str, Field(min_length=1, max_length=EXPRESSION_LIMIT)] | None = None
    """A CEL expression over `device`, as in a DeviceClass; only devices for which it is true are offered."""
    kube: Kube = Kube()
    kubelet: Kubelet = Kubelet()
    host: Host = Host()
    cdi: CdiSection = CdiSection()
    observe: Observe = Observe()
    simulation: SimulationSection | None = None

    def simulated(self) -> SimulationValue | None:
        """What plugins are told of the simulation; None on real hardware."""
        if self.simulation is None:
            return None
        return SimulationValue(self.simulation.node, self.simulation.state_dir, self.host.boot_id_file)
