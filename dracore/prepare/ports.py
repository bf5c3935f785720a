"""What the claim engine needs of the rest of the process; the composition root brings it.

Siblings never import each other: discovery, configuration, the API and the kubelet stand here as protocols.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dracore.cdi import Part, Specs
from dracore.model.claim import Claim, ClaimRef, Result
from dracore.model.context import Simulation
from dracore.model.device import Device
from dracore.model.effect import Effect


class HookCaller(Protocol):
    """Calls plugins, one at a time."""

    def plugins(self, driver: str) -> Sequence[str]:
        """The enabled plugins of a driver, in their order."""
        ...

    def call(self, plugin: str, hook: str, /, **arguments: Any) -> Any:
        """The hook's answer; None where the plugin does not implement it.

        :raises DracoreError: the hook failed; a failure that is no DracoreError comes as PluginError naming
            plugin and hook. An error of :class:`~dracore.errors.ClaimError`'s family comes through as it is.
        """
        ...

    def effect_type(self, driver: str, kind: str) -> type[Effect] | None:
        """The class of an effect kind, of enabled and of disabled plugins; None: nothing installed has it."""
        ...

    def distribution_of(self, driver: str, kind: str) -> str:
        """The package that brings an effect kind, as one would install it; kept in the journal."""
        ...


class Devices(Protocol):
    """The current inventory of the driver."""

    def find(self, pool: str, device: str) -> tuple[Device, str] | None:
        """The device of that name, with the plugin that contributed it."""
        ...

    def identified(self, identity: str) -> tuple[Device, str] | None:
        """The device that *is* `identity`, whatever its name is now (see ``Device.identity``)."""
        ...

    def ready(self) -> bool:
        """Whether every plugin's devices are known: what is not found then is not on this node."""
        ...


@dataclass(frozen=True, slots=True)
class Group:
    """Results of a claim that one sharing strategy serves.

    :param plugin: the plugin that owns the strategy.
    :param members: positions in ``claim.results``, ascending.
    """

    strategy: str
    plugin: str
    params: Any
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """A claim's opaque parameters, decoded, defaulted and merged: one for each result, in order."""

    configs: Sequence[Any]
    groups: Sequence[Group] = ()


class Configs(Protocol):
    def resolve(self, claim: Claim, devices: Sequence[Device]) -> Resolved:
        """What applies to each result; `devices` are those of ``claim.results``, in order.

        :raises ConfigError: parameters that do not decode, or name a request of another device kind.
        """
        ...


class Claims(Protocol):
    def get(self, ref: ClaimRef, timeout: float) -> Claim:
        """The claim with its allocation, allocated or not, this driver's results and configs only.

        :raises NotFound: there is none of that name, or it has another uid.
        :raises KubeError: anything else; nothing is known then.
        """
        ...


class PodUsers(Protocol):
    """Which pods the kubelet says hold devices (:class:`dracore.kubelet.podresources.PodResources`)."""

    def users(self, driver: str) -> Mapping[str, Sequence[str]] | None:
        """Claim uid to pods (``namespace/name``); None where the kubelet offers no such socket.

        :raises DracoreError: the socket is there and nobody answers; nothing may be released then.
        """
        ...

    def devices(self, driver: str) -> Mapping[str, Sequence[tuple[str, str]]] | None:
        """Claim uid to the devices (pool, device) that pods have by it; None and errors as :meth:`users`."""
        ...


class Cdi(Protocol):
    """CDI spec files (:class:`dracore.cdi.Cdi`)."""

    def id_of(self, claim_uid: str, result: Result) -> str: ...

    def render(self, claim_uid: str, parts: Sequence[Part]) -> Specs: ...

    def write(self, specs: Specs) -> None: ...

    def intact(self, specs: Specs) -> bool: ...

    def remove(self, names: Iterable[str]) -> None: ...

    def orphans(self, known: Callable[[], Collection[str]]) -> list[str]: ...

    def sweep(self, known: Callable[[], Collection[str]]) -> list[str]: ...


class Surroundings(Protocol):
    """The node and the plugins' sessions, for contexts and effects."""

    node: str
    """The Kubernetes node's name."""
    simulation: Simulation | None

    def settings(self, plugin: str) -> Any: ...

    def log(self, plugin: str) -> Any:
        """A structlog logger with driver and plugin bound."""
        ...

    def session(self, plugin: str) -> Any:
        """What ``dra_start`` of `plugin` returned; None where it is not running."""
        ...

    def kube(self) -> Any:
        """The API client; connects when first used."""
        ...


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch; may jump."""
        ...

    def monotonic(self) -> float: ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class Reports(Protocol):
    """Where the engine says what a person should see: events, metrics, log. Never raises, never blocks."""

    def event(
        self, reason: str, message: str, *, claim: ClaimRef | None = None, warning: bool = True
    ) -> None:
        """`claim`: what it is about; None: the node. `reason` is a CamelCase word."""
        ...

    def count(self, metric: str, amount: float = 1) -> None: ...


class Silent:
    """Reports that nobody reads."""

    def event(
        self, reason: str, message: str, *, claim: ClaimRef | None = None, warning: bool = True
    ) -> None:
        pass

    def count(self, metric: str, amount: float = 1) -> None:
        pass


class Admission(Protocol):
    """Places for running prepares; a BoundedSemaphore, shared by all drivers of the process."""

    def acquire(self, blocking: bool = True) -> bool: ...

    def release(self) -> None: ...
