from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dracore.cli import main

Run = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a short path: pytest's own may leave no room for a unix socket."""
    with tempfile.TemporaryDirectory(prefix="cli-") as path:
        yield Path(path)


@pytest.fixture
def dracore(folder: Path) -> Run:
    """Runs the program as a user does, in an empty folder."""

    def run(
        *arguments: str, env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dracore.cli", *arguments],
            capture_output=True,
            text=True,
            timeout=100,
            cwd=cwd or folder,
            env={**os.environ, **(env or {})},
        )

    return run


@pytest.fixture
def in_process(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """As `dracore`, without a process of its own: for many runs of what cannot tell the difference."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["dracore", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def examples() -> list[Path]:
    found = sorted((ROOT / "examples" / "nodes").glob("*.yaml"))
    assert len(found) == 9
    return found
