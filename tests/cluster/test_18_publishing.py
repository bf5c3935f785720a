"""The tests of the publisher, against real API servers: where the embedded one disagrees, it is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from realcluster.controlplane import ApiServer

TESTS = Path(__file__).parents[1] / "publish"


def publish_tests(kubeconfig: Path, release: str, *names: str) -> int:
    """How many of them passed; all must."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "real", *names],
        cwd=TESTS.parents[1],
        env={**os.environ, "DRACORE_TEST_KUBECONFIG": str(kubeconfig), "DRACORE_TEST_KUBERNETES": release},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    return int(passed[1]) if passed else 0


@pytest.mark.timeout(300)
def test_the_current_release(api_server: ApiServer) -> None:
    assert publish_tests(Path(api_server.kubeconfig()), "1.37", "tests/publish") >= 80


@pytest.mark.timeout(300)
def test_an_older_release(emulated: Callable[[str], ApiServer]) -> None:
    older = emulated("1.34")
    assert publish_tests(Path(older.kubeconfig()), "1.34", "tests/publish/test_older_servers.py") >= 3
