"""`dracore run`, a real process between an API server and a kubelet, killed at every point that it passes."""

from __future__ import annotations

import contextlib
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
PARTS = 2 if WHOLE else 1
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
        self.bystanders = set()
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

    def run(self):
        """It runs, and may be armed to die (once) at some point."""
        if self.child is None or self.child.poll() is not None:
            (self.folder / "armed").unlink(missing_ok=True)
            self.start("--armed", str(self.folder / "armed"))
            assert self.up()

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
        if self.child is None:
            return
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

    def looked(self, record):
        """Whether the reconciler has looked at what is prepared; False where the driver has died."""

        def seen():
            if self.child.poll() is not None:
                return "dead"
            return "seen" if "effect.probe.after" in record.read_text() else ""

        return until(seen, "the first look") == "seen"

    def left(self):
        """What is on the node, save what the bystander has, which must be all there."""
        held = {path.name for path in self.control.glob("held-*")}
        held |= {path.name for path in (self.folder / "cdi").glob("*")}
        assert self.bystanders <= held
        return sorted(held - self.bystanders)

    def stand_by(self):
        """It runs, and from here on another pod does, on a device of its own, whatever dies."""
        self.run()
        if not self.bystanders:
            self.claim("bystander", "toy-1")
            assert self.kubelet.run_pod("bystander", ["bystander"], retry_for=30)
            self.bystanders = set(self.left())
            assert len(self.bystanders) == 2


@pytest.fixture
def node(embedded_api, fake_kubelet, kubelet_root):
    made = Node(embedded_api, fake_kubelet, kubelet_root / "n")
    yield made
    made.end("kill")
    print((made.folder / "log").read_text()[-3000:])


def first_life(node):
    """The dry run of a start, a pod's life, and an end: its points, those of the start apart."""
    record = node.folder / "points-1"
    node.start("--record", str(record))
    assert node.up()
    begun = len(record.read_text().splitlines())
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
    points = record.read_text().splitlines()
    return points[:begun], points[begun:]


def second_life(node):
    """Likewise of a start under a running pod, up to the pod's end."""
    record = node.folder / "points-2"
    node.claim("dry-2", "toy-0")
    node.start()
    assert node.up()
    assert node.kubelet.run_pod("dry-2", ["dry-2"], retry_for=10.0)
    node.end()
    node.start("--record", str(record))
    assert node.up()
    assert node.looked(record)
    begun = len(record.read_text().splitlines())
    node.kubelet.delete_pod("dry-2", retry_for=10.0)
    node.end()
    points = record.read_text().splitlines()
    return points[:begun], points[begun:]


def places(node):
    """Every point with how to come there, each once."""
    first, life = first_life(node)
    under, end = second_life(node)
    known = {bare(point) for point in life}
    return [
        *((new_node, point) for point in first),
        *((pod_life, point) for point in [*life, *(p for p in end if bare(p) not in known)]),
        *((under_a_pod, point) for point in under),
    ]


def bare(point):
    return point.rpartition(" ")[0]


AREAS = (
    *(
        "journal.begin.before",
        "journal.commit.before",
        "journal.commit.after",
        "api.get.before",
        "api.get.after",
    ),
    *("effect.before.before", "effect.before.after", "effect.apply.before", "effect.apply.after"),
    *("effect.revert.before", "effect.revert.after", "effect.probe.before", "effect.probe.after"),
    *("cdi.write.before", "cdi.write.after", "cdi.fsync.before", "cdi.fsync.after", "cdi.rename.before"),
    *("cdi.rename.after", "cdi.dirsync.before", "cdi.dirsync.after", "cdi.remove.before", "cdi.remove.after"),
    *("reply.prepare.before", "reply.unprepare.before", "lock.publisher.taken", "lock.publisher.released"),
)
"""Every boundary that the process has, save that of a claim's own folder (the toys have none)."""


def new_node(node, point, name):
    """The first start on a node, a pod's life, an end: with a death at the point, if it is passed."""
    node.end()
    assert not node.bystanders
    shutil.rmtree(node.kubelet.plugins_dir / TOYS, ignore_errors=True)
    node.claim(name, "toy-0")
    node.start("--die-at", point)
    if node.up():
        node.story(name, 0.0)
    node.end()
    return node.child.returncode == -9


def pod_life(node, point, name):
    """A pod's life and an end, beside another pod."""
    node.stand_by()
    node.claim(name, "toy-0")
    (node.folder / "armed").write_text(point)
    node.story(name, 0.0)
    node.end()
    return node.child.returncode == -9


def under_a_pod(node, point, name):
    """A start under running pods, and the end of one of them."""
    node.stand_by()
    node.claim(name, "toy-0")
    assert node.kubelet.run_pod(name, [name], retry_for=30)
    node.end()
    record = node.folder / f"record-{name}"
    record.touch()
    node.start("--die-at", point, "--record", str(record))
    if node.up() and node.looked(record):
        with contextlib.suppress(KubeletError):
            node.kubelet.delete_pod(name)
    node.end()
    return node.child.returncode == -9


def go_on(node, point, name):
    """The kubelet goes on with what it was about: a pod that it could not start or not end."""
    node.run()
    if any(pod.name == name for pod in node.kubelet.pods()):
        node.kubelet.delete_pod(name, retry_for=30)
    assert all(pod.name == "bystander" for pod in node.kubelet.pods())
    assert node.left() == [], point
    assert node.kubelet.run_pod(name, [name], retry_for=30), point
    assert len(node.left()) == 2, point
    assert "held-toy-0" in node.left(), point
    node.kubelet.delete_pod(name, retry_for=30)
    assert node.left() == [], point


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(PARTS))
def test_the_process_killed_at_every_point_loses_and_leaks_nothing(node, part):
    every = list(dict.fromkeys(places(node)))
    assert {point.partition(" ")[0] for _, point in every} >= set(AREAS)
    if WHOLE:
        chosen = every[part::PARTS]
    else:
        chosen = random.Random(os.environ.get("DRACORE_PROVE_SEED", "1")).sample(every, SAMPLE)
        chosen.sort(key=every.index)  # the new node comes first
    missed = []
    for number, (die, point) in enumerate(chosen):
        # Threads pass the points in another order each time: in the end, the first of its name will do, and a
        # step of a start may come after the process is called up.
        tries = [(die, point), (die, bare(point)), (under_a_pod if die is pod_life else die, bare(point))]
        for attempt, (way, place) in enumerate(tries):
            name = f"c{number}-{attempt}"
            died = way(node, place, name)
            go_on(node, place, name)
            if died:
                break
        missed += [] if died else [point]
    deaths = len(chosen) - len(missed)
    said = f"real process: {len(chosen)} of {len(every)} points, {deaths} deaths, 0 violations"
    print(said)
    if "DRACORE_PROVE_SAID" in os.environ:
        with open(os.environ["DRACORE_PROVE_SAID"], "a") as file:
            file.write(f"{said}; missed: {missed}\n")
    assert not missed, f"points of the dry run that no later run has passed: {missed}"
