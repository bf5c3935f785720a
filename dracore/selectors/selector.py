"""Selectors as users of the package meet them: compiled once, asked about many devices."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any

from dracore.errors import SelectorError
from dracore.model.device import Device
from dracore.selectors.engine import Program, build, matches
from dracore.selectors.environment import Environment, stored
from dracore.selectors.faults import Fault, short
from dracore.selectors.projection import Key, Projection
from dracore.selectors.reads import reads

_REMEMBERED = 10_000
"""Answers that one selector keeps; then it begins anew."""


class Selector:
    """A compiled CEL expression over ``device``; may be used by several threads.

    Answers are remembered by the attributes and capacities that the expression reads, so that devices of one
    sort are evaluated once, whether they are discovered or published.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.text = program.text
        self._projections: dict[str, Projection] = {}

    def __repr__(self) -> str:
        return f"Selector({self.text!r})"

    @cached_property
    def cost(self) -> int:
        """The worst-case cost, in the API server's units; it refuses what is over 1,000,000."""
        from dracore.selectors.estimate import static_cost

        return static_cost(self.program.tree, self.program.environment)

    @cached_property
    def _names(self) -> Any:
        return reads(self.program.tree)

    def matches(self, driver: str, device: Device | Mapping[str, Any]) -> bool:
        """Whether the expression is true for a device of `driver`, as discovered or as published (JSON).

        :raises SelectorError: it failed on this device (an attribute that it lacks), or is not true or false.
        """
        projection = self._projection(driver)
        answer: bool | Fault | None
        if projection is None:
            answer = self._evaluate(driver, device)
        else:
            if isinstance(device, Device):
                key: Key | None = projection.key(device)
                answers = projection.answers
            else:
                key = projection.published_key(device)
                answers = projection.published_answers
            answer = None if key is None else answers.get(key)
            if answer is None:
                answer = self._evaluate(driver, device)
                if key is not None:
                    if len(answers) >= _REMEMBERED:
                        answers.clear()
                    answers[key] = answer
        if isinstance(answer, Fault):
            raise self.error(answer, driver, device)
        return answer

    def shape(self, driver: str, device: Device | Mapping[str, Any]) -> Hashable | None:
        """What the expression reads of a device: those of one shape get one answer.

        None where it may read anything, or the device is malformed.
        """
        projection = self._projection(driver)
        if projection is None:
            return None
        if isinstance(device, Device):
            return (driver, *projection.key(device))
        key = projection.published_key(device)
        return None if key is None else (driver, *key)

    def matches_all(self, driver: str, devices: Iterable[Device]) -> Iterator[bool | SelectorError]:
        """For each device what :meth:`matches` gives, or the error that it raises."""
        projection = self._projection(driver)
        if projection is None:
            for device in devices:
                yield self._outcome(driver, device)
            return
        key, answers = projection.key, projection.answers
        for device in devices:
            answer = answers.get(key(device))
            yield answer if answer is True or answer is False else self._outcome(driver, device)

    def _outcome(self, driver: str, device: Device) -> bool | SelectorError:
        try:
            return self.matches(driver, device)
        except SelectorError as error:
            return error

    def evaluate(self, driver: str, device: Device | Mapping[str, Any]) -> tuple[bool, int]:
        """As :meth:`matches`, with the cost, and without what was remembered.

        :raises Fault: in the API server's words.
        """
        return matches(self.program, driver, device)

    def _projection(self, driver: str) -> Projection | None:
        projection = self._projections.get(driver)
        if projection is None and self._names is not None:
            projection = self._projections.setdefault(driver, Projection(self._names, driver))
        return projection

    def _evaluate(self, driver: str, device: Device | Mapping[str, Any]) -> bool | Fault:
        try:
            return matches(self.program, driver, device)[0]
        except Fault as fault:
            return fault.with_traceback(None)

    def error(self, fault: Fault, driver: str, device: Device | Mapping[str, Any]) -> SelectorError:
        """A fault in words for people: with the device, and what was perhaps meant."""
        name = device.name if isinstance(device, Device) else str(device.get("name") or "")
        fix = None
        if fault.key is not None:
            fix = _advice(fault.key, driver, device)
        elif "could not be converted to bool" in fault.message:
            fix = "compare it with something, so that it is true or false"
        return SelectorError(
            f"fails on device {name or '(unnamed)'}: {fault.message}",
            where=f"selector {short(self.text)}",
            fix=fix,
        )


def compile(text: str, environment: Environment | None = None) -> Selector:
    """Compiles a CEL expression; the same text is compiled once.

    :param environment: what it may use; by default everything, as for expressions that are stored already.
    :raises SelectorError: with the text and the place of the fault (it is a CompileError, with all faults).
    """
    return _compiled(text, environment or stored())


@lru_cache(maxsize=1024)
def _compiled(text: str, environment: Environment) -> Selector:
    return Selector(build(text, environment))


def _advice(key: object, driver: str, device: Device | Mapping[str, Any]) -> str:
    """Where a key is missing: the domain or name that was perhaps meant, or how to guard it."""
    if isinstance(key, tuple):
        part, domain, missing = key
    else:
        part, domain, missing = "", "", str(key)
    domains = _names_of(driver, device, part)
    if domain and domain not in domains:
        near = difflib.get_close_matches(domain, domains, 1, 0.6)
        if near:
            return f"did you mean the domain '{near[0]}'?"
        owners = [other for other, names in domains.items() if missing in names]
        if owners:
            return f"'{missing}' is in the domain '{owners[0]}'"
    candidates = domains.get(domain) or {name for names in domains.values() for name in names}
    near = difflib.get_close_matches(missing, sorted(candidates), 1, 0.6)
    if near and near[0] != missing:
        return f"did you mean '{near[0]}'?"
    return f"guard it: '{missing}' in device.{part or 'attributes'}[…] && …, or .?{missing}.orValue(…)"


def _names_of(driver: str, device: Device | Mapping[str, Any], part: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for which in (part,) if part else ("attributes", "capacity"):
        values = getattr(device, which) if isinstance(device, Device) else device.get(which) or {}
        for full in values:
            domain, slash, name = full.partition("/")
            if slash:
                found.setdefault(domain, set()).add(name)
            else:
                found.setdefault(driver, set()).add(full)
    return found
