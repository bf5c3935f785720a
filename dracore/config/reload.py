"""What a changed file changes in a running process, and what needs a restart (prepared claims outlive it)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dracore.config.loading import Loaded
from dracore.config.text import Path, dotted

_LIVE = {("filter",), ("observe", "logs")}
_REASONS = {
    "node": "the node's name is in every slice and record of this process",
    "plugins": "plugins open their hardware with these settings when they start",
    "kube": "the connection to the API server is made at start",
    "kubelet": "sockets and journals are opened at start",
    "host": "sockets and the boot id are read at start",
    "cdi": "specs of prepared claims lie in the old folder",
    "observe": "the port is opened at start",
    "simulation": "hardware cannot become simulated, or real, under prepared claims",
}


@dataclass(frozen=True, slots=True)
class Changes:
    """The difference of two configurations.

    :param live: dotted paths that take effect now.
    :param refused: dotted paths that need a restart of the process, with the reason.
    """

    live: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]

    def __bool__(self) -> bool:
        return bool(self.live or self.refused)


def changes(old: Loaded, new: Loaded) -> Changes:
    """What differs between the running configuration and a new one.

    A plugin says that a field of its section can change at run time with
    ``Field(json_schema_extra={"reload": True})``; its next hooks find the new value in ``ctx.settings``.
    """
    live: list[str] = []
    refused: list[tuple[str, str]] = []
    before, after = _flat(old), _flat(new)
    for path in dict.fromkeys([*before, *after]):
        if before.get(path) == after.get(path) and (path in before) == (path in after):
            continue
        if path in _LIVE or _reloads(old, path):
            live.append(dotted(path))
        else:
            reason = _REASONS.get(str(path[0]), "it is read at start")
            if path[0] == "plugins" and len(path) == 2:
                reason = "plugins are enabled and disabled at start"
            refused.append((dotted(path), reason))
    return Changes(tuple(live), tuple(refused))


def _flat(loaded: Loaded) -> dict[Path, Any]:
    """Every value by its path; decoded, so that a default written out is no change."""
    data = loaded.configuration.model_dump(mode="json", by_alias=True, exclude={"plugins"})
    result = dict(_leaves(data, ()))
    for name in loaded.plugins.plugins():
        settings = loaded.plugins.settings(name)
        result[("plugins", name)] = True
        if settings is not None:
            fields = settings.model_dump(mode="json", by_alias=True)
            result |= {("plugins", name, key): value for key, value in fields.items()}
    return result


def _leaves(data: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if not isinstance(data, dict) or not data:
        yield path, data
        return
    for key, value in data.items():
        yield from _leaves(value, (*path, key))


def _reloads(loaded: Loaded, path: Path) -> bool:
    if len(path) != 3 or path[0] != "plugins":
        return False
    for name, info in type(loaded.plugins.settings(str(path[1]))).model_fields.items():
        if path[2] in (name, info.alias) and isinstance(info.json_schema_extra, dict):
            return bool(info.json_schema_extra.get("reload"))
    return False
