"""What a container gets: edits that merge with checks; ``dracore.cdi`` writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from dracore.errors import CdiError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """A device node in the container. `major` and `minor` are only needed where the host has no such node.

    :param path: in the container; `host_path` on the host, where it differs.
    :param type: ``c``, ``b``, ``u`` or ``p``; empty: as on the host.
    :param permissions: of ``r``, ``w``, ``m``.
    """

    path: str
    host_path: str = ""
    type: str = ""
    major: int | None = None
    minor: int | None = None
    file_mode: int | None = None
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount in the container; `options` as in mount(8), ``ro`` first by habit."""

    host_path: str
    container_path: str
    options: tuple[str, ...] = ("ro", "nosuid", "nodev", "rbind", "rprivate")
    type: str = ""


@dataclass(frozen=True, slots=True)
class Hook:
    """An OCI hook; `name` is createContainer, createRuntime, startContainer, poststart or poststop."""

    name: str
    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int | None = None


@dataclass(frozen=True, slots=True)
class ContainerEdits:
    """Edits that hold together: env, device nodes, mounts, hooks, additional gids."""

    env: Mapping[str, str] = field(default_factory=dict)
    device_nodes: tuple[DeviceNode, ...] = ()
    mounts: tuple[Mount, ...] = ()
    hooks: tuple[Hook, ...] = ()
    additional_gids: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.env or self.device_nodes or self.mounts or self.hooks or self.additional_gids)

    @classmethod
    def merge(cls, parts: Iterable[tuple[str, ContainerEdits]]) -> ContainerEdits:
        """One set of edits out of many; each part comes with the name of its plugin.

        Identical entries stand once, in the order of their first appearance.

        :raises CdiError: two values for one environment variable, or two different device nodes or mounts
            at one container path; names both plugins.
        """
        env: dict[str, tuple[str, str]] = {}
        nodes: dict[str, tuple[str, DeviceNode]] = {}
        mounts: dict[str, tuple[str, Mount]] = {}
        hooks: dict[Hook, None] = {}
        gids: dict[int, None] = {}
        for plugin, edits in parts:
            for name, value in edits.env.items():
                _put(env, name, value, plugin, "the environment variable")
            for node in edits.device_nodes:
                _put(nodes, node.path, node, plugin, "the device node")
            for mount in edits.mounts:
                _put(mounts, mount.container_path, mount, plugin, "the mount at")
            hooks |= dict.fromkeys(edits.hooks)
            gids |= dict.fromkeys(edits.additional_gids)
        return cls(
            env={name: value for name, (_, value) in env.items()},
            device_nodes=tuple(node for _, node in nodes.values()),
            mounts=tuple(mount for _, mount in mounts.values()),
            hooks=tuple(hooks),
            additional_gids=tuple(gids),
        )


def _put(seen: dict[str, tuple[str, T]], key: str, value: T, plugin: str, what: str) -> None:
    first, present = seen.setdefault(key, (plugin, value))
    if present != value:
        detail = f" ({present!r} and {value!r})" if isinstance(value, str) else ""
        who = f"plugin {first} twice" if first == plugin else f"plugins {first} and {plugin}"
        raise CdiError(
            f"{who} set {what} {key} to different things{detail}",
            fix="allocate these devices in separate claims, or change one plugin's settings",
        )
