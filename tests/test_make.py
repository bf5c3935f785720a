"""`make` and `.ci/run` where something is missing or fails, with stand-ins for the programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TIERS = ("check", "test", "cluster-test")
OLD = "exit 1"
NO_VENV = 'case "$*" in *ensurepip*) exit 1;; esac; exit 0'
GOOD = r"""
case "$*" in
  "-m venv "*) mkdir -p "$3/bin"
    for name in pip dracore; do
      printf '#!/bin/sh\necho "$0"\n' >"$3/bin/$name"
      chmod +x "$3/bin/$name"
    done;;
esac
"""


def program(path: Path, code: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{code}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make` and `.ci/run` look at, and nothing else."""
    folder = tmp_path / "checkout"
    for name in ("Makefile", "pyproject.toml", "plugins/nvidia_gpu/pyproject.toml", ".ci/run"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "requirements").mkdir()
    (folder / "requirements/dev.txt").touch()
    (folder / "tests/cluster").mkdir(parents=True)
    (folder / "tests/cluster/build.py").touch()
    return folder


def make(checkout: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PYTHON"))
    }
    return subprocess.run(
        ["make", "--no-print-directory", *map(str, arguments)],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


# --- make -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("python", "said"),
    [
        (OLD, "is missing or older than Python 3.11: install Debian's python3 and python3-venv"),
        (NO_VENV, "cannot make a virtual environment: install Debian's python3-venv"),
    ],
)
def test_a_python_that_will_not_do(checkout: Path, tmp_path: Path, python: str, said: str) -> None:
    fake = program(tmp_path / "python", python)
    done = make(checkout, "test", f"PYTHON={fake}")
    assert done.returncode == 2
    message, outcome = (done.stdout + done.stderr).splitlines()
    assert message.startswith(f"make: '{fake}' {said}")
    assert outcome.startswith("make: ***")
    assert not (checkout / ".venv").exists()


def test_the_environment_is_made_once_and_anew_for_another_python(checkout: Path, tmp_path: Path) -> None:
    first, second = (program(tmp_path / name, GOOD) for name in ("one", "two"))
    assert make(checkout, "demo", f"PYTHON={first}").stdout.endswith(".venv/bin/dracore\n")
    mark = checkout / ".venv/mark"
    mark.touch()
    for arguments in ([], [f"PYTHON={first}"]):
        assert make(checkout, "demo", *arguments).stdout == ".venv/bin/dracore\n"
        assert mark.exists(), arguments
    assert make(checkout, "demo", f"PYTHON={second}").returncode == 0
    assert not mark.exists()


# --- .ci/run ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tiers", "red"),
    [
        ('echo "12 passed in 1s"', {}),
        ('echo "12 passed in 1s"; [ $tier != test ]', {"test": "RED (exit 1)"}),
        ('[ $tier = check ] && kill -9 $$; echo "12 passed in 1s"', {"check": "RED (exit 137)"}),
        (
            '[ $tier = cluster-test ] && echo "16 skipped in 1s" || echo "12 passed in 1s"',
            {"cluster-test": "RED (exit 1)"},
        ),
        ('[ $tier != cluster-test ] && echo "12 passed"; exit 5', dict.fromkeys(TIERS, "RED (exit 5)")),
    ],
)
def test_the_verdict_of_ci(checkout: Path, tmp_path: Path, tiers: str, red: dict[str, str]) -> None:
    folder = tmp_path / "bin"
    program(folder / "make", f"for tier; do :; done\n{tiers}")
    done = ci(checkout, folder)
    lines = done.stdout.partition("=== result")[2].splitlines()[1:]
    verdicts = {line.split()[0]: line.split(None, 1)[1].partition(" in ")[0] for line in lines}
    assert set(TIERS) <= set(verdicts)
    assert {name: verdicts[name] for name in TIERS} == {**dict.fromkeys(TIERS, "green"), **red}
    assert done.returncode == bool(red)


def test_ci_ends_where_packages_cannot_be_had(checkout: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    (checkout / "tests/cluster/build.py").write_text("print('crun openssl')\n")
    program(folder / "apt-get", 'echo "apt-get $*"; [ $1 = update ]')
    program(folder / "make", 'echo "12 passed"')
    done = ci(checkout, folder)
    assert done.returncode == 1
    assert "installing: crun openssl\napt-get update -qq\napt-get install" in done.stdout
    assert "=== make" not in done.stdout


def ci(checkout: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / ".ci/run"],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
