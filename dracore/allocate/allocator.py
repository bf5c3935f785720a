"""A small structured allocator behind one call.

It knows requests with a count, ``All`` mode, ``firstAvailable``, class and request selectors,
``matchAttribute``, NoSchedule taints and admin access, and never gives a device out twice. Devices that draw
on counters or may be shared by several claims are left out: it does not count what is left of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from dracore import selectors
from dracore.errors import AllocationError
from dracore.model.device import JSON
from dracore.model.names import qualify


class DeviceId(NamedTuple):
    """The full name of a device."""

    driver: str
    pool: str
    device: str


class Matcher(Protocol):
    """Whether a CEL expression is true for a device."""

    def __call__(self, expression: str, driver: str, device: Mapping[str, Any]) -> bool: ...


@dataclass(frozen=True)
class Candidate:
    """A published device."""

    id: DeviceId
    content: Mapping[str, Any]
    node: str

    def attribute(self, name: str) -> JSON:
        """The value of an attribute by its full name; None where the device has none."""
        for own, value in (self.content.get("attributes") or {}).items():
            if qualify(own, self.id.driver) == name:
                return value
        return None


@dataclass(frozen=True)
class _Request:
    name: str
    spec: Mapping[str, Any]
    selectors: tuple[str, ...]
    device_class: Mapping[str, Any]

    @property
    def admin(self) -> bool:
        return bool(self.spec.get("adminAccess"))


@dataclass
class _Search:
    """Where the search stands: what is taken, and what each constraint has settled on."""

    taken: set[DeviceId]
    results: list[tuple[_Request, Candidate]] = field(default_factory=list)


def allocated_devices(claims: Iterable[Mapping[str, Any]]) -> set[DeviceId]:
    """The devices that these claims hold; admin access holds none."""
    return {
        DeviceId(result["driver"], result["pool"], result["device"])
        for claim in claims
        for result in _at(claim, "status", "allocation", "devices", "results") or ()
        if not result.get("adminAccess")
    }


def allocate(
    claim: Mapping[str, Any],
    slices: Sequence[Mapping[str, Any]],
    classes: Sequence[Mapping[str, Any]],
    *,
    taken: Collection[DeviceId] = (),
    matcher: Matcher | None = None,
) -> JSON:
    """The ``status.allocation`` of a ResourceClaim.

    :param claim: a ``resource.k8s.io/v1`` ResourceClaim.
    :param slices: all ResourceSlices; of each pool the newest complete generation counts.
    :param classes: the DeviceClasses.
    :param taken: devices of other claims (:func:`allocated_devices`).
    :raises AllocationError: nothing fits, and why.
    """
    return _Allocator(claim, slices, classes, matcher or _cel).run(set(taken))


class _Allocator:
    def __init__(
        self,
        claim: Mapping[str, Any],
        slices: Sequence[Mapping[str, Any]],
        classes: Sequence[Mapping[str, Any]],
        matcher: Matcher,
    ) -> None:
        self._claim = claim
        self._classes = {c["metadata"]["name"]: c.get("spec") or {} for c in classes}
        self._matcher = matcher
        self._devices = list(candidates(slices))
        self._constraints = _at(claim, "spec", "devices", "constraints") or ()
        self._fitting: dict[str, list[Candidate]] = {}
        self._nodes = list(dict.fromkeys(device.node for device in self._devices))

    def run(self, taken: set[DeviceId]) -> JSON:
        requests = _at(self._claim, "spec", "devices", "requests") or ()
        if not requests:
            raise AllocationError("the claim requests no device", where=self._name())
        alternatives = [list(self._alternatives(request)) for request in requests]
        for node in self._nodes:
            search = _Search(set(taken))
            if self._place(alternatives, 0, node, search):
                return self._allocation(search, node)
        raise AllocationError(self._why(alternatives, taken), where=self._name())

    # --- search -------------------------------------------------------------------------------------

    def _place(self, alternatives: list[list[_Request]], position: int, node: str, search: _Search) -> bool:
        if position == len(alternatives):
            return True
        for request in alternatives[position]:
            fitting = [device for device in self._fit(request) if device.node == node]
            if request.spec.get("allocationMode") == "All":
                count = len(fitting)
            else:
                count = int(request.spec.get("count") or 1)
            # All mode without a single device is no allocation (KEP-4381).
            if count and self._fill(request, fitting, 0, count, search, alternatives, position, node):
                return True
        return False

    def _fill(
        self,
        request: _Request,
        fitting: list[Candidate],
        start: int,
        left: int,
        search: _Search,
        alternatives: list[list[_Request]],
        position: int,
        node: str,
    ) -> bool:
        if not left:
            return self._place(alternatives, position + 1, node, search)
        for index in range(start, len(fitting) - left + 1):
            device = fitting[index]
            if not request.admin and device.id in search.taken:
                continue
            if not self._consistent(request, device, search):
                continue
            search.results.append((request, device))
            if not request.admin:
                search.taken.add(device.id)
            if self._fill(request, fitting, index + 1, left - 1, search, alternatives, position, node):
                return True
            search.results.pop()
            if not request.admin:
                search.taken.discard(device.id)
        return False

    def _consistent(self, request: _Request, device: Candidate, search: _Search) -> bool:
        for constraint in self._constraints:
            name = constraint.get("matchAttribute")
            if not name or not _covers(constraint, request.name):
                continue
            value = device.attribute(name)
            if value is None:
                return False
            for other_request, other in search.results:
                if _covers(constraint, other_request.name) and other.attribute(name) != value:
                    return False
        return True

    # --- requests -----------------------------------------------------------------------------------

    def _alternatives(self, request: Mapping[str, Any]) -> Iterator[_Request]:
        if "firstAvailable" in request:
            for sub in request["firstAvailable"]:
                yield self._request(f"{request['name']}/{sub['name']}", sub)
        else:
            yield self._request(request["name"], request.get("exactly") or {})

    def _request(self, name: str, spec: Mapping[str, Any]) -> _Request:
        class_name = spec.get("deviceClassName", "")
        device_class = self._classes.get(class_name)
        if device_class is None:
            raise AllocationError(
                f"request {name} names the DeviceClass {class_name!r}, which does not exist",
                where=self._name(),
                fix="`dracore manifests` prints the classes of the enabled plugins",
            )
        expressions = [
            selector["cel"]["expression"]
            for selector in (*(device_class.get("selectors") or ()), *(spec.get("selectors") or ()))
        ]
        return _Request(name, spec, tuple(expressions), device_class)

    def _fit(self, request: _Request) -> list[Candidate]:
        if request.name not in self._fitting:
            self._fitting[request.name] = [
                device
                for device in self._devices
                if self._tolerates(request, device)
                and all(self._matcher(text, device.id.driver, device.content) for text in request.selectors)
            ]
        return self._fitting[request.name]

    def _tolerates(self, request: _Request, device: Candidate) -> bool:
        return all(
            any(_tolerated(taint, toleration) for toleration in request.spec.get("tolerations") or ())
            for taint in device.content.get("taints") or ()
            if taint.get("effect") in ("NoSchedule", "NoExecute")
        )

    # --- answers ------------------------------------------------------------------------------------

    def _allocation(self, search: _Search, node: str) -> JSON:
        results = []
        for request, device in search.results:
            result: dict[str, Any] = {"request": request.name, **device.id._asdict()}
            if request.admin:
                result["adminAccess"] = True
            if request.spec.get("tolerations"):
                result["tolerations"] = list(request.spec["tolerations"])
            results.append(result)
        allocation: dict[str, Any] = {"devices": {"results": results}}
        if config := self._config(search):
            allocation["devices"]["config"] = config
        if node:
            fields = [{"key": "metadata.name", "operator": "In", "values": [node]}]
            allocation["nodeSelector"] = {"nodeSelectorTerms": [{"matchFields": fields}]}
        return allocation

    def _config(self, search: _Search) -> list[JSON]:
        chosen = {request.name: request for request, _ in search.results}
        config = [
            {"source": "FromClass", "requests": [request.name], **entry}
            for request in chosen.values()
            for entry in request.device_class.get("config") or ()
        ]
        config += [
            {"source": "FromClaim", **entry}
            for entry in _at(self._claim, "spec", "devices", "config") or ()
            if not entry.get("requests") or any(_covers(entry, name) for name in chosen)
        ]
        return config

    def _why(self, alternatives: list[list[_Request]], taken: set[DeviceId]) -> str:
        if not self._devices:
            return "no complete pool of devices is published"
        reasons = []
        for request in (request for group in alternatives for request in group):
            fitting = self._fit(request)
            free = [device for device in fitting if request.admin or device.id not in taken]
            count = int(request.spec.get("count") or 1)
            if len(free) < count:
                reasons.append(
                    f"request {request.name} wants {count}: of {len(self._devices)} devices"
                    f" {len(fitting)} match its selectors and {len(free)} of these are free"
                )
        attributes = sorted({c["matchAttribute"] for c in self._constraints if c.get("matchAttribute")})
        if not reasons and attributes:
            reasons.append(f"no free devices share one value of {' and '.join(attributes)}")
        return "; ".join(reasons) or "the requests cannot be met together on one node"

    def _name(self) -> str:
        return f"claim {_at(self._claim, 'metadata', 'name')}"


def candidates(slices: Sequence[Mapping[str, Any]]) -> Iterator[Candidate]:
    """The devices of each pool's newest generation, where all of its slices are there; in slice order."""
    pools: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for item in slices:
        spec = item["spec"]
        pools.setdefault((spec["driver"], spec["pool"]["name"]), []).append(item)
    for (driver, pool), found in pools.items():
        newest = max(item["spec"]["pool"].get("generation", 0) for item in found)
        current = [item for item in found if item["spec"]["pool"].get("generation", 0) == newest]
        if len(current) != current[0]["spec"]["pool"].get("resourceSliceCount", 1):
            continue
        for item in sorted(current, key=lambda item: item["metadata"].get("name", "")):
            for device in item["spec"].get("devices") or ():
                if device.get("consumesCounters") or device.get("allowMultipleAllocations"):
                    continue
                yield Candidate(
                    DeviceId(driver, pool, device["name"]), device, item["spec"].get("nodeName", "")
                )


def _cel(expression: str, driver: str, device: Mapping[str, Any]) -> bool:
    """:raises SelectorError: it failed on this device, which ends the scheduler's attempt too."""
    return selectors.compile(expression).matches(driver, device)


def _covers(entry: Mapping[str, Any], request: str) -> bool:
    names = entry.get("requests") or ()
    return not names or request in names or request.partition("/")[0] in names


def _tolerated(taint: Mapping[str, Any], toleration: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("operator") == "Exists":
        return not toleration.get("key") or toleration["key"] == taint.get("key")
    return toleration.get("key") == taint.get("key") and (toleration.get("value") or "") == (
        taint.get("value") or ""
    )


def _at(content: Any, *path: str) -> Any:
    for step in path:
        if not isinstance(content, Mapping):
            return None
        content = content.get(step)
    return content
