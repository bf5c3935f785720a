"""What all drivers of the process share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dracore.config import NodeConfiguration
from dracore.inventory.ports import Filter
from dracore.model.seam import Seam
from dracore.node.api import Api
from dracore.node.surroundings import Hooks
from dracore.observe.metrics import Metrics
from dracore.prepare.ports import Admission


@dataclass(frozen=True)
class Shared:
    """Made once, by the node plugin.

    :param offered: the configuration's filter as it is now; a reload replaces it.
    :param session: the session of any plugin of any driver.
    :param started: whether a plugin of any driver has started.
    """

    configuration: NodeConfiguration
    hooks: Hooks
    api: Api
    metrics: Metrics
    boot_id: str
    instance: str
    admission: Admission
    offered: Callable[[], Filter | None]
    session: Callable[[str], Any]
    started: Callable[[str], bool]
    seam: Seam
