"""Cases for the allocator, by chance from a seed: slices, classes, what is held, claims, a node, features."""

from __future__ import annotations

import random
from typing import Any

JSON = Any
DRIVERS = ("a.example.com", "b.example.com")
NODE: JSON = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "node-1", "labels": {"zone": "z1", "rack": "7"}},
    "status": {"declaredFeatures": []},
}
ALL_FEATURES = (
    "AdminAccess",
    "CompatibilityGroups",
    "ConsumableCapacity",
    "DeviceBindingAndStatus",
    "DeviceTaints",
    "FractionalCapacityRange",
    "ListTypeAttributes",
    "OptionalNodeOperations",
    "PartitionableDevices",
    "PrioritizedList",
)
STABLE = {"AdminAccess", "DeviceTaints", "PartitionableDevices", "PrioritizedList"}
"""What the library's variant "stable" supports: it is taken where nothing else is on."""
FIELDS = {
    "AdminAccess": "admin_access",
    "CompatibilityGroups": "compatibility_groups",
    "ConsumableCapacity": "consumable_capacity",
    "DerivedAttributes": "derived_attributes",
    "DeviceBindingAndStatus": "binding_conditions",
    "DeviceTaints": "device_taints",
    "FractionalCapacityRange": "fractional_range",
    "ListTypeAttributes": "list_attributes",
    "OptionalNodeOperations": "optional_node_operations",
    "PartitionableDevices": "partitionable_devices",
    "PrioritizedList": "prioritized_list",
}
"""The library's name of a feature to ours."""


