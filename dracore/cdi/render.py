"""From a claim's container edits to CDI specs: which file each device stands in, and what both say."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from dracore.cdi.known import Known, Memory, json_text
from dracore.cdi.spec import Spec, joined
from dracore.errors import CdiError
from dracore.model.claim import Result
from dracore.model.edits import ContainerEdits, Hook, Mount

Owned: TypeAlias = tuple[str, ContainerEdits]
"""Edits with the plugin that made them."""


@dataclass(frozen=True, slots=True)
class Part:
    """What containers get for one result of a claim.

    :param edits: for this device; each set with the plugin that made it (its own, a sharing strategy's).
    :param common: once a container, however many such devices it has.
    """

    result: Result
    edits: Sequence[Owned]
    common: Sequence[Owned] = ()


@dataclass(slots=True)
class _File:
    common: Known
    devices: dict[str, Known]


def render_specs(
    kind: str,
    stem: str,
    named: Sequence[tuple[str, Part]],
    memory: Memory,
    change: Callable[[str], str] | None = None,
) -> dict[str, Spec]:
    """The spec files of one claim.

    Devices stand in one file, and in several where their common edits differ: a runtime gives a file's
    common edits to every container that has any device of the file.

    :param kind: vendor and class, ``k8s.gpu.nvidia.com/claim``.
    :param stem: the file name without number and ending.
    :param named: each part with the name of its device.
    :param memory: keeps what is known of edits from one claim to the next.
    :param change: makes of edits, as JSON, those that are written in their place.
    :raises CdiError: edits that contradict each other, or that no runtime accepts.
    """
    for _, part in named:  # first, so that an entry that no runtime accepts is named with its device
        for _, edits in (*part.common, *part.edits):
            memory.get(edits, f"device {part.result.device}")
    _check_requests([part for _, part in named], memory)
    specs: list[_File] = []
    owner: dict[str, Part] = {}
    for name, part in named:
        first = owner.setdefault(name, part)
        if first.result.pool != part.result.pool:
            raise CdiError(
                f"pools {first.result.pool} and {part.result.pool} both have a device {part.result.device}",
                fix="allocate them in separate claims",
            )
        where = f"device {part.result.device}"
        common = _merge(part.common, where, memory)
        if first is not part:
            # The same device twice in a claim (a request of its own and one with admin access): one CDI
            # device, with what both need.
            spec = next(s for s in specs if name in s.devices)
            extra = () if spec.common.edits == common.edits else part.common
            spec.devices[name] = _merge(
                [("device", spec.devices[name].edits), *extra, *part.edits], where, memory
            )
            continue
        own = _merge(part.edits, where, memory)
        for spec in specs:
            if spec.common.edits is common.edits or spec.common.edits == common.edits:
                spec.devices[name] = own
                break
        else:
            specs.append(_File(common, {name: own}))
    return {
        f"{stem}-{index}.json" if index else f"{stem}.json": _spec(kind, _lift(spec), change)
        for index, spec in enumerate(specs)
    }


def _check_requests(parts: Sequence[Part], memory: Memory) -> None:
    """A container gets all devices of a request, so their edits must agree; those of other requests may
    be another container's."""
    requests: dict[str, dict[int, Owned]] = {}
    for part in parts:
        # Plugins give the same object as common edits of all devices: one look is enough.
        members = requests.setdefault(part.result.base_request, {})
        members |= {id(owned[1]): owned for owned in (*part.common, *part.edits)}
    for request, members in requests.items():
        where = f"request {request}"
        if not _agree([memory.get(edits, where) for _, edits in members.values()]):
            _merged(list(members.values()), where)  # raises, and names the plugins


def _agree(parts: Sequence[Known]) -> bool:
    largest = max(parts, key=lambda known: len(known.places), default=None)
    seen: dict[Any, Any] = {}
    return all(
        (largest.places.get(place, entry) if largest else entry) == entry == seen.setdefault(place, entry)
        for known in parts
        if known is not largest
        for place, entry in known.places.items()
    )


def _merge(parts: Sequence[Owned], where: str, memory: Memory) -> Known:
    if len(parts) == 1:
        return memory.get(parts[0][1], where)
    return Known.of(_merged(parts, where), where)


def _merged(parts: Sequence[Owned], where: str) -> ContainerEdits:
    try:
        return ContainerEdits.merge(parts)
    except CdiError as error:
        error.where = error.where or where
        raise


def _lift(spec: _File) -> _File:
    """Mounts and hooks that every device of the file has are written once, in the common edits.

    What only some devices have stays with each: a container that has another one must not get it.
    """
    devices = list(spec.devices.values())
    common = spec.common
    if len(devices) > 1:
        first = devices[0]
        new = {e for e in first.shareable - common.shareable if all(e in d.shareable for d in devices[1:])}
        if new:
            mounts = (m for m in first.edits.mounts if m in new)
            hooks = (h for h in first.edits.hooks if h in new)
            lifted = replace(
                common.edits, mounts=(*common.edits.mounts, *mounts), hooks=(*common.edits.hooks, *hooks)
            )
            common = Known.of(lifted, "common edits")
    return _File(common, {name: _without(known, common.shareable) for name, known in spec.devices.items()})


def _without(known: Known, elsewhere: frozenset[Mount | Hook]) -> Known:
    if known.shareable.isdisjoint(elsewhere):
        return known
    rest = replace(
        known.edits,
        mounts=tuple(m for m in known.edits.mounts if m not in elsewhere),
        hooks=tuple(h for h in known.edits.hooks if h not in elsewhere),
    )
    return Known.of(rest, "device")


def _spec(kind: str, file: _File, change: Callable[[str], str] | None) -> Spec:
    version = _version(file)
    common = file.common.text if file.common.edits else ""
    devices = [(name, _own(name, known).text) for name, known in file.devices.items()]
    own = _text(version, kind, devices)
    if change is None:
        return Spec(own, common)
    changed = _text(version, kind, [(name, change(text)) for name, text in devices])
    return Spec(own, common, joined(changed, change(common) if common else ""))


def _text(version: str, kind: str, devices: Sequence[tuple[str, str]]) -> str:
    each = ",".join(f'{{"name":{json_text(name)},"containerEdits":{edits}}}' for name, edits in devices)
    return f'{{"cdiVersion":"{version}","kind":{json_text(kind)},"devices":[{each}]}}\n'


def _own(name: str, known: Known) -> Known:
    """Runtimes refuse a device without edits, yet each device needs its CDI id: by the ids that the kubelet
    lists, the reconciler knows which claims containers still use. So it gets a variable that says its name.
    """
    if known.edits:
        return known
    variable = "DRACORE_DEVICE_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
    return Known.of(ContainerEdits(env={variable: name}), name)


def _version(spec: _File) -> str:
    """The lowest version that carries the file; names that begin with a digit came with 0.5.0."""
    versions = [spec.common.version, *(known.version for known in spec.devices.values())]
    if any(not name[0].isalpha() for name in spec.devices):
        versions.append("0.5.0")
    return max(versions)
