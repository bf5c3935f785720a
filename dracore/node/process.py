"""``dracore run`` as a process: signals, the watched file, the exit."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path

import structlog

from dracore.config import load
from dracore.errors import DracoreError
from dracore.node.plugin import NodePlugin
from dracore.observe.logs import configure_logs

LOOK_SECONDS = 2.0
"""How often the configuration file is looked at."""

_log = structlog.get_logger(__name__)


def run(file: Path, instance: str = "", *, level: int = logging.INFO) -> None:
    """Runs the node plugin until SIGTERM or SIGINT.

    :raises DracoreError: it cannot start.
    """
    # gRPC prints its own lines about failures that we report ourselves.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    loaded = load(file)
    configure_logs(loaded.configuration.observe.logs, level=level)
    ending, reloading = threading.Event(), threading.Event()

    def end(number: int, _: object) -> None:
        if ending.is_set():
            os._exit(128 + number)  # asked twice: the journal says what to undo
        ending.set()

    signal.signal(signal.SIGHUP, lambda *_: reloading.set())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    node = NodePlugin(loaded, instance=instance)
    node.start()
    seen = _stamp(file)
    while not ending.wait(LOOK_SECONDS if not reloading.is_set() else 0):
        stamp = _stamp(file)
        if stamp != seen or reloading.is_set():
            seen = stamp
            reloading.clear()
            reload(node, file)
    _log.info("ending: running calls are answered first")
    node.drain()
    node.stop()
    _log.info("ended")
    logging.shutdown()
    # Python waits for every thread at its exit; a hook that hangs must not keep the process.
    os._exit(0)


def reload(node: NodePlugin, file: Path) -> None:
    """Reads `file` again and takes over what can change."""
    try:
        loaded = load(file)
    except DracoreError as error:
        node.reload.failed(error)
        return
    node.reload.apply(loaded)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """Changes when the file does, also where it is a link that is swapped (a ConfigMap)."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
