"""What is wrong, or will be, with classes, claims and templates, before a scheduler says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dracore.allocate.admission import faults
from dracore.allocate.documents import Object, Source, objects
from dracore.allocate.features import RELEASES, Features, minor
from dracore.allocate.fields import Fault
from dracore.allocate.lint_selectors import SelectorLint
from dracore.allocate.matching import Compiler, cel
from dracore.allocate.near import hint
from dracore.allocate.pods import Pod, unserved
from dracore.allocate.world import DEFAULT_NAMESPACE, World
from dracore.errors import ConfigError
from dracore.model.names import RESULTS_PER_CLAIM

ADMIN_LABEL = "resource.kubernetes.io/admin-access"
DEPRECATED: Mapping[tuple[str, str], tuple[str, str]] = {
    ("", "v1beta1"): ("1.35", "1.38"),
    ("", "v1beta2"): ("1.36", "1.39"),
    ("DeviceTaintRule", "v1beta2"): ("1.39", "1.42"),
    ("DeviceTaintRule", "v1alpha3"): ("1.36", "1.39"),
}
"""Kind (empty: any other) and version to the release that deprecates it and the one that has it no more."""
GATED: Mapping[str, tuple[str, Callable[[Features], bool]]] = {
    "firstAvailable": ("DRAPrioritizedList", lambda features: features.prioritized_list),
    "adminAccess": ("DRAAdminAccess", lambda features: features.admin_access),
    "tolerations": ("DRADeviceTaints", lambda features: features.device_taints),
    "capacity": ("DRAConsumableCapacity", lambda features: features.consumable_capacity),
    "distinctAttribute": ("DRAConsumableCapacity", lambda features: features.consumable_capacity),
    "derivedAttributes": ("DRADerivedAttributes", lambda features: features.derived_attributes),
    "extendedResourceName": ("DRAExtendedResource", lambda features: features.extended_resources),
}
"""Fields of claims and classes that an API server drops while their gate is off."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong (``error``) or may be (``warning``)."""

    severity: Literal["error", "warning"]
    where: str
    """File, document, line and object."""
    field: str
    message: str

    def __str__(self) -> str:
        place = f"{self.where}: {self.field}" if self.field else self.where
        return f"{self.severity}: {place}: {self.message}"


def no_cost(text: str) -> int:
    """For compilers that know no cost."""
    return 0


def lint(
    sources: Iterable[Source],
    ground: World,
    *,
    compiler: Compiler = cel,
    cost: Callable[[str], int] = no_cost,
    features: Features | None = None,
    release: str = RELEASES[-1],
) -> list[Finding]:
    """All that is found in some texts.

    :param ground: what else there is: slices, classes.
    :param cost: the worst-case cost of an expression.
    :param features: fields of what is switched off are told of; None: they are not.
    :param release: the server's version, for what is deprecated.
    """
    linter = _Linter(ground.copy(), compiler, cost, features, minor(release))
    for source in sources:
        linter.read(source)
    return linter.findings()


