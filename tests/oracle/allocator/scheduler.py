"""What the library allocates to a cluster of :mod:`clusters`: nodes by name, pods and claims in their order.

Knows nothing of ours: it keeps the books itself, so that a fault in ours cannot hide in it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

JSON = Any
FEATURES = {
    "DRAAdminAccess": ("AdminAccess", True),
    "DRAPrioritizedList": ("PrioritizedList", True),
    "DRAPartitionableDevices": ("PartitionableDevices", True),
    "DRAConsumableCapacity": ("ConsumableCapacity", True),
    "DRADeviceTaints": ("DeviceTaints", True),
    "DRAFractionalCapacityRange": ("FractionalCapacityRange", False),
    "DRAListTypeAttributes": ("ListTypeAttributes", False),
    "DRADeviceCompatibilityGroups": ("CompatibilityGroups", False),
    "DRAOptionalNodeOperations": ("OptionalNodeOperations", False),
}
"""Gate to the library's feature, and whether it is on in 1.37."""


class GaveUp(Exception):
    """The library ran out of time: there is nothing to compare with."""


def features(gates: dict[str, bool]) -> dict[str, bool]:
    """The library's features under some gates; those that are not named are as in 1.37."""
    found = {name: gates.get(gate, on) for gate, (name, on) in FEATURES.items()}
    both = ("DRADeviceBindingConditions", "DRAResourceClaimDeviceStatus")
    found["DeviceBindingAndStatus"] = all(gates.get(gate, True) for gate in both)
    return found


def schedule(
    ask: Callable[[JSON], JSON], objects: list[JSON], gates: dict[str, bool], variant: str = ""
) -> list[JSON]:
    """The claims as `dracore simulate` would have to answer them, without reasons.

    :raises GaveUp: the library did, for one of them.
    """
    of: dict[str, list[JSON]] = {}
    for item in objects:
        of.setdefault(item["kind"], []).append(item)
    on = features(gates)
    slices = of.get("ResourceSlice", [])
    if on["DeviceTaints"] and gates.get("DRADeviceTaintRules", True):
        slices = _with_rules(slices, of.get("DeviceTaintRule", []))
    held: list[JSON] = []
    objects = [_defaulted(item) for item in objects]
    of["ResourceClaim"] = [item for item in objects if item["kind"] == "ResourceClaim"]
    claims = {claim["metadata"]["name"]: claim for claim in of.get("ResourceClaim", [])}
    for claim in claims.values():
        _hold(held, claim.get("status", {}).get("allocation"), on)
    in_pods = {
        entry["resourceClaimName"] for pod in of.get("Pod", []) for entry in pod["spec"]["resourceClaims"]
    }
    found = []
    for item in objects:
        if item["kind"] == "Pod":
            wish = [claims[entry["resourceClaimName"]] for entry in item["spec"]["resourceClaims"]]
        elif item["kind"] == "ResourceClaim" and item["metadata"]["name"] not in in_pods:
            if item.get("status"):
                continue
            wish = [item]
        else:
            continue
        name, allocations, error = "", None, ""
        for node in sorted(of["Node"], key=lambda node: node["metadata"]["name"].encode()):
            case = {
                "node": node,
                "slices": slices,
                "classes": of.get("DeviceClass", []),
                "claims": wish,
                "held": held,
                "features": on,
                "variant": variant,
                "seconds": 2,
            }
            answer = ask(case)
            if answer.get("gaveUp"):
                raise GaveUp
            if answer.get("error") and not answer.get("nodeOnly"):
                # The scheduler filters all nodes (up to a hundred); one error and it takes none of them.
                name, allocations, error = "", None, answer["error"]
                break
            if answer["allocations"] is not None and allocations is None:
                name, allocations = node["metadata"]["name"], answer["allocations"]
        for index, claim in enumerate(wish):
            allocation = allocations[index] if allocations is not None else None
            _hold(held, allocation, on)
            results = (allocation or {}).get("devices", {}).get("results") or []
            found.append(
                {
                    "namespace": claim["metadata"]["namespace"],
                    "name": claim["metadata"]["name"],
                    "node": name or None,
                    "allocated": allocation is not None,
                    "results": [_result(result) for result in results],
                    "error": error,
                    "allocation": allocation,
                }
            )
    return found


def _defaulted(item: JSON) -> JSON:
    """A claim with what the API server fills in (resource/v1 defaults: mode, count and operator)."""
    if item["kind"] != "ResourceClaim":
        return item
    item = copy.deepcopy(item)
    for request in item["spec"]["devices"].get("requests", ()):
        for body in request.get("firstAvailable") or [request["exactly"]]:
            if not body.get("allocationMode"):
                body["allocationMode"] = "ExactCount"
            if body["allocationMode"] == "ExactCount" and not body.get("count"):
                body["count"] = 1
            for toleration in body.get("tolerations") or ():
                toleration["operator"] = toleration.get("operator") or "Equal"
    return item


def _result(result: JSON) -> JSON:
    return {
        **{name: result[name] for name in ("request", "driver", "pool", "device")},
        "shareID": bool(result.get("shareID")),
        "consumedCapacity": result.get("consumedCapacity") or {},
        "adminAccess": bool(result.get("adminAccess")),
        "tolerations": result.get("tolerations") or [],
    }


def comparable(claim: JSON) -> JSON:
    """A claim of `dracore simulate`, or of :func:`schedule`, without share ids and texts."""
    kept = {name: claim[name] for name in ("namespace", "name", "node", "allocated")}
    kept["results"] = [{**result, "shareID": bool(result["shareID"])} for result in claim["results"]]
    return kept


def _hold(held: list[JSON], allocation: JSON, on: dict[str, bool]) -> None:
    for result in (allocation or {}).get("devices", {}).get("results") or ():
        if result.get("adminAccess"):
            continue
        one = {name: result[name] for name in ("driver", "pool", "device")}
        if result.get("shareID") and on["ConsumableCapacity"]:
            one["shareID"] = result["shareID"]
            if result.get("consumedCapacity"):
                one["consumedCapacity"] = result["consumedCapacity"]
        held.append(one)


def _with_rules(slices: list[JSON], rules: list[JSON]) -> list[JSON]:
    slices = copy.deepcopy(slices)
    for rule in rules:
        selector = rule["spec"].get("deviceSelector")
        if selector is None:
            continue
        for item in slices:
            spec = item["spec"]
            for device in spec.get("devices", ()):
                full = {"driver": spec["driver"], "pool": spec["pool"]["name"], "device": device["name"]}
                if all(full[name] == value for name, value in selector.items()):
                    device.setdefault("taints", []).append(rule["spec"]["taint"])
    return slices
