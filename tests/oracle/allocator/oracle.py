"""Builds the oracle, outside the checkout, and talks to it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).resolve().parent
SOURCES = ("main.go", "../go.mod", "../go.sum", "../frame/frame.go")
"""One module holds both oracles, and the frame that they share."""


class NotBuilt(RuntimeError):
    """There is no Go, or it does not build."""


def build(go: str | None = None) -> Path:
    """The program, built where it is not there yet.

    :raises NotBuilt: and why.
    """
    parts = [(HERE / name).read_bytes() for name in SOURCES]
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dracore" / "oracle"
    program = home / f"allocator-{digest}"
    if program.exists():
        return program
    go = go or shutil.which("go")
    if go is None:
        raise NotBuilt("there is no Go on PATH to build the oracle with")
    home.mkdir(parents=True, exist_ok=True)
    partial = home / f".allocator-{digest}.{os.getpid()}"
    settings = {"CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local", "PWD": str(HERE)}
    environment = {**os.environ, **settings}
    command = [go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-o", str(partial), "."]
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise NotBuilt(f"the oracle does not build:\n{done.stderr[-3000:]}")
    partial.rename(program)
    return program


class Oracle:
    """A running oracle; a context manager."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, case: Any) -> Any:
        """Its answer to a case."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the oracle ended"
        return json.loads(line)

    def __enter__(self) -> Oracle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()
