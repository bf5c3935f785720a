"""What a container gets: CDI spec files read and applied as a container runtime does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dracore.errors import DracoreError

Object = dict[str, Any]
_ID = re.compile(
    r"(?P<kind>(?P<vendor>[A-Za-z][\w.-]*)/(?P<class>[A-Za-z][\w-]*))=(?P<name>[A-Za-z0-9][\w.:-]*)"
)
_KIND = re.compile(r"[A-Za-z][\w.-]*/[A-Za-z][\w-]*")


class CdiError(DracoreError):
    """A spec file or device id that a runtime would refuse."""


@dataclass
class ContainerView:
    """The edits of all ids together, in the order in which a runtime applies them.

    ``env`` holds the last value of each name. Mounts, hooks and device nodes are as written in the specs.
    """

    env: dict[str, str] = field(default_factory=dict)
    device_nodes: list[Object] = field(default_factory=list)
    mounts: list[Object] = field(default_factory=list)
    hooks: list[Object] = field(default_factory=list)
    additional_gids: list[int] = field(default_factory=list)
    rdt: Object | None = None
    net_devices: list[Object] = field(default_factory=list)

    def paths(self) -> list[str]:
        """Paths of the device nodes inside the container."""
        return [node["path"] for node in self.device_nodes]

    def add(self, edits: Mapping[str, Any]) -> None:
        """Applies the ``containerEdits`` of a spec or device."""
        for text in edits.get("env") or ():
            name, separator, value = text.partition("=")
            if not name or not separator:
                raise CdiError(f"invalid environment variable {text!r} in a CDI spec")
            self.env[name] = value
        for node in edits.get("deviceNodes") or ():
            self.device_nodes = [old for old in self.device_nodes if old["path"] != node["path"]] + [
                dict(node)
            ]
        for mount in edits.get("mounts") or ():
            place = mount["containerPath"]
            self.mounts = [old for old in self.mounts if old["containerPath"] != place] + [dict(mount)]
        self.hooks += [dict(hook) for hook in edits.get("hooks") or ()]
        self.net_devices += [dict(device) for device in edits.get("netDevices") or ()]
        for gid in edits.get("additionalGids") or ():
            if gid and gid not in self.additional_gids:
                self.additional_gids.append(gid)
        if edits.get("intelRdt"):
            self.rdt = dict(edits["intelRdt"])


@dataclass(frozen=True)
class _Device:
    file: Path
    spec: Object
    content: Object


class CdiCache:
    """The specs of some directories, later ones before earlier ones (``/etc/cdi``, then ``/var/run/cdi``).

    :raises CdiError: by :meth:`resolve`, never by reading: a broken file hides its own devices only.
    """

    def __init__(self, directories: Iterable[Path]) -> None:
        self._directories = [Path(directory) for directory in directories]
        self.errors: dict[Path, str] = {}
        self._devices: dict[str, list[tuple[int, _Device]]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Reads the directories anew."""
        self.errors.clear()
        self._devices.clear()
        for priority, directory in enumerate(self._directories):
            for file in sorted(directory.glob("*")) if directory.is_dir() else ():
                if file.suffix not in (".json", ".yaml") or file.name.startswith("."):
                    continue
                try:
                    self._read(file, priority)
                except CdiError as error:
                    self.errors[file] = str(error)

    def _read(self, file: Path, priority: int) -> None:
        try:
            text = file.read_text(encoding="utf-8")
            spec = json.loads(text) if file.suffix == ".json" else _yaml(text)
        except (OSError, ValueError) as error:
            raise CdiError(f"{error}", where=str(file)) from error
        if not isinstance(spec, dict) or not _KIND.fullmatch(str(spec.get("kind", ""))):
            raise CdiError("kind is not vendor/class", where=str(file))
        if not re.fullmatch(r"(0\.[3-8]|1\.[01])\.0", str(spec.get("cdiVersion", ""))):
            raise CdiError(f"invalid version {spec.get('cdiVersion')!r}", where=str(file))
        devices = spec.get("devices") or []
        if not devices:
            raise CdiError("a spec without devices", where=str(file))
        names = [device.get("name", "") for device in devices]
        for name in names:
            if not _ID.fullmatch(f"{spec['kind']}={name}"):
                raise CdiError(f"invalid device name {name!r}", where=str(file))
            if names.count(name) > 1:
                raise CdiError(f"multiple device {name!r}", where=str(file))
        for device in devices:
            if not device.get("containerEdits"):
                raise CdiError(f"device {device['name']!r} has no edits", where=str(file))
            found = _Device(file, spec, device)
            self._devices.setdefault(f"{spec['kind']}={device['name']}", []).append((priority, found))

    def ids(self) -> list[str]:
        """Every id that can be resolved."""
        return sorted(cdi_id for cdi_id in self._devices if not self._ambiguous(cdi_id))

    def _ambiguous(self, cdi_id: str) -> bool:
        best = max(priority for priority, _ in self._devices[cdi_id])
        return sum(priority == best for priority, _ in self._devices[cdi_id]) > 1

    def _find(self, cdi_id: str) -> _Device:
        if cdi_id not in self._devices:
            faults = "; ".join(f"{file.name}: {text}" for file, text in self.errors.items())
            raise CdiError(f"unresolvable CDI devices {cdi_id}" + (f" ({faults})" if faults else ""))
        if self._ambiguous(cdi_id):
            files = ", ".join(found.file.name for _, found in self._devices[cdi_id])
            raise CdiError(f"conflicting device {cdi_id} (specs {files})")
        return max(self._devices[cdi_id], key=lambda entry: entry[0])[1]

    def resolve(self, ids: Iterable[str]) -> ContainerView:
        """What a container with these ids gets; each spec's own edits count once.

        :raises CdiError: an id that is malformed, missing, or defined by two files of the same directory.
        """
        view = ContainerView()
        seen_files: set[Path] = set()
        seen_ids: set[str] = set()
        for cdi_id in ids:
            if not _ID.fullmatch(cdi_id):
                raise CdiError(f"{cdi_id!r} is not a CDI device id (vendor/class=name)")
            device = self._find(cdi_id)
            if cdi_id in seen_ids:
                continue
            seen_ids.add(cdi_id)
            if device.file not in seen_files:
                seen_files.add(device.file)
                view.add(device.spec.get("containerEdits") or {})
            view.add(device.content["containerEdits"])
        return view


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def container_view(directory: Path, ids: Iterable[str]) -> ContainerView:
    """What a container with these ids gets from the specs of one directory, read now."""
    return CdiCache([directory]).resolve(ids)
