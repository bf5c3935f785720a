"""A bridge on this machine and one network namespace a node, in a range that nothing else uses."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import subprocess
from pathlib import Path

RANGES = [ipaddress.ip_network(f"10.77.{number}.0/24") for number in range(256)]


def ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def pids_in(namespace: str) -> list[int]:
    """Every process of a network namespace: pods use the node's, so their containers too."""
    done = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True)
    return [int(pid) for pid in done.stdout.split()] if done.returncode == 0 else []


def namespaces(prefix: str) -> list[str]:
    folder = Path("/run/netns")
    return sorted(path.name for path in folder.glob(f"{prefix}-*")) if folder.is_dir() else []


class Network:
    """The machine's end of the bridge is `host`: the control plane listens there, and nodes reach it."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or f"drc{os.getpid()}"
        self._lock: socket.socket | None = None
        self._range = RANGES[0]
        self._nodes = 0

    @property
    def host(self) -> str:
        return str(self._range[1])

    def start(self) -> None:
        self._take_range()
        ip("link", "add", self.name, "type", "bridge")
        ip("address", "add", f"{self.host}/{self._range.prefixlen}", "dev", self.name)
        ip("link", "set", self.name, "up")

    def stop(self) -> None:
        remove(self.name)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def add(self, node: str) -> tuple[str, str]:
        """Makes a namespace for a node: (its name, the node's address)."""
        self._nodes += 1
        namespace, address = f"{self.name}-{node}", str(self._range[10 + self._nodes])
        inside, outside = "eth0", f"{self.name}{node}"
        if len(outside) > 15:
            raise ValueError(f"node name {node!r} is too long: {outside} is not an interface name")
        ip("netns", "add", namespace)
        ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", namespace)
        ip("link", "set", outside, "master", self.name, "up")
        ip("-n", namespace, "link", "set", "lo", "up")
        ip("-n", namespace, "address", "add", f"{address}/{self._range.prefixlen}", "dev", inside)
        ip("-n", namespace, "link", "set", inside, "up")
        ip("-n", namespace, "route", "add", "default", "via", self.host)
        return namespace, address

    def _take_range(self) -> None:
        """An abstract socket is the lock: the kernel frees it with this process, however that ends."""
        known = json.loads(ip("-json", "-4", "address")) + json.loads(ip("-json", "-4", "route"))
        used = [
            ipaddress.ip_network(text, strict=False)
            for entry in known
            for text in (
                [entry["dst"]]
                if entry.get("dst", "default") != "default"
                else [a["local"] for a in entry.get("addr_info", [])]
            )
        ]
        for candidate in RANGES:
            if any(candidate.overlaps(other) for other in used):
                continue
            lock = socket.socket(socket.AF_UNIX)
            try:
                lock.bind(f"\0dracore-cluster-{candidate}")
            except OSError:
                lock.close()
                continue
            self._lock, self._range = lock, candidate
            return
        raise RuntimeError("no free range in 10.77.0.0/16 for the nodes' network")


def remove(name: str) -> None:
    """Removes a bridge and the namespaces behind it; what is gone already is passed over."""
    for namespace in namespaces(name):
        subprocess.run(["ip", "netns", "delete", namespace], capture_output=True)
    subprocess.run(["ip", "link", "delete", name], capture_output=True)
