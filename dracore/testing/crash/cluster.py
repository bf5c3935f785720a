"""The API server and the kubelet of a run, in files: what they know outlives the driver's process."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from dracore.errors import NotFound
from dracore.model.answer import PreparedResult
from dracore.model.claim import Claim, ClaimRef, OpaqueConfig, Result
from dracore.testing.crash.points import Points
from dracore.testing.crash.scenario import Ask

POOL = "node-1"
Promise: TypeAlias = Literal["nothing", "prepared", "again", "released"]
"""What the kubelet was told last; `again`: before the node was rebooted."""


class Cluster:
    """Claims and their allocations, and what the kubelet was answered (its promises)."""

    def __init__(self, folder: Path, driver: str) -> None:
        self._file = folder / "cluster.json"
        self._driver = driver
        self._state: dict[str, Any] = {"claims": {}, "promises": {}, "boot": 1}
        self.read()

    def read(self) -> None:
        """What another process has written since."""
        if self._file.exists():
            self._state = json.loads(self._file.read_text())

    def _save(self) -> None:
        beside = self._file.with_suffix(".tmp")
        beside.write_text(json.dumps(self._state))
        os.rename(beside, self._file)

    # --- the API server ---------------------------------------------------------------------------------

    def put(self, uid: str, ask: Ask) -> None:
        self._state["claims"][uid] = [list(ask.devices), ask.parameters, ask.admin, ask.share]
        self._save()

    def delete(self, uid: str) -> None:
        self._state["claims"].pop(uid, None)
        self._save()

    @property
    def claims(self) -> list[str]:
        return sorted(self._state["claims"])

    def ref(self, uid: str) -> ClaimRef:
        return ClaimRef(uid, "default", f"claim-{uid}")

    def get(self, ref: ClaimRef, timeout: float) -> Claim:
        found = self._state["claims"].get(ref.uid)
        if found is None:
            raise NotFound(f"claim {ref.name} not found", status=404)
        devices, parameters, admin, share = found
        results = tuple(
            Result(f"r{i}", self._driver, POOL, device, share_id=share, admin_access=admin)
            for i, device in enumerate(devices)
        )
        configs = () if parameters is None else (OpaqueConfig("FromClaim", self._driver, parameters),)
        return Claim(ref, True, results, configs, ("pod-1",))

    # --- the kubelet ------------------------------------------------------------------------------------

    def asked(self, uid: str, *, keep: bool = False) -> None:
        """A call begins. While an unprepare or a prepare of another allocation runs, nothing is promised."""
        if not keep:
            self._state["promises"][uid] = ["nothing", None]
            self._save()

    def prepared(self, uid: str, answer: Sequence[PreparedResult]) -> None:
        self._state["promises"][uid] = ["prepared", _json(answer)]
        self._save()

    def released(self, uid: str) -> None:
        self._state["promises"][uid] = ["released", None]
        self._save()

    def promises(self) -> dict[str, tuple[Promise, Any]]:
        """By uid: what the kubelet was last told, and with which answer."""
        return {uid: (promise, answer) for uid, (promise, answer) in self._state["promises"].items()}

    # --- the machine ------------------------------------------------------------------------------------

    @property
    def boot_id(self) -> str:
        return f"boot-{self._state['boot']}"

    def reboot(self) -> None:
        self._state["boot"] += 1
        self._save()

    def forget_promises(self) -> None:
        """The kubelet has started with the node: no container runs, it asks for every claim again, and
        expects the answer that it had."""
        for promise in self._state["promises"].values():
            if promise[0] == "prepared":
                promise[0] = "again"
        self._save()

    def users(self, driver: str) -> Mapping[str, Sequence[str]] | None:
        """PodResources: no pod runs."""
        return {}


def same_answer(known: Any, answer: Sequence[PreparedResult]) -> bool:
    return bool(known == _json(answer))


def _json(answer: Sequence[PreparedResult]) -> list[Any]:
    return [[list(r.requests), r.pool, r.device, list(r.cdi_ids), r.share_id] for r in answer]


@dataclass
class KubeletCall:
    """A call of the kubelet (:class:`dracore.model.answer.Call`); the run may end its patience."""

    seconds: float
    points: Points
    clock: Any

    def __post_init__(self) -> None:
        self._end = self.clock.monotonic() + self.seconds

    def time_left(self) -> float:
        return 0.0 if self.points.caller_gone else max(0.0, self._end - self.clock.monotonic())

    def alive(self) -> bool:
        return not self.points.caller_gone
