"""A scripted HTTP server: answers exactly what a test says, so that faults can be provoked one by one."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    handler: Any = field(repr=False)

    def json(self, content: Any, status: int = 200) -> None:
        data = json.dumps(content).encode()
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", "application/json")
        self.handler.send_header("Content-Length", str(len(data)))
        self.handler.end_headers()
        self.handler.wfile.write(data)

    def fail(self, status: int, reason: str = "", message: str = "") -> None:
        self.json({"kind": "Status", "reason": reason, "message": message, "code": status}, status)

    def begin_stream(self) -> None:
        self.handler.send_response(200)
        self.handler.send_header("Transfer-Encoding", "chunked")
        self.handler.end_headers()

    def event(self, kind: str, obj: Any) -> None:
        data = json.dumps({"type": kind, "object": obj}).encode() + b"\n"
        self.handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.handler.wfile.flush()

    def end_stream(self) -> None:
        self.handler.wfile.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Ends the connection without a word."""
        self.handler.close_connection = True
        self.handler.connection.shutdown(socket.SHUT_RDWR)


class ScriptedServer:
    """`answer(request)` is called for each request, on the connection's own thread."""

    def __init__(self, port: int = 0) -> None:
        self.answer: Callable[[Request], None] = lambda request: request.fail(404, "NotFound")
        self.requests: list[Request] = []
        self.connections = 0
        self.arrived = threading.Condition()
        self.released = threading.Event()
        self._sockets: set[socket.socket] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer.connections += 1
                outer._sockets.add(self.connection)

            def finish(self) -> None:
                outer._sockets.discard(self.connection)
                super().finish()

            def handle_any(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, parts.path, query, headers, body, self)
                with outer.arrived:
                    outer.requests.append(request)
                    outer.arrived.notify_all()
                try:
                    outer.answer(request)
                except OSError:
                    self.close_connection = True

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self.handle_any
                raise AttributeError(name)

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *args: object) -> None:
                pass  # connections that a test cuts

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_for(self, count: int, timeout: float = 20) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.requests) >= count, timeout), self.requests

    def stop(self) -> None:
        """Closes the listener and cuts every connection, as a process that dies does."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.stop()


@pytest.fixture
def scripted_at() -> Iterator[Callable[[int], ScriptedServer]]:
    """Starts further servers, at a given port."""
    servers: list[ScriptedServer] = []

    def start(port: int) -> ScriptedServer:
        servers.append(ScriptedServer(port))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
