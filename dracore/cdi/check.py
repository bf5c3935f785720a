"""The rules of the CDI specification that a runtime refuses a spec for, checked before anything is written.

A runtime that meets a bad spec file says so only in its own log, and the pod then fails with "unresolvable
CDI devices"; so the plugin that made the edit is told instead.
"""

from __future__ import annotations

import re

from dracore.errors import CdiError
from dracore.model.edits import ContainerEdits, DeviceNode, Hook, Mount

HOOKS = ("createContainer", "createRuntime", "poststart", "poststop", "prestart", "startContainer")
_VENDOR = re.compile(r"[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_DEVICE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?")


def check_vendor(name: str) -> str:
    """`name` when it can be a CDI vendor or class (letters first), else :class:`CdiError`."""
    if not _VENDOR.fullmatch(name):
        raise CdiError(
            f"{name!r} cannot be a CDI vendor (letters, digits, '_', '-', '.'; a letter first, no sign last)"
        )
    return name


def check_device(name: str) -> str:
    """`name` when it can be a CDI device, else :class:`CdiError`."""
    if not _DEVICE.fullmatch(name):
        raise CdiError(
            f"{name!r} cannot be a CDI device: letters, digits and '_', '-', '.', ':', no sign first or last"
        )
    return name


def check_edits(edits: ContainerEdits, where: str) -> None:
    """Raises :class:`CdiError` for the first entry of `edits` that a runtime would refuse."""
    for name, value in edits.env.items():
        if not name or "=" in name or "\0" in name + value:
            raise CdiError(f"{name!r} cannot be the name of an environment variable", where=where)
    for node in edits.device_nodes:
        _check_node(node, where)
    for mount in edits.mounts:
        _check_mount(mount, where)
    for hook in edits.hooks:
        _check_hook(hook, where)
    for gid in edits.additional_gids:
        if not 0 <= gid < 2**32:
            raise CdiError(f"{gid} cannot be a group id", where=where)


def _check_node(node: DeviceNode, where: str) -> None:
    if not node.path.startswith("/") or (node.host_path and not node.host_path.startswith("/")):
        raise CdiError(f"device node {node.host_path or node.path!r}: the path must be absolute", where=where)
    if node.type not in ("", "b", "c", "u", "p"):
        raise CdiError(f"device node {node.path}: type {node.type!r} is not one of b, c, u, p", where=where)
    if min(node.major or 0, node.minor or 0) < 0:
        raise CdiError(f"device node {node.path}: {node.major}:{node.minor} is negative", where=where)
    if node.permissions.strip("rwm"):
        raise CdiError(
            f"device node {node.path}: permissions {node.permissions!r} are not of r, w, m", where=where
        )


def _check_mount(mount: Mount, where: str) -> None:
    if not mount.container_path.startswith("/"):
        raise CdiError(f"mount {mount.container_path!r}: the container path must be absolute", where=where)
    # A source that is no path (``tmpfs``) is fine where a file system type stands beside it.
    if not mount.host_path or not (mount.type or mount.host_path.startswith("/")):
        raise CdiError(
            f"mount {mount.container_path}: the host path {mount.host_path!r} must be absolute", where=where
        )


def _check_hook(hook: Hook, where: str) -> None:
    if hook.name not in HOOKS:
        raise CdiError(f"hook {hook.name!r} is not one of {', '.join(HOOKS)}", where=where)
    if not hook.path.startswith("/"):
        raise CdiError(f"hook {hook.name}: the path {hook.path!r} must be absolute", where=where)
    if any("=" not in entry[1:] for entry in hook.env):
        raise CdiError(f"hook {hook.name}: env entries are NAME=VALUE", where=where)
    if hook.timeout is not None and hook.timeout <= 0:
        raise CdiError(f"hook {hook.name}: the timeout must be above 0 s", where=where)
