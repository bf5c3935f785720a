"""The commands that read claims and expressions, on what is none: one clear error each, never a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-m", "dracore.cli"]
FILES = {
    "a folder": None,
    "no UTF-8": b"\xff\xfe\x00kind: Pod",
    "an anchor in itself": b"kind: List\nitems: &a\n- *a\n",
    "a name given twice": b"kind: Pod\n" + b"".join(b"k%d: 1\n" % n for n in range(20_000)) + b"k19999: 2\n",
    "a number that is none": b'{"kind": "Pod", "apiVersion": "v1", "n": NaN}',
    "brackets": b"[" * 100_000,
    "lists in lists": b'{"kind": "List", "items": [' * 200 + b"]}" * 200,
}
COMMANDS = {"simulate": 2, "explain": 2, "lint": 1}
"""Command to its exit status where the input is wrong."""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", FILES)
def test_files_that_are_none(tmp_path: Path, command: str, name: str) -> None:
    file, content = tmp_path / "file", FILES[name]
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    done = _run([command, "-f", str(file)])
    assert done.returncode == COMMANDS[command]
    told = done.stdout + done.stderr
    assert str(file) in told
    assert "Traceback" not in told
    assert "internal error" not in told
    assert len(told) < 1_000


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["simulate", "-f", "-"], 2),
        (["explain", "-f", "-"], 2),
        (["lint", "-f", "-"], 1),
        (["cel", "eval", "true", "--slices", "-"], 1),
    ],
    ids=["simulate", "explain", "lint", "cel eval"],
)
def test_standard_input_that_is_closed(command: list[str], status: int) -> None:
    closed = ["sh", "-c", 'exec "$0" "$@" <&-', *PROGRAM, *command]
    done = subprocess.run(closed, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert "standard input: is closed" in done.stdout + done.stderr


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *command], capture_output=True, text=True, check=False)
