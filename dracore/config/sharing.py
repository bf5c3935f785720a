"""Sharing strategies inside opaque parameters: ``{strategy: TimeSlicing, timeSlicingConfig: {…}}``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dracore.config.faults import decode, found
from dracore.config.text import Path
from dracore.errors import ConfigError
from dracore.model.context import ConfigKind, SharingStrategy
from dracore.plugins import Contributed, nearest

Strategies = Mapping[str, Contributed[SharingStrategy]]


@dataclass(frozen=True, slots=True)
class Sharing:
    """A strategy that a claim asks for. The field of the config kind's model holds it once decoded."""

    strategy: str
    params: Any
    """The strategy's own parameters, as its model."""
    plugin: str
    """Who owns the strategy: its ``dra_share`` is called."""


def decode_sharing(
    data: Any, strategies: Strategies, kind: ConfigKind, where: Callable[[Path], str]
) -> tuple[Sharing | None, list[ConfigError]]:
    """Decodes the field that takes a strategy. Parameters of another strategy beside it are refused."""
    usable = usable_strategies(strategies, kind)
    names = ", ".join(usable) or "none; no enabled plugin brings one"
    if not isinstance(data, dict):
        return None, [ConfigError(f"found {found(data)}, allowed: a section (key: value)", where=where(()))]
    if "strategy" not in data:
        return None, [ConfigError("missing", where=where(("strategy",)), fix=f"allowed: {names}")]
    name = data["strategy"]
    chosen = usable.get(name) if isinstance(name, str) else None
    if chosen is None:
        hint = ""
        if isinstance(name, str):
            hint = nearest(name, usable)
            if name in strategies:
                shares = strategies[name].value.device_kinds
                hint = f"it shares {', '.join(shares)}, not {', '.join(kind.device_kinds)}"
        what = f"found {found(name)}, allowed: {names}"
        return None, [ConfigError(what, where=where(("strategy",)), fix=hint or None)]
    strategy = chosen.value
    problems = [
        _stray(key, name, strategy, usable, where) for key in data if key not in ("strategy", strategy.field)
    ]
    params = data.get(strategy.field)
    value, faults = decode(
        strategy.model, {} if params is None else params, lambda path: where((strategy.field, *path))
    )
    problems += faults
    if problems:
        return None, problems
    return Sharing(name, value, chosen.plugin), []


def usable_strategies(strategies: Strategies, kind: ConfigKind) -> Strategies:
    """Those that can share a device that this kind configures."""
    return {
        name: strategy
        for name, strategy in strategies.items()
        if not strategy.value.device_kinds or set(strategy.value.device_kinds) & set(kind.device_kinds)
    }


def _stray(
    key: str, name: str, strategy: SharingStrategy, usable: Strategies, where: Callable[[Path], str]
) -> ConfigError:
    for other in usable.values():
        if other.value.field == key:
            return ConfigError(
                f"{key} belongs to strategy {other.value.name}, and the strategy is {name}",
                where=where((key,)),
                fix=f"use {strategy.field}, or strategy: {other.value.name}",
            )
    hint = nearest(key, ("strategy", strategy.field))
    allowed = f"allowed here: strategy, {strategy.field}"
    return ConfigError(
        f"unknown key {key!r}", where=where((key,)), fix=f"{hint} ({allowed})" if hint else allowed
    )
