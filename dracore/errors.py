"""Every error a user can meet, in one hierarchy.

An error says what happened, where (file and field, plugin and hook, claim, device) and what to do about it.
``str(error)`` is one line for a person; it is what the kubelet puts into the pod's event, so it names no
namespace. Anything that is not a :class:`DracoreError` is a defect of dracore or of a plugin.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

EVENT_LIMIT = 200
"""Longest text of an error that is meant for a pod's event, in characters."""


def writable(text: str) -> str:
    """`text` as it can be stored and sent.

    A file name that is no UTF-8 comes from Python with lone surrogates (PEP 383), which neither SQLite nor
    protobuf takes; they are written out (``\\udcff``).
    """
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


class DracoreError(Exception):
    """What happened, where, and what to do.

    :param what: one sentence without a final full stop.
    :param where: the place: ``gpu.yaml: plugins.nvidia_gpu.driverRoot``, ``plugin nic, hook dra_prepare``.
    :param fix: what the reader can do, an imperative.
    """

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        return writable(_joined(self.where or "", self.what, self.fix or ""))

    def for_event(self, namespace: str = "") -> str:
        """The error in at most :data:`EVENT_LIMIT` characters, one line, whatever it was made of.

        What is too long loses its middle: the place keeps its end, what happened its beginning and its end
        (the cause), and what to do stays.

        :param namespace: the claim's, which is left out: the pod's event is in it.
        """
        where, what, fix = (_line(part or "", namespace) for part in (self.where, self.what, self.fix))
        if len(_joined(where, what, fix)) > EVENT_LIMIT:
            where, fix = _shortened(where, _WHERE_LIMIT, head=0.2), _shortened(fix, _FIX_LIMIT, head=1)
            what = _shortened(what, EVENT_LIMIT - len(_joined(where, "", fix)), head=0.6)
        return _joined(where, what, fix)


_WHERE_LIMIT, _FIX_LIMIT = 50, 70


def _joined(where: str, what: str, fix: str) -> str:
    text = f"{where}: {what}" if where else what
    return f"{text}; {fix}" if fix else text


def _line(text: str, namespace: str) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in writable(text)).split())
    if namespace:
        name = re.escape(namespace)
        text = re.sub(rf'(?: in)?(?: the)? namespaces? "?{name}"?(?![\w.-])', "", text)
        text = re.sub(rf"(?<![\w.-]){name}/", "", text)
    return text


def _shortened(text: str, limit: int, *, head: float) -> str:
    """`text` in at most `limit` characters; of what is kept, the part `head` is its beginning."""
    if len(text) <= limit:
        return text
    first = int((limit - 1) * head)
    last = limit - 1 - first
    return f"{text[:first].rstrip()}…{text[-last:].lstrip() if last else ''}"


# --- configuration and plugins ------------------------------------------------------------------------


class ConfigError(DracoreError):
    """A configuration file, setting or opaque parameter is wrong. ``problems`` holds every fault found."""

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        fix: str | None = None,
        problems: Sequence[DracoreError] = (),
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.problems = tuple(problems)


class PluginError(DracoreError):
    """A plugin could not be found, loaded, ordered, or one of its hooks failed."""


class SelectorError(DracoreError):
    """A CEL expression does not compile, or failed on a device."""


class LimitError(DracoreError):
    """A device, counter set or slice breaks a limit of the Kubernetes API (KEP-4381 and its successors)."""


# --- the API server -----------------------------------------------------------------------------------


class KubeError(DracoreError):
    """The API server answered with an error, or did not answer.

    ``status`` is the HTTP status, ``reason`` the machine-readable reason of the Status object.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        fix: str | None = None,
        status: int | None = None,
        reason: str | None = None,
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.status = status
        self.reason = reason


class NotFound(KubeError):
    """404: the object does not exist."""


class Conflict(KubeError):
    """409: somebody else changed or created the object."""


class Gone(KubeError):
    """410: the resource version or continue token is too old; list again."""


class Invalid(KubeError):
    """400 or 422: the server refuses the object's content."""


class Forbidden(KubeError):
    """401 or 403: the credentials do not allow this."""


class Unreachable(KubeError):
    """No answer, or one that says to try again (connection, time-out, 429, 5xx)."""


# --- claims and the node ------------------------------------------------------------------------------


class ClaimError(DracoreError):
    """A claim cannot be prepared or unprepared now."""


class DeviceGone(ClaimError):
    """An allocated device is not on this node any more."""


class DeviceBusy(ClaimError):
    """An allocated device is still prepared for another claim (see the overlap guard)."""


class Waiting(ClaimError):
    """A claim waits for something that others bring about; the kubelet asks again."""


class Busy(ClaimError):
    """Too many calls at once, or a lock that did not come free in time; the kubelet asks again."""


class Superseded(ClaimError):
    """A newer attempt has taken this claim over; this one changed nothing."""


class EffectConflict(ClaimError):
    """Another holder holds the same key with another kind or other parameters."""


class EffectRefused(ClaimError):
    """An effect's ``before`` found the node in a state that it must not change."""


class EffectFailed(ClaimError):
    """An effect's apply or revert failed."""


# --- files and processes ------------------------------------------------------------------------------


class CdiError(DracoreError):
    """Container edits contradict each other, or a CDI spec could not be written."""


class JournalError(DracoreError):
    """The journal cannot be read or written."""


class JournalBusy(JournalError):
    """Another process holds the journal; the kubelet asks again, and a start goes on trying."""


class JournalTooNew(JournalError):
    """The journal was written by a newer MAJOR version; nothing was changed."""


class SocketError(DracoreError):
    """A unix socket cannot be served or reached."""


class AllocationError(DracoreError):
    """A claim cannot be allocated on the given devices, and why."""
