"""What can be wrong with a selector before any scheduler runs it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from dracore.allocate.matching import Compiler, Matching, fault_of
from dracore.allocate.near import hint
from dracore.allocate.published import PublishedDevice, PublishedSlice
from dracore.allocate.terms import reads
from dracore.errors import SelectorError
from dracore.model.names import EXPRESSION_LIMIT, qualify

STANDARD = "resource.kubernetes.io"
COST_LIMIT = 1_000_000
"""The worst-case cost that the API server admits."""
Tell = Callable[[str, bool], None]
"""Takes a finding: its text, and whether it is a mere warning."""
_DRIVER = re.compile(r"""device\.driver\s*==\s*(["'])([^"'\\]+)\1""")
_DOMAIN = re.compile(r"""device\.(?:attributes|capacity)\[\??(["'])([^"'\\]+)\1\]""")
_NAMED = re.compile(
    r"""device\.(?P<kind>attributes|capacity)\[(["'])(?P<domain>[^"'\\]+)\2\]\.(?P<name>[A-Za-z_]\w*)"""
)


class SelectorLint:
    """Looks at expressions beside the devices that there are.

    :param compiler: as the API server takes new expressions, or stored ones.
    :param cost: the worst-case cost of an expression that compiles.
    """

    def __init__(
        self, devices: Sequence[PublishedDevice], compiler: Compiler, cost: Callable[[str], int]
    ) -> None:
        self.devices = devices
        self.drivers = sorted({device.id.driver for device in devices})
        self.names = _names(devices)
        self._matching = Matching(compiler)
        self._cost = cost

    def check(
        self, text: str, before: Sequence[str], unknown_class: str, tell: Tell, *, of_class: bool = False
    ) -> bool:
        """Whether an expression compiles; with findings.

        :param before: the class's selectors: where one of them is false, this one is not asked.
        :param unknown_class: the class is not here: which devices this one meets is not known.
        :param of_class: it is a class's, made for the devices of a driver as they are: of one that is here no
            others are thought of.
        """
        if len(text.encode()) > EXPRESSION_LIMIT:
            tell(f"has {len(text.encode())} bytes; {EXPRESSION_LIMIT} are allowed", False)
            return False
        try:
            self._matching.compiled(text)
        except SelectorError as error:
            tell(error.what, False)
            return False
        cost = self._cost(text)
        if cost > COST_LIMIT:
            tell(f"may cost {cost:,}; the API server admits {COST_LIMIT:,}", False)
        if not unknown_class:
            self._known_names(text, tell)
        self._failures(text, before, unknown_class, tell, of_class=of_class)
        return True

    def any_true(self, expressions: Iterable[str]) -> bool:
        """Whether a device passes all of them."""
        every = list(expressions)
        return any(self.all_true(every, device) for device in self.devices)

    def all_true(self, expressions: Iterable[str], device: PublishedDevice) -> bool:
        """Whether a device passes all of them, up to the first that is false or fails."""
        try:
            return all(self._matching.answer(text, device) for text in expressions)
        except SelectorError:
            return False

    def _failures(
        self, text: str, before: Sequence[str], unknown_class: str, tell: Tell, *, of_class: bool
    ) -> None:
        """Devices on which it fails: those that there are, and one that has nothing."""
        probes = _probes(text, before, self.drivers)
        if of_class:
            probes = [device for device in probes if device.id.driver not in self.drivers]
        for device in (*(() if unknown_class else self.devices), *probes):
            if not self.all_true(before, device):
                continue
            try:
                self._matching.answer(text, device)
            except SelectorError as error:
                there = device in self.devices
                lacking = [read.name for read in reads(text, device) if read.value is None]
                which = f"a device without {' or '.join(lacking)}" if lacking else "a device"
                what = f"fails on {which} ({device.id})" if there else f"can fail on {which}"
                unless = f" unless class {unknown_class} keeps such devices out" if unknown_class else ""
                tell(f"{what}, which ends the scheduler's attempt{unless}: {fault_of(error)}", True)
                return

    def _known_names(self, text: str, tell: Tell) -> None:
        if not self.devices:
            return
        for match in _DRIVER.finditer(text):
            if match[2] not in self.drivers:
                tell(f"no slice is of driver {match[2]}{hint(match[2], self.drivers)}", True)
        known = {name.rpartition("/")[0] for names in self.names.values() for name in names}
        known |= {*self.drivers, STANDARD}
        for domain in dict.fromkeys(match[2] for match in _DOMAIN.finditer(text)):
            if domain not in known:
                tell(f"no device has the domain {domain}{hint(domain, known)}", True)
        told = set()
        for match in _NAMED.finditer(text):
            name = f"{match['domain']}/{match['name']}"
            names = self.names[match["kind"]]
            if match["domain"] in known and name not in names and name not in told:
                told.add(name)
                kind = "attribute" if match["kind"] == "attributes" else "capacity"
                tell(f"no device has the {kind} {name}{self._meant(match['kind'], name)}", True)

    def _meant(self, kind: str, name: str) -> str:
        """Where a name is to be found that is not of this kind."""
        other = "capacity" if kind == "attributes" else "attributes"
        if name in self.names[other]:
            domain, _, own = name.rpartition("/")
            return f"; did you mean device.{other}['{domain}'].{own}?"
        return hint(name, self.names[kind])


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
