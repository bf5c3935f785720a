"""``dracore status`` for people, of a real process on a node without a driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from dracore.testing.waiting import until


def test_a_node_without_a_driver(dracore: Any, folder: Path) -> None:
    """Nothing is offered, nothing simulated, and the text says why and what to do."""
    (folder / "node.yaml").write_text(
        "node: n\nplugins: {nvidia_gpu: {driverRoot: /nowhere}}\nkubelet: {rootDir: k}\n"
        "cdi: {dir: cdi}\nhost: {statusSocket: s.sock}\n"
    )
    env = {name: value for name, value in os.environ.items() if name not in ("KUBECONFIG", "POD_UID")}
    child = subprocess.Popen(
        [sys.executable, "-m", "dracore.cli", "run", "--config", "node.yaml"],
        cwd=folder,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:

        def said() -> str:
            assert child.poll() is None
            text: str = dracore("status", "--socket", "s.sock").stdout
            return text if "no libnvidia-ml.so.1" in text and "no kubeconfig is given" in text else ""

        text = until(said, "what status should say", 60)
    finally:
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    assert "SIMULATED" not in text
    below = text.partition("Not as it should be")[2]
    assert "not registered" in text
    assert "nvidia_gpu: driver root: /nowhere is no folder; set driverRoot" in below
    assert not (folder / "cdi").exists() or not list((folder / "cdi").iterdir())
