"""`dracore run` on a node, as an operator would start it there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

from .api import Object
from .bare import BareNode
from .controlplane import ApiServer
from .node import Node
from .process import Component, wait_for
from .workspace import kubectl

DRACORE = Path(sys.executable).parent / "dracore"
# Plugins of the tests' own, installed by standing on the path with their metadata.
PLUGINS = Path(__file__).resolve().parent.parent / "plugins"

GPU = "gpu.nvidia.com"
TESTBED = "testbed.dracore.test"
DRIVER_OF = {"nvidia_gpu": GPU, "testbed": TESTBED, "site": GPU}


def node_configuration(
    node: str, kubeconfig: Path, kubelet: Path, cdi: Path, boot_id: Path, status_socket: Path,
    plugins: Object, simulation: Object | None, **more: Any,
) -> Object:  # fmt: skip
    """A NodeConfiguration as an operator writes it; `more` are further sections."""
    config: Object = {
        "apiVersion": "dracore.dev/v1alpha1",
        "kind": "NodeConfiguration",
        "node": node,
        "plugins": plugins,
        "kube": {"kubeconfig": str(kubeconfig)},
        "kubelet": {"rootDir": str(kubelet)},
        "host": {"bootIdFile": str(boot_id), "statusSocket": str(status_socket)},
        "cdi": {"dir": str(cdi)},
        "observe": {"logs": "json"},
        **more,
    }
    if simulation is not None:
        config["simulation"] = simulation
    return config


class Driver:
    """start, stop (SIGTERM), kill (SIGKILL), and looks at what it keeps.

    plugins: their sections; by default `nvidia_gpu` alone. simulate: the simulated node, or None.
    instance: for a second instance beside the first (`--instance-id`); both share configuration paths.
    more: further sections of the configuration.
    """

    def __init__(
        self, node: Node | BareNode, plane: ApiServer, plugins: Object | None = None,
        simulate: str | None = "dgx-h100", instance: str | None = None, **more: Any,
    ) -> None:  # fmt: skip
        self.node = node
        self.plane = plane
        self.plugins = plugins if plugins is not None else {"nvidia_gpu": {}}
        self.drivers = sorted({DRIVER_OF[plugin] for plugin in self.plugins})
        self.instance = instance
        self.name = f"driver-{node.name}" + (f"-{instance}" if instance else "")
        self.state = node.folder / "sim"
        self.config = node.folder / f"{self.name}.yaml"
        user = f"driver-{node.short}" if f"driver-{node.short}" in plane.tokens else "admin"
        simulation = {"node": simulate, "stateDir": str(self.state)} if simulate else None
        self.settings = node_configuration(
            node.name, plane.kubeconfig(user), node.kubelet_dir, node.cdi, node.boot_id, node.status_socket,
            self.plugins, simulation, **more,
        )  # fmt: skip
        self._component = Component(self.name, [], node.logs / f"{self.name}.log", self._environment())

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, [str(PLUGINS), os.environ.get("PYTHONPATH", "")]))
        return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}

    # ------------------------------------------------------------------- life

    @property
    def running(self) -> bool:
        return self._component.running

    @property
    def pid(self) -> int:
        return self._component.pid

    @property
    def log(self) -> Path:
        return self._component.log

    def write_config(self) -> None:
        self.config.write_text(yaml.safe_dump(self.settings, sort_keys=False))

    def start(self) -> None:
        self.write_config()
        command = [str(DRACORE), "run", "--config", str(self.config)]
        if self.instance:
            command += ["--instance-id", self.instance]
        self._component.command = self.node.inside(command)
        self._component.start()

    def stop(self, grace: float = 50.0) -> int | None:
        """SIGTERM. The exit code; a driver has 40 s for running calls."""
        return self._component.stop(grace)

    def kill(self) -> None:
        """SIGKILL."""
        self._component.kill()

    def freeze(self) -> None:
        """SIGSTOP: it is there and does not answer."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def wait_published(self, timeout: float = 30.0) -> None:
        """Until the kubelet has registered every driver of this process and its slices are on the server."""

        def published() -> bool:
            self._component.check_running()
            status = self.status()
            drivers = {entry["name"]: entry for entry in status["drivers"]}
            for name in self.drivers:
                assert name in drivers, status
                assert drivers[name]["registered"], status
                assert drivers[name]["published"], status
                assert self.slices(name), f"no slice of {name} for {self.node.name}"
            return True

        wait_for(f"{self.name} has registered and published (log {self.log})", published, timeout, every=0.3)

    def forget(self) -> None:
        """Removes what a stopped driver leaves behind by design: journal, hardware, slices."""
        for name in self.drivers:
            shutil.rmtree(self.node.plugin_dir(name), ignore_errors=True)
            self.plane.api.delete_all(
                "ResourceSlice", fields=f"spec.driver={name},spec.nodeName={self.node.name}"
            )
        shutil.rmtree(self.state, ignore_errors=True)
        for path in self.node.cdi_files():
            path.unlink()

    # ---------------------------------------------------------------- looking

    def simulator(self, *arguments: str) -> None:
        """Something happens to the simulated hardware: simulator("fault", "lost", "gpu", uuid)."""
        program = [sys.executable, "-m", "dracore_nvidia_gpu.sim", "--state-dir", str(self.state)]
        self.node.run([*program, *arguments])

    def degradations(self, driver: str) -> list[str]:
        """What the driver says of itself that is not as it should be."""
        [entry] = [entry for entry in self.status()["drivers"] if entry["name"] == driver]
        texts: list[str] = entry["degradations"]
        return texts

    def cli(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A `dracore` command on this node."""
        return self.node.run([str(DRACORE), *arguments], check=check, environment=self._environment())

    def status(self) -> Object:
        """`dracore status -o json`; fails the test when there is no answer."""
        answer = self.cli("status", "-o", "json", "--socket", str(self.node.status_socket), check=False)
        assert answer.returncode == 0, f"dracore status: {answer.stderr or answer.stdout}"
        status: Object = json.loads(answer.stdout)
        return status

    def apply_manifests(self) -> None:
        """What an operator does once: `dracore manifests --config FILE | kubectl apply -f -`."""
        self.write_config()
        manifests = self.cli("manifests", "--config", str(self.config)).stdout
        kubectl(self.plane, "apply", "--server-side", "-f", "-", stdin=manifests)

    def slices(self, driver: str | None = None) -> list[Object]:
        """This node's slices on the server."""
        fields = f"spec.nodeName={self.node.name}" + (f",spec.driver={driver}" if driver else "")
        return self.plane.api.list("ResourceSlice", fields=fields)

    def devices(self, driver: str = GPU) -> dict[str, Object]:
        """Published devices by name."""
        return {
            device["name"]: device
            for part in self.slices(driver)
            for device in part["spec"].get("devices", [])
        }

    def prepared(self) -> dict[str, Object]:
        """Claims that the running driver has a record of, by uid."""
        return {claim["uid"]: claim for claim in self.status()["claims"]}

    def journal_rows(self, driver: str = GPU) -> dict[str, int]:
        """Rows of the journal's tables about claims; read from the file, so also of a dead driver."""
        rows: dict[str, int] = {}
        for path in self.node.plugin_dir(driver).iterdir():
            if path.is_file() and path.read_bytes()[:15] == b"SQLite format 3":
                with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as journal:
                    for table in ("claims", "devices", "specs", "effects", "holders"):
                        rows[table] = journal.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        assert rows, f"no journal in {self.node.plugin_dir(driver)}"
        return rows

    def left(self, claim_uid: str | None = None) -> list[str]:
        """What the driver still has of claims (of one, or of any), as texts; empty when all is released."""
        status = self.status()
        found = [f"record {c['uid']} {c['state']}" for c in status["claims"] if claim_uid in (None, c["uid"])]
        for effect in status["effects"]:
            holders = [holder for holder in effect["holders"] if not holder.startswith("plugin:")]
            orphaned = not effect["holders"]
            if (claim_uid in holders) if claim_uid else (holders or orphaned):
                found.append(f"effect {effect['kind']} {effect['key']} {effect['state']} held by {holders}")
        for driver in self.drivers:
            found += [f"CDI file {path.name}" for path in self.node.cdi_files(driver, claim_uid or "")]
        return found

    def wait_nothing_left(self, timeout: float = 20.0, claim_uid: str | None = None) -> None:
        def nothing() -> bool:
            assert not (left := self.left(claim_uid)), left
            return True

        wait_for(f"{self.name} has released everything", nothing, timeout, every=0.5)

    def check_nothing_left(self) -> None:
        """After a test: nothing in status, in the journal or in the CDI folder."""
        self.wait_nothing_left(timeout=10)
        for driver in self.drivers:
            rows = self.journal_rows(driver)
            node_wide = {"effects", "holders"}  # a plugin's own may stay; status has told them apart
            assert not {table: count for table, count in rows.items() if count and table not in node_wide}, (
                rows
            )
