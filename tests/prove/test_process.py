"""`dracore run`, a real process between an API server and a kubelet, killed at every point that it passes."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dracore.admin.client import ask
from dracore.testing.kubelet import KubeletError
from dracore.testing.waiting import until

ROOT = Path(__file__).parents[1]
TOYS = "toys.example.com"
WHOLE = bool(os.environ.get("DRACORE_PROVE"))
PARTS = 8 if WHOLE else 1
SAMPLE = 2
"""Points of an ordinary run; `make prove` takes all."""


class Node:
    """One node: API server and kubelet here, the driver as a process."""

    def __init__(self, api, kubelet, folder):
        self.api, self.kubelet, self.folder = api, kubelet, folder
        self.control = folder / "control"
        self.control.mkdir(parents=True)
        (folder / "boot_id").write_text("boot-1\n")
        self.config = folder / "node.yaml"
        content = {
            "apiVersion": "dracore.dev/v1alpha1",
            "kind": "NodeConfiguration",
            "node": "node-1",
            "plugins": {"toys": {"control": str(self.control)}},
            "kube": {"kubeconfig": str(api.write_kubeconfig(folder / "kubeconfig"))},
            "kubelet": {"rootDir": str(kubelet.root)},
            "host": {"statusSocket": str(folder / "s.sock"), "bootIdFile": str(folder / "boot_id")},
            "cdi": {"dir": str(folder / "cdi")},
        }
        self.config.write_text(json.dumps(content))
        self.child = None
        api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}})

    def start(self, *arguments):
        environment = {name: value for name, value in os.environ.items() if name != "POD_UID"}
        environment["PYTHONPATH"] = str(ROOT / "node/package")
        command = [
            sys.executable,
            "-m",
            "dracore.testing.crash.run",
            "--config",
            str(self.config),
            *arguments,
        ]
        with open(self.folder / "log", "ab") as log:
            self.child = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def up(self):
        """Whether the kubelet has accepted it; False once it has died."""

        def registered():
            if self.child.poll() is not None:
                return "dead"
            try:
                return "up" if self.kubelet.wait_for_driver(TOYS, timeout=0.2) else ""
            except Exception:
                return ""

        return until(registered, "registration") == "up"

    def end(self, how="terminate"):
        if self.child.poll() is None:
            getattr(self.child, how)()
        self.child.wait(60)

    def claim(self, name, device):
        from dracore.testing.kubelet.model import pod_uid

        results = [{"request": "r0", "driver": TOYS, "pool": "node-1", "device": device}]
        self.api.create(
            {
                "apiVersion": "resource.k8s.io/v1",
                "kind": "ResourceClaim",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"devices": {"requests": [{"name": "r0", "exactly": {"deviceClassName": TOYS}}]}},
                "status": {
                    "allocation": {"devices": {"results": results}},
                    "reservedFor": [{"resource": "pods", "name": name, "uid": pod_uid(name)}],
                },
            }
        )

    def story(self, name, retry):
        """A pod comes and goes; True where the driver lived to see the end."""
        try:
            self.kubelet.run_pod(name, [name], retry_for=retry)
            self.kubelet.delete_pod(name, retry_for=retry)
        except KubeletError:
            return False
        return self.child.poll() is None

    def left(self):
        held = [path.name for path in self.control.glob("held-*")]
        return held + [path.name for path in (self.folder / "cdi").glob("*")]


@pytest.fixture
def node(embedded_api, fake_kubelet, kubelet_root):
    made = Node(embedded_api, fake_kubelet, kubelet_root / "n")
    yield made
    if made.child is not None:
        made.end("kill")
    print((made.folder / "log").read_text()[-3000:])


def points(node):
    """The dry run."""
    record = node.folder / "points"
    node.start("--record", str(record))
    assert node.up()
    node.claim("dry", "toy-0")
    assert node.story("dry", 10.0)
    (claim,) = node.api.list("resourceclaims")
    timeline = ask(node.folder / "s.sock", f"timeline {claim['metadata']['uid']}")
    steps = [entry["what"] for entry in timeline["entries"]]
    assert steps == [
        "preparing",
        "apply",
        "applied",
        "prepared",
        "releasing",
        "revert",
        "reverted",
        "released",
    ]
    node.end()
    found = list(dict.fromkeys(record.read_text().splitlines()))
    assert len(found) > 30
    for area in ("journal.", "effect.apply", "effect.revert", "cdi.write", "cdi.remove", "api.get", "reply."):
        assert any(line.startswith(area) for line in found), area
    return found


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_the_process_killed_at_every_point_loses_and_leaks_nothing(node, part):
    every = points(node)
    if WHOLE:
        chosen = every[part::PARTS]
    else:
        chosen = random.Random(os.environ.get("DRACORE_PROVE_SEED", "1")).sample(every, SAMPLE)
    died = 0
    for number, point in enumerate(chosen):
        # As on a new node: some points are passed once in the life of a journal.
        shutil.rmtree(node.kubelet.plugins_dir / TOYS)
        name = f"c{number}"
        node.claim(name, "toy-0")
        node.start("--die-at", point)
        if node.up():
            node.story(name, 0.0)
        if node.child.poll() is None:
            node.end()
        died += node.child.returncode == -9
        node.start()
        assert node.up(), point
        # The kubelet goes on with what it was about: a pod that it could not start or not end.
        if any(pod.name == name for pod in node.kubelet.pods()):
            node.kubelet.delete_pod(name, retry_for=30)
        assert node.left() == [], point
        assert node.kubelet.run_pod(name, [name], retry_for=30), point
        assert node.left() == ["held-toy-0", *[p.name for p in (node.folder / "cdi").glob("*")]], point
        assert len(node.left()) == 2, point
        node.kubelet.delete_pod(name, retry_for=30)
        assert node.left() == [], point
        node.end()
    # Points of threads that look now and then may not come again; nearly all do.
    assert died >= len(chosen) * 0.7, f"{died} of {len(chosen)} points were passed again"
    print(f"real process: {len(chosen)} of {len(every)} points, {died} deaths, 0 violations")
