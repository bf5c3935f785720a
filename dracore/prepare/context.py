"""The contexts that hooks are given (the protocols of :mod:`dracore.model.context`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dracore.errors import PluginError
from dracore.model.context import HeldEffect, Simulation
from dracore.model.device import JSON
from dracore.model.effect import Effect
from dracore.prepare.effects import Effects, PluginHolder
from dracore.prepare.kit import Kit
from dracore.prepare.scope import Scope

NODE_HOOK_TIME = 45.0
"""Seconds that an effect of a node hook is told to have left; nobody waits for it."""


class _Context:
    """What both contexts have."""

    def __init__(self, kit: Kit, effects: Effects, plugin: str) -> None:
        self._kit = kit
        self._effects = effects
        self.plugin = plugin
        self.node: str = kit.surroundings.node
        self.driver: str = kit.driver
        self.simulation: Simulation | None = kit.surroundings.simulation

    @property
    def settings(self) -> Any:
        return self._kit.surroundings.settings(self.plugin)

    @property
    def log(self) -> Any:
        return self._kit.surroundings.log(self.plugin)

    def session(self, plugin: str | None = None) -> Any:
        return self._kit.surroundings.session(plugin or self.plugin)

    @property
    def kube(self) -> Any:
        return self._kit.surroundings.kube()

    def held(self, kind: str | type[Effect]) -> Sequence[HeldEffect]:
        return self._effects.held(kind)


class PluginContext(_Context):
    """For node hooks (:class:`dracore.model.context.NodeContext`): the plugin itself is the holder."""

    def __init__(self, kit: Kit, effects: Effects, plugin: str, held_now: Callable[[str], None]) -> None:
        super().__init__(kit, effects, plugin)
        self._held_now = held_now

    def hold(self, effect: Effect) -> JSON:
        outcome = self._effects.hold(effect, PluginHolder(self.plugin), lambda: NODE_HOOK_TIME)
        self._held_now(effect.key)
        return outcome

    def release(self, effect: Effect) -> None:
        holder = PluginHolder(self.plugin).name
        self._effects.release(holder, lambda: NODE_HOOK_TIME, keys=[effect.key])


class AttemptContext(_Context):
    """For the claim hooks of one plugin (:class:`dracore.model.context.ClaimContext`).

    :param readonly: the hook that must not change the node (``dra_validate``), empty for others.
    :param admin: the hook works for a result with admin access, which holds nothing.
    """

    def __init__(self, scope: Scope, plugin: str, *, readonly: str = "", admin: bool = False) -> None:
        super().__init__(scope.kit, scope.effects, plugin)
        self._scope = scope
        self._readonly = readonly
        self._admin = admin
        self.claim = scope.claim

    @property
    def log(self) -> Any:
        return super().log.bind(claim=self.claim.ref.uid)

    @property
    def claim_dir(self) -> Path:
        return self._scope.claim_dir()

    def hold(self, effect: Effect) -> JSON:
        if self._readonly:
            raise PluginError(
                f"{self._readonly} must not change the node",
                where=f"plugin {self.plugin}",
                fix="hold effects in dra_prepare_claim, dra_prepare or dra_share",
            )
        return self._scope.look(effect) if self._admin else self._scope.hold(effect)

    def release(self, effect: Effect) -> None:
        raise PluginError(
            "what a claim holds is released when it ends",
            where=f"plugin {self.plugin}",
            fix="release in node hooks what they hold",
        )

    def wait(self, predicate: Callable[[], Any], what: str) -> Any:
        if self._readonly:
            raise PluginError(f"{self._readonly} must not wait", where=f"plugin {self.plugin}")
        return self._scope.wait(predicate, what)

    def facts(self, plugin: str | None = None) -> Mapping[str, JSON]:
        return self._scope.facts.get(plugin or self.plugin, {})

    def time_left(self) -> float:
        return self._scope.time_left()
