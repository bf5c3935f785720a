"""One call, ``compile(text)``, behind which cel-python stands as it is.

It answers what the API server answers for ordinary selectors. It has no static checking and no cost limit,
so a faulty selector may show itself only on a device.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dracore.errors import SelectorError
from dracore.model.device import Device
from dracore.model.names import EXPRESSION_LIMIT

_COMPILING = threading.Lock()


class Selector:
    """A compiled CEL expression over ``device``; may be used by several threads."""

    def __init__(self, text: str, program: Any) -> None:
        self.text = text
        self._program = program

    def __repr__(self) -> str:
        return f"Selector({self.text!r})"

    def matches(self, driver: str, device: Device | Mapping[str, Any]) -> bool:
        """Whether the expression is true for a device of `driver`, as discovered or as published (JSON).

        :raises SelectorError: it failed on this device (an attribute that it lacks), or is not true or false.
        """
        from celpy import celtypes

        from dracore.selectors.values import activation

        try:
            answer = self._program.evaluate({"device": activation(driver, device)})
        except RecursionError as error:
            raise SelectorError(f"{_short(self.text)} is nested too deeply") from error
        except Exception as error:  # besides its own errors, some paths of cel-python let a ValueError out
            name = device.name if isinstance(device, Device) else device.get("name", "")
            raise SelectorError(
                f"fails on device {name}: {_message(error)}{_position(error)}",
                where=f"selector {_short(self.text)}",
                fix="guard it: 'x' in device.attributes['domain'] && …",
            ) from error
        if not isinstance(answer, celtypes.BoolType):
            raise SelectorError(
                f"gives {type(answer).__name__.removesuffix('Type').lower()}, not true or false",
                where=f"selector {_short(self.text)}",
            )
        return bool(answer)


@lru_cache(maxsize=1024)
def compile(text: str) -> Selector:
    """Compiles a CEL expression; the same text is compiled once.

    :raises SelectorError: with the text and the place of the fault.
    """
    if len(text.encode()) > EXPRESSION_LIMIT:
        raise SelectorError(f"{_short(text)} is longer than {EXPRESSION_LIMIT} bytes, the API's limit")
    import celpy

    from dracore.selectors.functions import FUNCTIONS, quiet

    quiet()
    with _COMPILING:  # its parser is one per process
        limit = sys.getrecursionlimit()
        try:
            environment = celpy.Environment()
            program = environment.program(environment.compile(text), functions=FUNCTIONS)
        except Exception as error:
            raise SelectorError(
                f"not CEL{_position(error)}: {_message(error)}", where=f"selector {_short(text)}"
            ) from error
        finally:
            sys.setrecursionlimit(limit)  # Environment() raises it for the whole process
    return Selector(text, program)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 80 else line[:79] + "…")


def _position(error: Exception) -> str:
    line, column = getattr(error, "line", None), getattr(error, "column", None)
    return f" at line {line}, column {column}" if line and column else ""


def _message(error: Exception) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    # It shows the whole environment after the name that it does not know.
    text = text.partition(" (in activation")[0]
    return next((line.strip() for line in text.splitlines() if line.strip()), text)
