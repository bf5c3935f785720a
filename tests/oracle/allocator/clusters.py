"""Small clusters by lot: everything that `dracore simulate` reads, as one ``v1`` List.

Written apart from :mod:`cases`, with another distribution: several nodes, drivers and pools, pods beside
claims, claims that are allocated already, taint rules, and every field that a scheduler looks at. Each number
is one cluster, the same on every machine.
"""

from __future__ import annotations

import random
import uuid
from typing import Any

JSON = Any
GROUP = "resource.k8s.io/v1"
DRIVERS = ("gpu.example.com", "nic.example.org", "cpu.dra")
MODELS = ("A100", "H100", "L4")
ROOT = "resource.kubernetes.io/pcieRoot"
SIZES = ("1Gi", "2Gi", "4Gi", "6Gi", "8Gi", "1536Mi", "3")
GATES = (
    "DRAAdminAccess",
    "DRAPrioritizedList",
    "DRAPartitionableDevices",
    "DRAConsumableCapacity",
    "DRADeviceTaints",
    "DRADeviceTaintRules",
    "DRADeviceBindingConditions",
    "DRAResourceClaimDeviceStatus",
)
LATER = (
    "DRAFractionalCapacityRange",
    "DRAListTypeAttributes",
    "DRADeviceCompatibilityGroups",
    "DRAOptionalNodeOperations",
)


