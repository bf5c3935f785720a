"""The section ``plugins.nvidia_gpu`` of the node configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("a path on the host begins with /")
    return path if path == "/" else path.rstrip("/")


HostPath = Annotated[str, AfterValidator(_absolute)]
HookName = Literal[
    "create-symlinks", "enable-cuda-compat", "update-ldcache", "disable-device-node-modification"
]


class Settings(BaseModel):
    """Where the driver is, and how often to look. A simulated node replaces every root by its own."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    driver_root: HostPath = "/"
    """Folder of the host that the driver is installed under: /, or /run/nvidia/driver where the GPU operator
    installs it. Containers get its files under their paths from there."""
    driver_root_mount: HostPath | None = None
    """Where dracore sees driverRoot when it runs in a container. null: under its own path."""
    dev_root: HostPath | None = None
    """Folder of the host whose dev/ has the device nodes. null: driverRoot where its dev/ has nvidiactl,
    else /."""
    sys_root: HostPath = "/sys"
    """Where sysfs is mounted."""
    proc_root: HostPath = "/proc"
    """Where procfs is mounted."""
    nvidia_cdi_hook_path: HostPath | None = None
    """nvidia-cdi-hook or nvidia-ctk on the host, of NVIDIA's container toolkit 1.17.8 or later. null: looked
    for under driverRoot, then on PATH and where the GPU operator installs it."""
    disabled_hooks: tuple[HookName, ...] = ()
    """Hooks that containers do without: an older toolkit refuses those that it does not know."""
    discovery_interval: float = Field(default=60.0, ge=1.0, le=86400.0)
    """Seconds from one look at the GPUs to the next when nothing calls for one before."""
