"""One plugin's life on the node: start, watch, discover again and again, stop. A thread of its own, so that a
plugin that hangs holds up no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, TypeVar

from dracore.errors import DracoreError, PluginError
from dracore.inventory.ports import Contexts, Hooks
from dracore.kube.backoff import Backoff
from dracore.model import names
from dracore.model.device import CounterSet, Device, Discovery, NotYet
from dracore.model.prepared import Health

T = TypeVar("T")

State: TypeAlias = Literal["waiting", "starting", "discovering", "running", "not yet", "failed", "stopped"]
"""``waiting``: for the plugins that it requires; ``not yet``: discovery had no answer; ``failed``: start or
the last discovery raised an error, and is tried again."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds.

    :param interval: between discoveries where nothing asks for one.
    :param gap: the least between two discoveries, however often ``dra_watch`` calls.
    :param first_retry, last_retry: bounds of the growing wait after a failure or ``NotYet``.
    :param patience: failures before the first answer until the pool is offered without this plugin. What
        fails once right after a start (a device that the killed process still had open) must not withdraw
        the devices that the process before has published.
    """

    interval: float = 60.0
    gap: float = 1.0
    first_retry: float = 0.5
    last_retry: float = 30.0
    patience: int = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of one plugin. `discovery` is its last good answer; None: it never gave one."""

    state: State = "waiting"
    discovery: Discovery | None = None
    health: tuple[Health, ...] = ()
    error: str = ""
    settled: bool = False
    """It has answered at least once, or failed so often that the others wait for it no longer."""