class Maker:
    """Draws one case; what is rare in clusters is frequent here."""

    def __init__(self, seed: int) -> None:
        self.r = random.Random(seed)
        self.shared = self.chance(0.3)
        self.counters = self.chance(0.35)
        self.lists = self.chance(0.3)
        self.taints = self.chance(0.3)
        self.conditions = self.chance(0.15)
        self.groups = self.counters and self.chance(0.2)
        self.uniform = self.chance(0.6)

    def chance(self, share: float) -> bool:
        return self.r.random() < share

    def case(self) -> JSON:
        slices = [item for pool in self.pools() for item in self.pool(*pool)]
        self.r.shuffle(slices)
        classes = self.classes()
        features = self.features()
        needed = {name for name, on in features.items() if on}
        return {
            "node": self.node(),
            "slices": slices,
            "classes": classes,
            "claims": [self.claim(index) for index in range(self.r.choice((1, 1, 1, 1, 2, 3)))],
            "held": self.held(slices),
            "features": features,
            # The variant "stable" looks through pools in no certain order.
            "variant": "incubating" if needed <= STABLE else "",
        }

    def features(self) -> JSON:
        if self.chance(0.35):
            on = set(ALL_FEATURES)
        elif self.chance(0.5):  # 1.36 and 1.37
            on = set(ALL_FEATURES) - {
                "CompatibilityGroups",
                "FractionalCapacityRange",
                "ListTypeAttributes",
                "OptionalNodeOperations",
            }
        else:
            on = {name for name in ALL_FEATURES if self.chance(0.85)}
        return {name: name in on for name in ALL_FEATURES}

    def node(self) -> JSON:
        node = {**NODE, "metadata": {**NODE["metadata"]}}
        if self.chance(0.1):
            node["status"] = {"declaredFeatures": ["DRAOptionalNodeOperations"]}
        return node

    # --- slices ---------------------------------------------------------------------------------------

    def pools(self) -> list[tuple[str, str]]:
        drivers = DRIVERS[:1] if self.uniform else DRIVERS
        known = [(driver, pool) for driver in drivers for pool in ("p", "node-1", "q-10", "q-9")]
        return self.r.sample(known, self.r.choice((1, 1, 1, 2, 2, 3)))

    def pool(self, driver: str, pool: str) -> list[JSON]:
        count = self.r.choice((1, 1, 2, 3))
        generation = self.r.choice((1, 1, 5))
        reach = self.reach()
        extra = [self.counter_slice()] if self.counters else []
        names = self.r.sample([f"s-{i}" for i in range(12)], count + len(extra) + 1)
        slices = []
        self.used: list[str] = []
        for _index in range(count):
            per_device = self.chance(0.12)
            devices = [self.device(driver, per_device) for _ in range(self.r.choice((2, 3, 4, 5)))]
            where = {"perDeviceNodeSelection": True} if per_device else self.mixed(reach)
            slices.append({**where, "devices": devices})
            if self.chance(0.06):
                slices[-1]["skipNodeOperations"] = ["Prepare"]
        slices += [{**self.mixed(reach), **content} for content in extra]
        total = len(slices) if self.chance(0.95) else len(slices) + 1
        found = [
            self.slice(name, driver, pool, generation, total, content)
            for name, content in zip(names, slices, strict=False)
        ]
        if self.chance(0.08):
            other = self.r.choice((generation - 1, generation + 1))
            where = self.mixed(reach) if self.chance(0.5) else {"nodeName": "node-2"}
            old = {**where, "devices": [self.device(driver, False)]}
            found.append(self.slice(names[-1], driver, pool, other, 1, old))
        return found

    def slice(self, name: str, driver: str, pool: str, generation: int, total: int, content: JSON) -> JSON:
        where = {"name": pool, "generation": generation, "resourceSliceCount": total}
        return {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceSlice",
            "metadata": {"name": f"{driver}-{pool}-{name}"},
            "spec": {"driver": driver, "pool": where, **content},
        }

    def reach(self) -> JSON:
        selector = {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["z1", "z2"]}]}
            ]
        }
        wrong = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "nowhere", "operator": "Exists"}]}]}
        number = {
            "nodeSelectorTerms": [
                {
                    "matchExpressions": [{"key": "rack", "operator": "Gt", "values": ["3"]}],
                    "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}],
                }
            ]
        }
        return self.r.choice(
            (
                {"nodeName": "node-1"},
                {"nodeName": "node-1"},
                {"nodeName": "node-1"},
                {"allNodes": True},
                {"nodeSelector": selector},
                {"nodeSelector": number},
                {"nodeSelector": wrong} if self.chance(0.3) else {"allNodes": True},
            )
        )

    def mixed(self, reach: JSON) -> JSON:
        return {"nodeName": "node-2"} if self.chance(0.06) else reach

    def counter_slice(self) -> JSON:
        sets = []
        for name in ("set-a", "set-b")[: self.r.choice((1, 1, 2))]:
            counters = {"mem": {"value": self.r.choice(("4Gi", "8Gi", "6Gi"))}}
            counters["cores"] = {"value": self.r.choice(("2", "3", "1500m"))}
            sets.append({"name": name, "counters": counters})
        self.sets = [item["name"] for item in sets]
        if self.chance(0.03):
            sets.append(sets[0])
        return {"sharedCounters": sets}

    def device(self, driver: str, per_device: bool) -> JSON:
        free = [name for name in (f"d{i}" for i in range(20)) if name not in self.used]
        name = self.r.choice(free) if free and not self.chance(0.004) else f"d{self.r.randrange(20)}"
        self.used.append(name)
        content: JSON = {"name": name, "attributes": self.attributes(driver)}
        if per_device:
            content |= self.r.choice(({"nodeName": "node-1"}, {"nodeName": "node-2"}, self.reach()))
        if self.chance(0.6):
            content["capacity"] = self.capacity()
        if self.shared and self.chance(0.6):
            content["allowMultipleAllocations"] = True
        if self.counters and self.chance(0.7):
            content["consumesCounters"] = self.draws()
        if self.taints and self.chance(0.4):
            effect = self.r.choice(("NoSchedule", "NoExecute", "None"))
            key = self.r.choice(("t1", "t2"))
            content["taints"] = [{"key": key, "value": self.r.choice(("", "v")), "effect": effect}]
        if self.conditions and self.chance(0.4):
            content["bindingConditions"] = ["ready"]
            content["bindingFailureConditions"] = ["failed"]
            if self.chance(0.5):
                content["bindsToNode"] = True
        return content

    def attributes(self, driver: str) -> JSON:
        found: JSON = {}
        if self.chance(0.95):
            found["numa"] = {"int": self.r.randrange(3)}
        if self.chance(0.8):
            found["kind"] = {"string": self.r.choice(("x", "y"))}
        if self.chance(0.5):
            found[f"{DRIVERS[0]}/version"] = {"version": self.r.choice(("1.0.0", "1.2.0", "2.0.0"))}
        if self.chance(0.5):
            found["std.example.org/root"] = {"string": self.r.choice(("r0", "r1"))}
        if self.chance(0.3):
            found["flag"] = {"bool": self.chance(0.5)}
        if self.lists and self.chance(0.7):
            found["std.example.org/links"] = {
                "ints": sorted(self.r.sample(range(5), self.r.choice((1, 2, 2))))
            }
        elif self.lists:
            found["std.example.org/links"] = {"int": self.r.randrange(5)}
        if self.chance(0.05):
            found["numa"] = {"string": "one"}
        return found

    def capacity(self) -> JSON:
        memory: JSON = {"value": self.r.choice(("4Gi", "8Gi", "2Gi"))}
        if self.shared and self.chance(0.6):
            memory["requestPolicy"] = self.r.choice(
                (
                    {"default": "1Gi", "validRange": {"min": "1Gi"}},
                    {"default": "1Gi", "validRange": {"min": "1Gi", "max": "3Gi", "step": "1Gi"}},
                    {"default": "2Gi", "validValues": ["1Gi", "2Gi", "4Gi"]},
                    {"default": "512Mi"},
                )
            )
        found = {"memory": memory}
        if self.chance(0.4):
            bandwidth: JSON = {"value": self.r.choice(("10", "1500m"))}
            if self.shared and self.chance(0.5):
                limits = {"min": "500m", "step": "250m"} if self.chance(0.5) else {"min": "1", "step": "2"}
                bandwidth["requestPolicy"] = {"default": limits["min"], "validRange": limits}
            found["std.example.org/bandwidth"] = bandwidth
        return found

    def draws(self) -> JSON:
        found = []
        for name in self.r.sample(["set-a", "set-b"], self.r.choice((1, 1, 2))):
            if name not in getattr(self, "sets", ["set-a"]) and not self.chance(0.04):
                continue
            counters = {"mem": {"value": self.r.choice(("1Gi", "2Gi", "3Gi"))}}
            if self.chance(0.6):
                counters["cores"] = {"value": self.r.choice(("1", "500m"))}
            draw: JSON = {"counterSet": name, "counters": counters}
            if self.groups and self.chance(0.6):
                draw["compatibilityGroups"] = self.r.choice((["g1"], ["g2"], ["g1", "g2"]))
            found.append(draw)
        return found

    # --- classes and claims ---------------------------------------------------------------------------

    def classes(self) -> list[JSON]:
        found = [self.device_class("any", [])]
        for driver in DRIVERS:
            own = [f"device.driver == '{driver}'"]
            found.append(self.device_class(driver.split(".")[0], own))
        found.append(self.device_class("numa", ["has(device.attributes['a.example.com'].numa)"]))
        return found

    def device_class(self, name: str, expressions: list[str]) -> JSON:
        spec: JSON = {"selectors": [{"cel": {"expression": text}} for text in expressions]}
        if self.chance(0.3):
            spec["config"] = [{"opaque": {"driver": DRIVERS[0], "parameters": {"from": name}}}]
        return {"metadata": {"name": name}, "spec": spec}

    def claim(self, index: int) -> JSON:
        requests = [self.request(f"r{i}") for i in range(self.r.choice((1, 1, 1, 2, 2, 3)))]
        names = [request["name"] for request in requests]
        for request in requests:
            names += [f"{request['name']}/{sub['name']}" for sub in request.get("firstAvailable", ())]
        devices: JSON = {"requests": requests}
        if self.chance(0.3):
            devices["constraints"] = [self.constraint(names) for _ in range(self.r.choice((1, 1, 2)))]
        if self.chance(0.3):
            devices["config"] = [
                {
                    "requests": self.r.sample(names, self.r.randrange(len(names) + 1)),
                    "opaque": {"driver": DRIVERS[0], "parameters": {"n": n}},
                }
                for n in range(self.r.choice((1, 2)))
            ]
        return {
            "metadata": {"name": f"c{index}", "namespace": "ns", "uid": f"uid-{index}"},
            "spec": {"devices": devices},
        }

    def constraint(self, names: list[str]) -> JSON:
        attribute = self.r.choice(
            (
                f"{DRIVERS[0]}/numa",
                f"{DRIVERS[0]}/kind",
                f"{DRIVERS[0]}/version",
                "std.example.org/root",
                "std.example.org/links",
            )
        )
        kind = "matchAttribute" if self.chance(0.55) else "distinctAttribute"
        found = {kind: attribute}
        if self.chance(0.5):
            found["requests"] = self.r.sample(names, self.r.choice((1, min(2, len(names)))))
        return found if not self.chance(0.01) else {}

    def request(self, name: str) -> JSON:
        if self.chance(0.25):
            subs = [{"name": f"sub{i}", **self.body()} for i in range(self.r.choice((1, 2, 3)))]
            return {"name": name, "firstAvailable": subs}
        body = self.body()
        if self.chance(0.1):
            body["adminAccess"] = self.chance(0.8)
        return {"name": name, "exactly": body}

    def body(self) -> JSON:
        names = ("any", "a") if self.uniform else ("any", "any", "any", "a", "b")
        found: JSON = {"deviceClassName": self.r.choice(names)}
        if self.chance(0.03):
            found["deviceClassName"] = self.r.choice(("numa", "none", "any"))
        if self.chance(0.1):
            found["allocationMode"] = "All"
        else:
            found["allocationMode"] = "ExactCount"
            found["count"] = self.r.choice((1, 1, 1, 1, 2, 2, 3))
            if self.chance(0.02):
                found["count"] = self.r.choice((16, 20, 31, 33))
        if self.chance(0.3):
            expressions = [self.expression() for _ in range(self.r.choice((1, 1, 2)))]
            found["selectors"] = [{"cel": {"expression": text}} for text in expressions]
        if self.taints and self.chance(0.6):
            found["tolerations"] = [
                self.r.choice(
                    (
                        {"operator": "Exists"},
                        {"key": "t1", "operator": "Exists"},
                        {"key": "t1", "operator": "Equal", "value": "v"},
                        {"key": "t2", "operator": "Equal", "value": "", "effect": "NoSchedule"},
                    )
                )
            ]
        if (self.shared and self.chance(0.5)) or self.chance(0.03):
            amounts = {}
            if self.chance(0.9):
                amounts["memory"] = self.r.choice(("1Gi", "2Gi", "1500Mi", "3Gi", "100Mi", "5Gi"))
            if self.chance(0.2):
                amounts["std.example.org/bandwidth"] = self.r.choice(("1", "700m", "3"))
            if amounts:
                found["capacity"] = {"requests": amounts}
        return found

    def expression(self) -> str:
        own = f"device.attributes['{DRIVERS[0]}']"
        return self.r.choice(
            (
                f"device.driver == '{DRIVERS[0]}'",
                f"device.driver == '{DRIVERS[0]}' && {own}.numa == {self.r.randrange(3)}",
                f"'numa' in {own} && {own}.numa != 1",
                f"!(device.driver == '{DRIVERS[0]}') || {own}.kind == 'x'",
                f"device.driver != '{DRIVERS[0]}' || 'kind' in {own}",
                f"'memory' in device.capacity['{DRIVERS[0]}']"
                f" && device.capacity['{DRIVERS[0]}'].memory.compareTo(quantity('4Gi')) >= 0",
                "true",
                "'root' in device.attributes['std.example.org']",
            )
        )

    def held(self, slices: list[JSON]) -> list[JSON]:
        found: list[JSON] = []
        for item in slices:
            spec = item["spec"]
            for device in spec.get("devices", ()):
                if not self.chance(0.08):
                    continue
                known = {"driver": spec["driver"], "pool": spec["pool"]["name"], "device": device["name"]}
                if device.get("allowMultipleAllocations") and self.chance(0.8):
                    known["shareID"] = f"share-{len(found)}"
                    if "capacity" in device and self.chance(0.85):
                        known["consumedCapacity"] = dict.fromkeys(device["capacity"], "1")
                        known["consumedCapacity"]["memory"] = self.r.choice(("1Gi", "2Gi", "512Mi"))
                found.append(known)
        return found


