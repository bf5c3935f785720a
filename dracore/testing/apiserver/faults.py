"""Faults that tests ask for, and the log of requests."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

WRITES = ("create", "update", "patch", "apply", "delete", "deletecollection")


@dataclass(frozen=True)
class Request:
    """One request as the log keeps it. ``code`` is 0 when the connection was cut instead of answered."""

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    code: int = 0
    dry_run: bool = False
    time: float = field(default=0.0, compare=False)
    query: str = ""

    @property
    def write(self) -> bool:
        """Whether it could have changed an object."""
        return self.verb in WRITES and not self.dry_run


@dataclass
class Fault:
    """What happens to requests that match; patterns are shell patterns, ``times`` None means until removed.

    ``code`` answers with that status, ``cut`` closes the connection without an answer, ``hang`` never answers
    until the fault is removed or the server stops; ``delay`` seconds come before each. With only a delay the
    request is served as usual. ``after`` does the request first and then cuts or answers ``code``: the write
    happened, its answer was lost.
    """

    verb: str = "*"
    resource: str = "*"
    name: str = "*"
    subresource: str = "*"
    code: int = 0
    message: str = "a fault injected by a test"
    cut: bool = False
    hang: bool = False
    delay: float = 0.0
    after: bool = False
    times: int | None = None
    hits: int = 0

    def matches(self, request: Request) -> bool:
        return (
            fnmatchcase(request.verb, self.verb)
            and fnmatchcase(request.resource, self.resource)
            and fnmatchcase(request.name, self.name)
            and fnmatchcase(request.subresource, self.subresource)
        )


class Faults:
    """The active faults of a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._active.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        with self._lock:
            if fault in self._active:
                self._active.remove(fault)

    def clear(self) -> None:
        with self._lock:
            self._active.clear()

    def active(self, fault: Fault) -> bool:
        with self._lock:
            return any(fault is other for other in self._active)

    def take(self, request: Request) -> Fault | None:
        """The first fault for this request, counted."""
        with self._lock:
            for fault in self._active:
                if fault.matches(request):
                    fault.hits += 1
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self._active.remove(fault)
                    return fault
        return None


class RequestLog:
    """Every finished request, oldest first (a watch is logged when it starts)."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: list[Request] = []

    def add(self, request: Request) -> None:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def clear(self) -> None:
        with self._changed:
            self._requests.clear()

    def all(self) -> list[Request]:
        with self._changed:
            return list(self._requests)

    def select(self, verb: str = "*", resource: str = "*", name: str = "*") -> list[Request]:
        """Requests whose verb, plural resource and name match the shell patterns."""
        wanted = Fault(verb=verb, resource=resource, name=name)
        return [request for request in self.all() if wanted.matches(request)]

    def writes(self, resource: str = "*") -> list[Request]:
        """Requests that could have changed something: every write that is not a dry run."""
        return [request for request in self.select(resource=resource) if request.write]

    def counts(self) -> Counter[tuple[str, str]]:
        """How many, by (verb, resource)."""
        return Counter((request.verb, request.resource) for request in self.all())

    def wait(
        self, count: int, *, verb: str = "*", resource: str = "*", timeout: float = 10.0
    ) -> list[Request]:
        """Blocks until ``count`` such requests were seen; raises TimeoutError with what was seen."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                wanted = Fault(verb=verb, resource=resource)
                found = [request for request in self._requests if wanted.matches(request)]
                if len(found) >= count:
                    return found
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError(f"{len(found)} of {count} requests {verb} {resource}: {found}")
