"""``dracore explain-prepare`` asks the real process: of claims that are here, are gone, or never were."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from typing import Any

import pytest

from dracore.testing.kubelet import KubeletError

TOYS = "toys.example.com"


def explain(world: Any, uid: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "dracore.cli",
            "explain-prepare",
            uid,
            "--socket",
            world.folder / "status.sock",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def steps(text: str) -> list[str]:
    """The column WHAT of the lines that begin with a time."""
    lines = [line.split() for line in text.splitlines()]
    return [line[2] for line in lines if line and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line[0])]


def test_the_whole_life_of_a_claim(world: Any) -> None:
    world.ready()
    uid = world.claim("c", "toy-1")["metadata"]["uid"]
    (world.control / "held-toy-1").mkdir()  # a file cannot be written there
    with pytest.raises(KubeletError, match="mark/held-toy-1"):
        world.kubelet.run_pod("c", ["c"])
    (world.control / "held-toy-1").rmdir()
    world.kubelet.run_pod("c", ["c"], retry_for=20)
    code, out, _ = explain(world, uid)
    assert code == 0
    assert f"Claim default/c is prepared since {'20'}" in out
    told = steps(out)
    assert told.index("error") < told.index("prepared")
    assert {"preparing", "apply", "applied", "prepared"} <= set(told)
    assert "Mark mark/held-toy-1" in out
    world.kubelet.delete_pod("c")
    code, out, _ = explain(world, uid)
    assert code == 0
    assert f"Claim {uid} is not on this node now." in out
    assert steps(out)[-4:] == ["releasing", "revert", "reverted", "released"]


def test_what_cannot_be_told_is_one_clear_line(world: Any) -> None:
    process = world.ready()
    world.claim("c", "toy-1")
    world.kubelet.run_pod("c", ["c"])
    for uid, said in (
        ("0b5d4d6c-8d5f-4f26-9d6f-0a4a2c7f1e11", "nothing is known here of a claim with uid"),
        ("x" * 3000, "nothing is known here"),
        ("'; DROP TABLE claims; --", "a uid is one word"),
        ("", "a uid is one word"),
    ):
        code, out, error = explain(world, uid)
        assert code in (1, 2), uid
        assert out == ""
        assert said in error
        assert "Traceback" not in error
    path = world.kubelet.plugins_dir / TOYS / "journal.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    os.truncate(path, 100)
    code, _, error = explain(world, "0b5d4d6c-8d5f-4f26-9d6f-0a4a2c7f1e11")
    assert (code, len(error.splitlines())) == (1, 1)
    assert "cannot read the journal" in error
    assert "restart the driver" in error
    process.kill()
    code, _, error = explain(world, "0b5d4d6c-8d5f-4f26-9d6f-0a4a2c7f1e11")
    assert (code, len(error.splitlines())) == (1, 1)
    assert "no dracore answers here" in error
