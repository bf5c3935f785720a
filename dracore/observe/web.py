"""``/metrics``, ``/healthz`` and ``/readyz`` on one port."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog

from dracore.observe.exposition import CONTENT_TYPE, render
from dracore.observe.metrics import Metrics

RETRY_SECONDS = 10.0
"""How often a port that is taken is tried again."""

_log = structlog.get_logger(__name__)


class WebServer:
    """Serves metrics and health; a port that is taken is said once and tried again until it is free.

    :param health: what is wrong now, a line each; none: healthy. Really asks (it may take seconds).
    :param not_ready: what is not up yet, a line each; none: ready.
    :param port: 0 takes any free one; see :attr:`port`.
    """

    def __init__(
        self,
        port: int,
        metrics: Metrics,
        health: Callable[[], Sequence[str]],
        not_ready: Callable[[], Sequence[str]] = tuple,
        *,
        host: str = "",
        retry: float = RETRY_SECONDS,
    ) -> None:
        self._wanted = port
        self._host = host
        self._metrics = metrics
        self._questions = {"/healthz": health, "/readyz": not_ready}
        self._retry = retry
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._server: ThreadingHTTPServer | None = None
        self.serving = threading.Event()
        self.problem: str | None = None
        """Why the port is not served, for status; None where it is."""

    @property
    def port(self) -> int:
        """The port in use (0 while there is none)."""
        return self._server.server_address[1] if self._server else 0

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        handler = _handler(self._metrics, self._questions)
        while not self._stop.is_set():
            try:
                self._server = _Server((self._host, self._wanted), handler)
            except OSError as error:
                if self.problem is None:
                    self.problem = f"observe.port {self._wanted} cannot be served: {error.strerror or error}"
                    _log.warning(
                        "no metrics and no health page; trying again",
                        port=self._wanted,
                        error=str(error),
                        fix="set observe.port to a free port, or to null",
                    )
                self._stop.wait(self._retry)
                continue
            self.problem = None
            _log.info("metrics and health are served", port=self.port)
            with self._server:
                self.serving.set()
                # Not serve_forever: its shutdown() waits for ever where the loop has not begun yet.
                while not self._stop.is_set():
                    self._server.handle_request()
            return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Taken means taken: without this, two node plugins on one host would share the port's connections.
    allow_reuse_port = False
    timeout = 0.2


def _handler(
    metrics: Metrics, questions: Mapping[str, Callable[[], Sequence[str]]]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(HTTPStatus.OK, CONTENT_TYPE, render(metrics))
            elif path in questions:
                wrong = list(questions[path]())
                status = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
                self._answer(
                    status, "text/plain; charset=utf-8", "\n".join([*(wrong or ["ok"]), ""]).encode()
                )
            else:
                self._answer(
                    HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"/metrics, /healthz or /readyz\n"
                )

        def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """A scrape is not worth a log line."""

    return Handler
