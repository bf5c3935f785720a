"""``python -m dracore.testing.kubelet``: the fake kubelet as a process, told what to do line by line.

Each line on standard input is a JSON object with ``do`` and its arguments; each gets one JSON line on
standard output, ``{"ok": true, ...}`` or ``{"ok": false, "error": text}``. End of input or SIGTERM ends it.

    {"do": "wait_driver", "driver": "gpu.example.com", "timeout": 10}
    {"do": "run_pod", "name": "p", "claims": ["c"], "uid": null, "retry_for": 5}
    {"do": "cdi_ids", "name": "p"}        {"do": "delete_pod", "name": "p"}
    {"do": "force_delete", "name": "p"}   {"do": "reconcile"}
    {"do": "pods"}   {"do": "drivers"}    {"do": "restart"}   {"do": "stop"}
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dracore.errors import DracoreError
from dracore.testing.kubelet.kubelet import FakeKubelet
from dracore.testing.kubelet.model import Container, ContainerClaim

Object = dict[str, Any]


class _Ended(Exception):
    """SIGTERM came."""


def _containers(listed: Any) -> list[Container] | None:
    """``[{"name": "c", "claims": [{"name": "gpu", "request": "r"}]}]``."""
    if listed is None:
        return None
    return [
        Container(
            item["name"],
            tuple(ContainerClaim(used["name"], used.get("request", "")) for used in item.get("claims", ())),
        )
        for item in listed
    ]


class Commands:
    """What a line can ask for."""

    def __init__(self, kubelet: FakeKubelet) -> None:
        self._kubelet = kubelet

    def answer(self, line: str) -> Object:
        try:
            command = json.loads(line)
            act: Callable[[Object], Object] | None = getattr(self, f"do_{command['do']}", None)
            if act is None:
                return {"ok": False, "error": f"unknown command {command['do']!r}"}
            return {"ok": True, **act(command)}
        except DracoreError as error:
            return {"ok": False, "error": str(error)}
        except (ValueError, KeyError, TypeError) as error:
            return {"ok": False, "error": f"not a command: {error!r}"}

    def do_wait_driver(self, command: Object) -> Object:
        instances = command.get("instances", 1)
        found = self._kubelet.wait_for_driver(
            command["driver"], instances=instances, timeout=command.get("timeout", 15.0)
        )
        return {"endpoint": found.endpoint, "service": found.service}

    def do_wait_gone(self, command: Object) -> Object:
        self._kubelet.wait_gone(command["driver"], timeout=command.get("timeout", 15.0))
        return {}

    def do_run_pod(self, command: Object) -> Object:
        ids = self._kubelet.run_pod(
            command["name"],
            command["claims"],
            namespace=command.get("namespace", "default"),
            uid=command.get("uid"),
            containers=_containers(command.get("containers")),
            retry_for=command.get("retry_for", 0.0),
        )
        return {"cdi_ids": ids}

    def do_cdi_ids(self, command: Object) -> Object:
        return {"cdi_ids": self._kubelet.cdi_ids(command["name"], command.get("namespace", "default"))}

    def do_delete_pod(self, command: Object) -> Object:
        retry_for = command.get("retry_for", 0.0)
        self._kubelet.delete_pod(command["name"], command.get("namespace", "default"), retry_for=retry_for)
        return {}

    def do_force_delete(self, command: Object) -> Object:
        self._kubelet.force_delete(command["name"], command.get("namespace", "default"))
        return {}

    def do_reconcile(self, command: Object) -> Object:
        return {"errors": self._kubelet.reconcile()}

    def do_pods(self, command: Object) -> Object:
        return {"pods": [f"{pod.namespace}/{pod.name}" for pod in self._kubelet.pods()]}

    def do_drivers(self, command: Object) -> Object:
        return {"drivers": self._kubelet.plugins.drivers(), "failures": self._kubelet.registration_failures}

    def do_restart(self, command: Object) -> Object:
        self._kubelet.restart(lose_checkpoint=command.get("lose_checkpoint", False))
        return {}

    def do_stop(self, command: Object) -> Object:
        raise _Ended


def main(arguments: list[str] | None = None) -> int:
    """Prints ``{"ok": true, "ready": true}`` when it runs, then answers lines."""
    parser = argparse.ArgumentParser(prog="python -m dracore.testing.kubelet", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="root directory of the kubelet")
    parser.add_argument("--node", default="node-1", help="name of the node")
    server = parser.add_mutually_exclusive_group()
    server.add_argument("--server", help="URL of an API server that asks for no credentials")
    server.add_argument("--kubeconfig", type=Path, help="kubeconfig of the API server")
    parser.add_argument("--wipe-delay", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--call-timeout", type=float, default=45.0, metavar="SECONDS")
    parser.add_argument("--poll", type=float, default=0.1, metavar="SECONDS")
    parser.add_argument("--reconcile", type=float, default=60.0, metavar="SECONDS")
    options = parser.parse_args(arguments)
    from dracore.kube.client import KubeClient

    api = None
    if options.server:
        api = KubeClient.to_url(options.server, user_agent="fake-kubelet")
    elif options.kubeconfig:
        api = KubeClient.connect(options.kubeconfig, user_agent="fake-kubelet")

    def end(*_: object) -> None:
        raise _Ended

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    kubelet = FakeKubelet(
        options.root,
        api,
        node=options.node,
        wipe_delay=options.wipe_delay,
        call_timeout=options.call_timeout,
        poll=options.poll,
        reconcile_interval=options.reconcile,
    )
    try:
        kubelet.start()
        _say({"ok": True, "ready": True})
        commands = Commands(kubelet)
        for line in iter(sys.stdin.readline, ""):
            if line.strip():
                _say(commands.answer(line))
    except (_Ended, BrokenPipeError):
        pass
    finally:
        kubelet.stop()
    return 0


def _say(answer: Object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
