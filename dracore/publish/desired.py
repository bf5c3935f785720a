"""From a pool of the inventory to the slices that we want: limits, what the server lacks, packing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from dracore.errors import LimitError
from dracore.model.device import Device, NodeSelection, Pool
from dracore.publish import wire
from dracore.publish.features import Feature, Supports, degrade
from dracore.publish.pack import Names, pack

Object: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Desired:
    """The slices of a pool as they should stand, without generation and count.

    :param texts: what is not published as discovered, and why.
    """

    pool: str
    specs: tuple[Object, ...]
    layout: tuple[Names, ...]
    texts: tuple[str, ...] = ()


def build(
    pool: Pool,
    supports: Supports,
    node: NodeSelection,
    *,
    problems: Sequence[LimitError] = (),
    previous: Sequence[Names] = (),
    dense: bool = False,
    prepared: Collection[str] = (),
    refused: Mapping[str, tuple[Device, str]] | None = None,
) -> Desired:
    """The slices for a pool.

    :param pool: what :func:`~dracore.publish.validate.check_pool` has left of it.
    :param problems: what that left out.
    :param refused: devices that the API server has refused as they are, with what it said.
    """
    texts = [str(problem) for problem in problems]
    kept = []
    for device in pool.devices:
        known = (refused or {}).get(device.name)
        if known is not None and known[0] == device:
            texts.append(f"device {pool.name}/{device.name}: refused by the API server: {known[1]}")
        else:
            kept.append(device)
    degraded = degrade(replace(pool, devices=tuple(kept)), supports, prepared)
    pool = degraded.pool
    nodes = supports.get(Feature.NODES)
    per_device = any(device.node is not None for device in pool.devices) and (nodes is None or nodes.usable)
    packed = pack(pool.devices, pool.counter_sets, previous, dense=dense)
    specs = tuple(
        wire.slice_spec(pool.driver, pool.name, part, pool.node or node, per_device_nodes=per_device)
        for part in packed
    )
    return Desired(pool.name, specs, tuple(part.names() for part in packed), (*texts, *degraded.texts))
