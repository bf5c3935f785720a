"""One watch request: a stream of JSON events that another thread can end at once."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dracore.errors import Unreachable

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_READ_SIZE = 64 * 1024


class Watch:
    """Iterates over ``{"type", "object"}`` until the server or :meth:`close` ends the stream.

    Iteration ends quietly in both cases; a connection that breaks raises :class:`Unreachable`.
    """

    def __init__(self, response: BaseHTTPResponse, where: str, silence: float) -> None:
        self._response = response
        self._socket = getattr(response.connection, "sock", None)
        if isinstance(self._socket, socket.socket):
            self._socket.settimeout(silence)
        self._where = where
        self._lock = threading.Lock()
        self._closed = False
        self._finished = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        import urllib3

        pending = b""
        try:
            for chunk in self._chunks():
                pending += chunk
                if b"\n" not in chunk:
                    continue
                *lines, pending = pending.split(b"\n")
                for line in lines:
                    if self._closed:
                        return
                    if line.strip():
                        yield json.loads(line)
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            # AttributeError and ValueError: the socket was shut down under the reader.
            if not self._closed:
                raise Unreachable(f"the watch broke off: {error}", where=self._where) from error
        finally:
            self._finish()

    def close(self) -> None:
        """Ends the stream, also one that another thread is blocked on. May be called more than once."""
        with self._lock:
            if self._closed or self._finished:
                return
            self._closed = True
            if isinstance(self._socket, socket.socket):
                # Not SSLSocket.shutdown: it drops the TLS state that the reading thread is using.
                with contextlib.suppress(OSError):  # the peer was quicker
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _chunks(self) -> Iterator[bytes]:
        if getattr(self._response, "chunked", False):
            yield from self._response.stream(_READ_SIZE)
            return
        while data := self._response.read1(_READ_SIZE):
            yield data

    def _finish(self) -> None:
        with self._lock:
            self._finished = True
            # A stream that ended early is no use to anybody else: close, never back into the pool.
            self._response.close()
            self._response.release_conn()
