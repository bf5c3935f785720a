"""Cases made by hand, one or more for each feature: for the real scheduler, the oracle and our own tests.

Each has a driver, a class and a node of its own, so that all of them can be in one cluster at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

JSON = Any
SHARED = {"allowMultipleAllocations": True}
TAINT = {"key": "broken", "value": "yes", "effect": "NoSchedule"}


@dataclass
class Case:
    """Slices and the claims of one pod. `{D}` stands for the driver, `{N}` for the node."""

    name: str
    devices: list[JSON] = field(default_factory=list)
    """Of the node's own pool, one slice."""
    requests: list[JSON] = field(default_factory=list)
    fits: bool = True
    """Whether it can be allocated: what the author of the case expects."""
    constraints: list[JSON] = field(default_factory=list)
    config: list[JSON] = field(default_factory=list)
    slices: list[JSON] = field(default_factory=list)
    """Specs of further slices, or of all of them where there are no `devices`."""
    more_claims: list[list[JSON]] = field(default_factory=list)
    """The requests of further claims of the same pod."""
    held: list[JSON] = field(default_factory=list)
    """Results of a claim that is allocated already."""
    class_spec: JSON = field(default_factory=dict)
    rule: JSON = None
    extended: JSON = None
    """Resources of the pod's container, in place of claims."""

    @property
    def driver(self) -> str:
        return f"{self.name}.example.com"

    @property
    def node(self) -> str:
        return f"sim-{self.name}"

    def filled(self, content: JSON) -> JSON:
        """`content` with driver and node put in."""
        if isinstance(content, str):
            return content.replace("{D}", self.driver).replace("{N}", self.node).replace("{C}", self.name)
        if isinstance(content, dict):
            return {self.filled(key): self.filled(value) for key, value in content.items()}
        return [self.filled(item) for item in content] if isinstance(content, list) else content

    def node_object(self) -> JSON:
        labels = {"kubernetes.io/hostname": self.node, "case": self.name}
        return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.node, "labels": labels}}

    def class_object(self) -> JSON:
        spec = {"selectors": [{"cel": {"expression": f"device.driver == '{self.driver}'"}}]}
        return _object("DeviceClass", self.name, spec={**spec, **self.filled(self.class_spec)})

    def slice_objects(self) -> list[JSON]:
        own = {"nodeName": "{N}", "pool": _pool("{N}"), "devices": self.devices}
        specs = self.filled([*([own] if self.devices else []), *self.slices])
        return [
            _object("ResourceSlice", f"{self.name}-{index}", spec={"driver": self.driver, **spec})
            for index, spec in enumerate(specs)
        ]

    def claim_objects(self, namespace: str) -> list[JSON]:
        """None for extended resources: the scheduler makes that claim itself."""
        if self.extended:
            return []
        devices = {"requests": self.requests, "constraints": self.constraints, "config": self.config}
        every = [devices, *({"requests": requests} for requests in self.more_claims)]
        return [
            _object("ResourceClaim", f"{self.name}-{index}", namespace, spec={"devices": self.filled(one)})
            for index, one in enumerate(every)
        ]

    def held_object(self, namespace: str) -> JSON:
        """The claim that holds devices; None where none are held."""
        if not self.held:
            return None
        wanted = [request("r")]
        spec = {"devices": {"requests": wanted}}
        found = _object("ResourceClaim", f"{self.name}-held", namespace, spec=spec)
        results = [{"request": "r", "driver": "{D}", "pool": "{N}", **one} for one in self.held]
        found["status"] = {"allocation": {"devices": {"results": results}}}
        return self.filled(found)

    def rule_object(self) -> JSON:
        if self.rule is None:
            return None
        return _object("DeviceTaintRule", self.name, spec=self.filled(self.rule))

    def pod_object(self, namespace: str) -> JSON:
        """One that may run on this case's node alone, and does not mind that nobody runs it."""
        container: JSON = {"name": "c", "image": "none"}
        if self.extended:
            container["resources"] = {"limits": self.filled(self.extended)}
        names = [claim["metadata"]["name"] for claim in self.claim_objects(namespace)]
        spec = {
            "nodeSelector": {"case": self.name},
            "tolerations": [{"operator": "Exists"}],
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "resourceClaims": [{"name": name, "resourceClaimName": name} for name in names],
        }
        return _object("Pod", self.name, namespace, version="v1", spec=spec)


