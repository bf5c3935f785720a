"""Names followed by selections and indices: one path, resolved step by step, each step of cost 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dracore.selectors.equality import find
from dracore.selectors.faults import Fault
from dracore.selectors.shown import show
from dracore.selectors.values import (
    MISSING,
    NO_OVERLOAD,
    NONE,
    Domains,
    Empty,
    Optional,
    UInt,
    go_name,
    type_name,
)

Run = Callable[[list[Any]], Any]
"""Evaluates a part of an expression. The list holds the cost so far, the device, and local variables."""
COST, DEVICE, LOCALS = 0, 1, 2


@dataclass(slots=True)
class Step:
    """One selection or index: a constant `key`, or one that `run` gives."""

    key: Any = None
    run: Run | None = None
    optional: bool = False
    test: bool = False


@dataclass(slots=True)
class Path:
    """`base` gives the value that the steps start from; where that is a name, it costs 1 in all."""

    base: Run
    steps: list[Step] = field(default_factory=list)
    is_device: bool = False

    def add(self, step: Step) -> None:
        """One more step at the end."""
        self.steps.append(step)

    def resolver(self) -> Run:
        """Resolves the path, without the cost of the name."""
        if not self.steps:
            return self.base
        if all(
            s.run is None and not s.optional and not s.test and isinstance(s.key, str) for s in self.steps
        ):
            return _constant_path(self.base, tuple(s.key for s in self.steps), self.is_device)
        return _general_path(self.base, tuple(self.steps))


@dataclass(slots=True)
class Choice:
    """``condition ? path : path``, whose steps go on in either branch."""

    condition: Run
    chosen: Path | Choice
    other: Path | Choice

    def add(self, step: Step) -> None:
        """One more step at the end of both."""
        self.chosen.add(step)
        self.other.add(step)

    def resolver(self) -> Run:
        """Resolves the branch that the condition chooses."""
        condition, chosen, other = self.condition, self.chosen.resolver(), self.other.resolver()

        def choose(frame: list[Any]) -> Any:
            decided = condition(frame)
            if decided is True:
                return chosen(frame)
            if decided is False:
                return other(frame)
            raise Fault(NO_OVERLOAD)

        return choose


def named(path: Path | Choice) -> Run:
    """The whole path as an expression: with the cost of its name, which a choice does not have."""
    resolve = path.resolver()
    if isinstance(path, Choice):
        return resolve

    def evaluate(frame: list[Any]) -> Any:
        frame[COST] += 1
        return resolve(frame)

    return evaluate


def _constant_path(base: Run, keys: tuple[str, ...], is_device: bool) -> Run:
    if is_device and len(keys) == 3 and keys[0] in ("attributes", "capacity"):
        return _device_path(*keys)
    count = len(keys)

    def resolve(frame: list[Any]) -> Any:
        value = base(frame)
        if value.__class__ is Optional:
            return _general_path(lambda _: value, tuple(map(Step, keys)))(frame)
        frame[COST] += count
        for index, key in enumerate(keys):
            found = value.get(key, MISSING) if value.__class__ is dict else MISSING
            if found is MISSING:
                try:
                    found = look_up(value, key)
                except Fault:
                    frame[COST] -= count - 1 - index  # the steps not taken
                    raise
            value = found
        return value

    return resolve


def _device_path(part: str, domain: str, name: str) -> Run:
    def resolve(frame: list[Any]) -> Any:
        frame[COST] += 3
        names = frame[DEVICE][part].get(domain)
        found = MISSING if names is None else names.get(name, MISSING)
        if found is MISSING:
            raise Fault(f"no such key: {name}", (part, domain, name))
        return found

    return resolve


def _general_path(base: Run, steps: tuple[Step, ...]) -> Run:
    def resolve(frame: list[Any]) -> Any:
        value = base(frame)
        optional = False
        if value.__class__ is Optional:
            if not value.present:
                return False if steps[-1].test else NONE
            value, optional = value.value, True
        for step in steps:
            optional = optional or step.optional
            if step.run is None:
                key = step.key
            else:
                try:
                    key = step.run(frame)
                except Fault:
                    frame[COST] += 0 if optional else 1
                    raise
                if key.__class__ not in KEYS:
                    frame[COST] += 0 if optional else 1
                    raise invalid_key(key)
            if not optional:
                frame[COST] += 1
                value = is_present(value, key) if step.test else look_up(value, key)
                continue
            value = look_for(value, key)
            if value is MISSING:
                return False if step.test else NONE
            frame[COST] += 1
            if step.test:
                return True
        return Optional(value) if optional else value

    return resolve


def look_for(value: Any, key: Any) -> Any:
    """What lies under a key or index, or MISSING."""
    kind = value.__class__
    if kind is dict or kind is Domains:
        return find(value, key)
    if kind is list:
        index = _index(key)
        return value[index] if 0 <= index < len(value) else MISSING
    if kind is Empty:
        raise Fault(f"no such field '{show(key)}'")
    return MISSING


def look_up(value: Any, key: Any) -> Any:
    """What lies under a key or index.

    :raises Fault: nothing does.
    """
    found = look_for(value, key)
    if found is MISSING:
        if value.__class__ is list:
            raise Fault(f"index out of bounds: {show(key)}")
        raise Fault(f"no such key: {show(key)}", key)
    return found


def is_present(value: Any, key: Any) -> bool:
    """``has(value.key)``"""
    return look_for(value, key) is not MISSING


KEYS = frozenset({str, int, UInt, bool, float})
"""What a path can be indexed with."""


def invalid_key(key: Any) -> Fault:
    """The error of an index that is neither a number, a text nor a bool."""
    return Fault(f"invalid qualifier type: {go_name(key)}")


def _index(key: Any) -> int:
    kind = key.__class__
    if kind is int or (kind is UInt and key < 1 << 63):
        return int(key)
    if kind is UInt:
        raise Fault(f"unsupported index value {show(key)} in list")
    if kind is float:
        if key == key and abs(key) < 1 << 63 and int(key) == key:
            return int(key)
        raise Fault(f"unsupported index value {show(key)} in list")
    raise Fault(f"unsupported index type '{type_name(key)}' in list")
