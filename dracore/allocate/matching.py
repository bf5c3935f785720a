"""Class and request selectors over devices, each asked once for a device."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Protocol

from dracore import selectors
from dracore.allocate.features import RELEASES, minor
from dracore.allocate.published import PublishedDevice
from dracore.allocate.wanted import Request
from dracore.errors import SelectorError


class Compiled(Protocol):
    """A selector that can be asked about a device of a driver, as published."""

    def matches(self, driver: str, device: Mapping[str, Any]) -> bool:
        """Its answer.

        :raises SelectorError: it fails on this device.
        """
        ...

    def shape(self, driver: str, device: Mapping[str, Any]) -> Hashable | None:
        """What it reads of a device: those of one shape get one answer. None: that cannot be told."""
        ...


class Compiler(Protocol):
    """Makes something that can be asked of a CEL expression.

    :raises SelectorError: it does not compile.
    """

    def __call__(self, expression: str) -> Compiled: ...


def cel(expression: str) -> Compiled:
    """The compiler of :mod:`dracore.selectors`."""
    return selectors.compile(expression)


def cel_of(release: str) -> Compiler:
    """The compiler of a release's scheduler: all functions that it knows, whatever the gates say.

    A scheduler runs what is stored; what its API server would not let in is another question, which
    ``dracore cel check`` and ``dracore lint`` answer.

    :raises AllocationError: a release that is not known.
    """
    known = minor(release)
    if known == RELEASES[-1]:
        return cel
    version = (1, int(known.partition(".")[2]))
    shape = selectors.Features(consumable_capacity=True, list_attributes=version >= (1, 36))
    environment = selectors.new(version, shape)
    return lambda expression: selectors.compile(expression, environment)


class SelectorFailed(Exception):
    """A selector does not compile, or failed on a device: the scheduler's attempt ends with this."""

    def __init__(self, text: str, cause: SelectorError) -> None:
        super().__init__(text)
        self.cause = cause


class Matching:
    """Compiled expressions and their answers; an answer depends on nothing but expression and device.

    :param shares: whether expressions are told that several claims may have a device.
    """

    def __init__(self, compiler: Compiler = cel, *, shares: bool = True) -> None:
        self._compiler = compiler
        self._shares = shares
        self._compiled: dict[str, Compiled | SelectorError] = {}
        self._answers: dict[str, dict[PublishedDevice, bool]] = {}
        self._derived: dict[str, dict[PublishedDevice, Mapping[str, Any]]] = {}

    def answer(self, expression: str, device: PublishedDevice) -> bool:
        """Whether an expression is true for a device.

        :raises SelectorError: it does not compile or fails on this device.
        """
        answers = self._answers.get(expression)
        if answers is None:
            answers = self._answers[expression] = {}
        found = answers.get(device)
        if found is None:
            found = answers[device] = self.compiled(expression).matches(
                device.id.driver, self.seen(device.content)
            )
        return found

    def seen(self, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """What expressions see of a device."""
        if self._shares or "allowMultipleAllocations" not in content:
            return content
        return {name: value for name, value in content.items() if name != "allowMultipleAllocations"}

    def attribute(self, request: Request, device: PublishedDevice, name: str) -> Mapping[str, Any] | None:
        """What constraints compare of a device: what the request derives under this name (KEP-6080), else
        what is published; ``{"int": 1}``, None where it has no such attribute.

        :raises SelectorFailed: the expression does not compile or fails on this device.
        """
        expression = dict(request.derived).get(name) if request.derived else None
        if expression is None:
            return device.attribute(name)
        known = self._derived.setdefault(expression, {})
        found = known.get(device)
        if found is None:
            try:
                derived = selectors.compile_derived(expression)
            except SelectorError as error:
                raise SelectorFailed(
                    f"compile derived attribute {name} failed: {_told(error)}", error
                ) from None
            try:
                found = known[device] = derived.value(device.id.driver, device.content)
            except SelectorError as error:
                told = f"evaluate derived attribute {name} on device {device.id} failed: {_told(error)}"
                raise SelectorFailed(told, error) from None
        return found

    def shape(self, expression: str, device: PublishedDevice) -> Hashable | None:
        """What an expression reads of a device; None where that cannot be told."""
        try:
            return self.compiled(expression).shape(device.id.driver, self.seen(device.content))
        except SelectorError:
            return None

    def compiled(self, expression: str) -> Compiled:
        """The compiled expression.

        :raises SelectorError: it does not compile.
        """
        found = self._compiled.get(expression)
        if found is None:
            try:
                found = self._compiler(expression)
            except SelectorError as error:
                found = error
            self._compiled[expression] = found
        if isinstance(found, SelectorError):
            raise found
        return found

    def all_true(self, expressions: tuple[str | None, ...], device: PublishedDevice, owner: str) -> bool:
        """Whether all selectors of a class or claim are true, in order, up to the first that is not.

        :param owner: ``class gpu`` or ``claim ns/name``, for the text of an error.
        :raises SelectorFailed: one does not compile or fails; those after a false one are not asked.
        """
        for index, expression in enumerate(expressions):
            if expression is None:
                raise SelectorFailed(
                    f"{owner}: selector #{index} is not CEL", SelectorError("is not CEL", where=owner)
                )
            try:
                self.compiled(expression)
            except SelectorError as error:
                raise SelectorFailed(
                    f"{owner}: selector #{index}: CEL compile error: {_told(error)}", error
                ) from None
            try:
                if not self.answer(expression, device):
                    return False
            except SelectorError as error:
                raise SelectorFailed(
                    f"{owner}: selector #{index} on device {device.id}: CEL runtime error: {_told(error)}",
                    error,
                ) from None
        return True


def _told(error: SelectorError) -> str:
    """The fault and what to do; which device and which selector it was is said before it."""
    text = fault_of(error)
    return f"{text}; {error.fix}" if error.fix else text


def fault_of(error: SelectorError) -> str:
    """The fault itself."""
    return error.what.partition("fails on device ")[2].partition(": ")[2] or error.what
