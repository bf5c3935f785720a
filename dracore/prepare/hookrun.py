"""The claim hooks in their order, and what they give for each result of a claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dracore.errors import PluginError
from dracore.model.context import PreparedDevice
from dracore.model.device import Device
from dracore.model.edits import ContainerEdits
from dracore.model.prepared import Prepared
from dracore.prepare.context import AttemptContext
from dracore.prepare.ports import Resolved
from dracore.prepare.scope import Scope
from dracore.prepare.transaction import encode


@dataclass
class Work:
    """What one result has so far."""

    device: Device
    plugin: str
    config: Any
    prepared: Prepared
    edits: list[tuple[str, ContainerEdits]]
    common: list[tuple[str, ContainerEdits]]


class HookRun:
    """Calls the hooks for one attempt.

    :param found: the device of each result, with the plugin that contributed it.
    """

    def __init__(self, scope: Scope, found: Sequence[tuple[Device, str]], resolved: Resolved) -> None:
        self._scope = scope
        self._kit = scope.kit
        self._claim = scope.claim
        self._found = found
        self._resolved = resolved

    def validate(self) -> None:
        """``dra_validate`` of every plugin that is concerned; changes nothing."""
        configs = {
            result.request: config
            for result, config in zip(self._claim.results, self._resolved.configs, strict=True)
        }
        concerned = {plugin for _, plugin in self._found} | {group.plugin for group in self._resolved.groups}
        for plugin in self._ordered(concerned):
            ctx = AttemptContext(self._scope, plugin, readonly="dra_validate")
            self._kit.hooks.call(plugin, "dra_validate", ctx=ctx, configs=configs)
        self._scope.check_open()

    def _ordered(self, plugins: set[str]) -> list[str]:
        return [plugin for plugin in self._kit.hooks.plugins(self._kit.driver) if plugin in plugins]

    def prepare(self) -> list[Work]:
        """``dra_prepare_claim``, ``dra_prepare`` and ``dra_share``: what each result has in the end.

        :raises DracoreError: what a hook raised, or the attempt's end.
        """
        results = self._claim.results
        wide: dict[str, Prepared] = {}
        for plugin in self._ordered({plugin for _, plugin in self._found}):
            devices = [
                device
                for (device, owner), result in zip(self._found, results, strict=True)
                if owner == plugin and not result.admin_access
            ]
            if devices:
                ctx = AttemptContext(self._scope, plugin)
                answer = self._call(plugin, "dra_prepare_claim", ctx=ctx, devices=devices)
                if answer is not None:
                    wide[plugin] = answer
                    self._scope.facts[plugin] = answer.facts
        work = []
        for (device, plugin), result, config in zip(
            self._found, results, self._resolved.configs, strict=True
        ):
            ctx = AttemptContext(self._scope, plugin, admin=result.admin_access)
            prepared = self._call(plugin, "dra_prepare", ctx=ctx, device=device, result=result, config=config)
            if prepared is None:
                raise PluginError(
                    "answered nothing; it must answer Prepared", where=f"plugin {plugin}, hook dra_prepare"
                )
            parts = [prepared] if plugin not in wide or result.admin_access else [wide[plugin], prepared]
            work.append(
                Work(
                    device,
                    plugin,
                    config,
                    prepared,
                    [(plugin, part.edits) for part in parts if part.edits],
                    [(plugin, part.common) for part in parts if part.common],
                )
            )
        self._share(work)
        return work

    def _share(self, work: Sequence[Work]) -> None:
        for group in self._resolved.groups:
            members = [work[i] for i in group.members]
            devices = [
                PreparedDevice(w.device, self._claim.results[i], w.config, w.prepared)
                for i, w in zip(group.members, members, strict=True)
            ]
            answer = self._call(
                group.plugin,
                "dra_share",
                ctx=AttemptContext(self._scope, group.plugin),
                strategy=group.strategy,
                params=group.params,
                devices=devices,
            )
            if answer is None:
                raise PluginError(
                    f"does not serve the sharing strategy {group.strategy}",
                    where=f"plugin {group.plugin}, hook dra_share",
                )
            for member in members:
                if answer.edits:
                    member.edits.append((group.plugin, answer.edits))
                if answer.common:
                    member.common.append((group.plugin, answer.common))

    def _call(self, plugin: str, hook: str, **arguments: Any) -> Prepared | None:
        answer: Prepared | None = self._kit.hooks.call(plugin, hook, **arguments)
        self._scope.check_open()
        fault = "" if answer is None else _fault(answer)
        if fault:
            raise PluginError(fault, where=f"plugin {plugin}, hook {hook}")
        return answer


def _fault(answer: Any) -> str:
    """What is wrong with what a claim hook answered; empty: nothing."""
    if not isinstance(answer, Prepared):
        return f"answered {type(answer).__name__}; it must answer Prepared"
    for name in ("edits", "common"):
        value = getattr(answer, name)
        if not isinstance(value, ContainerEdits):
            return f"answered Prepared with {name} of type {type(value).__name__}; it must be ContainerEdits"
    for name in ("facts", "status", "metadata"):
        try:
            encode(getattr(answer, name))
        except (TypeError, ValueError, RecursionError) as error:
            return f"answered Prepared with {name} that are not JSON: {error}"
    return ""
