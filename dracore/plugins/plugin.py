"""One plugin: what it is, and the one way in which its hooks are called."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import current_thread, main_thread
from types import GeneratorType
from typing import Any

import pluggy

from dracore.errors import DracoreError, PluginError
from dracore.model.context import ConfigKind, SharingStrategy
from dracore.model.effect import Effect


@dataclass(frozen=True, slots=True)
class Distribution:
    """What ``pip`` installed a plugin with; both are empty for a plugin made in this process."""

    name: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip() or "this process"


def nearest(name: str, options: Iterable[str]) -> str:
    """``did you mean 'x'?`` for the option nearest to `name`; empty where none is near."""
    found = difflib.get_close_matches(name, list(options), 1)
    return f"did you mean {found[0]!r}?" if found else ""


@dataclass(slots=True)
class Plugin:
    """A plugin that was imported and checked."""

    name: str
    distribution: Distribution
    hooks: Mapping[str, pluggy.HookCaller]
    driver: str = ""
    requires: tuple[str, ...] = ()
    lost_taint: str = ""
    effects: Mapping[str, type[Effect]] = field(default_factory=dict)
    kinds: tuple[ConfigKind, ...] = ()
    strategies: tuple[SharingStrategy, ...] = ()

    def call(self, hook: str, arguments: Mapping[str, Any]) -> Any:
        caller = self.hooks.get(hook)
        if caller is None:
            return None
        try:
            answers = caller(**arguments)
            answer = answers[0] if answers else None
            return tuple(answer) if isinstance(answer, GeneratorType) else answer
        except DracoreError as error:
            error.where = error.where or f"plugin {self.name}, hook {hook}"
            raise
        except BaseException as error:
            # SystemExit, CancelledError and the like would kill the thread that answers the kubelet; Ctrl-C
            # while plugins are loaded is the user's.
            if isinstance(error, KeyboardInterrupt) and current_thread() is main_thread():
                raise
            raise PluginError(
                f"{type(error).__name__}: {error}",
                where=f"plugin {self.name}, hook {hook}",
                fix=f"this is a defect of {self.distribution}; its traceback is in the log",
            ) from error
