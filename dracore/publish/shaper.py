"""From a pool of the inventory to the slices wanted now, given what the server keeps and refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from dracore.model.device import NodeSelection, Pool
from dracore.publish import names, wire
from dracore.publish.desired import Desired, build
from dracore.publish.features import used_by
from dracore.publish.pack import Names
from dracore.publish.probe import FeatureProbe
from dracore.publish.state import PoolState
from dracore.publish.validate import check_pool
from dracore.publish.writer import Refused, SliceWriter

_DEVICE_INDEX = re.compile(r"spec\.devices\[(\d+)\]")


class Shaper:
    """Makes the `desired` of a :class:`PoolState`.

    The parameters are those of :class:`~dracore.publish.publisher.Publisher`.
    """

    def __init__(
        self,
        driver: str,
        node_name: str,
        *,
        only_pool: str,
        dense: bool,
        prepared: Callable[[], Collection[tuple[str, str]]],
        probe: FeatureProbe,
        writer: SliceWriter,
    ) -> None:
        self._driver = driver
        self._node_name = node_name
        self._node = node_selection(node_name)
        self._only_pool = only_pool
        self._dense = dense
        self._prepared = prepared
        self._probe = probe
        self._writer = writer

    def shape(self, pool: Pool, state: PoolState) -> None:
        """Makes `desired` and `texts` anew.

        :raises KubeError: the server does not say what it keeps.
        """
        misplaced = self._misplaced(pool)
        checked = check_pool(pool)
        if misplaced or checked.pool is None:
            state.desired = None
            state.texts = (*([misplaced] if misplaced else ()), *map(str, checked.problems))
            return
        devices = {device.name: device for device in checked.pool.devices}
        state.refused = {
            name: (device, said)
            for name, (device, said) in state.refused.items()
            if devices.get(name) == device
        }
        needed = used_by(checked.pool)
        before = state.desired
        desired = build(
            checked.pool,
            self._probe.support(needed) if needed else {},
            self._node,
            problems=checked.problems,
            previous=before.layout if before else self._layout(pool.name),
            dense=self._dense,
            prepared={device for name, device in self._prepared() if name == pool.name},
            refused=state.refused,
        )
        if before is not None and state.settled is before and desired.specs == before.specs:
            state.settled = desired  # what stands is still what we want: a difference is a foreign one
        state.desired, state.texts = desired, desired.texts

    def withhold(self, pool: Pool, state: PoolState, desired: Desired, refused: Refused) -> bool:
        """Leaves the devices that a refusal names out of the next :meth:`shape`; False: it names none."""
        layout = desired.layout[refused.index].devices
        devices = {device.name: device for device in pool.devices}
        named = {int(index) for index in _DEVICE_INDEX.findall(refused.error.what)}
        bad = [layout[index] for index in named if index < len(layout)]
        for name in bad:
            state.refused[name] = (devices[name], refused.error.what)
        state.built_from = -1
        return bool(bad)

    def probe_again(self) -> None:
        """The next :meth:`shape` asks the server anew what it keeps."""
        self._probe.forget()

    def _misplaced(self, pool: Pool) -> str:
        if self._only_pool and pool.name != self._only_pool:
            return f"pool {pool.name} is not published: this publisher is for the pool {self._only_pool}"
        if self._node_name and pool.node not in (None, self._node):
            return f"pool {pool.name} is not published: it lies on other nodes than {self._node_name}"
        if not self._node_name and pool.node is None:
            return f"pool {pool.name} is not published: it names no nodes"
        if pool.driver != self._driver:
            return f"pool {pool.name} is not published: it belongs to the driver {pool.driver}"
        return ""

    def _layout(self, pool: str) -> tuple[Names, ...]:
        """How the slices on the server are laid out: what an earlier process of ours has published."""
        stored = self._writer.stored(pool)
        newest = max((int(obj["spec"]["pool"]["generation"]) for obj in stored), default=0)
        found: dict[int, Names] = {}
        for obj in stored:
            of_pool = obj["spec"]["pool"]
            index = names.index_of(obj["metadata"]["name"], int(of_pool["resourceSliceCount"]))
            if index is not None and int(of_pool["generation"]) == newest:
                found[index] = wire.names_in(obj["spec"])
        return tuple(found.get(index, Names()) for index in range(max(found, default=-1) + 1))


def node_selection(node_name: str) -> NodeSelection:
    """From where a pool that names no nodes is reachable."""
    return NodeSelection(node_name=node_name) if node_name else NodeSelection(all_nodes=True)
