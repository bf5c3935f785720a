"""The status socket: who may ask, what is answered, stale sockets, several instances."""

from __future__ import annotations

import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dracore.admin.client import ask, ask_youngest
from dracore.admin.server import AdminServer
from dracore.errors import ConfigError, DracoreError, SocketError


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="dra"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def servers() -> Iterator[list[AdminServer]]:
    started: list[AdminServer] = []
    yield started
    for server in started:
        server.stop()


def serve(
    servers: list[AdminServer], path: Path, started: str = "2026-01-01T00:00:00Z", **more: float
) -> AdminServer:
    server = AdminServer(
        path, {"status": lambda: {"at": path.name}, "instance": lambda: {"started": started, **more}}
    )
    server.start()
    servers.append(server)
    return server


def test_a_question_and_its_answer(folder: Path, servers: list[AdminServer]) -> None:
    server = serve(servers, folder / "new" / "status.sock")
    assert ask(server.path, "status") == {"at": "status.sock"}
    assert ask(server.path, "ping") == "pong"
    with pytest.raises(DracoreError, match="unknown command 'nonsense'; known: instance, ping, status"):
        ask(server.path, "nonsense")


def test_only_the_owner_may_ask(folder: Path, servers: list[AdminServer]) -> None:
    server = serve(servers, folder / "status.sock")
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600


def test_an_error_is_an_answer_and_the_server_lives_on(folder: Path) -> None:
    def refuse() -> None:
        raise ConfigError("no", where="here", fix="do that")

    def break_() -> None:
        raise KeyError("x")

    server = AdminServer(folder / "status.sock", {"refuse": refuse, "break": break_})
    server.start()
    try:
        with pytest.raises(DracoreError, match="here: no; do that"):
            ask(server.path, "refuse")
        with pytest.raises(DracoreError, match="internal error: KeyError"):
            ask(server.path, "break")
        assert ask(server.path, "ping") == "pong"
    finally:
        server.stop()
    assert list(folder.iterdir()) == []


def test_a_client_that_says_nothing_does_not_block_others(folder: Path, servers: list[AdminServer]) -> None:
    server = serve(servers, folder / "status.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.connect(str(server.path))
        assert ask(server.path, "ping") == "pong"


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(folder: Path, servers: list[AdminServer]) -> None:
    path = folder / "status.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    server = serve(servers, path)
    assert ask(path, "ping") == "pong"
    with pytest.raises(SocketError, match="another process already serves"):
        AdminServer(path, {}).start()
    assert ask(server.path, "ping") == "pong"


def test_a_file_in_the_way_is_kept(folder: Path) -> None:
    path = folder / "status.sock"
    path.write_text("precious")
    with pytest.raises(SocketError, match="in the way"):
        AdminServer(path, {}).start()
    assert path.read_text() == "precious"


def test_a_folder_that_cannot_be_made(folder: Path) -> None:
    (folder / "run").write_text("")
    with pytest.raises(SocketError, match=r"set host\.statusSocket"):
        AdminServer(folder / "run" / "status.sock", {}).start()


def test_nobody_answers(folder: Path) -> None:
    with pytest.raises(SocketError, match="no dracore answers here"):
        ask_youngest(folder / "status.sock")


def test_the_youngest_instance_is_asked(folder: Path, servers: list[AdminServer]) -> None:
    base = folder / "status.sock"
    serve(servers, folder / "status-old.sock", "2026-01-01T00:00:00Z")
    serve(servers, folder / "status-new.sock", "2026-01-02T00:00:00Z")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(folder / "status-dead.sock"))
    assert ask_youngest(base) == {"at": "status-new.sock"}


def test_the_youngest_is_not_told_by_the_time_of_day(folder: Path, servers: list[AdminServer]) -> None:
    """The clock was set back between the two starts. One of an older version does not say its uptime."""
    serve(servers, folder / "status-a.sock", "2026-01-02T00:00:00Z", uptime=100.0)
    serve(servers, folder / "status-b.sock", "2026-01-01T00:00:00Z", uptime=200.0)
    serve(servers, folder / "status-c.sock", "2026-01-03T00:00:00Z")
    assert ask_youngest(folder / "status.sock") == {"at": "status-b.sock"}
