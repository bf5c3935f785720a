"""A place to run a driver without a kubelet of its own: folders of this machine, no namespaces, no root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

from .api import Api


class BareNode:
    """What a driver needs of a node; who plays the kubelet is the test's affair.

    Its folder has a short path of its own, for sockets, and goes with `stop`.
    """

    def __init__(self, name: str, logs: Path) -> None:
        self.name = name
        self.short = name
        self.logs = logs
        self.folder = Path(tempfile.mkdtemp(prefix="drb-"))
        self.kubelet_dir = self.folder / "kubelet"
        self.cdi = self.folder / "cdi"
        self.boot_id = self.folder / "boot_id"
        self.status_socket = self.folder / "status.sock"

    def start(self, api: Api) -> None:
        """Makes the folders, and the Node object that slices belong to."""
        for folder in (self.kubelet_dir / "plugins_registry", self.kubelet_dir / "plugins", self.cdi):
            folder.mkdir(parents=True)
        self.boot_id.write_text(f"{uuid.uuid4()}\n")
        api.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name}})

    def stop(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def inside(self, command: list[str]) -> list[str]:
        return command

    def run(
        self,
        command: list[str],
        check: bool = True,
        timeout: float = 60.0,
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def plugin_dir(self, driver: str) -> Path:
        return self.kubelet_dir / "plugins" / driver

    def cdi_files(self, driver: str = "", claim_uid: str = "") -> list[Path]:
        return sorted(self.cdi.glob(f"dracore-{driver or '*'}-{claim_uid}*.json"))