class Cluster:
    """`objects` in the order of the file, and `gates` that are otherwise than in 1.37."""

    def __init__(self, seed: int) -> None:
        self.lot = random.Random(f"cluster {seed}")
        self.gates: dict[str, bool] = {}
        lot = self.lot
        if lot.random() < 0.25:
            for gate in lot.sample(GATES, lot.choice((1, 1, 2, 4))):
                self.gates[gate] = False
        if lot.random() < 0.35:
            for gate in lot.sample(LATER, lot.choice((1, 2, 4))):
                self.gates[gate] = True
        self.uses_lists = self.gates.get("DRAListTypeAttributes", False)
        self.theme = lot.choice(
            ("mixed", "mixed", "counters", "shares", "constraints", "taints", "nodes", "alternatives", "many")
        )
        self.nodes = [self._node(index) for index in range(lot.choice((1, 1, 1, 2, 3)))]
        self.drivers = lot.sample(DRIVERS, lot.choice((1, 1, 2, 3)))
        self.serial = 0
        self.published: list[tuple[str, str, JSON]] = []
        """Driver, pool and device of what the newest slices hold."""
        self.slices = [item for driver in self.drivers for item in self._pools(driver)]
        self.classes = [self._class(index) for index in range(lot.choice((1, 2, 3)))]
        rules = [self._rule(index) for index in range(lot.choice((0, 0, 0, 1, 2)))]
        held = self._held()
        queue = self._queue()
        lot.shuffle(self.slices)
        self.objects = [*self.nodes, *self.classes, *self.slices, *rules, *held, *queue]

    @property
    def variant(self) -> str:
        """The allocator that the library picks, save the plainest: that takes pools in the order of a map."""
        newest = ("DRAListTypeAttributes", "DRADeviceCompatibilityGroups", "DRAOptionalNodeOperations")
        return "experimental" if any(map(self.gates.get, newest)) else "incubating"

    def chance(self, share: float) -> bool:
        return self.lot.random() < share

    # --- nodes, slices, devices -----------------------------------------------------------------------

    def _node(self, index: int) -> JSON:
        labels = {"zone": self.lot.choice("ab"), "rack": str(self.lot.randrange(4)), "n": str(index)}
        if self.chance(0.2):
            del labels["rack"]
        node: JSON = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": ("w-2", "w-10", "W.a")[index], "labels": labels},
        }
        if self.chance(0.5):
            node["status"] = {"declaredFeatures": ["DRAOptionalNodeOperations"]}
        return node

    def _selector(self) -> JSON:
        lot = self.lot
        fields: JSON = {}
        if self.chance(0.25):
            names = [node["metadata"]["name"] for node in self.nodes] + ["elsewhere"]
            fields["matchFields"] = [
                {
                    "key": "metadata.name",
                    "operator": lot.choice(("In", "NotIn")),
                    "values": [lot.choice(names)],
                }
            ]
        if not fields or self.chance(0.5):
            fields["matchExpressions"] = [self._expression() for _ in range(lot.choice((1, 1, 2)))]
        return {"nodeSelectorTerms": [fields]}

    def _expression(self) -> JSON:
        lot = self.lot
        operator = lot.choice(("In", "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"))
        if operator in ("Gt", "Lt"):
            return {
                "key": lot.choice(("rack", "n", "zone")),
                "operator": operator,
                "values": [str(lot.randrange(3))],
            }
        key = lot.choice(("zone", "zone", "zone", "rack", "absent"))
        found: JSON = {"key": key, "operator": operator}
        if operator in ("In", "NotIn"):
            found["values"] = lot.sample(("a", "b", "0", "1", "2"), lot.choice((1, 2, 3)))
        return found

    def _reach(self) -> JSON:
        draw = self.lot.random()
        if draw < 0.5:
            return {"nodeName": self._node_name()}
        return {"allNodes": True} if draw < 0.8 else {"nodeSelector": self._selector()}

    def _node_name(self) -> str:
        if self.chance(0.04):
            return "elsewhere"
        return str(self.lot.choice(self.nodes)["metadata"]["name"])

    def _pools(self, driver: str) -> list[JSON]:
        found: list[JSON] = []
        names = self.lot.sample(("w-2", "w-10", "pool", "b/c", "a"), self.lot.choice((1, 2, 2, 3)))
        for name in names:
            found += self._pool(driver, name)
        return found

    def _pool(self, driver: str, name: str) -> list[JSON]:
        lot = self.lot
        partitioned = self.chance(0.8 if self.theme == "counters" else 0.15)
        per_device = self.chance(0.6 if self.theme == "nodes" else 0.1)
        reach = {"perDeviceNodeSelection": True} if per_device else self._reach()
        mixed = not per_device and self.chance(0.15)
        generation = lot.choice((0, 1, 7))
        parts: list[JSON] = []
        sets: list[JSON] = []
        if partitioned:
            for _ in range(lot.choice((1, 1, 2))):
                own = [self._counter_set(len(sets) + index) for index in range(lot.choice((1, 2)))]
                sets += own
                parts.append({**reach, "sharedCounters": own})
        total = lot.choice((33, 40)) if self.theme == "many" else lot.choice((0, 1, 2, 3, 4, 5, 6, 8, 8))
        names = [f"d{index}" for index in range(total)]
        lot.shuffle(names)
        pieces = lot.choice((1, 1, 2, 3))
        for piece in range(pieces):
            mine = names[piece::pieces]
            devices = [self._device(driver, one, sets, per_device) for one in mine]
            part = {**(self._reach() if mixed else reach), "devices": devices}
            if self.chance(0.4 if self.gates.get("DRAOptionalNodeOperations") else 0.02):
                part["skipNodeOperations"] = ["PrepareResourceClaims"]
            parts.append(part)
        self.published += [(driver, name, one) for part in parts for one in part.get("devices", ())]
        state = lot.choices(
            ("whole", "incomplete", "outdated", "newer elsewhere", "twice", "unknown counter", "two sets"),
            (84, 3, 7, 3, 1, 1, 1),
        )[0]
        count = len(parts) + (1 if state == "incomplete" else 0)
        if state == "twice" and total:
            parts[-1].setdefault("devices", []).append(self._device(driver, names[0], sets, per_device))
        if state == "unknown counter" and sets:
            draw = [{"counterSet": "nowhere", "counters": {"slots": {"value": "1"}}}]
            parts[-1]["devices"].append(
                {**self._device(driver, "odd", sets, per_device), "consumesCounters": draw}
            )
        if state == "two sets" and sets:
            parts.append({**reach, "sharedCounters": [sets[0]]})
            count += 1
        found = [self._slice(driver, name, generation, count, part) for part in parts]
        if state == "outdated":
            old = {**(self._reach() if self.chance(0.5) else reach)}
            old["devices"] = [self._device(driver, one, [], per_device) for one in ("old", "d0")]
            found.append(self._slice(driver, name, generation - 1, 1, old) if generation else found.pop())
        if state == "newer elsewhere":
            new = {"nodeName": "elsewhere", "devices": [self._device(driver, "new", [], False)]}
            found.append(self._slice(driver, name, generation + 1, lot.choice((1, 2)), new))
            if self.chance(0.5):
                found[0]["spec"]["pool"]["resourceSliceCount"] += 1
        return found

    def _slice(self, driver: str, pool: str, generation: int, count: int, part: JSON) -> JSON:
        self.serial += 1
        name = f"{self.lot.choice(('s', 'S', 's-1'))}{self.lot.randrange(100)}-{self.serial}"
        about = {"name": pool, "generation": generation, "resourceSliceCount": count}
        return _object("ResourceSlice", name, spec={"driver": driver, "pool": about, **part})

    def _counter_set(self, index: int) -> JSON:
        counters = {"slots": {"value": str(self.lot.randrange(1, 8))}}
        if self.chance(0.5):
            counters["mem"] = {"value": self.lot.choice(("8Gi", "10Gi", "500m"))}
        return {"name": f"set-{index}", "counters": counters}

    def _device(self, driver: str, name: str, sets: list[JSON], per_device: bool) -> JSON:
        lot = self.lot
        found: JSON = {"name": name, "attributes": self._attributes(driver)}
        if self.chance(0.1):
            del found["attributes"]
        shareable = self.chance(0.8 if self.theme == "shares" else 0.15)
        if shareable:
            found["allowMultipleAllocations"] = True
        elif self.chance(0.1):
            found["allowMultipleAllocations"] = False
        if shareable or self.chance(0.4):
            found["capacity"] = self._capacity(shareable)
        if sets and self.chance(0.85):
            draws = lot.sample(sets, min(len(sets), lot.choice((1, 1, 2))))
            found["consumesCounters"] = [self._draw(one) for one in draws]
        if self.chance(0.6 if self.theme == "taints" else 0.08):
            found["taints"] = [self._taint() for _ in range(lot.choice((1, 1, 2)))]
        if per_device:
            found.update(self._reach())
        if self.chance(0.05):
            found["bindingConditions"] = lot.choice((["ready"], ["ready", "x.io/attached"]))
            found["bindingFailureConditions"] = ["failed"]
        if self.chance(0.05):
            found["bindsToNode"] = True
        return found

    def _attributes(self, driver: str) -> JSON:
        lot = self.lot
        found: JSON = {}
        if self.chance(0.9):
            value = {"string": lot.choice(MODELS)}
            if self.uses_lists and self.chance(0.3):
                value = {"strings": lot.sample(MODELS, lot.choice((1, 2)))}
            found["model" if self.chance(0.8) else f"{driver}/model"] = value
        if self.chance(0.9):
            numa = {"int": lot.randrange(3)}
            if self.uses_lists and self.chance(0.3):
                numa = {"ints": [lot.randrange(3) for _ in range(lot.choice((1, 2)))]}
            if self.chance(0.05):
                numa = {"string": str(lot.randrange(3))}
            found["numa"] = numa
        if self.chance(0.6):
            found[ROOT] = {"string": f"pci0000:0{lot.randrange(3)}"}
        if self.chance(0.4):
            found["ecc"] = {"bool": self.chance(0.5)}
        if self.chance(0.4):
            found["driverVersion"] = {"version": lot.choice(("1.2.3", "1.10.0", "1.2.3+b", "2.0.0-rc.1"))}
        return found

    def _capacity(self, shareable: bool) -> JSON:
        found = {}
        for name in ("memory", "cores", "gpu.example.com/bandwidth"):
            if self.chance((0.9, 0.3, 0.1)[len(found)] if len(found) < 3 else 0.1):
                found[name] = self._amount(shareable)
        return found

    def _amount(self, shareable: bool) -> JSON:
        lot = self.lot
        value = lot.choice(("8Gi", "8Gi", "10Gi", "4Gi", "16"))
        if not shareable or self.chance(0.4):
            return {"value": value}
        kind = lot.choice(("range", "range", "step", "values", "default", "fraction"))
        unit = "Gi" if value.endswith("Gi") else ""
        if kind == "default":
            return {"value": value, "requestPolicy": {"default": f"2{unit}"}}
        if kind == "values":
            values = [f"{number}{unit}" for number in lot.choice(((1, 2, 4), (2, 3), (1,), (1, 4)))]
            return {"value": value, "requestPolicy": {"default": lot.choice(values), "validValues": values}}
        if kind == "fraction":
            limits = {"min": "500m", "max": "3500m", "step": "250m"}
            return {"value": "4", "requestPolicy": {"default": "1500m", "validRange": limits}}
        limits = {"min": f"{lot.choice((1, 2))}{unit}"}
        if kind == "step":
            limits["step"] = lot.choice((f"1{unit}", f"2{unit}"))
        if self.chance(0.7):
            limits["max"] = f"4{unit}"
        return {"value": value, "requestPolicy": {"default": limits["min"], "validRange": limits}}

    def _draw(self, counters: JSON) -> JSON:
        found: JSON = {"counterSet": counters["name"], "counters": {}}
        for name in counters["counters"]:
            if name == "slots":
                found["counters"][name] = {"value": str(self.lot.choice((0, 1, 1, 2, 3)))}
            elif self.chance(0.7):
                found["counters"][name] = {"value": self.lot.choice(("2Gi", "4Gi", "100m"))}
        if self.gates.get("DRADeviceCompatibilityGroups") and self.chance(0.5):
            found["compatibilityGroups"] = self.lot.sample(("red", "blue", "green"), self.lot.choice((1, 2)))
        return found

    def _taint(self) -> JSON:
        found = {
            "key": self.lot.choice(("broken", "example.com/old")),
            "effect": self.lot.choice(("NoSchedule", "NoSchedule", "NoExecute", "None")),
        }
        if self.chance(0.6):
            found["value"] = self.lot.choice(("yes", "no"))
        return found

    def _toleration(self) -> JSON:
        found: JSON = {}
        if self.chance(0.8):
            found["key"] = self.lot.choice(("broken", "broken", "example.com/old"))
        if self.chance(0.6) or not found:
            found["operator"] = self.lot.choice(("Exists", "Exists", "Equal")) if found else "Exists"
        if found.get("operator") != "Exists" and self.chance(0.7):
            found["value"] = self.lot.choice(("yes", "no"))
        if self.chance(0.5):
            found["effect"] = self.lot.choice(("NoSchedule", "NoExecute"))
            if found["effect"] == "NoExecute" and self.chance(0.5):
                found["tolerationSeconds"] = 60
        return found

    def _rule(self, index: int) -> JSON:
        selector: JSON = {}
        if self.published and self.chance(0.8):
            driver, pool, device = self.lot.choice(self.published)
            whole = {"driver": driver, "pool": pool, "device": device["name"]}
            selector = {
                name: whole[name] for name in self.lot.sample(sorted(whole), self.lot.choice((1, 2, 3)))
            }
        spec: JSON = {"taint": {"key": "broken", "value": "rule", "effect": self._taint()["effect"]}}
        if self.chance(0.9):
            spec["deviceSelector"] = selector
        return _object("DeviceTaintRule", f"rule-{index}", spec=spec)

    # --- classes and claims ---------------------------------------------------------------------------

    def _class(self, index: int) -> JSON:
        lot = self.lot
        driver = lot.choice(self.drivers)
        expressions = [f"device.driver == '{driver}'"] if self.chance(0.5) else []
        if self.chance(0.15):
            expressions.append(self._cel(driver))
        spec: JSON = {"selectors": [_cel(text) for text in expressions]} if expressions else {}
        if self.chance(0.3):
            spec["config"] = [
                self._parameters(f"class-{index}-{number}") for number in range(lot.choice((1, 2)))
            ]
        return _object("DeviceClass", f"class-{index}", spec=spec)

    def _parameters(self, text: str) -> JSON:
        return {
            "opaque": {"driver": self.lot.choice(self.drivers), "parameters": {"kind": "P", "text": text}}
        }

    def _cel(self, driver: str) -> str:
        lot = self.lot
        attributes, capacity = f"device.attributes['{driver}']", f"device.capacity['{driver}']"
        if self.chance(0.06):  # may fail where the attribute is not there
            return lot.choice(
                (f"{attributes}.numa < 2", f"{attributes}.model == 'H100'", f"{attributes}.ecc")
            )
        numa, model = lot.randrange(3), lot.choice(MODELS)
        return lot.choice(
            (
                f"has({attributes}.numa) && {attributes}.numa == {numa}",
                f"'model' in {attributes} && {attributes}.model == '{model}'",
                f"{attributes}.?ecc.orValue(true)",
                f"!('numa' in {attributes}) || {attributes}.numa != {numa}",
                f"has({capacity}.memory)"
                f" && {capacity}.memory.compareTo(quantity('{lot.choice(SIZES)}')) >= 0",
                f"device.driver == '{driver}'",
                "device.driver.endsWith('.com')",
                "device.?allowMultipleAllocations.orValue(false) == false",
                f"{attributes}.exists(name, name == 'ecc')",
            )
        )

    def _body(self, *, alternative: bool = False) -> JSON:
        lot = self.lot
        found: JSON = {"deviceClassName": lot.choice(self.classes)["metadata"]["name"]}
        if self.chance(0.004):
            found["deviceClassName"] = "nowhere"
        if self.chance(0.22):
            found["selectors"] = [
                _cel(self._cel(lot.choice(self.drivers))) for _ in range(lot.choice((1, 1, 2)))
            ]
        if self.chance(0.15):
            found["allocationMode"] = "All"
        elif self.chance(0.6):
            found["allocationMode"] = "ExactCount"
            found["count"] = lot.choice((1, 1, 1, 1, 1, 2, 2, 3))
            if self.theme == "many":
                found["count"] = lot.choice((1, 1, 2, 2, 15, 16, 17, 30, 31, 32, 33))
        if not alternative and self.chance(0.1):
            found["adminAccess"] = self.chance(0.85)
        if self.chance(0.7 if self.theme == "taints" else 0.1):
            found["tolerations"] = [self._toleration() for _ in range(lot.choice((1, 1, 2)))]
        if self.chance(0.6 if self.theme == "shares" else 0.1):
            amounts = {"memory": lot.choice(SIZES)}
            if self.chance(0.2):
                amounts[lot.choice(("cores", "gpu.example.com/bandwidth"))] = lot.choice(("1", "750m", "2Gi"))
            found["capacity"] = {"requests": amounts}
        return found

    def _spec(self) -> JSON:
        lot = self.lot
        requests: list[JSON] = []
        names: list[str] = []
        for index in range(lot.choice((1, 1, 2, 2, 3))):
            name = ("gpu", "aux", "net")[index]
            names.append(name)
            if self.chance(0.6 if self.theme == "alternatives" else 0.15):
                bodies = [self._body(alternative=True) for _ in range(lot.choice((1, 2, 2, 3)))]
                subs = [f"s{number}" for number in range(len(bodies))]
                names += [f"{name}/{sub}" for sub in subs]
                alternatives = [{"name": sub, **one} for sub, one in zip(subs, bodies, strict=True)]
                requests.append({"name": name, "firstAvailable": alternatives})
            else:
                requests.append({"name": name, "exactly": self._body()})
        devices: JSON = {"requests": requests}
        if self.chance(0.8 if self.theme == "constraints" else 0.25):
            count = lot.choice((1, 1, 2))
            devices["constraints"] = [self._constraint(names) for _ in range(count)]
        if self.chance(0.25):
            devices["config"] = []
            for number in range(lot.choice((1, 2, 3))):
                entry = self._parameters(f"claim-{number}")
                if self.chance(0.6):
                    entry["requests"] = lot.sample(names, min(len(names), lot.choice((1, 2))))
                devices["config"].append(entry)
        return {"devices": devices}

    def _constraint(self, names: list[str]) -> JSON:
        lot = self.lot
        driver = lot.choice(self.drivers)
        name = lot.choice(
            (f"{driver}/numa", f"{driver}/model", ROOT, f"{driver}/driverVersion", f"{driver}/ecc")
        )
        found: JSON = {lot.choice(("matchAttribute", "matchAttribute", "distinctAttribute")): name}
        if self.chance(0.6):
            found["requests"] = lot.sample(names, min(len(names), lot.choice((1, 2, 2))))
        return found

    def _held(self) -> list[JSON]:
        lot = self.lot
        found = []
        for index in range(lot.choice((0, 0, 1, 1, 2, 3))):
            results = []
            for _ in range(lot.choice((1, 1, 2))):
                if not self.published:
                    break
                driver, pool, device = lot.choice(self.published)
                result: JSON = {"request": "r", "driver": driver, "pool": pool, "device": device["name"]}
                if self.chance(0.12):
                    result["adminAccess"] = True
                elif device.get("allowMultipleAllocations") and self.chance(0.9):
                    result["shareID"] = str(uuid.UUID(int=lot.getrandbits(128)))
                    amounts = {}
                    for name, amount in device.get("capacity", {}).items():
                        amounts[name] = lot.choice(("1Gi", "2Gi")) if amount["value"].endswith("i") else "1"
                    if amounts:
                        result["consumedCapacity"] = amounts
                results.append(result)
            claim = self._claim(
                f"held-{index}", {"devices": {"requests": [{"name": "r", "exactly": self._body()}]}}
            )
            claim["status"] = {"allocation": {"devices": {"results": results}}}
            found.append(claim)
        return found

    def _claim(self, name: str, spec: JSON) -> JSON:
        claim = _object("ResourceClaim", name, spec=spec)
        claim["metadata"]["namespace"] = "team"
        return claim

    def _queue(self) -> list[JSON]:
        found: list[JSON] = []
        for index in range(self.lot.choice((1, 1, 2, 3))):
            if self.chance(0.6):
                found.append(self._claim(f"claim-{index}", self._spec()))
                continue
            claims = [
                self._claim(f"pod-{index}-{letter}", self._spec())
                for letter in "abc"[: self.lot.choice((1, 2, 3))]
            ]
            entries = [
                {"name": claim["metadata"]["name"], "resourceClaimName": claim["metadata"]["name"]}
                for claim in claims
            ]
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"pod-{index}", "namespace": "team"},
                "spec": {"containers": [{"name": "c", "image": "i"}], "resourceClaims": entries},
            }
            found += [pod, *claims] if self.chance(0.5) else [*claims, pod]
        return found


def _object(kind: str, name: str, **rest: JSON) -> JSON:
    return {"apiVersion": GROUP, "kind": kind, "metadata": {"name": name}, **rest}


def _cel(text: str) -> JSON:
    return {"cel": {"expression": text}}
