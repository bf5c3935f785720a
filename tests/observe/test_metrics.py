"""Counting without a library, rendering with one, and the page that shows it."""

from __future__ import annotations

import io
import json
import logging
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from dracore.observe.exposition import render
from dracore.observe.logs import configure_logs
from dracore.observe.metrics import Metrics, Sample
from dracore.observe.web import WebServer
from dracore.testing.waiting import until


def test_counting_needs_no_library() -> None:
    code = (
        "import sys, dracore.observe.metrics, dracore.observe.web; print('prometheus_client' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_what_was_counted_is_rendered() -> None:
    metrics = Metrics()
    metrics.called("gpu.example.com", "prepare", "ok", 0.004)
    metrics.called("gpu.example.com", "prepare", "ok", 0.004)
    metrics.called("gpu.example.com", "unprepare", "Busy", 100)
    metrics.add("inflight", "gpu.example.com", by=1)
    metrics.count("publish_writes_total", "gpu.example.com", "create", by=3)
    metrics.source(lambda: [Sample("claims", ("gpu.example.com", "prepared"), 7)])
    lines = render(metrics).decode().splitlines()
    assert 'dracore_prepare_total{driver="gpu.example.com",result="ok"} 2.0' in lines
    assert 'dracore_unprepare_total{driver="gpu.example.com",result="Busy"} 1.0' in lines
    assert 'dracore_inflight{driver="gpu.example.com"} 1.0' in lines
    assert 'dracore_publish_writes_total{driver="gpu.example.com",verb="create"} 3.0' in lines
    assert 'dracore_claims{driver="gpu.example.com",state="prepared"} 7.0' in lines
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)
    prepare = 'driver="gpu.example.com",method="prepare",result="ok"'
    assert f'dracore_call_seconds_bucket{{{prepare},le="0.0025"}} 0.0' in _ordered(lines)
    assert f'dracore_call_seconds_bucket{{{prepare},le="0.005"}} 2.0' in _ordered(lines)
    assert f'dracore_call_seconds_bucket{{{prepare},le="+Inf"}} 2.0' in _ordered(lines)
    slow = 'driver="gpu.example.com",method="unprepare",result="Busy"'
    assert f'dracore_call_seconds_bucket{{{slow},le="45.0"}} 0.0' in _ordered(lines)
    assert f'dracore_call_seconds_bucket{{{slow},le="+Inf"}} 1.0' in _ordered(lines)


def _ordered(lines: list[str]) -> list[str]:
    """Lines with `le` as the last label, wherever the library puts it."""
    out = []
    for line in lines:
        name, brace, rest = line.partition("{")
        labels, _, value = rest.rpartition("} ")
        if brace:
            parts = sorted(labels.split(","), key=lambda part: part.startswith("le="))
            line = f"{name}{{{','.join(parts)}}} {value}"
        out.append(line)
    return out


def test_labels_are_checked() -> None:
    with pytest.raises(TypeError, match="takes the labels"):
        Metrics().count("prepare_total", "only-a-driver")


@contextmanager
def running(server: WebServer) -> Iterator[WebServer]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


def get(server: WebServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_page() -> None:
    wrong: list[str] = []
    late = ["gpu.example.com: the driver is starting"]
    with running(WebServer(0, Metrics(), lambda: wrong, lambda: late, host="127.0.0.1")) as server:
        assert server.serving.wait(10)
        assert get(server, "/healthz") == (200, "ok\n")
        assert get(server, "/readyz") == (503, "gpu.example.com: the driver is starting\n")
        late.clear()
        assert get(server, "/readyz") == (200, "ok\n")
        wrong.append("gpu.example.com: GetInfo: UNAVAILABLE")
        assert get(server, "/healthz") == (503, "gpu.example.com: GetInfo: UNAVAILABLE\n")
        assert get(server, "/metrics")[0] == 200
        assert get(server, "/other")[0] == 404


def test_a_port_that_is_taken_is_said_and_tried_again() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        server = WebServer(port, Metrics(), list, host="127.0.0.1", retry=0.05)
        with running(server):
            assert f"observe.port {port} cannot be served" in until(lambda: server.problem, "a problem")
            other.close()
            assert server.serving.wait(20)
            assert server.problem is None
            assert get(server, "/healthz")[0] == 200


def test_stop_while_the_port_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with running(
            WebServer(other.getsockname()[1], Metrics(), list, host="127.0.0.1", retry=60)
        ) as server:
            assert not server.serving.is_set()


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.usefixtures("restored_logging")
def test_json_logs_bind_claim_and_driver() -> None:
    out = io.StringIO()
    configure_logs("json", stream=out)
    with structlog.contextvars.bound_contextvars(driver="gpu.example.com", claim="uid-1"):
        structlog.get_logger("a").info("prepared", ms=1.5)
        logging.getLogger("dracore.kube").warning("the watch %s", "broke")
    try:
        raise ValueError("boom")
    except ValueError:
        structlog.get_logger("a").exception("failed")
    structlog.get_logger("a").debug("unseen")
    first, second, third = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (first["event"], first["driver"], first["claim"], first["ms"], first["level"]) == (
        "prepared",
        "gpu.example.com",
        "uid-1",
        1.5,
        "info",
    )
    assert first["timestamp"].endswith("Z")
    assert (second["event"], second["claim"], second["level"]) == ("the watch broke", "uid-1", "warning")
    assert "ValueError: boom" in third["exception"]
    assert "claim" not in third


@pytest.mark.usefixtures("restored_logging")
def test_console_logs_are_for_people() -> None:
    out = io.StringIO()
    configure_logs("console", stream=out)
    structlog.get_logger("a").warning("something", where="here")
    assert "something" in out.getvalue()
    assert "where=here" in out.getvalue()
    assert "\x1b" not in out.getvalue(), "no colours into a file"
