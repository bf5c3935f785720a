"""What plugins contribute at load: effects, config kinds, sharing strategies, and the rules for them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import TypeVar

from dracore.errors import DracoreError, PluginError
from dracore.model.context import ConfigKind, SharingStrategy
from dracore.model.effect import Effect
from dracore.plugins.plugin import Plugin

T = TypeVar("T")


def collect(plugin: Plugin, where: str) -> None:
    """Asks the plugin what it contributes.

    :raises PluginError: a contribution that cannot work.
    """
    plugin.effects = _effects(plugin, where)
    plugin.kinds = tuple(_config_kinds(plugin, where))
    plugin.strategies = tuple(_contributions(plugin, "dra_sharing_strategies", SharingStrategy, where))


def _contributions(plugin: Plugin, hook: str, kind: type[T], where: str) -> list[T]:
    answer = plugin.call(hook, {})
    if answer is None:
        return []
    if not isinstance(answer, Sequence) or not all(isinstance(item, kind) for item in answer):
        raise PluginError(
            f"{hook} must return a list of {kind.__name__}, not {answer!r}",
            where=where,
            fix="see docs/hooks.md",
        )
    return list(answer)


def _config_kinds(plugin: Plugin, where: str) -> Iterable[ConfigKind]:
    for kind in _contributions(plugin, "dra_config_kinds", ConfigKind, where):
        fields = getattr(kind.model, "model_fields", None)
        if fields is None:
            raise PluginError(f"the model of config kind {kind.kind} is no pydantic model", where=where)
        if not kind.device_kinds:
            raise PluginError(
                f"config kind {kind.kind} applies to no device", where=where, fix="fill in device_kinds"
            )
        if kind.sharing and kind.sharing not in fields:
            raise PluginError(
                f"config kind {kind.kind}: its model has no field {kind.sharing!r} for the sharing strategy",
                where=where,
                fix=f"add `{kind.sharing}: Any = None`",
            )
        if kind.default is not None and not isinstance(kind.default, kind.model):
            raise PluginError(
                f"config kind {kind.kind}: the default is no {kind.model.__name__}", where=where
            )
        yield kind


def _effects(plugin: Plugin, where: str) -> dict[str, type[Effect]]:
    found: dict[str, type[Effect]] = {}
    answer = plugin.call("dra_effects", {}) or ()
    for effect in answer:
        if not (isinstance(effect, type) and issubclass(effect, Effect)):
            raise PluginError(f"dra_effects: {effect!r} is not a subclass of dracore.Effect", where=where)
        missing = [
            name for name in ("key", "apply", "revert") if getattr(effect, name) is getattr(Effect, name)
        ]
        if missing:
            raise PluginError(f"effect {effect.__name__} does not define {', '.join(missing)}", where=where)
        if effect.reboot == "probe" and effect.probe is Effect.probe:
            # After a reboot nobody could ever tell, and no claim that holds it could be prepared again.
            raise PluginError(
                f"effect {effect.__name__} is to be probed after a reboot and does not define probe",
                where=where,
                fix="define probe, or say what a reboot does to it: reboot = 'gone' or 'stays'",
            )
        # Without the decorator its parameters are no fields: they would be missing in the journal.
        if inspect.get_annotations(effect) and "__dataclass_params__" not in vars(effect):
            raise PluginError(
                f"effect {effect.__name__} is no dataclass",
                where=where,
                fix="put @dataclass(frozen=True) above it",
            )
        if not effect.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise PluginError(
                f"effect {effect.__name__} can be changed", where=where, fix="use @dataclass(frozen=True)"
            )
        if effect.kind in found:
            raise PluginError(f"two effects are of kind {effect.kind!r}", where=where, fix="rename one")
        found[effect.kind] = effect
    return found


def clashes(plugins: Sequence[Plugin]) -> list[tuple[str, DracoreError]]:
    """What two plugins of one driver both contribute under one name; the second one is the fault's."""
    problems: list[tuple[str, DracoreError]] = []
    owners: dict[tuple[str, str], str] = {}
    for plugin in plugins:
        names = [("effect", kind) for kind in plugin.effects]
        names += [("config kind", f"{kind.api_version} {kind.kind}") for kind in plugin.kinds]
        names += [("sharing strategy", strategy.name) for strategy in plugin.strategies]
        names += [("sharing strategy field", strategy.field) for strategy in plugin.strategies]
        for key in names:
            owner = owners.setdefault(key, plugin.name)
            if owner != plugin.name:
                error = PluginError(
                    f"plugins {owner!r} and {plugin.name!r} of driver {plugin.driver} "
                    f"both bring the {key[0]} {key[1]!r}",
                    fix="enable only one of them",
                )
                problems.append((plugin.name, error))
    return problems
