"""Edits that were looked at once: checked, indexed and written as JSON.

Plugins give the same object for every claim (the driver's libraries: 60 mounts), and a pod waits meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dracore.cdi.check import check_edits
from dracore.errors import CdiError, writable
from dracore.model.edits import ContainerEdits, DeviceNode, Hook, Mount

LIMIT = 256


@dataclass(frozen=True, slots=True)
class Known:
    """Edits with what follows from them.

    :param places: what may stand only once in a container, by its place.
    :param shareable: mounts and hooks, which may stand with a device or with all devices of a file.
    :param version: the lowest version of the specification that carries the edits.
    :param text: the edits as JSON.
    """

    edits: ContainerEdits
    places: Mapping[tuple[str, str], Any]
    shareable: frozenset[Mount | Hook]
    version: str
    text: str

    @classmethod
    def of(cls, edits: ContainerEdits, where: str) -> Known:
        """:raises CdiError: a runtime would refuse them; `where` says whose they are."""
        check_edits(edits, where)
        places: dict[tuple[str, str], Any] = {("env", name): value for name, value in edits.env.items()}
        places |= {("node", node.path): node for node in edits.device_nodes}
        places |= {("mount", mount.container_path): mount for mount in edits.mounts}
        shareable: list[Mount | Hook] = [*edits.mounts, *edits.hooks]
        text = json_text(edits_json(edits))
        if writable(text) != text:
            raise CdiError("edits with text that is no UTF-8 cannot be written", where=where)
        return cls(edits, places, frozenset(shareable), lowest_version(edits), text)


class Memory:
    """Keeps what is known of the last few edits, by identity: edits are values and never change."""

    def __init__(self) -> None:
        self._known: dict[int, Known] = {}

    def get(self, edits: ContainerEdits, where: str) -> Known:
        known = self._known.get(id(edits))
        if known is None or known.edits is not edits:
            known = Known.of(edits, where)
            if len(self._known) >= LIMIT:
                self._known = {}
            self._known[id(edits)] = known  # it holds the object, so its id stays its own
        return known


def lowest_version(edits: ContainerEdits) -> str:
    """The lowest version that carries the edits (the specification's own table of released versions).

    0.4.0 brought the type of mounts, 0.5.0 the host path of device nodes, 0.7.0 additional gids. 0.6.0,
    0.8.0, 1.0.0 and 1.1.0 brought nothing that is written here.
    """
    if edits.additional_gids:
        return "0.7.0"
    if any(node.host_path for node in edits.device_nodes):
        return "0.5.0"
    return "0.4.0" if any(mount.type for mount in edits.mounts) else "0.3.0"


json_text = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
"""Compact JSON (made once: ``json.dumps`` makes an encoder for each call)."""


def edits_json(edits: ContainerEdits) -> dict[str, Any]:
    """The edits as the CDI specification writes them."""
    content: dict[str, Any] = {
        "env": [f"{name}={value}" for name, value in edits.env.items()],
        "deviceNodes": [_node(node) for node in edits.device_nodes],
        "hooks": [_hook(hook) for hook in edits.hooks],
        "mounts": [_mount(mount) for mount in edits.mounts],
        "additionalGids": list(edits.additional_gids),
    }
    return {key: value for key, value in content.items() if value}


def _node(node: DeviceNode) -> dict[str, Any]:
    content = {
        "path": node.path,
        "hostPath": node.host_path or None,
        "type": node.type or None,
        "major": node.major,
        "minor": node.minor,
        "fileMode": node.file_mode,
        "permissions": node.permissions or None,
        "uid": node.uid,
        "gid": node.gid,
    }
    return {key: value for key, value in content.items() if value is not None}


def _mount(mount: Mount) -> dict[str, Any]:
    content: dict[str, Any] = {"hostPath": mount.host_path, "containerPath": mount.container_path}
    if mount.type:
        content["type"] = mount.type
    if mount.options:
        content["options"] = mount.options
    return content


def _hook(hook: Hook) -> dict[str, Any]:
    content: dict[str, Any] = {"hookName": hook.name, "path": hook.path}
    if hook.args:
        content["args"] = hook.args
    if hook.env:
        content["env"] = hook.env
    if hook.timeout:
        content["timeout"] = hook.timeout
    return content
