"""Why a selector is not true of a device: which of its terms, with the values that were read."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dracore.allocate.asks import Ask
from dracore.allocate.matching import Matching, fault_of
from dracore.allocate.published import DeviceId, PublishedDevice
from dracore.allocate.reasons import Reason, Stage, short
from dracore.allocate.terms import guards, nearest, quotes, reads, terms
from dracore.allocate.wishes import Wish, granted
from dracore.errors import SelectorError

_REMEMBERED = 10_000


class Unselected:
    """Finds out once for devices between which a selector sees no difference.

    Thousands of devices of a cluster differ in what selectors do not read: serial numbers, addresses.
    """

    def __init__(self, matching: Matching) -> None:
        self._matching = matching
        self._known: dict[Hashable, Reason] = {}

    def failing(self, ask: Ask, device: PublishedDevice, stage: Stage) -> Iterator[Reason]:
        """A reason for each selector of the class, or of the request, that is not true."""
        of_class = stage is Stage.CLASS
        for index, expression in enumerate(ask.device_class.selectors if of_class else ask.request.selectors):
            try:
                if expression is not None and self._matching.answer(expression, device):
                    continue
            except SelectorError as error:
                what = _what(index, ask, of_class)
                mended = self._why_false(stage, what, expression or "", device)
                yield replace(mended, text=f"{what} fails: {fault_of(error)}")
            else:
                yield self._once(stage, _what(index, ask, of_class), expression or "", device)

    def keeps(self, ask: Ask, device: PublishedDevice, wishes: Sequence[Wish]) -> bool:
        """Whether all selectors are true of the device with these values."""
        expressions = (*ask.device_class.selectors, *ask.request.selectors)

        def holds(content: Mapping[str, Any]) -> bool:
            seen = self._matching.seen(content)
            try:
                return all(
                    text is not None and self._matching.compiled(text).matches(device.id.driver, seen)
                    for text in expressions
                )
            except SelectorError:
                return False

        return granted(device, wishes, holds)

    def _once(self, stage: Stage, what: str, expression: str, device: PublishedDevice) -> Reason:
        shape = self._matching.shape(expression, device)
        if shape is None or quotes(expression):
            return self._why_false(stage, what, expression, device)
        key = (what, expression, shape)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[key] = self._why_false(stage, what, expression, device)
            return found
        return _of(device.id, found)

    def _why_false(self, stage: Stage, what: str, expression: str, device: PublishedDevice) -> Reason:
        parts = terms(expression)
        wrong = [term for term in parts if len(parts) == 1 or not self._is_true(term, device)] or [expression]
        if len(wrong) > 1:
            # Who says what a value has to be says that it has to be there.
            names = {read.name for term in wrong if not guards(term) for read in reads(term, device)}
            wrong = [term for term in wrong if guards(term) not in names]
        shown = [str(read) for term in wrong for read in reads(term, device)]
        text = f"{what} is false: {', '.join(dict.fromkeys(shown)) or short(wrong[0])}"
        misses = [found for term in wrong if (found := nearest(term, device)) is not None]
        many = len(wrong)
        if len(misses) < many:
            wants = " and ".join(short(term) for term in wrong)
            # A term that reads nothing of it is as it is, whatever the device has.
            read = all("device." in term for term in wrong)
            values = f" ({', '.join(dict.fromkeys(shown))})" if shown else ""
            remedy = f"this were true: {wants}{values}" if read else ""
            return Reason(device.id, stage, text, remedy, float(many), parts=many)
        wishes = tuple(found.wish for found in misses if found.wish is not None)
        if len(wishes) < many:
            wishes = ()
        far = sum(found.distance for found in misses)
        remedy = " and ".join(map(str, misses))
        return Reason(device.id, stage, text, remedy, far, wishes=wishes, parts=many)

    def _is_true(self, term: str, device: PublishedDevice) -> bool:
        try:
            return self._matching.answer(term, device)
        except SelectorError:
            return False  # it fails, or is no expression of its own


def _what(index: int, ask: Ask, of_class: bool) -> str:
    return f"selector #{index} of " + (
        f"class {ask.device_class.name}" if of_class else f"request {ask.name}"
    )


def _of(device: DeviceId, same: Reason) -> Reason:
    """The same of another device."""
    return Reason(
        device,
        same.stage,
        same.text,
        same.remedy,
        same.distance,
        same.frees,
        same.holders,
        same.wishes,
        same.parts,
    )