def _object(
    kind: str, name: str, namespace: str = "", *, version: str = "resource.k8s.io/v1", **rest: JSON
) -> JSON:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": meta, **rest}


def _pool(name: str, generation: int = 1, count: int = 1) -> JSON:
    return {"name": name, "generation": generation, "resourceSliceCount": count}


def request(name: str = "r", *selectors: str, **more: JSON) -> JSON:
    """A request of the case's class."""
    return {"name": name, "exactly": body(*selectors, **more)}


def body(*selectors: str, **more: JSON) -> JSON:
    """What a request or an alternative holds."""
    found: JSON = {"deviceClassName": "{C}", "allocationMode": "ExactCount"}
    if more.get("allocationMode") != "All":
        found["count"] = 1
    if selectors:
        found["selectors"] = [{"cel": {"expression": text}} for text in selectors]
    return {**found, **more}


def alternatives(name: str, *bodies: JSON) -> JSON:
    """A ``firstAvailable`` request of alternatives a, b, c."""
    named = [{"name": letter, **one} for letter, one in zip("abc", bodies, strict=False)]
    return {"name": name, "firstAvailable": named}


def device(name: str, numa: int | None = None, memory: str = "", **more: JSON) -> JSON:
    """A device with an attribute and a capacity."""
    found: JSON = {"name": name}
    if numa is not None:
        found["attributes"] = {"numa": {"int": numa}}
    if memory:
        found["capacity"] = {"memory": {"value": memory}}
    return {**found, **more}


