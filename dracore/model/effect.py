"""Effects: every change that a driver makes to a node is one of these value objects.

A plugin subclasses :class:`Effect` with a frozen dataclass and names the class in ``dra_effects``; inside a
hook it says ``outcome = ctx.hold(MyEffect(...))``. The engine commits the intent before `apply`, the outcome
after it, counts holders, reverts in reverse order, and after a crash reverts every intent without an outcome.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from dracore.model.device import JSON

AtReboot: TypeAlias = Literal["gone", "stays", "probe"]


@dataclass(frozen=True, slots=True)
class Present:
    """The effect is on the node; `outcome` as `apply` would have returned it."""

    outcome: JSON = None


@dataclass(frozen=True, slots=True)
class Absent:
    """The effect is not on the node."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It cannot be told now (hardware or driver does not answer)."""

    reason: str = ""


Probe: TypeAlias = Present | Absent | Unknown


class Node(Protocol):
    """What an effect may use of the node and of the process; it never imports the core."""

    name: str
    """The Kubernetes node's name."""
    driver: str

    @property
    def dir(self) -> Path:
        """A folder of this effect alone, below the plugin folder; made when first asked for, kept across
        restarts, removed after the revert. It outlives a claim where several hold the effect.
        """
        ...

    def session(self, plugin: str) -> Any:
        """What ``dra_start`` of `plugin` returned. None where it is not running (it drains)."""
        ...

    @property
    def kube(self) -> Any:
        """The API client (``dracore.kube.KubeClient``); connects when first used."""
        ...

    def time_left(self) -> float:
        """Seconds until the calling RPC must be answered; a long apply looks at this."""
        ...


@dataclass(frozen=True)
class Effect:
    """A change to the node, described by its parameters (the dataclass fields, JSON values only).

    Equal parameters on one key are shared by all holders; other parameters on the same key conflict.
    """

    kind: ClassVar[str] = ""
    """Registered name, unique in the driver: ``nvidia_mps.compute_mode``. Default: the class name."""
    reboot: ClassVar[AtReboot] = "probe"
    """What a reboot of the node does to it: it is gone, it stays, or `probe` tells (and must be defined)."""
    deferrable: ClassVar[bool] = False
    """Its revert needs the API server: unprepare does not wait for it, the reconciler does it later."""
    repairable: ClassVar[bool] = False
    """May be made good by a full prepare of its claim when a probe finds it undone."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__dict__.get("kind"):
            cls.kind = cls.__name__

    @property
    def key(self) -> str:
        """The thing that this effect owns, global in the driver: ``compute-mode/GPU-1``."""
        raise NotImplementedError(f"{type(self).__name__} must say which thing it owns: define `key`")

    def before(self, node: Node) -> JSON:
        """What stands there now and must be restored. May refuse with :class:`EffectRefused`.

        Runs under the key's lock; its answer is committed together with the intent.
        """
        return None

    def apply(self, node: Node, before: JSON) -> JSON:
        """Makes the change; answers its outcome (an instance id, a uuid), JSON."""
        raise NotImplementedError(f"{type(self).__name__} must define `apply`")

    def revert(self, node: Node, before: JSON, outcome: JSON) -> None:
        """Restores `before`. Safe when never applied (outcome None), half applied or already gone."""
        raise NotImplementedError(f"{type(self).__name__} must define `revert`")

    def probe(self, node: Node) -> Probe:
        """Whether the change is on the node. Asked after a crash, at start, by status."""
        return Unknown("this effect has no probe")

    def preview(self) -> str:
        """One line for a person."""
        return f"{self.kind} {self.key}"

    def params(self) -> dict[str, JSON]:
        """The parameters as JSON, as the journal keeps them."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    @classmethod
    def decode(cls, params: Mapping[str, JSON]) -> Effect:
        """The effect out of the journal: unknown parameters are dropped, missing ones take their default."""
        known = {f.name: f for f in dataclasses.fields(cls)}
        values = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in params.items()
            if name in known
        }
        return cls(**values)
