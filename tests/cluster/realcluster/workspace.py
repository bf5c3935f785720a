"""A namespace for one test: its pods and claims, what a container sees, and an end that leaves nothing."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

from .api import Api, ApiError, Object, Objects
from .controlplane import ApiServer
from .manifests import pod as pod_manifest
from .process import Timeout, wait_for

# The standard output of kubectl is used where a test wants what a person would do: exec and apply.
KUBECTL = Path(sys.executable).parent / "kubectl"


def kubectl(plane: ApiServer, *arguments: str, stdin: str | None = None) -> str:
    command = [str(KUBECTL), f"--kubeconfig={plane.kubeconfig()}", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise AssertionError(
            f"kubectl {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def describe(pod: Object) -> str:
    """Why a pod is not where it should be, in a line for an error."""
    status = pod.get("status", {})
    waiting = [entry.get("state") for entry in status.get("containerStatuses", [])]
    unmet = [
        c.get("message") for c in status.get("conditions", []) if c["status"] != "True" and c.get("message")
    ]
    claims = status.get("resourceClaimStatuses")
    return f"phase {status.get('phase')}, containers {waiting}, {unmet}, claims {claims}"


class Workspace:
    """One namespace. Everything that is made through it is in it."""

    def __init__(self, plane: ApiServer, name: str) -> None:
        self.plane = plane
        self.name = name

    @property
    def api(self) -> Api:
        return self.plane.api

    def start(self) -> None:
        self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}})

    def label(self, labels: dict[str, str]) -> None:
        """Labels the namespace itself."""
        self.api.patch("Namespace", self.name, {"metadata": {"labels": labels}})

    # ----------------------------------------------------------------- making

    def apply(self, *things: Object | str) -> Objects:
        return self.api.apply(*things, namespace=self.name)

    def pod(self, name: str, **fields: object) -> Object:
        """Applies a pod; the fields are those of `manifests.pod`."""
        return self.apply(pod_manifest(name, **fields))[0]  # type: ignore[arg-type]

    # ---------------------------------------------------------------- waiting

    def get_pod(self, name: str) -> Object:
        return self.api.get("Pod", name, self.name)

    def wait_running(self, *names: str, timeout: float = 40.0) -> Objects:
        """The pods, once every container of theirs runs."""

        def running(name: str) -> Object:
            pod = self.get_pod(name)
            states = pod["status"].get("containerStatuses", [])
            expected = len(pod["spec"]["containers"])
            ready = sum(1 for state in states if "running" in state["state"])
            assert (pod["status"]["phase"], ready) == ("Running", expected), describe(pod)
            return pod

        return [wait_for(f"pod {name} runs", partial(running, name), timeout) for name in names]

    def wait_gone(self, *names: str, timeout: float = 30.0) -> None:
        for name in names:
            self.api.wait_gone("Pod", name, self.name, timeout)

    def wait_unschedulable(self, name: str, text: str, timeout: float = 30.0) -> str:
        """The scheduler's words on why the pod waits; they contain `text`."""

        def message() -> str:
            conditions = self.get_pod(name)["status"].get("conditions", [])
            found: list[str] = [
                c.get("message", "")
                for c in conditions
                if c["type"] == "PodScheduled" and c["status"] == "False"
            ]
            assert found, "no condition yet"
            assert text in found[0], found[0]
            return found[0]

        return wait_for(f"pod {name} waits because of {text!r}", message, timeout)

    def wait_event(self, about: str, text: str, timeout: float = 30.0) -> str:
        """The message of an event about an object of this name that contains `text`."""

        def find() -> str:
            messages: list[str] = [event.get("message", "") for event in self.api.events(self.name, about)]
            found = [message for message in messages if text in message]
            assert found, messages
            return found[0]

        return wait_for(f"an event about {about} that says {text!r}", find, timeout)

    def delete_pod(self, *names: str, wait: bool = True, force: bool = False) -> None:
        for name in names:
            self.api.delete("Pod", name, self.name, grace=0 if force else None)
        if wait:
            self.wait_gone(*names)

    # ----------------------------------------------------------------- claims

    def claim_of(self, pod: Object, reference: str = "gpu") -> Object:
        """The claim that a pod uses under this name, written by hand or made from a template."""
        for entry in pod["spec"].get("resourceClaims", []):
            if entry["name"] == reference and "resourceClaimName" in entry:
                return self.api.get("ResourceClaim", entry["resourceClaimName"], self.name)
        statuses = pod["status"].get("resourceClaimStatuses", [])
        names = [entry["resourceClaimName"] for entry in statuses if entry["name"] == reference]
        assert names, f"pod {pod['metadata']['name']} has no claim {reference}: {statuses}"
        return self.api.get("ResourceClaim", names[0], self.name)

    def claims(self) -> Objects:
        return self.api.list("ResourceClaim", self.name)

    def allocated(self, pod: Object, reference: str = "gpu") -> list[str]:
        """The names of the devices that the scheduler chose for the pod's claim."""
        results = self.claim_of(pod, reference)["status"]["allocation"]["devices"]["results"]
        return [result["device"] for result in results]

    # --------------------------------------------------- inside the container

    def exec(self, pod: str, *command: str, container: str | None = None) -> str:
        where = ["-c", container] if container else []
        return kubectl(self.plane, "exec", "-n", self.name, pod, *where, "--", *command)

    def log(self, pod: str, container: str | None = None) -> str:
        return self.api.pod_log(pod, self.name, container)

    def environment(self, pod: str, container: str | None = None) -> dict[str, str]:
        """What the container's first process was started with."""
        text = self.exec(pod, "cat", "/proc/1/environ", container=container)
        return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)

    def gpu_nodes(self, pod: str, container: str | None = None) -> list[str]:
        """The /dev/nvidia<minor> character devices in the container, sorted."""
        lines = self.exec(pod, "ls", "-l", "/dev", container=container).splitlines()
        names = [line.split()[-1] for line in lines if line.startswith("c")]
        return sorted(f"/dev/{name}" for name in names if re.fullmatch(r"nvidia\d+", name))

    def mounts(self, pod: str, container: str | None = None) -> dict[str, str]:
        """Mount point -> options, as the container's kernel lists them."""
        lines = self.exec(pod, "cat", "/proc/mounts", container=container).splitlines()
        return {line.split()[1]: line.split()[3] for line in lines}

    # -------------------------------------------------------------------- end

    def stop(self, timeout: float = 25.0) -> None:
        """Deletes pods as a person would and waits until the claims are gone too.

        Raises Timeout when something stays (a claim that is not unprepared holds its pod); the namespace is
        emptied by force even then.
        """
        self.api.delete_all("ResourceClaimTemplate", self.name)
        self.api.delete_all("Pod", self.name)
        try:
            for kind in ("Pod", "ResourceClaim"):
                if kind == "ResourceClaim":
                    self.api.delete_all(kind, self.name)
                wait_for(
                    f"no {kind} is left in {self.name}",
                    partial(self._none_left, kind),
                    timeout,
                )
        except Timeout:
            self._force()
            raise
        finally:
            self.api.delete("Namespace", self.name)

    def _none_left(self, kind: str) -> bool:
        left = [
            f"{thing['metadata']['name']}: {describe(thing) if kind == 'Pod' else thing.get('status')}"
            for thing in self.api.list(kind, self.name)
        ]
        assert not left, left
        return True

    def _force(self) -> None:
        self.api.delete_all("Pod", self.name, grace=0)
        for claim in self.claims():
            name = claim["metadata"]["name"]
            with contextlib.suppress(ApiError):
                self.api.patch("ResourceClaim", name, {"metadata": {"finalizers": None}}, self.name)
                self.api.delete("ResourceClaim", name, self.name)

    def report(self) -> str:
        """Pods, claims and events, for the report of a failed test."""
        parts = [f"pod {p['metadata']['name']}: {describe(p)}" for p in self.api.list("Pod", self.name)]
        parts += [f"claim {c['metadata']['name']}: {c.get('status')}" for c in self.claims()]
        for event in self.api.events(self.name):
            about = event["involvedObject"]
            parts.append(
                f"event {about['kind']}/{about['name']} {event.get('reason')}: {event.get('message')}"
            )
        return "\n".join(parts)
