from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dracore.admin.client import ask, ask_youngest
from dracore.errors import DracoreError
from dracore.testing.apiserver import EmbeddedAPI
from dracore.testing.kubelet import FakeKubelet
from dracore.testing.waiting import until

PACKAGE = Path(__file__).parent / "package"
LOCKER = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
os.kill(os.getpid(), signal.SIGSTOP)
"""
TOYS, DOLLS = "toys.example.com", "dolls.example.com"


@dataclass
class Process:
    """``dracore run`` as a real process."""

    config: Path
    log: Path
    status_socket: Path
    instance: str = ""
    package: Path = PACKAGE
    child: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> Process:
        arguments = ["run", "--config", str(self.config)]
        if self.instance:
            arguments += ["--instance-id", self.instance]
        environment = {name: value for name, value in os.environ.items() if name != "POD_UID"}
        environment["PYTHONPATH"] = str(self.package)
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "dracore.cli", *arguments], stdout=out, stderr=out, env=environment
            )
        return self

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def said(self, text: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if text in line["event"]]

    def status(self) -> dict[str, Any] | None:
        try:
            if self.instance:
                answer = ask(self.status_socket.with_name(f"status-{self.instance}.sock"), "status")
            else:
                answer = ask_youngest(self.status_socket)
        except DracoreError:
            assert self.child.poll() is None, self.log.read_text()[-3000:]
            return None
        return answer

    def registered(self) -> bool:
        status = self.status()
        return status is not None and all(driver["registered"] for driver in status["drivers"])

    def degradations(self, driver: str = "") -> list[str]:
        """Of that driver, of the first one by default; nothing where the process does not answer yet."""
        status = self.status()
        found = [d for d in status["drivers"] if driver in ("", d["name"])] if status else []
        return list(found[0]["degradations"]) if found else []

    def page(self, path: str = "/healthz") -> tuple[int, str]:
        """What its port answers, as soon as there is one."""
        (line,) = until(lambda: self.said("metrics and health"), "the port")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{line['port']}{path}", timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metrics(self) -> list[str]:
        return self.page("/metrics")[1].splitlines()

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()

    def signal(self, number: int) -> None:
        self.child.send_signal(number)

    def stop(self) -> int:
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class World:
    """One node: an API server and a kubelet in this process, node plugins as processes of their own."""

    def __init__(self, api: EmbeddedAPI, kubelet: FakeKubelet, folder: Path) -> None:
        self.api = api
        self.kubelet = kubelet
        self.folder = folder
        self.control = folder / "control"
        self.control.mkdir()
        self.cdi = folder / "cdi"
        self.boot_id = folder / "boot_id"
        self.boot_id.write_text("boot-1\n")
        self.kubeconfig = api.write_kubeconfig(folder / "kubeconfig")
        self.processes: list[Process] = []
        api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}})

    until = staticmethod(until)

    # --- the node plugin ----------------------------------------------------------------------------

    def configure(self, name: str = "node.yaml", **more: Any) -> Path:
        content: dict[str, Any] = {
            "apiVersion": "dracore.dev/v1alpha1",
            "kind": "NodeConfiguration",
            "node": "node-1",
            "plugins": {"toys": {"control": str(self.control)}},
            "kube": {"kubeconfig": str(self.kubeconfig)},
            "kubelet": {"rootDir": str(self.kubelet.root)},
            "host": {"statusSocket": str(self.folder / "status.sock"), "bootIdFile": str(self.boot_id)},
            "cdi": {"dir": str(self.cdi)},
        }
        file = self.folder / name
        file.write_text(json.dumps({**content, **more}))
        return file

    def process(self, config: Path | None = None, instance: str = "", package: Path = PACKAGE) -> Process:
        made = Process(
            config or self.configure(),
            self.folder / f"log{len(self.processes)}",
            self.folder / "status.sock",
            instance,
            package,
        )
        self.processes.append(made)
        return made.start()

    def ready(self, config: Path | None = None, instance: str = "", *drivers: str) -> Process:
        """A process whose drivers are registered and have published."""
        process = self.process(config, instance)
        until(process.registered, "registration")
        for driver in drivers or (TOYS,):
            until(lambda driver=driver: self.slices(driver), f"slices of {driver}")
        return process

    # --- the API server -----------------------------------------------------------------------------

    def slices(self, driver: str = TOYS) -> list[dict[str, Any]]:
        return [item for item in self.api.list("resourceslices") if item["spec"]["driver"] == driver]

    def devices(self, driver: str = TOYS) -> list[dict[str, Any]]:
        return [device for item in self.slices(driver) for device in item["spec"].get("devices") or ()]

    def claim(self, name: str, *devices: str, pod: str = "", driver: str = TOYS) -> dict[str, Any]:
        """An allocated claim, reserved for the pod of that name (the claim's by default)."""
        from dracore.testing.kubelet.model import pod_uid

        results = []
        for position, device in enumerate(devices):
            owner, _, short = device.rpartition("/")
            results.append(
                {"request": f"r{position}", "driver": owner or driver, "pool": "node-1", "device": short}
            )
        requests = [
            {"name": result["request"], "exactly": {"deviceClassName": result["driver"]}}
            for result in results
        ]
        return self.api.create(
            {
                "apiVersion": "resource.k8s.io/v1",
                "kind": "ResourceClaim",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"devices": {"requests": requests}},
                "status": {
                    "allocation": {"devices": {"results": results}},
                    "reservedFor": [{"resource": "pods", "name": pod or name, "uid": pod_uid(pod or name)}],
                },
            }
        )

    def events(self, reason: str) -> list[dict[str, Any]]:
        return [event for event in self.api.list("events", group="") if event["reason"] == reason]

    # --- pods ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def preparing(self, name: str, device: str) -> Iterator[Future[Any]]:
        """A pod with a claim, both of that name: its prepare has held `device` and stays inside until
        :meth:`go_on`."""
        self.claim(name, device)
        (self.control / "slow").touch()
        with ThreadPoolExecutor(1) as pool:
            pod = pool.submit(self.kubelet.run_pod, name, [name])
            until((self.control / f"inside-{device}").exists, "the prepare")
            yield pod

    def go_on(self) -> None:
        (self.control / "slow").unlink()

    # --- what is on the node ------------------------------------------------------------------------

    def held(self) -> list[str]:
        return sorted(path.name.removeprefix("held-") for path in self.control.glob("held-*"))

    def specs(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted(self.cdi.glob("*.json"))}

    def sockets(self, driver: str = TOYS) -> list[str]:
        folders = (self.kubelet.registry_dir, self.kubelet.plugins_dir / driver)
        return sorted(path.name for folder in folders for path in folder.glob("*.sock"))


@pytest.fixture
def world(embedded_api: EmbeddedAPI, fake_kubelet: FakeKubelet, kubelet_root: Path) -> Iterator[World]:
    folder = kubelet_root / "w"
    folder.mkdir()
    made = World(embedded_api, fake_kubelet, folder)
    yield made
    for process in made.processes:
        if process.child.poll() is None:
            process.kill()
        print(process.log.read_text()[-4000:])  # shown where a test fails


@pytest.fixture
def stop_in_commit(world: World) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a process that holds the journal of a driver, and stands still."""
    children = []

    def stop(driver: str) -> subprocess.Popen[bytes]:
        path = world.kubelet.plugins_dir / driver / "journal.db"
        child = subprocess.Popen([sys.executable, "-c", LOCKER, str(path)])
        children.append(child)
        _, status = os.waitpid(child.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        return child

    yield stop
    for child in children:
        child.kill()
        child.wait()
