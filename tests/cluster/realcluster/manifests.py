"""Claims and pods as dicts: only what the tests vary is an argument."""

from __future__ import annotations

from typing import Any

from .api import Object
from .image import BUSYBOX

RESOURCE = "resource.k8s.io/v1"

# Runs until it is told to end; a shell as first process ignores SIGTERM otherwise.
IDLE = ["sh", "-c", "trap 'exit 0' TERM; sleep 2147483647 & wait"]


def request(
    name: str = "gpu", device_class: str = "gpu.nvidia.com", select: str | None = None, **more: Any
) -> Object:
    """One request. select: CEL; more: fields of ExactDeviceRequest (count, adminAccess, ...)."""
    exactly: Object = {"deviceClassName": device_class, **more}
    if select:
        exactly["selectors"] = [{"cel": {"expression": select}}]
    return {"name": name, "exactly": exactly}


def first_available(name: str, *subrequests: Object) -> Object:
    """A prioritized list; each sub-request is written with `request`."""
    return {"name": name, "firstAvailable": [{"name": sub["name"], **sub["exactly"]} for sub in subrequests]}


def devices(*requests: Object, match: str | None = None, **more: Any) -> Object:
    """The spec of a claim. match: an attribute that all its devices share."""
    spec: Object = {"requests": list(requests or [request()]), **more}
    if match:
        spec["constraints"] = [{"matchAttribute": match}]
    return {"devices": spec}


def claim(name: str, spec: Object | None = None) -> Object:
    return {
        "apiVersion": RESOURCE,
        "kind": "ResourceClaim",
        "metadata": {"name": name},
        "spec": spec or devices(),
    }


def template(name: str, spec: Object | None = None) -> Object:
    return {
        "apiVersion": RESOURCE,
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": name},
        "spec": {"spec": spec or devices()},
    }


def container(
    name: str = "main", uses: list[str | tuple[str, str]] | None = None, limits: dict[str, str] | None = None,
    command: list[str] | None = None,
) -> Object:  # fmt: skip
    """uses: names of the pod's claims, or (claim, request) for one request of it."""
    resources: Object = {}
    if uses:
        pairs = [use if isinstance(use, tuple) else (use, None) for use in uses]
        resources["claims"] = [{"name": name} | ({"request": part} if part else {}) for name, part in pairs]
    if limits:
        resources["limits"] = limits
    return {
        "name": name,
        "image": BUSYBOX,
        "imagePullPolicy": "Never",
        "command": command or IDLE,
        "resources": resources,
    }


def pod(
    name: str, template: str | None = None, claim: str | None = None, containers: list[Object] | None = None,
    claims: list[Object] | None = None, node: str | None = None, restart: str = "Always",
) -> Object:  # fmt: skip
    """A pod whose containers (by default one, using all claims) get devices.

    template, claim: its one claim, called "gpu" in the pod; claims: `spec.resourceClaims` itself;
    node: where it must run.
    """
    references = list(claims or [])
    if template:
        references.append({"name": "gpu", "resourceClaimTemplateName": template})
    if claim:
        references.append({"name": "gpu", "resourceClaimName": claim})
    spec: Object = {
        "hostNetwork": True,  # the only network there is; it also tells whose process a container is
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "restartPolicy": restart,
        "containers": containers or [container(uses=[reference["name"] for reference in references])],
        "resourceClaims": references,
    }
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
