"""``dracore run`` as a real process that notes its points, or dies at one of them.

python -m dracore.testing.crash.run --config FILE [--record FILE] [--die-at "POINT [DETAIL] [#N]"] [--armed F]
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dracore.node import run

_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class NamedPoints:
    """A seam for a process with threads, where the order of points is never twice the same.

    A point is known by its name, its detail (uids and folders left out) and how often it came before:
    ``effect.apply.after Mark mark/held-toy-0 #1``.

    :param record: a file that gets every point as a line.
    :param die_at: the point at which this process is killed; without its number: where it first comes.
    :param armed: a file that may come to hold such a point later; points count anew from then on.
    """

    def __init__(self, record: Path | None, die_at: str, armed: Path | None = None) -> None:
        self._file = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if record else -1
        self._die_at = die_at
        self._armed = armed
        self._count: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, point: str, detail: str = "") -> None:
        if "/" in detail and detail.startswith("/"):
            detail = detail.rpartition("/")[2]
        name = f"{point} {_UID.sub('UID', detail)}".rstrip()
        with self._lock:
            if self._armed is not None and not self._die_at and self._armed.exists():
                self._die_at = self._armed.read_text()
                self._count.clear()
            self._count[name] += 1
            numbered = f"{name} #{self._count[name]}"
            if self._file >= 0:
                os.write(self._file, f"{numbered}\n".encode())
        if self._die_at in (name, numbered):
            os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the node plugin with the seam."""
    parser = argparse.ArgumentParser(prog="python -m dracore.testing.crash.run", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--instance-id", default="")
    parser.add_argument("--record", type=Path)
    parser.add_argument("--die-at", default="")
    parser.add_argument("--armed", type=Path)
    chosen = parser.parse_args(arguments)
    run(chosen.config, chosen.instance_id, seam=NamedPoints(chosen.record, chosen.die_at, chosen.armed))


if __name__ == "__main__":
    main()
