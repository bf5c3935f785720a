"""Socket files: shown when served, never taken from a live process, swept when dead."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dracore.errors import SocketError
from dracore.kubelet import names, sockets

UID = "0f9b1c52-7d0e-4a34-9f0a-2c1de0a1b2c3"
OTHER = "11111111-7d0e-4a34-9f0a-2c1de0a1b2c3"
DRIVER = "gpu.example.com"


@pytest.fixture
def bind() -> Iterator[Callable[..., Path]]:
    """Leaves a socket at a path: a live one that listens, or a dead one."""
    held: list[socket.socket] = []

    def make(path: Path, *, live: bool = False) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(str(path))
        if live:
            sock.listen(1)
            held.append(sock)
        else:
            sock.close()
        return path

    yield make
    for sock in held:
        sock.close()


def test_liveness(folder: Path, bind: Callable[..., Path]) -> None:
    assert sockets.liveness(folder / "none.sock") == "absent"
    assert sockets.liveness(bind(folder / "dead.sock")) == "dead"
    assert sockets.liveness(bind(folder / "live.sock", live=True)) == "live"


def test_a_full_backlog_is_life(
    folder: Path, bind: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "CONNECT_TIMEOUT", 0.05)
    path = bind(folder / "busy.sock", live=True)
    waiting = []
    for _ in range(3):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.setblocking(False)
        client.connect_ex(str(path))
        waiting.append(client)
    assert sockets.liveness(path) == "live"
    for client in waiting:
        client.close()


def test_a_stale_socket_of_the_same_name_is_replaced(
    folder: Path, bind: Callable[..., Path], serve: Callable[..., object]
) -> None:
    bind(folder / "reg" / f"{DRIVER}-reg.sock")
    bind(folder / "plugins" / DRIVER / "dra.sock")
    bind(folder / "plugins" / DRIVER / names.hidden_name("dra.sock"))
    served = serve()
    assert served.info().name == DRIVER  # type: ignore[attr-defined]


def test_a_live_socket_of_the_same_name_is_never_taken(
    folder: Path, bind: Callable[..., Path], serve: Callable[..., object]
) -> None:
    path = bind(folder / "reg" / f"{DRIVER}-reg.sock", live=True)
    with pytest.raises(SocketError, match=r"another process already serves this socket; .*--instance-id"):
        serve()
    assert path.exists()
    assert not (folder / "plugins" / DRIVER / "dra.sock").exists(), "the half that was served is gone again"


def test_a_live_server_whose_name_was_removed_is_noticed(folder: Path, serve: Callable[..., object]) -> None:
    first = serve()
    first.endpoint._stop.set()  # type: ignore[attr-defined] # its watcher would bring the name back
    first.endpoint._watcher.join()  # type: ignore[attr-defined]
    (folder / "reg" / f"{DRIVER}-reg.sock").unlink()
    (folder / "plugins" / DRIVER / "dra.sock").unlink()
    with pytest.raises(SocketError, match="another process"):
        serve()


def test_a_file_in_the_way_is_not_deleted(folder: Path, serve: Callable[..., object]) -> None:
    path = folder / "plugins" / DRIVER / "dra.sock"
    path.parent.mkdir(parents=True)
    path.write_text("precious")
    with pytest.raises(SocketError, match="not a socket is in the way"):
        serve()
    assert path.read_text() == "precious"


def test_folders_are_made_for_us_alone(folder: Path, serve: Callable[..., object]) -> None:
    serve()
    assert stat.S_IMODE((folder / "plugins" / DRIVER).stat().st_mode) == 0o750


def test_a_folder_that_cannot_be_made_is_one_clear_error(folder: Path, serve: Callable[..., object]) -> None:
    (folder / "plugins").write_text("a file")
    with pytest.raises(SocketError, match=r"the folder .* cannot be made: .*configure another folder"):
        serve()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_one_clear_error(folder: Path, serve: Callable[..., object]) -> None:
    (folder / "reg").mkdir(mode=0o555)
    with pytest.raises(SocketError, match="is not writable"):
        serve()


def test_dead_instances_are_swept_and_live_ones_stay(folder: Path, bind: Callable[..., Path]) -> None:
    registry, data = folder / "reg", folder / "plugins" / DRIVER
    long_token = names.dra_names(DRIVER, OTHER)[1].removeprefix("dra-").removesuffix(".sock")
    longest = names.dra_names(DRIVER, "another")[1].removeprefix("dra-").removesuffix(".sock")
    dead = [
        bind(registry / f"{DRIVER}-{UID}-reg.sock"),
        bind(registry / names.registration_names(DRIVER, UID)[1]),
        bind(registry / f"{DRIVER}-old-reg.sock"),  # an id that is no pod uid: known by its DRA socket
        bind(data / "dra-old.sock"),
        bind(data / f"dra-{UID}.sock"),
        bind(data / f"dra-{long_token}.sock"),
        bind(registry / f"dra-{long_token}-reg.sock"),
        bind(data / f"d-{longest[:11]}.sock"),
        bind(registry / f"dra-{longest}-reg.sock"),
    ]
    kept = [
        bind(registry / f"{DRIVER}-{OTHER}-reg.sock", live=True),
        bind(data / f"dra-{OTHER}.sock", live=True),
        bind(registry / "other.example.com-reg.sock"),
        bind(registry / f"{DRIVER}-unknown-reg.sock"),
        bind(data / "something.sock"),
    ]
    own = names.socket_paths(DRIVER, registry, data, "mine")
    kept += [bind(own.registration), bind(own.dra)]
    removed = sockets.sweep(DRIVER, registry, data, own)
    assert sorted(removed) == sorted(dead)
    assert not any(path.exists() for path in dead)
    assert all(path.exists() for path in kept)
    assert removed.index(dead[0]) < removed.index(dead[4]), "the registration goes first"


def test_a_folder_that_is_removed_while_a_socket_is_made_in_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the day, said and tried again: the thread that watches the sockets lives on."""
    home = folder / "home"
    make = sockets.grpc.server

    def serve(pool: Executor) -> Any:
        server = make(pool)
        start = server.start

        def removed_then_started() -> None:
            shutil.rmtree(home)
            start()

        server.start = removed_then_started
        return server

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(sockets.grpc, "server", serve)
        server = sockets.SocketServer(home / "s.sock", [], pool, what="a socket")
        with pytest.raises(SocketError, match="removed while it was made"):
            server.start()
        monkeypatch.undo()
        server.start()
        assert sockets.liveness(home / "s.sock") == "live"
        monkeypatch.setattr(sockets.grpc, "server", serve)
        shutil.rmtree(home)
        home.mkdir()
        with pytest.raises(SocketError, match="removed while it was made"):
            server.repair()
        monkeypatch.undo()
        home.mkdir()
        assert server.repair()
        assert sockets.liveness(home / "s.sock") == "live"
        server.stop()
