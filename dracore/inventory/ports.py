"""What the inventory needs of the rest of the process; the composition root brings it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from dracore.model.claim import ClaimRef
from dracore.model.context import NodeContext
from dracore.model.device import Device, Taint


class Hooks(Protocol):
    """The enabled plugins (:class:`dracore.plugins.Plugins`)."""

    def plugins(self, driver: str) -> Sequence[str]: ...

    def requires(self, plugin: str) -> Sequence[str]: ...

    def lost_taint(self, plugin: str) -> str: ...

    def implements(self, plugin: str, hook: str) -> bool: ...

    def call(self, plugin: str, hook: str, /, **arguments: Any) -> Any: ...


class Contexts(Protocol):
    """Gives plugins their contexts (the claim engine, which knows what is held)."""

    def context(self, plugin: str) -> NodeContext: ...

    def starting(self, plugin: str) -> AbstractContextManager[NodeContext]:
        """Around ``dra_start``; from its begin on it is noted what the plugin holds again."""
        ...

    def settled(self, plugin: str) -> bool:
        """After its first discovery: what it held before and has not held again is reverted. Answers whether
        that has changed the node."""
        ...


class StoredTaint(Protocol):
    """A taint out of the journal."""

    @property
    def plugin(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def taint(self) -> Taint: ...


class HealthStore(Protocol):
    """Keeps taints over restarts (the journal)."""

    def store(self, plugin: str, device: str, taint: Taint, message: str = "") -> Taint:
        """Answers the taint with the time at which it was first added."""
        ...

    def clear(self, plugin: str, device: str, *, key: str | None = None) -> bool: ...

    def all(self) -> Sequence[StoredTaint]: ...


Filter: TypeAlias = Callable[[str, Device], bool]
"""Whether a device of a driver is offered (``Selector.matches``). May raise SelectorError."""

Prepared: TypeAlias = Callable[[], Collection[tuple[str, str, str]]]
"""Plugin, pool and device of everything that claims have prepared now."""

Drifted: TypeAlias = Callable[[], Mapping[tuple[str, str], str]]
"""Pool and device of claims that hold an effect which somebody undid, and what the matter is."""


class Reports(Protocol):
    """Where a person is told. Never raises, never blocks."""

    def event(
        self, reason: str, message: str, *, claim: ClaimRef | None = None, warning: bool = True
    ) -> None: ...