class _Linter:
    def __init__(
        self,
        world: World,
        compiler: Compiler,
        cost: Callable[[str], int],
        features: Features | None,
        release: str,
    ) -> None:
        self._world = world
        self._compiler = compiler
        self._cost = cost
        self._features = features
        self._release = release
        self._found: list[Finding] = []
        self._items: list[Object] = []

    def read(self, source: Source) -> None:
        try:
            items = list(objects(source))
        except ConfigError as error:
            self._found.append(Finding("error", error.where or source.name, "", error.what))
            return
        for item in items:
            try:
                self._world.add(item)
                self._items.append(item)
            except ConfigError as error:
                self._found.append(Finding("error", error.where or source.name, "", error.what))

    def findings(self) -> list[Finding]:
        devices = [device for item in self._world.slices for device in item.devices]
        self._selectors = SelectorLint(devices, self._compiler, self._cost)
        self._namespaces = dict(_labels(item) for item in self._items if item.kind == "Namespace")
        for item in self._items:
            self._version(item)
            for fault in faults(item.kind, item.content):
                self._add(item, fault.path, fault.what)
            if item.kind == "DeviceClass":
                self._class(item)
            elif item.kind == "ResourceClaim":
                self._claim(item, ("spec",))
            elif item.kind == "ResourceClaimTemplate":
                self._claim(item, ("spec", "spec"))
            elif item.kind == "Pod":
                self._pod(item)
        return self._found

    # --- objects --------------------------------------------------------------------------------------

    def _version(self, item: Object) -> None:
        version = str(item.content.get("apiVersion", "")).partition("/")[2]
        known = DEPRECATED.get((item.kind, version))
        if known is None and item.kind != "DeviceTaintRule":
            known = DEPRECATED.get(("", version))
        if known is None:
            return
        since, gone = known
        if _number(since) <= _number(RELEASES[-1]):
            message = f"{version} is deprecated since {since} and gone in {gone}: use v1"
            self._add(item, ["apiVersion"], message, warn=True)

    def _class(self, item: Object) -> None:
        spec = item.content.get("spec") or {}
        self._config(item, spec, ["spec"])
        self._gated(item, spec, ["spec"])
        expressions = []
        for path, text in _selectors(spec, ["spec"]):
            if self._selectors.check(text, [], "", self._teller(item, path), of_class=True):
                expressions.append(text)
        count = len(self._selectors.devices)
        if expressions and count and not self._selectors.any_true(expressions):
            self._add(item, ["spec", "selectors"], f"matches none of {_devices(count)}", warn=True)

    def _pod(self, item: Object) -> None:
        """Extended resources that nobody offers; told only where there is something that could."""
        if not (self._world.classes or self._world.nodes):
            return
        gate = self._features is None or self._features.extended_resources
        served = {name for names in self._world.allocatable.values() for name in names}
        pod = Pod.from_json(item.content, DEFAULT_NAMESPACE)
        nobody = unserved(pod, self._world.classes, served.__contains__, gate=gate)
        if nobody:
            self._add(item, ["spec", "containers"], f"{nobody}; no node advertises it", warn=True)

    def _claim(self, item: Object, path: tuple[str, ...]) -> None:
        spec: Any = item.content
        for step in path:
            spec = spec.get(step) or {}
        devices = spec.get("devices") or {}
        here = [*path, "devices"]
        self._config(item, devices, here)
        total = 0
        if not devices.get("requests"):
            self._add(item, here, "requests no device", warn=True)
        for index, request in enumerate(devices.get("requests") or ()):
            at = [*here, f"requests[{index}]"]
            self._gated(item, request, at)
            bodies = [(request.get("exactly") or request, [*at, "exactly"] if "exactly" in request else at)]
            if request.get("firstAvailable"):
                bodies = [
                    (sub, [*at, f"firstAvailable[{number}]"])
                    for number, sub in enumerate(request["firstAvailable"])
                ]
            for body, where in bodies:
                self._request(item, body, where)
            total += min(_count(body) for body, _ in bodies)
        if total > RESULTS_PER_CLAIM:
            self._add(
                item, [*here, "requests"], f"asks for {total} devices; a claim holds {RESULTS_PER_CLAIM}"
            )
        for index, entry in enumerate(devices.get("constraints") or ()):
            self._constraint(item, [*here, f"constraints[{index}]"], entry)

    def _request(self, item: Object, body: Mapping[str, Any], path: list[str]) -> None:
        self._gated(item, body, path)
        name = body.get("deviceClassName") or ""
        device_class = self._world.classes.get(name)
        if name and device_class is None and self._world.classes:
            text = f"there is no DeviceClass {name}{hint(name, self._world.classes)}"
            self._add(item, [*path, "deviceClassName"], text)
        self._capacities(item, body, path)
        if body.get("adminAccess"):
            self._admin(item, [*path, "adminAccess"])
        of_class = [text for text in device_class.selectors if text] if device_class is not None else []
        unknown = name if device_class is None else ""
        expressions = []
        for where, text in _selectors(body, path):
            if self._selectors.check(text, of_class, unknown, self._teller(item, where)):
                expressions.append(text)
        count = len(self._selectors.devices)
        if expressions and count and not unknown and not self._selectors.any_true([*of_class, *expressions]):
            self._add(item, [*path, "selectors"], f"matches none of {_devices(count)}", warn=True)

    def _capacities(self, item: Object, body: Mapping[str, Any], path: list[str]) -> None:
        known = {name for device in self._selectors.devices for name in device.capacity}
        for name in map(str, (body.get("capacity") or {}).get("requests") or ()):
            if self._selectors.devices and name not in known:
                own = name.rpartition("/")[2]
                meant = f"; did you mean {own}?" if own in known else hint(name, known)
                text = f"no device has the capacity {name[:100]}{meant}"
                self._add(item, [*path, "capacity", "requests", name], text, warn=True)

    def _admin(self, item: Object, path: list[str]) -> None:
        """Admin access is for namespaces with a label (KEP-5018)."""
        name = (item.content.get("metadata") or {}).get("namespace") or DEFAULT_NAMESPACE
        labels = self._namespaces.get(name)
        if labels is None or labels.get(ADMIN_LABEL) != "true":
            text = f"the API server refuses it unless namespace {name} has the label {ADMIN_LABEL}: true"
            self._add(item, path, text, warn=labels is None)

    def _constraint(self, item: Object, path: list[str], entry: Mapping[str, Any]) -> None:
        kinds = [kind for kind in ("matchAttribute", "distinctAttribute") if entry.get(kind)]
        if len(kinds) > 1:
            text = "has both matchAttribute and distinctAttribute: schedulers look at the first alone"
            self._add(item, path, text, warn=True)
        self._gated(item, entry, path)
        known = self._selectors.names["attributes"]
        for kind in kinds:
            name = entry[kind]
            if self._selectors.devices and "/" in name and name not in known:
                self._add(
                    item, [*path, kind], f"no device has the attribute {name}{hint(name, known)}", warn=True
                )

    def _gated(self, item: Object, content: Mapping[str, Any], path: list[str]) -> None:
        """Fields that a server of this version, with these gates, drops."""
        if self._features is None:
            return
        for name, (gate, is_on) in GATED.items():
            if content.get(name) not in (None, [], {}) and not is_on(self._features):
                text = (
                    f"needs the gate {gate}, which is off: the API server {self._release} drops or refuses it"
                )
                self._add(item, [*path, name], text)

    def _config(self, item: Object, content: Mapping[str, Any], path: list[str]) -> None:
        drivers = self._selectors.drivers
        for index, entry in enumerate(content.get("config") or ()):
            where = [*path, f"config[{index}]", "opaque"]
            driver = (entry.get("opaque") or {}).get("driver")
            if drivers and isinstance(driver, str) and driver not in drivers:
                self._add(
                    item,
                    [*where, "driver"],
                    f"no slice is of driver {driver}{hint(driver, drivers)}",
                    warn=True,
                )

    def _teller(self, item: Object, path: list[str]) -> Callable[[str, bool], None]:
        return lambda message, warn: self._add(item, path, message, warn=warn)

    def _add(self, item: Object, path: list[str], message: str, *, warn: bool = False) -> None:
        where = item.error(Fault(message, *path)).where or item.source.name
        self._found.append(Finding("warning" if warn else "error", where, ".".join(path), message))


def _labels(namespace: Object) -> tuple[str, Mapping[str, Any]]:
    """A namespace's name and labels; it is read nowhere else, so anything may be in it."""
    meta = namespace.content.get("metadata")
    meta = meta if isinstance(meta, Mapping) else {}
    labels = meta.get("labels")
    return str(meta.get("name")), labels if isinstance(labels, Mapping) else {}


def _selectors(content: Mapping[str, Any], path: list[str]) -> Iterator[tuple[list[str], str]]:
    for index, selector in enumerate(content.get("selectors") or ()):
        text = (selector.get("cel") or {}).get("expression")
        if isinstance(text, str):
            yield [*path, f"selectors[{index}]", "cel", "expression"], text


def _count(body: Mapping[str, Any]) -> int:
    if body.get("allocationMode") == "All":
        return 0
    count = body.get("count") or 1
    return count if isinstance(count, int) else 1


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count} devices"


def _number(release: str) -> int:
    return int(release.partition(".")[2])
