"""What requests are answered from: the objects and their rules, the faults, the ends of watches."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from dracore.testing.apiserver import gates as gating
from dracore.testing.apiserver import resources as kinds
from dracore.testing.apiserver.faults import Fault, Faults, RequestLog
from dracore.testing.apiserver.registry import Registry
from dracore.testing.apiserver.store import Store
from dracore.testing.apiserver.strategy import Strategy


class Served:
    """One API server without its port (:class:`EmbeddedAPI` has the parameters)."""

    def __init__(
        self, version: str, feature_gates: Mapping[str, bool] | None, bookmark_interval: float, history: int
    ) -> None:
        self.gates = gating.gates(version, feature_gates)
        self.resources = kinds.served(self.gates.version)
        if "DRADeviceTaintRules" not in self.gates:
            self.resources = tuple(r for r in self.resources if r.plural != "devicetaintrules")
        self.store = Store(history)
        self.registry = Registry(self.store, Strategy(self.gates, self._namespace_labels))
        self.faults = Faults()
        self.log = RequestLog()
        self.bookmark_interval = bookmark_interval
        self._stopping = threading.Event()
        self._watch_round = 0
        self._bookmark_round = 0

    def watch_round(self) -> int:
        """Changes when every running watch is to end."""
        return self._watch_round

    def bookmark_round(self) -> int:
        """Changes when every watch is to send a bookmark."""
        return self._bookmark_round

    def pause(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    def hang(self, fault: Fault) -> None:
        """Blocks a request until its fault is removed or the server stops."""
        while self.faults.active(fault) and not self._stopping.wait(0.05):
            pass

    def cut_watches(self) -> None:
        """Ends every running watch by closing its connection."""
        with self.store.changed:
            self._watch_round += 1
            self.store.changed.notify_all()

    def bookmark(self) -> None:
        """Sends a bookmark now to every watch that allows them."""
        with self.store.changed:
            self._bookmark_round += 1
            self.store.changed.notify_all()

    def _namespace_labels(self, name: str) -> dict[str, Any]:
        found = self.store.get("namespaces", ("", name))
        labels: dict[str, Any] = (found or {}).get("metadata", {}).get("labels") or {}
        return labels
