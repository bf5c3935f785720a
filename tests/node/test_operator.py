"""An operator with two left hands: whatever is done to files and processes, nothing is lost in silence.

One seed in `make test`; more with OPERATOR_SEEDS=20.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dracore.testing.kubelet import KubeletError

TOYS = "toys.example.com"
SEEDS = int(os.environ.get("OPERATOR_SEEDS", "1"))
STEPS = 12


class Operator:
    def __init__(self, world: Any, seed: int) -> None:
        self.world = world
        self.choose = random.Random(seed)
        self.pods: dict[str, str] = {}
        self.count = 0
        self.done: list[str] = []
        self.refusals: list[str] = []
        self.folder = Path(world.kubelet.plugins_dir / TOYS)
        self.process = world.ready(world.configure(observe={"port": 0}))
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.supervisor = threading.Thread(target=self._supervise)
        self.supervisor.start()

    # --- what users do ------------------------------------------------------------------------------

    def pod(self) -> None:
        free = sorted({f"toy-{i}" for i in range(4)} - set(self.pods.values()))
        if not free:
            return
        self.count += 1
        name, device = f"c{self.count}", self.choose.choice(free)
        self.world.claim(name, device)
        self.pods[name] = device
        # A kubelet asks again and again; here, until it works.
        self.world.until(lambda: self._try(self.world.kubelet.run_pod, name, [name]), f"pod {name}")

    def end(self) -> None:
        if self.pods:
            name = self.choose.choice(sorted(self.pods))
            self.world.until(lambda: self._try(self.world.kubelet.delete_pod, name), f"the end of {name}")
            del self.pods[name]

    def _try(self, action: Callable[..., Any], *arguments: Any) -> bool:
        try:
            action(*arguments)
        except KubeletError as error:
            self.refusals.append(str(error))
            time.sleep(0.2)
            return False
        return True

    def _supervise(self) -> None:
        """What a kubelet and a liveness probe see to: it runs, and is restarted where it asks for that."""
        while not self.ended.wait(0.1):
            with self.lock, contextlib.suppress(AssertionError):  # it died between two looks
                if self.process.child.poll() is not None:
                    self.process = self.world.process(self.world.configure(observe={"port": 0}))
                status = self.process.status()
                if status and "restart the driver" in str(status["drivers"]):
                    self.process.kill()

    # --- what operators do --------------------------------------------------------------------------

    def kill(self) -> None:
        self.process.kill()

    def kill_in_the_middle(self) -> None:
        child = self.process.child
        threading.Timer(self.choose.random() * 0.05, child.kill).start()
        self.pod()

    def stop_and_go(self) -> None:
        self.process.signal(signal.SIGSTOP)
        time.sleep(0.3)
        self.process.signal(signal.SIGCONT)

    def remove_the_folder(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def move_the_folder(self) -> None:
        with contextlib.suppress(OSError):
            self.folder.rename(self.folder.with_name(f"away-{len(self.done)}"))

    def move_the_journal(self) -> None:
        with contextlib.suppress(OSError):
            (self.folder / "journal.db").rename(self.folder / f"moved-{len(self.done)}")

    def remove_the_log(self) -> None:
        (self.folder / "journal.db-wal").unlink(missing_ok=True)

    def remove_sockets(self) -> None:
        for path in (*self.folder.glob("*.sock"), *self.world.kubelet.registry_dir.glob("*.sock")):
            path.unlink(missing_ok=True)

    def remove_cdi(self) -> None:
        shutil.rmtree(self.world.cdi, ignore_errors=True)

    def litter(self) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "notes.txt").write_text("mine")
        (self.folder / "claims").mkdir(exist_ok=True)
        (self.folder / "claims" / "README").write_text("mine")

    def lock_the_journal(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            connection = sqlite3.connect(f"file:{self.folder / 'journal.db'}?mode=rw", uri=True, timeout=1)
            with contextlib.closing(connection):
                connection.execute("BEGIN IMMEDIATE")
                time.sleep(0.5)

    def break_the_configuration(self) -> None:
        file = self.world.folder / "node.yaml"
        good = file.read_text()
        file.write_text("plugins: [")
        self.process.signal(signal.SIGHUP)
        time.sleep(0.2)
        file.write_text(good)

    def second_process(self) -> None:
        with self.lock:
            second = self.world.process(self.world.configure())
            with contextlib.suppress(subprocess.TimeoutExpired):
                second.child.wait(5)
            if second.child.poll() is None:  # the first was dead: this one serves now
                self.process.kill()
                self.process = second

    def restart_the_kubelet(self) -> None:
        self.world.kubelet.restart()

    def play(self) -> None:
        mischief = [
            self.kill,
            self.kill_in_the_middle,
            self.stop_and_go,
            self.remove_the_folder,
            self.move_the_folder,
            self.move_the_journal,
            self.remove_sockets,
            self.remove_cdi,
            self.litter,
            self.lock_the_journal,
            self.break_the_configuration,
            self.second_process,
            self.restart_the_kubelet,
        ]
        for _ in range(STEPS):
            for step in (self.choose.choice([self.pod, self.pod, self.end]), self.choose.choice(mischief)):
                self.done.append(step.__name__)
                step()


def tracebacks(world: Any) -> list[str]:
    return [p.log.read_text() for p in world.processes if "Traceback" in p.log.read_text()]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_is_lost(world: Any, seed: int) -> None:
    operator = Operator(world, seed)
    try:
        operator.play()
        while operator.pods:
            operator.end()
        world.until(
            lambda: operator.process.child.poll() is None and operator.process.status(), "the process"
        )
        # What a loss would leave must have been said; a journal is lost only where its process was dead.
        said = "".join(p.log.read_text() for p in world.processes)
        if "JournalLost" not in said:
            world.until(lambda: (world.held(), world.specs()) == ([], {}), "nothing is left")
        world.until(lambda: world.slices(), "slices")
        assert operator.process.status()["claims"] == []
        assert tracebacks(world) == []
    finally:
        operator.ended.set()
        operator.supervisor.join()
        print(seed, operator.done, operator.refusals[-5:])
