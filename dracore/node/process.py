"""``dracore run`` as a process: signals, the watched file, the exit."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
from pathlib import Path

import structlog

from dracore.config import load
from dracore.errors import DracoreError
from dracore.model.seam import Seam, no_seam
from dracore.node.plugin import NodePlugin, offered
from dracore.observe.logs import configure_logs

LOOK_SECONDS = 2.0
"""How often the configuration file is looked at."""

_log = structlog.get_logger(__name__)


def run(file: Path, instance: str = "", *, level: int = logging.INFO, seam: Seam = no_seam) -> None:
    """Runs the node plugin until SIGTERM or SIGINT.

    :raises DracoreError: it cannot start.
    """
    # gRPC prints its own lines about failures that we report ourselves.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Until there is something to reload; its default would end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    seen = _stamp(file)  # before it is read: a change while the drivers start is one
    loaded = load(file, compile_filter=offered)
    configure_logs(loaded.configuration.observe.logs, level=level)
    signals = Signals()
    node = NodePlugin(loaded, instance=instance, seam=seam)
    node.start(lambda: signals.ending)
    while not signals.ending:
        hang_up = signals.wait(LOOK_SECONDS)
        stamp = _stamp(file)
        if not signals.ending and (hang_up or stamp != seen):
            seen = stamp
            reload(node, file)
    _log.info("ending: running calls are answered first")
    node.drain()
    node.stop()
    _log.info("ended")
    logging.shutdown()
    # Python waits for every thread at its exit; a hook that hangs must not keep the process.
    os._exit(0)


class Signals:
    """SIGTERM and SIGINT (a second one ends the process at once), and SIGHUP.

    Handlers run between any two instructions of the main thread, so they take no lock: a byte in a pipe
    wakes the main loop.
    """

    def __init__(self) -> None:
        self.ending = False
        self._reader, writer = os.pipe()
        for end in (self._reader, writer):
            os.set_blocking(end, False)
        signal.signal(signal.SIGHUP, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def wait(self, seconds: float) -> bool:
        """Sleeps until a signal or for `seconds`; True where SIGHUP was among the signals."""
        select.select([self._reader], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            return signal.SIGHUP in os.read(self._reader, 256)
        return False

    def _end(self, number: int, _: object) -> None:
        if self.ending:
            os._exit(128 + number)  # the journal says what to undo
        self.ending = True


def reload(node: NodePlugin, file: Path) -> None:
    """Reads `file` again and takes over what can change."""
    try:
        loaded = load(file, compile_filter=offered)
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
