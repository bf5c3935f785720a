"""Opaque parameters of claims and classes: strict decoding, precedence, and which device gets which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dracore.config.faults import all_of, decode, found
from dracore.config.sharing import Sharing, decode_sharing
from dracore.config.text import Path, dotted
from dracore.errors import ClaimError, ConfigError
from dracore.model.claim import Claim, OpaqueConfig, Result
from dracore.model.context import ConfigKind
from dracore.model.device import Device
from dracore.plugins import Plugins, nearest


@dataclass(frozen=True, slots=True)
class Group:
    """Results that one config shares by one strategy; ``dra_share`` is called once for them.

    :param members: their places in ``claim.results``. Admin access shares nothing and stands in no group.
    """

    plugin: str
    strategy: str
    params: Any
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Resolution:
    """The parameters of each of ``claim.results`` (None: none), and the groups that share devices."""

    configs: tuple[Any, ...] = ()
    groups: tuple[Group, ...] = ()


@dataclass(slots=True)
class _Entry:
    """One opaque config of a claim that concerns its results."""

    config: OpaqueConfig
    kind: ConfigKind
    label: str
    value: Any


class Opaque:
    """Decodes and resolves the opaque parameters of one driver, for prepare and for admission."""

    def __init__(self, plugins: Plugins, driver: str) -> None:
        self.driver = driver
        self._kinds = {(c.value.api_version, c.value.kind): c.value for c in plugins.config_kinds(driver)}
        self._strategies = plugins.strategies(driver)
        self._defaults: dict[str, tuple[ConfigKind, Any]] = {}
        for kind in self._kinds.values():
            if kind.default is not None:
                for device_kind in kind.device_kinds:
                    self._defaults.setdefault(device_kind, (kind, kind.default))

    # --- decoding --------------------------------------------------------------------------------------

    def decode(self, parameters: Any, label: str = "parameters") -> tuple[ConfigKind, Any]:
        """One set of parameters with its kind.

        :param label: what is decoded, for messages: ``config 2 of the claim``.
        :raises ConfigError: with every fault.
        """
        kind, fields = self._kind_of(parameters, label)
        return kind, self._value(kind, fields, label)

    def _kind_of(self, parameters: Any, label: str) -> tuple[ConfigKind, dict[str, Any]]:
        if not isinstance(parameters, dict):
            raise ConfigError(f"found {found(parameters)}, allowed: an object", where=label)
        key = (parameters.get("apiVersion"), parameters.get("kind"))
        version, name = key
        kind = (
            self._kinds.get((version, name)) if isinstance(version, str) and isinstance(name, str) else None
        )
        if kind is None:
            raise self._unknown_kind(key, label)
        return kind, {name: value for name, value in parameters.items() if name not in ("apiVersion", "kind")}

    def _unknown_kind(self, key: tuple[Any, Any], label: str) -> ConfigError:
        known = [f"{version} {kind}" for version, kind in self._kinds]
        for field, value in zip(("apiVersion", "kind"), key, strict=True):
            if not isinstance(value, str) or not value:
                return ConfigError(
                    f"{field} is missing", where=label, fix=f"known: {', '.join(known) or 'none'}"
                )
        asked = f"{key[0]} {key[1]}"
        hint = nearest(asked, known)
        what = f"driver {self.driver} has no parameters {asked!r} (known: {', '.join(known) or 'none'})"
        return ConfigError(what, where=label, fix=hint or "is the plugin that has them enabled on this node?")

    def _value(self, kind: ConfigKind, fields: Mapping[str, Any], label: str) -> Any:
        def where(path: Path) -> str:
            return f"{label}: {dotted(path)}" if path else label

        sharing: Sharing | None = None
        problems: list[ConfigError] = []
        plain = dict(fields)
        key = self._sharing_key(kind)
        asked = plain.pop(key, None) if key else None
        if asked is not None:
            sharing, problems = decode_sharing(
                asked, self._strategies, kind, lambda path: where((key, *path))
            )
        value, faults = decode(kind.model, plain, where)
        problems += faults
        if problems:
            raise all_of(problems, label)
        if sharing is not None and value is not None:
            value = value.model_copy(update={kind.sharing: sharing})
        return value

    @staticmethod
    def _sharing_key(kind: ConfigKind) -> str:
        if not kind.sharing:
            return ""
        info = kind.model.model_fields[kind.sharing]
        return str(info.validation_alias or info.alias or kind.sharing)

    # --- resolving -------------------------------------------------------------------------------------

    def resolve(self, claim: Claim, devices: Sequence[Device]) -> Resolution:
        """The parameters of each result.

        Class before claim, later before earlier; ``parent`` covers ``parent/sub``. A config without requests
        applies to the devices that it fits; one that names a request has to fit.

        :param devices: the device of each of ``claim.results``, in their order.
        :raises ConfigError: what cannot be decoded; :class:`ClaimError` what does not fit.
        """
        entries = self._entries(claim)
        configs: list[Any] = []
        groups: dict[tuple[Any, ...], list[int]] = {}
        shared: dict[tuple[Any, ...], Sharing] = {}
        merged: dict[tuple[int, ...], Any] = {}
        for index, (result, device) in enumerate(zip(claim.results, devices, strict=True)):
            chosen = self._matching(entries, result, device)
            if chosen:
                key: tuple[Any, ...] = tuple(map(id, chosen))
                if key not in merged:
                    merged[key] = self._merged(chosen)
                kind, value = chosen[0].kind, merged[key]
            elif device.kind in self._defaults:
                kind, value = self._defaults[device.kind]
                key = ("default", kind.api_version, kind.kind)
            else:
                configs.append(None)
                continue
            configs.append(value)
            sharing = getattr(value, kind.sharing) if kind.sharing else None
            if isinstance(sharing, Sharing) and not result.admin_access:
                self._check_shares(sharing, result, device)
                groups.setdefault(key, []).append(index)
                shared[key] = sharing
        return Resolution(
            tuple(configs),
            tuple(
                Group(shared[key].plugin, shared[key].strategy, shared[key].params, tuple(members))
                for key, members in groups.items()
            ),
        )

    def _entries(self, claim: Claim) -> list[_Entry]:
        """The configs that concern this driver's results, lowest precedence first."""
        entries: list[_Entry] = []
        for index, config in enumerate(claim.configs):
            if not any(config.applies_to(result.request) for result in claim.results):
                continue
            origin = "class" if config.source == "FromClass" else "claim"
            label = f"config {index} from the {origin}"
            kind, value = self.decode(config.parameters, label)
            entries.append(_Entry(config, kind, label, value))
        entries.sort(key=lambda entry: entry.config.source != "FromClass")
        return entries

    def _matching(self, entries: Sequence[_Entry], result: Result, device: Device) -> list[_Entry]:
        """The configs of one kind that apply to a result: the kind of the last one that does."""
        fitting: list[_Entry] = []
        for entry in entries:
            if not entry.config.applies_to(result.request):
                continue
            if device.kind in entry.kind.device_kinds:
                fitting.append(entry)
            elif entry.config.requests:
                raise ClaimError(
                    f"{entry.kind.kind} is for {', '.join(entry.kind.device_kinds)}, "
                    f"and request {result.request} was given {device.name}, a {device.kind}",
                    where=entry.label,
                    fix="name other requests, or other parameters",
                )
        if not fitting:
            return []
        last = fitting[-1]
        same = [entry for entry in fitting if entry.kind is last.kind]
        if last.kind.merge == "one" and len(same) > 1:
            labels = " and ".join(entry.label for entry in same)
            raise ClaimError(
                f"request {result.request} may have one {last.kind.kind}, and has {len(same)}: {labels}",
                fix="leave one of them",
            )
        return same if last.kind.merge == "merge" else [last]

    def _merged(self, entries: Sequence[_Entry]) -> Any:
        if len(entries) == 1:
            return entries[0].value
        kind = entries[0].kind
        fields: dict[str, Any] = {}
        for entry in entries:
            _, own = self._kind_of(entry.config.parameters, entry.label)
            fields = _merge(fields, own, atomic=self._sharing_key(kind))
        return self._value(kind, fields, " merged with ".join(entry.label for entry in entries))

    def _check_shares(self, sharing: Sharing, result: Result, device: Device) -> None:
        kinds = self._strategies[sharing.strategy].value.device_kinds
        if kinds and device.kind not in kinds:
            raise ClaimError(
                f"strategy {sharing.strategy} shares {', '.join(kinds)}, "
                f"and request {result.request} was given {device.name}, a {device.kind}"
            )


def _merge(base: Mapping[str, Any], top: Mapping[str, Any], *, atomic: str) -> dict[str, Any]:
    """Objects are merged key by key, everything else (and the key `atomic`) is replaced."""
    result = dict(base)
    for key, value in top.items():
        below = result.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping) and key != atomic:
            result[key] = _merge(below, value, atomic="")
        else:
            result[key] = value
    return result
