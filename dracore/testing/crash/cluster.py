"""The API server and the kubelet of a run, in files: what they know outlives the driver's process."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from dracore.errors import NotFound, SocketError, Unreachable
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
        self._youngest = folder / "youngest"
        self._state: dict[str, Any] = {
            "claims": {},
            "promises": {},
            "running": [],
            "outages": [],
            "faults": [],
            "boot": 1,
        }
        self._mute = False
        self.asked_for: set[str] = set()
        """Claims that the API server has answered for."""
        self.read()

    def read(self) -> None:
        """What another process has written since."""
        if self._file.exists():
            self._state = json.loads(self._file.read_text())

    def fall_silent(self) -> None:
        """This process was stopped and nobody listens to it any more: what it does is told to nobody."""
        self._mute = True
        self.read()

    def _save(self) -> None:
        if self._mute:
            return
        beside = self._file.with_suffix(".tmp")
        beside.write_text(json.dumps(self._state))
        os.rename(beside, self._file)

    # --- the API server ---------------------------------------------------------------------------------

    def put(self, uid: str, ask: Ask) -> None:
        name = ask.name or self.ref(uid).name
        self._state["claims"][uid] = [
            list(ask.devices),
            ask.parameters,
            ask.admin,
            ask.share,
            name,
            ask.reserved,
        ]
        self._state.setdefault("names", {})[uid] = name
        self._save()

    def delete(self, uid: str) -> None:
        self._state["claims"].pop(uid, None)
        self._save()

    @property
    def claims(self) -> list[str]:
        return sorted(self._state["claims"])

    def ref(self, uid: str) -> ClaimRef:
        """As the kubelet names it, whether it is still there or not."""
        return ClaimRef(uid, "default", self._state.get("names", {}).get(uid, f"claim-{uid}"))

    def get(self, ref: ClaimRef, timeout: float) -> Claim:
        """What the API server answers for the claim's name: perhaps another of that name."""
        if "api" in self._state["outages"]:
            raise Unreachable("the API server does not answer")
        found = self.find(ref)
        self.asked_for.add(ref.uid)
        if found is None:
            raise NotFound(f"claim {ref.name} not found", status=404)
        return found

    def allocated(self, uid: str) -> list[str]:
        """The devices of a claim that is there."""
        return list(self._state["claims"][uid][0])

    def named(self, name: str) -> list[str]:
        """The uid of the claim of that name, if there is one."""
        return [uid for uid, claim in self._state["claims"].items() if claim[4] == name]

    def find(self, ref: ClaimRef) -> Claim | None:
        """The claim that has the name now."""
        named = self.named(ref.name)
        if not named:
            return None
        (uid,) = named
        devices, parameters, admin, share, _, reserved = self._state["claims"][uid]
        results = tuple(
            Result(f"r{i}", self._driver, POOL, device, share_id=share, admin_access=admin)
            for i, device in enumerate(devices)
        )
        configs = () if parameters is None else (OpaqueConfig("FromClaim", self._driver, parameters),)
        return Claim(self.ref(uid), True, results, configs, ("pod-1",) if reserved else ())

    def outage(self, of: str, *, over: bool) -> None:
        kept = [name for name in self._state["outages"] if name != of]
        self._state["outages"] = kept if over else [*kept, of]
        self._save()

    def answers(self, who: str) -> bool:
        """Whether ``api`` or ``kubelet`` does."""
        return who not in self._state["outages"]

    def all_is_well(self) -> None:
        """Every outage is over, and no container runs any more."""
        self._state["outages"], self._state["running"] = [], []
        self._save()

    # --- the kubelet ------------------------------------------------------------------------------------

    def asked(self, uid: str, *, keep: bool = False) -> None:
        """A call begins. While an unprepare or a prepare of another allocation runs, nothing is promised."""
        if not keep:
            self._state["promises"][uid] = ["nothing", None]
            self._save()

    def prepared(self, uid: str, answer: Sequence[PreparedResult]) -> None:
        allocated, now = self._state["claims"][uid][0], [result.device for result in answer]
        if allocated != now:
            self.note(f"promise: claim {uid} is allocated {allocated} and was prepared with {now}")
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
        self._state["running"] = []
        self._save()

    def forget_promises(self) -> None:
        """The kubelet has started with the node: no container runs, it asks for every claim again, and
        expects the answer that it had."""
        for promise in self._state["promises"].values():
            if promise[0] == "prepared":
                promise[0] = "again"
        self._save()

    def run(self, uid: str, *, run: bool) -> None:
        """Containers have the claim's devices, or have them no more."""
        rest = [other for other in self._state["running"] if other != uid]
        self._state["running"] = [*rest, uid] if run else rest
        self._save()

    @property
    def running(self) -> list[str]:
        """Claims that containers run with."""
        return list(self._state["running"])

    def users(self, driver: str) -> Mapping[str, Sequence[str]] | None:
        """PodResources: the pods that run."""
        if "kubelet" in self._state["outages"]:
            raise SocketError("the kubelet's PodResources does not answer")
        return {uid: ["default/pod-1"] for uid in self._state["running"]}

    def devices(self, driver: str) -> Mapping[str, Sequence[tuple[str, str]]] | None:
        """PodResources: what they run with."""
        claims = self._state["claims"]
        return {
            uid: [(POOL, device) for device in claims[uid][0]]
            for uid in self.users(driver) or {}
            if uid in claims
        }

    # --- instances --------------------------------------------------------------------------------------

    def enter(self) -> int:
        """An instance has started; answers its place in the order of starts."""
        number = self.youngest() + 1
        self._youngest.write_text(str(number))
        return number

    def youngest(self) -> int:
        """The latest that has started. It alone reconciles."""
        return int(self._youngest.read_text()) if self._youngest.exists() else 0

    # --- what must not be -------------------------------------------------------------------------------

    def note(self, fault: str) -> None:
        """Something that the driver must never do, and did."""
        self._state["faults"].append(fault)
        self._save()

    def faults(self) -> list[str]:
        return list(self._state["faults"])


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
    gone: bool = False
    """Its caller has gone already."""

    def __post_init__(self) -> None:
        self._end = self.clock.monotonic() + self.seconds

    def time_left(self) -> float:
        left: float = self._end - self.clock.monotonic()
        return max(0.0, left)

    def alive(self) -> bool:
        return not (self.gone or self.points.caller_gone)
