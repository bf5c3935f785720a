"""Opaque parameters for the engine: the configuration's resolution in the engine's words."""

from __future__ import annotations

from collections.abc import Sequence

from dracore.config.opaque import Opaque
from dracore.model.claim import Claim
from dracore.model.device import Device
from dracore.plugins import Plugins
from dracore.prepare.ports import Group, Resolved


class ClaimConfigs:
    """Resolves the parameters of claims of one driver (the engine's ``Configs``)."""

    def __init__(self, plugins: Plugins, driver: str) -> None:
        self._opaque = Opaque(plugins, driver)

    def resolve(self, claim: Claim, devices: Sequence[Device]) -> Resolved:
        """:raises ConfigError: parameters that do not decode or name a request of another device kind."""
        found = self._opaque.resolve(claim, devices)
        groups = tuple(
            Group(group.strategy, group.plugin, group.params, group.members) for group in found.groups
        )
        return Resolved(found.configs, groups)
