"""What outlives a look at the hardware: taints, what claims have, what drifted, since when a device is lost.

A journal that cannot be read is said, and the last answer or none is used: the inventory goes on.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from dracore.errors import DracoreError
from dracore.inventory.merge import View
from dracore.inventory.ports import Drifted, HealthStore, Prepared, StoredTaint
from dracore.model.device import Taint
from dracore.model.prepared import Health


class Memory:
    """Asks the claim engine and the journal.

    :param log: a structlog logger.
    :param now: the time of day, for new taints.
    """

    def __init__(
        self,
        health: HealthStore,
        prepared: Prepared,
        drifted: Drifted,
        log: Any,
        now: Callable[[], datetime.datetime],
    ) -> None:
        self.drifts: Mapping[tuple[str, str], str] = {}
        """Pool and name of devices with an effect that somebody undid, and what is the matter."""
        self._health = health
        self._prepared = prepared
        self._drifted = drifted
        self._log = log
        self._now = now
        self._lost_since: dict[tuple[str, str], Taint] = {}

    def prepared(self, before: View) -> Collection[tuple[str, str, str]]:
        """Plugin, pool and name of what claims have; in doubt what was lost in `before` still is."""
        try:
            return self._prepared()
        except DracoreError as error:
            self._log.error("it is not known what is prepared", error=str(error))
            return [(before.devices[key][1], *key) for key in before.lost]

    def drifted(self) -> Collection[tuple[str, str]]:
        """Asks anew; in doubt what was so still is."""
        try:
            self.drifts = dict(self._drifted())
        except DracoreError as error:
            self._log.error("it is not known what has drifted", error=str(error))
        return self.drifts

    def taints(self) -> Sequence[StoredTaint]:
        """The taints that survive restarts."""
        try:
            return self._health.all()
        except DracoreError as error:
            self._log.error("stored taints could not be read", error=str(error))
            return ()

    def keep(self, plugin: str, health: Iterable[Health]) -> None:
        """A device that is reported healthy is rid of what was said of it before, or of one taint."""
        try:
            for entry in health:
                if entry.state == "Healthy":
                    self._health.clear(plugin, entry.device, key=entry.taint_key or None)
                elif entry.taint_key:
                    taint = Taint(
                        entry.taint_key, entry.taint_effect or "NoSchedule", entry.taint_value, self._time()
                    )
                    self._health.store(plugin, entry.device, taint, entry.message)
        except DracoreError as error:
            self._log.error("the health of devices could not be kept", plugin=plugin, error=str(error))

    def lost_taint(self, key: str, pool: str, device: str) -> Taint:
        """The taint of a device that is gone, with the time at which it was first missed."""
        made = Taint(key, "NoSchedule", time_added=self._time())
        return self._lost_since.setdefault((pool, device), made)

    def still_lost(self, lost: Collection[tuple[str, str]]) -> None:
        """Forgets since when the others were lost."""
        self._lost_since = {key: taint for key, taint in self._lost_since.items() if key in lost}

    def _time(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
