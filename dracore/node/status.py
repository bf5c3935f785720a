"""What ``dracore status`` shows: the state of the whole process as JSON (docs/commands.md has the format)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dracore.model.claim import ClaimRef
from dracore.model.device import JSON
from dracore.observe.metrics import Sample

if TYPE_CHECKING:
    from dracore.node.driver import DriverNode
    from dracore.prepare.snapshot import ClaimStatus, DeviceStatus, EffectStatus, Entry


def rfc3339(moment: datetime | float) -> str:
    """A time in UTC with whole seconds."""
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment, UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def driver_json(driver: DriverNode) -> JSON:
    publish = driver.publish_status()
    published = publish.published if publish else None
    return {
        "name": driver.name,
        "registered": bool(driver.registered),
        "publishes": driver.publishes(),
        "devices": [
            {"driver": driver.name, "pool": pool.name, "device": device.name}
            for pool in driver.pools()
            for device in pool.devices
        ],
        "published": {
            "time": rfc3339(published.time),
            "generation": published.generation,
            "slices": published.slices,
        }
        if published
        else None,
        "degradations": driver.degradations(),
    }


def claims_json(claims: Iterable[ClaimStatus]) -> list[JSON]:
    return [
        {
            **ref_json(claim.ref),
            "state": claim.state,
            "since": rfc3339(claim.since),
            "awaited": claim.awaited,
            "error": claim.error,
            "devices": [_device(device) for device in claim.devices],
            "effects": [_effect_ref(effect) for effect in claim.effects],
        }
        for claim in claims
    ]


def entry_json(entry: Entry) -> dict[str, Any]:
    """One entry of a claim's timeline; its time with microseconds, to be put in order."""
    at = datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"at": at, "what": entry.what, "kind": entry.kind, "key": entry.key, "text": entry.text}


def merged(timelines: Mapping[str, Sequence[Entry]]) -> list[dict[str, Any]]:
    """The entries of all drivers (by name) in one order: each driver's own, by time between drivers.

    The clock may have been set back in between, so a driver's entry is never put before its earlier ones.
    """
    placed = []
    for name, entries in timelines.items():
        latest = 0.0
        for entry in entries:
            latest = max(latest, entry.at)
            placed.append((latest, {"driver": name, **entry_json(entry)}))
    return [entry for _, entry in sorted(placed, key=lambda pair: pair[0])]


def effects_json(effects: Iterable[EffectStatus]) -> list[JSON]:
    return [
        {
            **_effect_ref(effect),
            "state": effect.state,
            "holders": list(effect.holders),
            "since": rfc3339(effect.since),
            "drift": effect.drift,
            "error": effect.error,
        }
        for effect in effects
    ]


def effect_problems(effects: Iterable[EffectStatus]) -> list[str]:
    """Effects that somebody undid, and those whose revert fails."""
    found = [f"{effect.kind} {effect.key}: {effect.drift}" for effect in effects if effect.drift]
    found += [
        f"{effect.kind} {effect.key} is not reverted yet: {effect.error}"
        for effect in effects
        if effect.error
    ]
    return found


def ref_json(ref: ClaimRef) -> dict[str, str]:
    return {"uid": ref.uid, "namespace": ref.namespace, "name": ref.name}


def samples(drivers: Sequence[DriverNode]) -> Iterable[Sample]:
    """The gauges that are read when somebody scrapes."""
    for driver in drivers:
        name = driver.name
        yield Sample("registered", (name,), float(bool(driver.registered)))
        yield Sample("devices", (name,), sum(len(pool.devices) for pool in driver.pools()))
        yield Sample("degradations", (name,), len(driver.degradations()))
        snapshot = driver.snapshot()
        for state in ("preparing", "waiting", "prepared", "releasing"):
            count = sum(claim.state == state for claim in snapshot.claims)
            yield Sample("claims", (name, state), count)
        devices = {(d.pool, d.device) for claim in snapshot.claims for d in claim.devices}
        yield Sample("prepared_devices", (name,), len(devices))
        for state in ("intent", "applied", "reverting"):
            yield Sample("effects", (name, state), sum(effect.state == state for effect in snapshot.effects))


def _device(device: DeviceStatus) -> dict[str, Any]:
    result: dict[str, Any] = {
        "driver": device.driver,
        "pool": device.pool,
        "device": device.device,
        "request": device.request,
    }
    if device.share_id:
        result["shareID"] = device.share_id
    if device.admin_access:
        result["adminAccess"] = True
    return result


def _effect_ref(effect: EffectStatus) -> dict[str, str]:
    return {"driver": effect.driver, "kind": effect.kind, "key": effect.key}
