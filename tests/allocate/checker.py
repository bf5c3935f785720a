"""An independent judge of allocations, and a search by brute force: simple, slow, and on JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations
from typing import Any

from dracore.model.quantity import Quantity

JSON = Any
Key = tuple[str, str, str]
Matches = Callable[[str, str, JSON], bool]


def amount(text: Any) -> Fraction:
    return Fraction(Quantity.parse(text).value)


class Cluster:
    """The devices that one node sees, out of complete pools with one slice each or counters beside it."""

    def __init__(self, case: JSON, matches: Matches) -> None:
        self.matches = matches
        self.classes = {item["metadata"]["name"]: item["spec"] for item in case["classes"]}
        self.devices: dict[Key, JSON] = {}
        self.counters: dict[tuple[str, str, str, str], Fraction] = {}
        for item in case["slices"]:
            spec = item["spec"]
            pool = (spec["driver"], spec["pool"]["name"])
            for device in spec.get("devices", ()):
                self.devices[*pool, device["name"]] = device
            for counters in spec.get("sharedCounters", ()):
                for name, value in counters["counters"].items():
                    self.counters[*pool, counters["name"], name] = amount(value["value"])
        self.held = case["held"]

    # --- one whole allocation -------------------------------------------------------------------------

    def check(self, claims: list[JSON], allocations: list[JSON]) -> list[str]:
        """What is wrong with allocations of some claims, in words."""
        wrong: list[str] = []
        whole: Counter[Key] = Counter()
        used: set[Key] = set()
        capacity: dict[tuple[Key, str], Fraction] = {}
        for result in self.held:
            self._use(result, whole, used, capacity)
        for claim, allocation in zip(claims, allocations, strict=True):
            results = allocation["devices"]["results"]
            wrong += self._check_claim(claim["spec"]["devices"], results)
            for result in results:
                if not result.get("adminAccess"):
                    self._use(result, whole, used, capacity)
                elif self.devices[_key(result)].get("consumesCounters"):
                    used.add(_key(result))
        wrong += [f"{key} is given {count} times" for key, count in whole.items() if count > 1]
        wrong += [f"{key} is whole and shared" for key in whole if any(key == one for one, _ in capacity)]
        for (key, name), sum_ in capacity.items():
            if sum_ > amount(self.devices[key]["capacity"][name]["value"]):
                wrong.append(f"{key}: {sum_} of {name} is over-committed")
        taken: dict[tuple[str, str, str, str], Fraction] = {}
        for key in used:
            for draw in self.devices.get(key, {}).get("consumesCounters", ()):
                for name, value in draw["counters"].items():
                    counter = (*key[:2], draw["counterSet"], name)
                    taken[counter] = taken.get(counter, Fraction(0)) + amount(value["value"])
        for counter, sum_ in taken.items():
            # What others hold may have been more than there is already.
            if not self.held and sum_ > self.counters[counter]:
                wrong.append(f"counter {counter} is overdrawn: {sum_}")
        return wrong

    def _use(self, result: JSON, whole: Counter[Key], used: set[Key], capacity: Any) -> None:
        key = _key(result)
        used.add(key)
        if not result.get("shareID"):
            whole[key] += 1
            return
        for name, value in (result.get("consumedCapacity") or {}).items():
            capacity[key, name] = capacity.get((key, name), Fraction(0)) + amount(value)

    # --- one claim ------------------------------------------------------------------------------------

    def _check_claim(self, devices: JSON, results: list[JSON]) -> list[str]:
        wrong = []
        if len(results) > 32:
            wrong.append("more than 32 results")
        for request in devices["requests"]:
            mine = [r for r in results if r["request"].partition("/")[0] == request["name"]]
            names = {r["request"] for r in mine}
            if len(names) != 1:
                wrong.append(f"request {request['name']} is served as {names}")
                continue
            body = self._body(request, names.pop())
            if body.get("allocationMode") != "All" and len(mine) != body.get("count", 1):
                wrong.append(f"request {request['name']} has {len(mine)} devices")
            if len({_key(r) for r in mine}) != len(mine):
                wrong.append(f"request {request['name']} has a device twice")
            wrong += [f"{_key(r)} does not suit" for r in mine if not self.suits(body, _key(r))]
        for constraint in devices.get("constraints", ()):
            covered = [r for r in results if _covers(constraint, r["request"])]
            if not self._constraint_holds(constraint, [_key(r) for r in covered]):
                wrong.append(f"{constraint} is broken")
        return wrong

    @staticmethod
    def _body(request: JSON, name: str) -> JSON:
        if "exactly" in request:
            return request["exactly"]
        return next(sub for sub in request["firstAvailable"] if f"{request['name']}/{sub['name']}" == name)

    def suits(self, body: JSON, key: Key) -> bool:
        """Selectors and taints."""
        device = self.devices[key]
        selectors = [
            *self.classes[body["deviceClassName"]].get("selectors", ()),
            *body.get("selectors", ()),
        ]
        if not all(self.matches(one["cel"]["expression"], key[0], device) for one in selectors):
            return False
        return all(
            taint["effect"] == "None" or any(_tolerates(t, taint) for t in body.get("tolerations", ()))
            for taint in device.get("taints", ())
        )

    def _constraint_holds(self, constraint: JSON, keys: list[Key]) -> bool:
        name = constraint.get("matchAttribute") or constraint["distinctAttribute"]
        values = []
        for key in keys:
            attributes = self.devices[key].get("attributes", {})
            domain, _, identifier = name.partition("/")
            value = attributes.get(name) or (attributes.get(identifier) if domain == key[0] else None)
            if value is None:
                return False
            values.append(next(iter(value.items())))
        if "matchAttribute" in constraint:
            return len(set(values)) <= 1
        return len(set(values)) == len(values)

    # --- brute force ----------------------------------------------------------------------------------

    def possible(self, claims: list[JSON]) -> bool:
        """Whether any choice of devices for exact requests passes the check."""
        return any(True for _ in self._solutions(claims))

    def _solutions(self, claims: list[JSON]) -> Iterator[list[JSON]]:
        slots = [
            (index, request)
            for index, one in enumerate(claims)
            for request in one["spec"]["devices"]["requests"]
        ]

        def fill(position: int, allocations: list[JSON]) -> Iterator[list[JSON]]:
            if position == len(slots):
                if not self.check(claims, allocations):
                    yield allocations
                return
            index, request = slots[position]
            body = request["exactly"]
            suited = [key for key in self.devices if self.suits(body, key)]
            for keys in combinations(suited, body.get("count", 1)):
                results = [
                    {"request": request["name"], **dict(zip(("driver", "pool", "device"), key, strict=True))}
                    for key in keys
                ]
                following = [
                    {"devices": {"results": [*old["devices"]["results"], *(results if n == index else ())]}}
                    for n, old in enumerate(allocations)
                ]
                yield from fill(position + 1, following)

        yield from fill(0, [{"devices": {"results": []}} for _ in claims])


def _key(result: JSON) -> Key:
    return result["driver"], result["pool"], result["device"]


def _covers(constraint: JSON, request: str) -> bool:
    names = constraint.get("requests") or ()
    return not names or request in names or request.partition("/")[0] in names


def _tolerates(toleration: JSON, taint: JSON) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") not in (None, "", taint["key"]):
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")