DERIVED = (
    "device.driver",
    "device.driver == 'a.example.com'",
    "device.driver.size()",
    "device.attributes['a.example.com'].?numa.orValue(7)",
    "device.attributes['a.example.com'].?kind.orValue('none')",
    "device.attributes['a.example.com'].?version.orValue(semver('0.0.1'))",
    "'memory' in device.capacity['a.example.com'] ?"
    " device.capacity['a.example.com'].memory.asInteger() / 1073741824 : 0",
    "device.attributes['a.example.com'].numa",
    "device.allowMultipleAllocations",
    "[device.driver, 'shared']",
    "'links' in device.attributes['std.example.org'] ? device.attributes['std.example.org'].links : [0]",
    "1.5",
    "nonsense",
)
"""Of attributes by expression (KEP-6080): most give a value, the last ones fail on some devices or on all."""


def derived_case(seed: int) -> JSON:
    """The case of a seed, whose requests derive attributes under names that are published, and others."""
    r = random.Random(f"derived {seed}")
    found = case(seed)
    found["features"]["DerivedAttributes"] = r.random() < 0.95
    found["variant"] = ""
    names = (f"{DRIVERS[0]}/numa", f"{DRIVERS[0]}/derived", "std.example.org/sort")
    for claim in found["claims"]:
        devices = claim["spec"]["devices"]
        constraints = [
            {r.choice(("matchAttribute", "distinctAttribute")): name}
            for name in r.sample(names, r.choice((1, 1, 2)))
        ]
        devices["constraints"] = devices.get("constraints", [])[:1] + constraints
        for request in devices["requests"]:
            for body in request.get("firstAvailable") or [request["exactly"]]:
                if r.random() < 0.8:
                    chosen = r.sample(names, r.choice((1, 2, 3)))
                    rare = 0 if r.random() < 0.92 else 2
                    body["derivedAttributes"] = [
                        {"name": name, "expression": r.choice(DERIVED[: len(DERIVED) - 3 + rare])}
                        for name in chosen
                    ]
    return found


def case(seed: int) -> JSON:
    """The case of a seed; the same in every run."""
    return Maker(seed).case()
