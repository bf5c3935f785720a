"""What a publisher knows of one pool."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from dracore.model.device import Device
from dracore.publish.desired import Desired
from dracore.publish.pacer import Pacer


@dataclass
class PoolState:
    """Belongs to the worker; a pool that is not wanted any more has none.

    :param built_from: the number of :class:`~dracore.publish.wanted.Wanted` that `desired` was built from.
    :param desired: the slices that are wanted; None where the pool cannot be published at all.
    :param settled: what stood on the server when it was last as wanted. While it is `desired` itself, a
        difference is somebody else's doing.
    :param generation: the highest one that we have written, for when the slices themselves are gone.
    :param published: when the pool last came to stand as wanted.
    :param problem: why the last attempt failed.
    :param texts: what is not published as discovered.
    :param refused: devices that the API server has refused as they are, with what it said.
    """

    pacer: Pacer = field(default_factory=Pacer)
    built_from: int = -1
    desired: Desired | None = None
    settled: Desired | None = None
    generation: int = 0
    published: datetime | None = None
    problem: str = ""
    texts: tuple[str, ...] = ()
    refused: dict[str, tuple[Device, str]] = field(default_factory=dict)