class Runner:
    """Runs the node hooks of one plugin.

    :param required: whether the plugins that it requires have started.
    :param answered: called, in this thread, with each new answer.
    """

    def __init__(
        self,
        plugin: str,
        hooks: Hooks,
        contexts: Contexts,
        required: Callable[[], bool],
        answered: Callable[[str, Answer], None],
        log: Any,
        times: Times,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plugin = plugin
        self.session: Any = None
        self.started = threading.Event()
        self.answer = Answer()
        self._hooks = hooks
        self._contexts = contexts
        self._required = required
        self._answered = answered
        self._log = log.bind(plugin=plugin)
        self._times = times
        self._clock = clock
        self._wake = threading.Condition()
        self._asked = False
        self._stopping = False
        self._failures = 0
        self._unwatch: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, name=f"inventory-{plugin}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask(self) -> None:
        """Discovery should run again, soon. From any thread; many calls make one discovery."""
        with self._wake:
            self._asked = True
            self._wake.notify_all()

    def interrupt(self) -> None:
        """No further hook is begun."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()

    def stop(self, timeout: float) -> None:
        """Ends the watch and the session. A plugin that hangs in a hook is left behind, and said so."""
        self.interrupt()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        if self._thread.is_alive():
            self._log.error("the plugin hangs in a hook; its session is not closed", state=self.answer.state)
            return
        if self.started.is_set():
            if self._unwatch is not None:
                self._guarded("dra_watch", self._unwatch)
            context = self._contexts.context(self.plugin)
            self._guarded(
                "dra_stop",
                lambda: self._hooks.call(self.plugin, "dra_stop", ctx=context, session=self.session),
            )
            self.started.clear()
        self.session = None
        self.answer = replace(self.answer, state="stopped")

    # --- the thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        retry = Backoff(self._times.first_retry, self._times.last_retry)
        while not self._stopping and not self.started.is_set():
            if not self._required():
                self._pause(0.1)
            elif not self._start():
                self._pause(retry.next())
        if self._stopping:
            return
        self._watch()
        retry.reset()
        while not self._stopping:
            begun = self._clock()
            if self._discover():
                retry.reset()
                delay = self._times.interval
            else:
                delay = min(retry.next(), self._times.interval)
            self._pause(delay, self._times.gap - (self._clock() - begun))

    def _pause(self, delay: float, gap: float = 0.0) -> None:
        """Waits until somebody asks, at least `gap` and at most `delay` seconds."""
        with self._wake:
            self._wake.wait_for(lambda: self._stopping, max(gap, 0.0))
            self._wake.wait_for(lambda: self._stopping or self._asked, max(delay - max(gap, 0.0), 0.0))
            self._asked = False

    def _start(self) -> bool:
        self._tell(replace(self.answer, state="starting"))
        try:
            with self._contexts.starting(self.plugin) as context:
                self.session = self._hooks.call(self.plugin, "dra_start", ctx=context)
        except Exception as error:  # noqa: BLE001 - see _failed
            self._failed("dra_start", error)
            return False
        self.started.set()
        return True

    def _watch(self) -> None:
        try:
            context = self._contexts.context(self.plugin)
            self._unwatch = self._hooks.call(self.plugin, "dra_watch", ctx=context, changed=self.ask)
        except Exception as error:  # noqa: BLE001 - discovery on the interval goes on without it
            self._log.warning("dra_watch failed", error=_text(error), exc_info=_defect(error))

    def _discover(self) -> bool:
        if not self.answer.settled:
            self._tell(replace(self.answer, state="discovering"))
        answer = self._look()
        try:
            # What it held before this start and not again is gone now: the node is another one.
            if answer is not None and self._contexts.settled(self.plugin):
                answer = self._look()
        except Exception as error:  # noqa: BLE001 - see _failed
            self._failed("dra_discover", error)
            return False
        if answer is not None:
            self._tell(answer)
        return answer is not None

    def _look(self) -> Answer | None:
        """What the plugin discovers, and its health; None where it offers nothing or fails, which is told."""
        try:
            context = self._contexts.context(self.plugin)
            found = self._hooks.call(self.plugin, "dra_discover", ctx=context)
            if isinstance(found, NotYet):
                # It offers nothing now; what claims have prepared of it stays.
                self._tell(replace(self.answer, state="not yet", discovery=None, error=found.reason))
                return None
            discovery = _discovery(self.plugin, found)
        except Exception as error:  # noqa: BLE001 - see _failed
            self._failed("dra_discover", error)
            return None
        try:
            health = tuple(self._hooks.call(self.plugin, "dra_health", ctx=context) or ())
            for entry in health:
                _check_health(self.plugin, entry)
        except Exception as error:  # noqa: BLE001 - the devices are known all the same
            self._log.warning("dra_health failed", error=_text(error), exc_info=_defect(error))
            return Answer("running", discovery, self.answer.health, _text(error), settled=True)
        return Answer("running", discovery, health, settled=True)

    def _failed(self, hook: str, error: Exception) -> None:
        """Whatever it was (the journal under a context, too), the next try may go well."""
        text = _text(error)
        if text != self.answer.error:
            self._log.error(f"{hook} failed; it is tried again", error=text, exc_info=_defect(error))
        self._failures += 1
        settled = self.answer.settled or self._failures >= self._times.patience
        self._tell(replace(self.answer, state="failed", error=text, settled=settled))

    def _tell(self, answer: Answer) -> None:
        if answer.state != self.answer.state:
            self._log.debug("plugin", state=answer.state)
        before, self.answer = self.answer, answer
        try:
            self._answered(self.plugin, answer)
        except Exception as error:  # noqa: BLE001 - logged; the next answer is merged anew
            self._log.exception("the answer could not be merged")
            # The last good one stays, and does not stand in the way of other plugins' answers.
            text = f"the answer is not used: {_text(error)}"
            self.answer = replace(before, state="failed", error=text, settled=True)

    def _guarded(self, hook: str, call: Callable[[], Any]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - the process stops whatever a plugin does
            self._log.warning(f"{hook} failed", error=_text(error), exc_info=_defect(error))


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, DracoreError) else f"{type(error).__name__}: {error}"


def _defect(error: Exception) -> BaseException | bool:
    """The exception whose traceback a developer needs; errors that say what to do need none."""
    if isinstance(error, DracoreError):
        return error.__cause__ if isinstance(error, PluginError) and error.__cause__ else False
    return error


def _discovery(plugin: str, found: Any) -> Discovery:
    """What the hook returned as a Discovery whose parts are what they must be.

    :raises PluginError: they are not.
    """
    if not isinstance(found, Discovery):
        if not isinstance(found, Iterable):
            raise PluginError(
                f"dra_discover returned {found!r}",
                where=f"plugin {plugin}",
                fix="return a list of Device, a Discovery or NotYet",
            )
        return Discovery(_members(plugin, found, Device, "devices"))
    return Discovery(
        _members(plugin, found.devices, Device, "devices"),
        _members(plugin, found.counter_sets, CounterSet, "counter sets"),
        _members(plugin, found.problems, str, "problems"),
    )


def _members(plugin: str, given: Any, kind: type[T], what: str) -> tuple[T, ...]:
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise PluginError(
            f"dra_discover returned {given!r} as {what}",
            where=f"plugin {plugin}",
            fix=f"give a list of {kind.__name__}",
        )
    members = tuple(given)
    for member in members:
        if not isinstance(member, kind):
            fix = "return dracore.Device objects" if kind is Device else f"give {kind.__name__} objects"
            raise PluginError(
                f"dra_discover returned {member!r} among the {what}", where=f"plugin {plugin}", fix=fix
            )
        # What merging reads; the rest is checked device by device where slices are made.
        for name, right in (("name", str), ("pool", str), ("identity", str), ("taints", tuple)):
            value = getattr(member, name, None)
            if value is not None and not isinstance(value, right):
                raise PluginError(
                    f"dra_discover returned {value!r} as {name} among the {what}",
                    where=f"plugin {plugin}",
                    fix=f"give a {right.__name__}",
                )
    return members


def _check_health(plugin: str, entry: object) -> None:
    """:raises PluginError: what could not be published, before it is kept over restarts."""
    if not isinstance(entry, Health):
        raise PluginError(f"dra_health returned {entry!r}", where=f"plugin {plugin}", fix="return Health")
    for sort, text, good in (
        ("key", entry.taint_key, not entry.taint_key or names.is_label_key(entry.taint_key)),
        ("value", entry.taint_value, names.is_label_value(entry.taint_value)),
    ):
        if not good:
            raise PluginError(
                f"dra_health returned the taint {sort} {text!r} for {entry.device}, which is no label {sort}",
                where=f"plugin {plugin}",
                fix="letters, digits, -, _ and ., at most 63; a key may begin with a domain and a slash",
            )
