"""Reading one mapping of a data file, with the place of every mistake."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from dracore_nvidia_gpu.sim.errors import SimulationError

T = TypeVar("T")

_REQUIRED: Any = object()


class Row:
    """A mapping whose keys are taken one by one; :meth:`done` refuses those that nobody took."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, Mapping):
            raise SimulationError(f"expected a mapping, found {_kind(value)}", where=where)
        self._values = value
        self._known: set[Any] = set()
        self.where = where

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def text(self, key: Any, default: Any = _REQUIRED) -> str:
        return str(self._take(key, str, default))

    def parsed(self, key: Any, parse: Callable[[str], T], expected: str) -> T:
        """A text that means something; :param parse: raises ValueError where it does not."""
        text = self.text(key)
        try:
            return parse(text)
        except ValueError:
            raise SimulationError(
                f"expected {expected}, found {text!r}", where=f"{self.where}.{key}"
            ) from None

    def integer(self, key: str, default: Any = _REQUIRED) -> int:
        return int(self._take(key, int, default))

    def flag(self, key: str) -> bool:
        return bool(self._take(key, bool, False))

    def optional_integer(self, key: str) -> int | None:
        if self._values.get(key) is None:
            self._known.add(key)
            return None
        return self.integer(key)

    def items(self, key: str, kind: type, default: Any = _REQUIRED) -> list[Any]:
        values = self._take(key, list, default)
        for index, value in enumerate(values):
            if not isinstance(value, kind):
                raise SimulationError(
                    f"expected {kind.__name__}, found {_kind(value)}", where=f"{self.where}.{key}[{index}]"
                )
        return list(values)

    def choice(self, key: str, allowed: Mapping[str, Any], default: Any = _REQUIRED) -> str:
        value = self.text(key, default)
        if value not in allowed:
            raise self._wrong(key, f"{value!r} is not one of {', '.join(allowed)}", value, list(allowed))
        return value

    def row(self, key: str) -> Row:
        return Row(self._take(key, Mapping, _REQUIRED), f"{self.where}.{key}")

    def optional_row(self, key: str) -> Row | None:
        if self._values.get(key) is None:
            self._known.add(key)
            return None
        return self.row(key)

    def rows(self, key: str) -> list[Row]:
        values = self.items(key, Mapping)
        return [Row(value, f"{self.where}.{key}[{index}]") for index, value in enumerate(values)]

    def done(self) -> None:
        for key in self._values:
            if key not in self._known:
                raise self._wrong(str(key), "unknown key", str(key), sorted(map(str, self._known)))

    def _take(self, key: Any, kind: Any, default: Any) -> Any:
        self._known.add(key)
        value = self._values.get(key)
        if value is None:
            if default is _REQUIRED:
                raise SimulationError(f"{key} is missing", where=self.where)
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise SimulationError(
                f"expected {kind.__name__}, found {_kind(value)}", where=f"{self.where}.{key}"
            )
        return value

    def _wrong(self, key: str, what: str, given: str, allowed: list[str]) -> SimulationError:
        near = difflib.get_close_matches(given, allowed, n=1)
        return SimulationError(
            what, where=f"{self.where}.{key}", fix=f"did you mean {near[0]}?" if near else None
        )


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
