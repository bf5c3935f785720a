"""The kubelet's DRA manager: prepare and unprepare for pods, with its cache and checkpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import grpc

from dracore.testing.kubelet.instance import CALL_SECONDS, Instance
from dracore.testing.kubelet.model import (
    Answer,
    ClaimInfo,
    ClaimRef,
    KubeletError,
    Pod,
    PreparedDevice,
    new_info,
)
from dracore.testing.kubelet.plugins import Plugins

Object = Mapping[str, Any]
GetClaim = Callable[[str, str], Object]
"""Namespace and name to the claim object; raises an error with a text for a person."""
Call = Callable[[Instance, list[ClaimRef]], dict[str, Answer]]


class DRAManager:
    """Prepares claims before pods start and unprepares them after their last pod ended.

    :param checkpoint: ``<kubelet>/dra_manager_state``; survives restarts, ``prepared`` marks do not.
    :param check_reservations: refuse pods that a claim's ``status.reservedFor`` does not name.
    """

    def __init__(
        self,
        plugins: Plugins,
        get_claim: GetClaim,
        checkpoint: Path,
        *,
        call_timeout: float = CALL_SECONDS,
        check_reservations: bool = True,
    ) -> None:
        self._plugins = plugins
        self._get_claim = get_claim
        self._checkpoint = checkpoint
        self._timeout = call_timeout
        self._check = check_reservations
        self._lock = threading.RLock()
        self._infos: dict[tuple[str, str], ClaimInfo] = {}
        self._load()

    def infos(self) -> Mapping[tuple[str, str], ClaimInfo]:
        """Cache entries by namespace and name of the claim."""
        with self._lock:
            return dict(self._infos)

    # --- prepare --------------------------------------------------------------------------------------

    def prepare(self, pod: Pod) -> None:
        """Everything before the pod's sandbox; raises KubeletError and may be called again.

        Nothing is noted before all claims passed their checks; no lock is held while drivers are called.
        """
        fresh = [self._checked(pod, name) for name in pod.claims.values()]
        batches: dict[str, list[ClaimRef]] = {}
        started: list[ClaimRef] = []
        with self._lock:
            for new in fresh:
                info = self._noted(new, pod)
                if info.prepared:
                    continue
                started.append(info.claim)
                for driver in info.drivers:
                    if not _skips(info, driver, "NodePrepareResources"):
                        batches.setdefault(driver, []).append(info.claim)
            self._save()
        for driver, claims in batches.items():
            answers = self._call(driver, claims, "NodePrepareResources", self._prepare_call)
            with self._lock:
                for claim in claims:
                    self._infos[claim.namespace, claim.name].drivers[driver] = answers[claim.uid].devices
        with self._lock:
            for claim in started:
                self._infos[claim.namespace, claim.name].prepared = True
            self._save()

    def _checked(self, pod: Pod, name: str) -> ClaimInfo:
        """A new entry for the claim as the API server has it; raises KubeletError."""
        claim = self._get_claim(pod.namespace, name)
        info = new_info(claim)
        consumers = {item.get("uid") for item in claim.get("status", {}).get("reservedFor") or ()}
        if self._check and pod.uid not in consumers:
            raise KubeletError(
                f"pod {pod.name} ({pod.uid}) is not allowed to use ResourceClaim {name} ({info.claim.uid})"
            )
        for driver in info.drivers:
            if not _skips(info, driver, "NodePrepareResources"):
                self._plugins.get(driver)
        return info

    def _noted(self, new: ClaimInfo, pod: Pod) -> ClaimInfo:
        key = (new.claim.namespace, new.claim.name)
        info = self._infos.setdefault(key, new)
        if info.claim.uid != new.claim.uid:
            raise KubeletError(
                f"old ResourceClaim with same name {new.claim.name} and different UID "
                f"{info.claim.uid} still exists "
                "(previous pod force-deleted?!)"
            )
        if info.unpreparing:
            raise KubeletError(f"ResourceClaim {new.claim.name} is being unprepared")
        info.pods.add(pod.uid)
        return info

    def _prepare_call(self, instance: Instance, claims: list[ClaimRef]) -> dict[str, Answer]:
        return instance.prepare(claims, self._timeout)

    def _unprepare_call(self, instance: Instance, claims: list[ClaimRef]) -> dict[str, Answer]:
        return instance.unprepare(claims, self._timeout)

    def _call(self, driver: str, claims: list[ClaimRef], method: str, call: Call) -> dict[str, Answer]:
        """One RPC for all claims of a driver, its answer checked as the kubelet does; raises KubeletError."""
        instance = self._plugins.get(driver)
        try:
            answers = call(instance, claims)
        except grpc.RpcError as error:
            raise KubeletError(
                f"{method}: rpc error: code = {error.code().name} desc = {error.details()}"
            ) from error
        names = {claim.uid: claim.name for claim in claims}
        for uid, answer in answers.items():
            if uid not in names:
                raise KubeletError(f"{method} returned result for unknown claim UID {uid}")
            if answer.error:
                raise KubeletError(f"{method} failed for ResourceClaim {names[uid]}: {answer.error}")
        if len(answers) != len(claims):
            raise KubeletError(f"{method} skipped {len(claims) - len(answers)} ResourceClaims")
        return answers

    # --- unprepare ------------------------------------------------------------------------------------

    def unprepare(self, pod: Pod) -> None:
        """Everything after the pod's last container ended; raises KubeletError and may be called again."""
        with self._lock:
            names = [info.claim.name for info in self._infos.values() if pod.uid in info.pods]
        self.unprepare_claims(pod.uid, pod.namespace, names or list(pod.claims.values()))

    def unprepare_claims(self, pod_uid: str, namespace: str, names: Iterable[str]) -> None:
        batches: dict[str, list[ClaimRef]] = {}
        ending: list[ClaimRef] = []
        with self._lock:
            for name in names:
                info = self._infos.get((namespace, name))
                if info is None or pod_uid not in info.pods:
                    continue
                if len(info.pods) > 1:
                    info.pods.discard(pod_uid)
                    continue
                info.unpreparing = True
                ending.append(info.claim)
                for driver in info.drivers:
                    if not _skips(info, driver, "NodeUnprepareResources"):
                        batches.setdefault(driver, []).append(info.claim)
        for driver, claims in batches.items():
            self._call(driver, claims, "NodeUnprepareResources", self._unprepare_call)
        with self._lock:
            for claim in ending:
                self._infos.pop((claim.namespace, claim.name), None)
            self._save()

    def reconcile(self, active: set[str]) -> list[str]:
        """Unprepares what pods hold that are not ``active`` uids any more; the errors, to be tried again."""
        with self._lock:
            stale: dict[tuple[str, str], list[str]] = {}
            for info in self._infos.values():
                for uid in info.pods - active:
                    stale.setdefault((uid, info.claim.namespace), []).append(info.claim.name)
        errors = []
        for (uid, namespace), names in stale.items():
            try:
                self.unprepare_claims(uid, namespace, names)
            except KubeletError as error:
                errors.append(str(error))
        return errors

    # --- checkpoint -----------------------------------------------------------------------------------

    def _save(self) -> None:
        entries = [
            {
                "claim": asdict(info.claim),
                "drivers": {name: [asdict(one) for one in many] for name, many in info.drivers.items()},
                "skips": {name: sorted(values) for name, values in info.skips.items()},
                "pods": sorted(info.pods),
            }
            for info in self._infos.values()
        ]
        beside = self._checkpoint.with_name(f".{self._checkpoint.name}.new")
        beside.write_text(json.dumps(entries), encoding="utf-8")
        beside.replace(self._checkpoint)

    def _load(self) -> None:
        if not self._checkpoint.exists():
            return
        for entry in json.loads(self._checkpoint.read_text(encoding="utf-8")):
            claim = ClaimRef(**entry["claim"])
            drivers = {
                name: tuple(
                    PreparedDevice(
                        tuple(one["requests"]),
                        one["pool"],
                        one["device"],
                        tuple(one["cdi_ids"]),
                        one["share_id"],
                    )
                    for one in many
                )
                for name, many in entry["drivers"].items()
            }
            skips = {name: frozenset(values) for name, values in entry["skips"].items()}
            self._infos[claim.namespace, claim.name] = ClaimInfo(claim, drivers, skips, set(entry["pods"]))


def _skips(info: ClaimInfo, driver: str, operation: str) -> bool:
    """Whether all devices of the driver in this claim skip the call (KEP-5945)."""
    return bool(info.skips.get(driver, frozenset()) & {operation, "*"})
