"""From a claim's container edits to CDI specs: which file each device stands in, and what both say."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from dracore.cdi.check import check_edits
from dracore.errors import CdiError
from dracore.model.claim import Result
from dracore.model.edits import ContainerEdits, DeviceNode, Hook, Mount

Specs: TypeAlias = Mapping[str, str]
"""File names to their content, as the journal keeps them: JSON text, the same for the same input."""

_VERSIONS = ("0.3.0", "0.4.0", "0.5.0", "0.7.0")


@dataclass(frozen=True, slots=True)
class Part:
    """What containers get for one result of a claim.

    :param edits: for this device; each set with the plugin that made it (its own, a sharing strategy's).
    :param common: once a container, however many such devices it has.
    """

    result: Result
    edits: Sequence[tuple[str, ContainerEdits]]
    common: Sequence[tuple[str, ContainerEdits]] = ()


@dataclass(slots=True)
class _Spec:
    common: ContainerEdits
    devices: dict[str, ContainerEdits]


def render_specs(kind: str, stem: str, named: Sequence[tuple[str, Part]]) -> dict[str, str]:
    """The spec files of one claim.

    Devices stand in one file, and in several where their common edits differ: a runtime gives a file's
    common edits to every container that has any device of the file.

    :param kind: vendor and class, ``k8s.gpu.nvidia.com/claim``.
    :param stem: the file name without number and ending.
    :param named: each part with the name of its device.
    :raises CdiError: edits that contradict each other, or that no runtime accepts.
    """
    _check_requests(part for _, part in named)
    specs: list[_Spec] = []
    owner: dict[str, Part] = {}
    for name, part in named:
        first = owner.setdefault(name, part)
        if first.result.pool != part.result.pool:
            raise CdiError(
                f"pools {first.result.pool} and {part.result.pool} both have a device {part.result.device}",
                fix="allocate them in separate claims",
            )
        where = f"device {part.result.device}"
        common = _merge(part.common, where)
        edits = _merge(part.edits, where)
        check_edits(common, where)
        check_edits(edits, where)
        if first is not part:
            # The same device twice in a claim (a request of its own and one with admin access): one CDI
            # device, with what both need.
            spec = next(s for s in specs if name in s.devices)
            extra = () if spec.common == common else part.common
            spec.devices[name] = _merge([("device", spec.devices[name]), *extra, *part.edits], where)
            continue
        for spec in specs:
            if spec.common == common:
                spec.devices[name] = edits
                break
        else:
            specs.append(_Spec(common, {name: edits}))
    return {
        f"{stem}-{index}.json" if index else f"{stem}.json": _text(kind, _lift(spec))
        for index, spec in enumerate(specs)
    }


def _check_requests(parts: Iterable[Part]) -> None:
    """A container gets all devices of a request, so their edits must agree; those of other requests may
    be another container's."""
    requests: dict[str, dict[int, tuple[str, ContainerEdits]]] = {}
    for part in parts:
        # Plugins give the same object as common edits of all devices: one look is enough.
        members = requests.setdefault(part.result.base_request, {})
        members |= {id(edits): (plugin, edits) for plugin, edits in (*part.common, *part.edits)}
    for request, members in requests.items():
        _merge([*members.values()], f"request {request}")


def _merge(parts: Sequence[tuple[str, ContainerEdits]], where: str) -> ContainerEdits:
    if len(parts) == 1:
        return parts[0][1]
    try:
        return ContainerEdits.merge(parts)
    except CdiError as error:
        error.where = error.where or where
        raise


def _lift(spec: _Spec) -> _Spec:
    """Mounts and hooks that every device of the file has are written once, in the common edits.

    What only some devices have stays with each: a container that has another one must not get it.
    """
    devices = list(spec.devices.values())
    mounts = dict.fromkeys(spec.common.mounts)
    hooks = dict.fromkeys(spec.common.hooks)
    if len(devices) > 1:
        mounts |= {m: None for m in devices[0].mounts if all(m in d.mounts for d in devices)}
        hooks |= {h: None for h in devices[0].hooks if all(h in d.hooks for d in devices)}
    if not mounts and not hooks:
        return spec
    common = replace(spec.common, mounts=tuple(mounts), hooks=tuple(hooks))
    return _Spec(common, {name: _without(edits, mounts, hooks) for name, edits in spec.devices.items()})


def _without(edits: ContainerEdits, mounts: Collection[Mount], hooks: Collection[Hook]) -> ContainerEdits:
    if not edits.mounts and not edits.hooks:
        return edits
    return replace(
        edits,
        mounts=tuple(m for m in edits.mounts if m not in mounts),
        hooks=tuple(h for h in edits.hooks if h not in hooks),
    )


def _text(kind: str, spec: _Spec) -> str:
    content: dict[str, Any] = {
        "cdiVersion": _version(spec),
        "kind": kind,
        "devices": [
            {"name": name, "containerEdits": _edits(edits or _marker(name))}
            for name, edits in spec.devices.items()
        ],
    }
    if spec.common:
        content["containerEdits"] = _edits(spec.common)
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False) + "\n"


def _marker(name: str) -> ContainerEdits:
    """Runtimes refuse a device without edits, yet each device needs its CDI id: by the ids that the kubelet
    lists, the reconciler knows which claims containers still use. So it gets a variable that says its name.
    """
    return ContainerEdits(env={"DRACORE_DEVICE_" + re.sub(r"[^A-Z0-9]", "_", name.upper()): name})


def _version(spec: _Spec) -> str:
    """The lowest version that carries the content (the specification's own table of released versions).

    0.4.0 brought the type of mounts; 0.5.0 the host path of device nodes and names that begin with a
    digit; 0.7.0 additional gids. 0.6.0, 0.8.0, 1.0.0 and 1.1.0 brought nothing that is written here.
    """
    every = [spec.common, *spec.devices.values()]
    if any(edits.additional_gids for edits in every):
        return "0.7.0"
    if any(node.host_path for edits in every for node in edits.device_nodes):
        return "0.5.0"
    if any(not name[0].isalpha() for name in spec.devices):
        return "0.5.0"
    if any(mount.type for edits in every for mount in edits.mounts):
        return "0.4.0"
    return "0.3.0"


def _edits(edits: ContainerEdits) -> dict[str, Any]:
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
