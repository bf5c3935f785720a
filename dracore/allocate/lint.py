"""What is wrong, or will be, with classes, claims and templates, before a scheduler says so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from dracore.allocate.documents import Object, Source, objects
from dracore.allocate.fields import Fault
from dracore.allocate.matching import Compiler, Matching, cel
from dracore.allocate.published import PublishedDevice, PublishedSlice
from dracore.allocate.terms import reads
from dracore.allocate.world import World
from dracore.errors import ConfigError, SelectorError
from dracore.model.names import EXPRESSION_LIMIT, OPAQUE_LIMIT, RESULTS_PER_CLAIM, qualify

LIMITS = {
    "requests": 32,
    "constraints": 32,
    "config": 32,
    "selectors": 32,
    "tolerations": 16,
    "firstAvailable": 8,
}
"""Entries of a list that the API server admits (resource.k8s.io/v1)."""
DEPRECATED = {"v1beta1": ("1.35", "1.38"), "v1beta2": ("1.36", "1.39"), "v1alpha3": ("1.36", "1.39")}
"""Version to the releases since which it is deprecated and from which it is gone."""
STANDARD = "resource.kubernetes.io"
_DRIVER = re.compile(r"""device\.driver\s*==\s*(["'])([^"'\\]+)\1""")
_DOMAIN = re.compile(r"""device\.(?:attributes|capacity)\[\??(["'])([^"'\\]+)\1\]""")
_NAMED = re.compile(
    r"""device\.(?P<kind>attributes|capacity)\[(["'])(?P<domain>[^"'\\]+)\2\]\.(?P<name>[A-Za-z_]\w*)"""
)


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


def lint(sources: Iterable[Source], ground: World, *, compiler: Compiler = cel) -> list[Finding]:
    """All that is found in some texts; `ground` holds what else there is: slices, classes."""
    linter = _Linter(ground.copy(), compiler)
    for source in sources:
        linter.read(source)
    return linter.findings()


class _Linter:
    def __init__(self, world: World, compiler: Compiler) -> None:
        self._world = world
        self._matching = Matching(compiler)
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
        self._devices = [device for item in self._world.slices for device in item.devices]
        self._drivers = sorted({device.id.driver for device in self._devices})
        self._names = _names(self._devices)
        for item in self._items:
            self._version(item)
            if item.kind == "DeviceClass":
                self._class(item)
            elif item.kind == "ResourceClaim":
                self._claim(item, ("spec",))
            elif item.kind == "ResourceClaimTemplate":
                self._claim(item, ("spec", "spec"))
        return self._found

    # --- objects --------------------------------------------------------------------------------------

    def _version(self, item: Object) -> None:
        version = str(item.content.get("apiVersion", "")).partition("/")[2]
        if version in DEPRECATED:
            since, gone = DEPRECATED[version]
            self._add(
                item,
                ["apiVersion"],
                f"{version} is deprecated since {since} and gone in {gone}: use v1",
                warn=True,
            )

    def _class(self, item: Object) -> None:
        spec = item.content.get("spec") or {}
        self._lists(item, spec, ["spec"])
        expressions = []
        for path, text in _selectors(spec, ["spec"]):
            if self._expression(item, path, text, []):
                expressions.append(text)
        if not expressions:
            return
        matching = [device for device in self._devices if self._all_true(expressions, device)]
        if self._devices and not matching:
            self._add(item, ["spec", "selectors"], f"matches none of {len(self._devices)} devices", warn=True)

    def _claim(self, item: Object, path: tuple[str, ...]) -> None:
        spec: Any = item.content
        for step in path:
            spec = spec.get(step) or {}
        devices = spec.get("devices") or {}
        here = [*path, "devices"]
        self._lists(item, devices, here)
        names: set[str] = set()
        total = 0
        for index, request in enumerate(devices.get("requests") or ()):
            at = [*here, f"requests[{index}]"]
            if request["name"] in names:
                self._add(item, [*at, "name"], f"{request['name']} is there twice")
            names.add(request["name"])
            self._lists(item, request, at)
            bodies = [(request.get("exactly") or request, [*at, "exactly"])]
            if request.get("firstAvailable"):
                bodies = [
                    (sub, [*at, f"firstAvailable[{number}]"])
                    for number, sub in enumerate(request["firstAvailable"])
                ]
                names |= {f"{request['name']}/{sub['name']}" for sub in request["firstAvailable"]}
            for body, where in bodies:
                self._request(item, body, where)
            total += min(_count(body) for body, _ in bodies)
        if total > RESULTS_PER_CLAIM:
            self._add(
                item, [*here, "requests"], f"asks for {total} devices; a claim holds {RESULTS_PER_CLAIM}"
            )
        for kind in ("constraints", "config"):
            for index, entry in enumerate(devices.get(kind) or ()):
                for name in entry.get("requests") or ():
                    if name not in names:
                        where = [*here, f"{kind}[{index}]", "requests"]
                        self._add(item, where, f"no request is called {name}{_hint(name, names)}")
        for index, entry in enumerate(devices.get("constraints") or ()):
            self._attribute(item, [*here, f"constraints[{index}]"], entry)

    def _request(self, item: Object, body: Mapping[str, Any], path: list[str]) -> None:
        self._lists(item, body, path)
        name = body.get("deviceClassName") or ""
        device_class = self._world.classes.get(name)
        if not name:
            self._add(item, [*path, "deviceClassName"], "is required")
        elif device_class is None and self._world.classes:
            hint = _hint(name, self._world.classes)
            self._add(item, [*path, "deviceClassName"], f"there is no DeviceClass {name}{hint}")
        of_class = [text for text in device_class.selectors if text] if device_class is not None else []
        expressions = []
        for where, text in _selectors(body, path):
            if self._expression(item, where, text, of_class):
                expressions.append(text)
        every = [*of_class, *expressions]
        if expressions and self._devices and not any(self._all_true(every, d) for d in self._devices):
            self._add(item, [*path, "selectors"], f"matches none of {len(self._devices)} devices", warn=True)

    def _attribute(self, item: Object, path: list[str], entry: Mapping[str, Any]) -> None:
        for kind in ("matchAttribute", "distinctAttribute"):
            name = entry.get(kind)
            if not name:
                continue
            if "/" not in name:
                self._add(item, [*path, kind], f"{name} is no full name: DOMAIN/NAME")
            elif self._devices and name not in self._names["attributes"]:
                hint = _hint(name, self._names["attributes"])
                self._add(item, [*path, kind], f"no device has the attribute {name}{hint}", warn=True)

    def _lists(self, item: Object, content: Mapping[str, Any], path: list[str]) -> None:
        for name, limit in LIMITS.items():
            entries = content.get(name)
            if isinstance(entries, Sequence) and len(entries) > limit:
                self._add(item, [*path, name], f"has {len(entries)} entries; {limit} are allowed")
        for index, entry in enumerate(content.get("config") or ()):
            parameters = (entry.get("opaque") or {}).get("parameters")
            size = len(json.dumps(parameters, separators=(",", ":"), default=str).encode())
            if size > OPAQUE_LIMIT:
                where = [*path, f"config[{index}]", "opaque", "parameters"]
                self._add(item, where, f"has {size} bytes; {OPAQUE_LIMIT} are allowed")

    # --- selectors ------------------------------------------------------------------------------------

    def _expression(self, item: Object, path: list[str], text: str, before: list[str]) -> bool:
        """Whether it compiles; with findings.

        :param before: the class's selectors: where one of them is false, this one is not asked.
        """
        if len(text.encode()) > EXPRESSION_LIMIT:
            self._add(item, path, f"has {len(text.encode())} bytes; {EXPRESSION_LIMIT} are allowed")
            return False
        try:
            self._matching.compiled(text)
        except SelectorError as error:
            self._add(item, path, error.what)
            return False
        self._domains(item, path, text)
        for device in (*self._devices, *_probes(text, before, self._drivers)):
            if not self._all_true(before, device):
                continue
            try:
                self._matching.answer(text, device)
            except SelectorError as error:
                lacking = [read.name for read in reads(text, device) if read.value is None]
                which = f"without {' or '.join(lacking)}" if lacking else "like " + str(device.id)
                kind = "fails" if device in self._devices else "can fail"
                what = f"{kind} on a device {which}, which ends the scheduler's attempt: {error.what}"
                self._add(item, path, what, warn=True)
                break
        return True

    def _domains(self, item: Object, path: list[str], text: str) -> None:
        if not self._devices:
            return
        for match in _DRIVER.finditer(text):
            if match[2] not in self._drivers:
                hint = _hint(match[2], self._drivers)
                self._add(item, path, f"no slice is of driver {match[2]}{hint}", warn=True)
        known = {name.rpartition("/")[0] for names in self._names.values() for name in names}
        known |= {*self._drivers, STANDARD}
        for domain in dict.fromkeys(match[2] for match in _DOMAIN.finditer(text)):
            if domain not in known:
                self._add(item, path, f"no device has the domain {domain}{_hint(domain, known)}", warn=True)
        for match in _NAMED.finditer(text):
            name = f"{match['domain']}/{match['name']}"
            names = self._names[match["kind"]]
            if match["domain"] in known and name not in names:
                kind = "attribute" if match["kind"] == "attributes" else "capacity"
                self._add(item, path, f"no device has the {kind} {name}{_hint(name, names)}", warn=True)

    def _all_true(self, expressions: Iterable[str], device: PublishedDevice) -> bool:
        try:
            return all(self._matching.answer(text, device) for text in expressions)
        except SelectorError:
            return False

    def _add(self, item: Object, path: list[str], message: str, *, warn: bool = False) -> None:
        where = item.error(Fault(message, *path)).where or item.source.name
        self._found.append(Finding("warning" if warn else "error", where, ".".join(path), message))


def _selectors(content: Mapping[str, Any], path: list[str]) -> Iterator[tuple[list[str], str]]:
    for index, selector in enumerate(content.get("selectors") or ()):
        text = (selector.get("cel") or {}).get("expression")
        if isinstance(text, str):
            yield [*path, f"selectors[{index}]", "cel", "expression"], text


def _probes(text: str, before: Iterable[str], drivers: Iterable[str]) -> list[PublishedDevice]:
    """A bare device of each driver that could be meant."""
    named = {match[2] for one in (text, *before) for match in _DRIVER.finditer(one)}
    named |= {match[2] for match in _DOMAIN.finditer(text)}
    probes: list[PublishedDevice] = []
    for driver in sorted(named | set(drivers)):
        spec = {"driver": driver, "pool": {"name": "bare"}, "devices": [{"name": "bare"}]}
        probes += PublishedSlice.from_json({"metadata": {"name": "bare"}, "spec": spec}).devices
    return probes


def _names(devices: Iterable[PublishedDevice]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {"attributes": set(), "capacity": set()}
    for device in devices:
        for kind, names in found.items():
            names |= {qualify(name, device.id.driver) for name in device.content.get(kind) or ()}
    return found


def _hint(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _count(body: Mapping[str, Any]) -> int:
    if body.get("allocationMode") == "All":
        return 0
    count = body.get("count", 1)
    return count if isinstance(count, int) else 1
