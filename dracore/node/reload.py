"""A changed configuration in a running process: what can change does, what cannot says why not."""

from __future__ import annotations

import logging
from typing import Any, Protocol

import structlog

from dracore.config import Loaded, changes
from dracore.errors import DracoreError
from dracore.observe.logs import configure_logs
from dracore.plugins import Plugins

_log = structlog.get_logger(__name__)


class Running(Protocol):
    """What runs with a configuration and can change some of it (:class:`dracore.node.plugin.NodePlugin`)."""

    loaded: Loaded
    """What is in effect."""

    @property
    def plugins(self) -> Plugins:
        """The plugins with the settings that are in effect."""
        ...

    def use_filter(self, text: str | None) -> None:
        """:raises SelectorError: it does not compile."""
        ...

    def use_settings(self, settings: dict[str, Any]) -> None: ...


class Reload:
    """Applies new configurations to `node`. Prepared claims are not touched.

    `problems` holds, for status, what of the last one did not take effect.
    """

    def __init__(self, node: Running) -> None:
        self._node = node
        self.problems: list[str] = []

    def failed(self, error: DracoreError) -> None:
        """The file cannot be used: all stays as it is."""
        self.problems = [f"the changed configuration is not used: {error}"]
        _log.error("the changed configuration is not used", error=str(error))

    def apply(self, new: Loaded) -> None:
        """Takes over what can change at run time."""
        old = self._node.loaded
        found = changes(old, new)
        self.problems = [f"{path} waits for a restart: {why}" for path, why in found.refused]
        try:
            if "filter" in found.live:
                self._node.use_filter(new.configuration.filter)
        except DracoreError as error:
            self.failed(error)
            return
        if "observe.logs" in found.live:
            configure_logs(new.configuration.observe.logs, level=logging.getLogger().level)
        if any(path.startswith("plugins.") for path in found.live):
            self._node.use_settings({name: _merged(old, new, name) for name in old.plugins.plugins()})
        # What runs, not what was asked for: the next change is measured against it.
        self._node.loaded = Loaded(_live_part(old, new), self._node.plugins)
        _log.info("reloaded", changed=list(found.live), refused=[path for path, _ in found.refused])


def _live_part(old: Loaded, new: Loaded) -> Any:
    """The running configuration: the old one with what has just taken effect."""
    observe = old.configuration.observe.model_copy(update={"logs": new.configuration.observe.logs})
    return old.configuration.model_copy(update={"filter": new.configuration.filter, "observe": observe})


def _merged(old: Loaded, new: Loaded, plugin: str) -> Any:
    """The plugin's settings with those fields of the new ones that it can take over."""
    before, after = old.plugins.settings(plugin), new.plugins.settings(plugin)
    if before is None or after is None:
        return before
    update = {
        name: getattr(after, name)
        for name, info in type(before).model_fields.items()
        if isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("reload")
    }
    return before.model_copy(update=update)