def devices(count: int, **more: JSON) -> list[JSON]:
    return [device(f"d{index}", index // 2, **more) for index in range(count)]


def draws(mem: str, counter_set: str = "set") -> JSON:
    return {"consumesCounters": [{"counterSet": counter_set, "counters": {"mem": {"value": mem}}}]}


def capacity(value: str, policy: JSON = None) -> JSON:
    return {"capacity": {"memory": {"value": value, **({"requestPolicy": policy} if policy else {})}}}


def asks(memory: str) -> JSON:
    return {"capacity": {"requests": {"memory": memory}}}


def partitions(*parts: JSON) -> list[JSON]:
    """A pool of two slices: counters of 8Gi, and devices that draw on them."""
    totals = {"sharedCounters": [{"name": "set", "counters": {"mem": {"value": "8Gi"}}}]}
    return [
        {"nodeName": "{N}", "pool": _pool("{N}", count=2), **totals},
        {"nodeName": "{N}", "pool": _pool("{N}", count=2), "devices": list(parts)},
    ]


NUMA = "device.attributes['{D}'].numa"
MATCH = {"matchAttribute": "{D}/numa"}
DISTINCT = {"distinctAttribute": "{D}/numa"}
STEPS = {"default": "1Gi", "validRange": {"min": "1Gi", "max": "4Gi", "step": "1Gi"}}
VALUES = {"default": "1Gi", "validValues": ["1Gi", "2Gi", "4Gi"]}
ZONE = {
    "nodeSelectorTerms": [{"matchExpressions": [{"key": "case", "operator": "In", "values": ["{C}", "x"]}]}]
}
PARAMETERS = {"opaque": {"driver": "{D}", "parameters": {"of": "claim"}}}

CASES = [
    Case("one", devices(2), [request()]),
    Case("three-of-two", devices(2), [request(count=3)], fits=False),
    Case("select", devices(4), [request("r", f"{NUMA} == 1")]),
    Case("select-none", devices(4), [request("r", f"{NUMA} == 7")], fits=False),
    Case("select-fails", [device("d0")], [request("r", f"{NUMA} == 7")], fits=False),
    Case("select-quantity", [device("d0", 0, "8Gi"), device("d1", 0, "16Gi")], [
        request("r", "device.capacity['{D}'].memory.compareTo(quantity('10Gi')) > 0")]),
    Case("all", devices(3), [request(allocationMode="All")]),
    Case("all-none", devices(3), [request("r", "false", allocationMode="All")], fits=False),
    Case("all-in-use", devices(3), [request(allocationMode="All")], fits=False, held=[{"device": "d1"}]),
    Case("all-incomplete", [], [request(allocationMode="All")], fits=False, slices=[
        {"nodeName": "{N}", "pool": _pool("{N}", count=2), "devices": devices(1)}]),
    Case("first-b", devices(2), [alternatives("r", body(count=3), body(count=2))]),
    Case("first-none", devices(1), [alternatives("r", body(count=3), body(count=2))], fits=False),
    Case("first-back", devices(3), [alternatives("r", body(count=3), body(count=2)), request("s")]),
    Case("match", [device("d0", 0), *devices(4)[1:], device("d9", 1)], [request(count=3)],
         constraints=[MATCH]),
    Case("match-none", devices(4), [request(count=3)], fits=False, constraints=[MATCH]),
    Case("match-two", devices(4), [request("r", f"{NUMA} == 1"), request("s")],
         constraints=[{**MATCH, "requests": ["r", "s"]}]),
    Case("match-missing", [device("d0")], [request()], fits=False, constraints=[MATCH]),
    Case("distinct", devices(4), [request(count=2)], constraints=[DISTINCT]),
    Case("distinct-none", devices(4), [request(count=3)], fits=False, constraints=[DISTINCT]),
    Case("config", devices(1), [request()], config=[{"requests": ["r"], **PARAMETERS}],
         class_spec={"config": [{"opaque": {"driver": "{D}", "parameters": {"of": "class"}}}]}),
    Case("config-sub", devices(2), [alternatives("r", body(count=3), body()), request("s")],
         config=[{"requests": ["r/b"], **PARAMETERS}, {"requests": ["r/a"], **PARAMETERS}]),
    Case("counters", [], [request("r", f"{NUMA} == 4"), request("s")], slices=partitions(
        device("a", 4, **draws("4Gi")), device("b", 8, **draws("8Gi")), device("c", 4, **draws("4Gi")))),
    Case("counters-none", [], [request(count=3)], fits=False, slices=partitions(
        device("a", **draws("4Gi")), device("b", **draws("4Gi")), device("c", **draws("4Gi")))),
    Case("counters-held", [], [request()], held=[{"device": "a"}], slices=partitions(
        device("a", **draws("4Gi")), device("b", **draws("8Gi")), device("c", **draws("4Gi")))),
    Case("per-device", [], [request(count=2)], slices=[
        {"perDeviceNodeSelection": True, "pool": _pool("shared-{C}"), "devices": [
            device("a", nodeName="elsewhere"), device("b", nodeName="{N}"),
            device("c", nodeSelector=ZONE), device("d", allNodes=True)]}]),
    Case("share", [device("d0", **SHARED, **capacity("8Gi", STEPS))], [request(**asks("1500Mi"))]),
    Case("share-two", [device("d0", **SHARED, **capacity("4Gi", VALUES))],
         [request("r", **asks("2Gi")), request("s", **asks("1500Mi"))]),
    Case("share-full", [device("d0", **SHARED, **capacity("4Gi", VALUES))], [request(**asks("2Gi"))],
         fits=False,
         held=[{"device": "d0", "shareID": "a6f5f6de-6bd5-4a5a-8d5f-6a0b1c2d3e4f",
                "consumedCapacity": {"memory": "3Gi"}}]),
    Case("share-default", [device("d0", **SHARED, **capacity("4Gi", STEPS))], [request()]),
    Case("share-too-much", [device("d0", **SHARED, **capacity("8Gi", STEPS))], [request(**asks("5Gi"))],
         fits=False),
    Case("share-count", [device("d0", **SHARED, **capacity("8Gi", STEPS))], [request(count=2)],
         fits=False),
    Case("whole-size", [device("d0", 0, "4Gi"), device("d1", 0, "8Gi")], [request(**asks("6Gi"))]),
    Case("taint", [device("d0", taints=[TAINT]), device("d1")], [request()]),
    Case("taint-none", [device("d0", taints=[TAINT])], [request()], fits=False),
    Case("taint-tolerated", [device("d0", taints=[TAINT])],
         [request(tolerations=[{"key": "broken", "operator": "Exists", "effect": "NoSchedule"}])]),
    Case("taint-info", [device("d0", taints=[{**TAINT, "effect": "None"}])], [request()]),
    Case("rule", devices(2), [request()], rule={
        "deviceSelector": {"driver": "{D}", "device": "d0"}, "taint": TAINT}),
    Case("admin", devices(1), [request(adminAccess=True)], held=[{"device": "d0"}]),
    Case("admin-then-normal", devices(1), [request(adminAccess=True), request("s")], fits=False),
    Case("in-use", devices(2), [request()], held=[{"device": "d0"}]),
    Case("selector-node", [], [request()], slices=[
        {"nodeSelector": ZONE, "pool": _pool("zone-{C}"), "devices": devices(1)}]),
    Case("all-nodes", [], [request()], slices=[
        {"allNodes": True, "pool": _pool("net-{C}"), "devices": devices(1)}]),
    Case("bind", [device("d0", bindingConditions=["ready"], bindingFailureConditions=["failed"],
                         bindsToNode=True)], [request()]),
    Case("incomplete", [], [request()], fits=False, slices=[
        {"nodeName": "{N}", "pool": _pool("{N}", count=2), "devices": devices(1)}]),
    Case("outdated", [], [request()], slices=[
        {"nodeName": "{N}", "pool": _pool("{N}"), "devices": [device("old")]},
        {"nodeName": "{N}", "pool": _pool("{N}", generation=2), "devices": [device("new")]}]),
    Case("order", [], [request()], slices=[
        {"nodeName": "{N}", "pool": _pool("q-9"), "devices": [device("late")]},
        {"nodeName": "{N}", "pool": _pool("q-10"), "devices": [device("early")]}]),
    Case("two-claims", devices(2), [request()], more_claims=[[request("s")]]),
    Case("two-claims-none", devices(2), [request()], fits=False, more_claims=[[request("s", count=2)]]),
    Case("too-many", devices(34), [request(count=33)], fits=False),
    Case("most", devices(34), [request(count=32)]),
    Case("extended", devices(3), extended={"deviceclass.resource.kubernetes.io/{C}": "2"}),
    Case("extended-named", devices(1), extended={"{D}/gpu": "1"},
         class_spec={"extendedResourceName": "{D}/gpu"}),
    Case("extended-none", devices(1), extended={"{D}/gpu": "2"}, fits=False,
         class_spec={"extendedResourceName": "{D}/gpu"}),
    Case("class-none", devices(2), [request()], fits=False, class_spec={
        "selectors": [{"cel": {"expression": f"device.driver == '{{D}}' && {NUMA} == 7"}}]}),
    Case("class-config-sub", devices(3), [alternatives("r", body(count=4), body(count=2)), request("s")],
         config=[{"requests": ["s"], **PARAMETERS}, PARAMETERS],
         class_spec={"config": [{"opaque": {"driver": "{D}", "parameters": {"of": "class"}}}]}),
    Case("match-sub", [device("d0", 0), device("d1", 1), device("d2", 1)],
         [alternatives("r", body(count=3), body()), request("s", f"{NUMA} == 1")],
         constraints=[{**MATCH, "requests": ["r/b", "s"]}]),
    Case("match-sub-other", [device("d0", 0), device("d1", 1)],
         [alternatives("r", body(count=3), body()), request("s", f"{NUMA} == 1")],
         constraints=[{**MATCH, "requests": ["r/a", "s"]}]),
    Case("counters-two-sets", [], [request(count=2)], slices=[
        {"nodeName": "{N}", "pool": _pool("{N}", count=3), "sharedCounters": [
            {"name": "one", "counters": {"mem": {"value": "8Gi"}}}]},
        {"nodeName": "{N}", "pool": _pool("{N}", count=3), "sharedCounters": [
            {"name": "two", "counters": {"mem": {"value": "4Gi"}}}]},
        {"nodeName": "{N}", "pool": _pool("{N}", count=3), "devices": [
            device("a", **draws("8Gi", "one")), device("b", **draws("1Gi", "one")),
            device("c", **draws("4Gi", "two"))]}]),
    Case("per-device-none", [], [request()], fits=False, slices=[
        {"perDeviceNodeSelection": True, "pool": _pool("shared-{C}"), "devices": [
            device("a", nodeName="elsewhere"), device("b", nodeName="elsewhere")]}]),
    Case("selector-node-none", [], [request()], fits=False, slices=[
        {"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "case", "operator": "NotIn", "values": ["{C}"]}]}]},
         "pool": _pool("zone-{C}"), "devices": devices(1)}]),
    Case("share-values-none", [device("d0", **SHARED, **capacity("8Gi", VALUES))], [request(**asks("5Gi"))],
         fits=False),
    Case("share-many", [device("d0", **SHARED, **capacity("8Gi", STEPS))],
         [request(f"r{index}", **asks("1Gi")) for index in range(8)]),
    Case("share-one-too-many", [device("d0", **SHARED, **capacity("8Gi", STEPS))], fits=False,
         requests=[request(f"r{index}", **asks("1Gi")) for index in range(9)]),
    Case("whole-size-none", [device("d0", 0, "4Gi")], [request(**asks("6Gi"))], fits=False),
    Case("taint-noexecute", [device("d0", taints=[{**TAINT, "effect": "NoExecute"}]), device("d1")],
         [request()]),
    Case("taint-other-effect", [device("d0", taints=[{**TAINT, "effect": "NoExecute"}])], fits=False,
         requests=[request(tolerations=[{"key": "broken", "operator": "Exists", "effect": "NoSchedule"}])]),
    Case("taint-equal", [device("d0", taints=[TAINT])], [
        request(tolerations=[{"key": "broken", "operator": "Equal", "value": "yes"}])]),
    Case("taint-every-key", [device("d0", taints=[TAINT, {**TAINT, "key": "old"}])], [
        request(tolerations=[{"operator": "Exists"}])]),
    Case("rule-none", devices(2), [request()], fits=False, rule={
        "deviceSelector": {"driver": "{D}"}, "taint": {**TAINT, "effect": "NoExecute"}}),
    Case("admin-twice", devices(1), [request(adminAccess=True), request("s", adminAccess=True)], fits=False),
    Case("bind-last", [], [request()], slices=[
        {"nodeName": "{N}", "pool": _pool("a-{C}"), "devices": [device(
            "bound", bindingConditions=["ready"], bindingFailureConditions=["failed"])]},
        {"nodeName": "{N}", "pool": _pool("b-{C}"), "devices": [device("plain")]}]),
    Case("bind-in-use", [device("d0", bindingConditions=["ready"], bindingFailureConditions=["failed"])],
         [request()], fits=False, held=[{"device": "d0"}]),
    Case("outdated-none", [], [request()], fits=False, slices=[
        {"nodeName": "{N}", "pool": _pool("{N}"), "devices": [device("old")]},
        {"nodeName": "{N}", "pool": _pool("{N}", generation=2, count=2), "devices": [device("new")]}]),
]  # fmt: skip
"""All of them; each name is a DNS label."""
