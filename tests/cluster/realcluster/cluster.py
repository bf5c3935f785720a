"""A control plane with nodes that are made when they are asked for."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from .api import Api
from .binaries import Binaries
from .controlplane import ControlPlane
from .guard import Guard, clean
from .image import write_image
from .network import Network
from .node import Node


class Cluster:
    """start, stop; `nodes("a", "b")` gives ready nodes called node-a and node-b.

    State lies in a folder with a short path (a socket's path has at most 107 bytes) that goes with the
    cluster; logs lie where the caller says, and stay.
    """

    def __init__(self, binaries: Binaries, logs: Path) -> None:
        self.binaries = binaries
        self.logs = logs
        self.folder = Path(tempfile.mkdtemp(prefix="drc-", dir=_short_tmp()))
        self.network = Network()
        self.plane = ControlPlane(binaries, self.folder / "plane", logs)
        self._guard = Guard(self.network.name, self.folder)
        self._image = self.folder / "image.tar"
        self._nodes: dict[str, Node] = {}
        self._done: set[str] = set()

    @property
    def api(self) -> Api:
        return self.plane.api

    def start(self) -> None:
        self._guard.start()
        self.network.start()
        self.plane.host = self.network.host
        self.plane.start()
        write_image(self._image)

    def nodes(self, *shorts: str) -> list[Node]:
        """The named nodes, Ready; those that are not there are started together."""
        for short in shorts:
            if short not in self._nodes:
                self._nodes[short] = Node(
                    f"node-{short}", short, self.folder / short, self.logs, self._image, self.binaries,
                    self.plane, self.network,
                )  # fmt: skip
                self._nodes[short].start()
        chosen = [self._nodes[short] for short in shorts]
        for node in chosen:
            node.wait_ready()
        return chosen

    def once(self, what: str, do: Callable[[], object]) -> None:
        """Does something the first time that it is asked for in this cluster."""
        if what not in self._done:
            do()
            self._done.add(what)

    def discard(self, short: str) -> None:
        """Stops a node and forgets it: the next `nodes` makes a fresh one."""
        if node := self._nodes.pop(short, None):
            node.stop()

    def stop(self) -> None:
        try:
            self.plane.stop()
        finally:
            for node in self._nodes.values():
                node.kill()
            clean(self.network.name, self.folder)
            self.network.stop()
            self._guard.stop()


def _short_tmp() -> str | None:
    """The usual folder for temporary files unless its path eats up what a socket's path may have."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= 12 or not os.access("/tmp", os.W_OK) else "/tmp"
