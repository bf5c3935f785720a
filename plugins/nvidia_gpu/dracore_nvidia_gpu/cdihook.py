"""NVIDIA's CDI hook program: where it is, and the hooks that it runs when a container is created."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass

from dracore import Hook
from dracore_nvidia_gpu.driverroot import Root, find_binary

NAME = "nvidia-cdi-hook"
_OPERATOR = "/usr/local/nvidia/toolkit/nvidia-cdi-hook"  # where the GPU operator installs the toolkit


@dataclass(frozen=True, slots=True)
class HookProgram:
    """The program, by its path on the host.

    :param disabled: hooks that are left out (an old toolkit does not know them).
    """

    path: str
    disabled: frozenset[str] = frozenset()

    def create_symlinks(self, links: Iterable[tuple[str, str]]) -> list[Hook]:
        """Links in the container; each is (what the link says, its path)."""
        args = [part for target, link in links for part in ("--link", f"{target}::{link}")]
        return self._hook("create-symlinks", *args) if args else []

    def enable_cuda_compat(self, version: str) -> list[Hook]:
        """CUDA forward compatibility: newer CUDA libraries of the image on this driver."""
        return self._hook("enable-cuda-compat", f"--host-driver-version={version}")

    def update_ldcache(self, folders: Iterable[str]) -> list[Hook]:
        """Makes the container's loader know the libraries."""
        return self._hook("update-ldcache", *(part for folder in folders for part in ("--folder", folder)))

    def disable_device_node_modification(self) -> list[Hook]:
        """Keeps NVML in the container from making nodes of GPUs that are not the container's."""
        return self._hook("disable-device-node-modification")

    def _hook(self, name: str, *args: str) -> list[Hook]:
        if name in self.disabled:
            return []
        program = os.path.basename(self.path)
        first = (program, "hook") if program == "nvidia-ctk" else (program,)
        return [
            Hook("createContainer", self.path, args=(*first, name, *args), env=("NVIDIA_CTK_DEBUG=false",))
        ]


@dataclass(frozen=True, slots=True)
class HookSearch:
    """Where to look for the program, and what to say where it is not.

    :param configured: the setting; a path on the host.
    :param own_host: this process sees the host's files under their own paths (it is in no container), so
        ``PATH`` and the folders of the host mean what the container runtime will find there.
    :param needed: containers miss something without it; simulated hardware has nothing to miss.
    """

    root: Root
    configured: str | None = None
    own_host: bool = True
    needed: bool = True
    disabled: frozenset[str] = frozenset()

    def find(self) -> tuple[HookProgram | None, str]:
        """The program, or None and why."""
        if self.configured:
            inside = self._inside(self.configured)
            here = self.root.path_here(inside) if inside else self.configured if self.own_host else None
            # A path that this process cannot see is believed: the runtime will say if it is wrong.
            if here is not None and not os.access(here, os.X_OK):
                return None, f"nvidiaCdiHookPath {self.configured} is not a program on this node"
            return HookProgram(self.configured, self.disabled), ""
        found = find_binary(self.root, NAME)
        if found:
            return HookProgram(found.host, self.disabled), ""
        if self.own_host:
            for path in (shutil.which(NAME), _OPERATOR):
                if path and os.access(path, os.X_OK):
                    return HookProgram(os.path.abspath(path), self.disabled), ""
        return None, f"{NAME} was not found under the driver root{' or on PATH' if self.own_host else ''}"

    def candidates(self) -> tuple[str, ...]:
        """Paths of this process at which the program may appear, outside of the driver root."""
        return tuple(path for path in (self.configured, f"/usr/bin/{NAME}", _OPERATOR) if path)

    def _inside(self, host: str) -> str | None:
        prefix = self.root.host.rstrip("/") + "/"
        return "/" + host[len(prefix) :] if host.startswith(prefix) else None
