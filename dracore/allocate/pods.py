"""Pods as far as their devices go: claims, templates, extended resources, and which nodes they may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dracore.allocate import fields
from dracore.allocate.fields import Fault
from dracore.allocate.near import hint
from dracore.allocate.nodes import Node, NodeSelector
from dracore.allocate.taint import Taint
from dracore.allocate.taints import PREVENTING
from dracore.allocate.wanted import DeviceClass, Request, RequestGroup, Toleration

IMPLICIT = "deviceclass.resource.kubernetes.io/"
"""Before a class's name: its extended resource where it names none itself (KEP-5004)."""


@dataclass(frozen=True, slots=True)
class PodClaim:
    """An entry of ``spec.resourceClaims``."""

    name: str
    claim: str = ""
    template: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    """A container's requests of extended resources; `index` counts init containers first."""

    index: int
    short_lived: bool
    """An init container that ends before the others start."""
    requests: Mapping[str, int]
    order: tuple[str, ...]
    """All resources that it requests, sorted: they number the requests."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that is to be scheduled, or is bound."""

    namespace: str
    name: str
    uid: str = ""
    node_name: str = ""
    node_selector: Mapping[str, str] | None = None
    affinity: NodeSelector | None = None
    claims: tuple[PodClaim, ...] = ()
    statuses: Mapping[str, str] | None = None
    """Entry to the claim that was made for it out of its template."""
    containers: tuple[Container, ...] = ()
    done: bool = False
    """Nobody schedules it: it has ended, or is being deleted."""
    tolerations: tuple[Toleration, ...] = ()
    gated: tuple[str, ...] = ()
    """Scheduling gates: it is not looked at before they are gone."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any], namespace: str) -> Pod:
        """Reads a v1 Pod."""
        meta = fields.mapping(content, "metadata")
        status = fields.mapping(content, "status")
        try:
            name = fields.text(meta, "name") or fields.text(meta, "generateName", required=True)
        except Fault as fault:
            raise Fault(
                "is required" if fault.what == "is required" else fault.what, "metadata", "name"
            ) from None
        statuses = fields.each(
            status,
            "resourceClaimStatuses",
            lambda one: (fields.text(one, "name"), fields.text(one, "resourceClaimName")),
        )
        phase = fields.text(status, "phase")

        def spec_of(spec: Mapping[str, Any]) -> Pod:
            selector = fields.mapping(spec, "nodeSelector")
            return cls(
                fields.text(meta, "namespace") or namespace,
                name,
                fields.text(meta, "uid"),
                fields.text(spec, "nodeName"),
                {str(key): str(value) for key, value in selector.items()} or None,
                _affinity(spec),
                fields.each(spec, "resourceClaims", _pod_claim),
                dict(statuses),
                _containers(spec),
                phase in ("Succeeded", "Failed") or meta.get("deletionTimestamp") is not None,
                fields.each(spec, "tolerations", _toleration),
                fields.each(spec, "schedulingGates", lambda one: fields.text(one, "name")),
            )

        return fields.under(content, "spec", spec_of)

    def refuses(self, node: Node) -> str:
        """Why its name, node selector, required affinity or tolerations keep it from a node; empty: nothing
        does. Neither CPU and memory nor other pods are looked at.
        """
        if self.node_name:
            return "" if node.name == self.node_name else f"the pod is bound to node {self.node_name}"
        for key, wanted in (self.node_selector or {}).items():
            found = node.labels.get(key)
            if found != wanted:
                has = f"label {key} is {found}" if found is not None else f"it has no label {key}"
                return f"{has}, the pod's node selector wants {wanted}"
        if self.affinity is not None and not self.affinity.matches(node):
            return "the pod's required node affinity does not match it"
        taints = (*node.taints, _CORDONED) if node.unschedulable else node.taints
        for taint in taints:
            if taint.effect in PREVENTING and not any(
                one.tolerates(taint.key, taint.value, taint.effect) for one in self.tolerations
            ):
                shown = f"{taint.key}={taint.value}" if taint.value else taint.key
                return f"it is tainted {shown}:{taint.effect}, which the pod does not tolerate"
        return ""


_CORDONED = Taint("node.kubernetes.io/unschedulable", "NoSchedule")
"""The taint for which the scheduler takes ``unschedulable``."""


def _toleration(content: Mapping[str, Any]) -> Toleration:
    key, operator, value, effect = (
        fields.text(content, name) for name in ("key", "operator", "value", "effect")
    )
    return Toleration(key, operator, value, effect, content)


def _pod_claim(content: Mapping[str, Any]) -> PodClaim:
    found = PodClaim(
        fields.text(content, "name", required=True),
        fields.text(content, "resourceClaimName"),
        fields.text(content, "resourceClaimTemplateName"),
    )
    if bool(found.claim) == bool(found.template):
        raise Fault("needs one of resourceClaimName and resourceClaimTemplateName")
    return found


def _affinity(spec: Mapping[str, Any]) -> NodeSelector | None:
    content: Mapping[str, Any] = spec
    steps: list[str] = []
    for name in ("affinity", "nodeAffinity"):
        try:
            content = fields.mapping(content, name)
        except Fault as fault:
            raise fault.under(*steps) from None
        steps.append(name)
    name = "requiredDuringSchedulingIgnoredDuringExecution"
    if content.get(name) is None:
        return None
    try:
        return fields.under(content, name, NodeSelector.from_json)
    except Fault as fault:
        raise fault.under(*steps) from None


def _containers(spec: Mapping[str, Any]) -> tuple[Container, ...]:
    found: list[Container] = []
    for kind in ("initContainers", "containers"):

        def read(content: Mapping[str, Any], init: bool = kind == "initContainers") -> Container:
            resources = fields.mapping(content, "resources")
            # The API server takes a limit for the request where none is given.
            wanted = {**fields.mapping(resources, "limits"), **fields.mapping(resources, "requests")}
            extended = {}
            for name, value in wanted.items():
                if _is_extended(str(name)):
                    amount = fields.quantity(value, f"resources.requests.{name}")
                    if amount.value != int(amount) or amount.value < 0:
                        raise Fault("is no whole number", "resources", "requests", str(name))
                    extended[str(name)] = int(amount)
            lives_on = fields.text(content, "restartPolicy") == "Always"
            return Container(0, init and not lives_on, extended, tuple(sorted(map(str, wanted))))

        for container in fields.each(spec, kind, read):
            found.append(Container(len(found), container.short_lived, container.requests, container.order))
    return tuple(found)


def _is_extended(name: str) -> bool:
    """A name with a domain that is not Kubernetes' own, or of a class."""
    domain, slash, _ = name.partition("/")
    if not slash or domain.startswith("requests."):
        return False
    return name.startswith(IMPLICIT) or not domain.endswith("kubernetes.io")


def class_of(resource: str, classes: Mapping[str, DeviceClass]) -> DeviceClass | None:
    """The class behind an extended resource: the newest that names it, of these the first by name."""
    if resource.startswith(IMPLICIT):
        return classes.get(resource.removeprefix(IMPLICIT))
    found = [item for item in classes.values() if item.extended_resource == resource]
    newest = max((item.created for item in found), default="")
    return min((item for item in found if item.created == newest), key=lambda item: item.name, default=None)


def unserved(
    pod: Pod,
    classes: Mapping[str, DeviceClass],
    served: Callable[[str], bool],
    *,
    gate: bool = True,
) -> str:
    """Why a pod's extended resources are not to be had: nobody offers the first of these; else empty.

    :param served: whether there is a resource from a device plugin.
    :param gate: whether devices are given for extended resources at all (KEP-5004).
    """
    wanted = {name for container in pod.containers for name, count in container.requests.items() if count}
    for resource in sorted(wanted):
        if served(resource):
            continue
        if class_of(resource, classes) is None:
            known = [item.extended_resource for item in classes.values() if item.extended_resource]
            known += [IMPLICIT + name for name in classes]
            return f"no DeviceClass has extendedResourceName {resource[:100]}{hint(resource, known)}"
        if not gate:
            return f"devices for {resource[:100]} need the gate DRAExtendedResource, which is off"
    return ""


def extended_requests(
    pod: Pod, classes: Mapping[str, DeviceClass], served: Callable[[str], bool]
) -> tuple[RequestGroup, ...]:
    """The requests of the claim that the scheduler makes for a pod's extended resources (KEP-5004).

    Init containers that end share one request, the largest of theirs, beyond what later containers hold.

    :param served: whether the node has a resource from a device plugin; no claim is made for that.
    """
    found: list[RequestGroup] = []
    for resource in sorted({name for container in pod.containers for name in container.requests}):
        device_class = class_of(resource, classes)
        if device_class is None or served(resource):
            continue
        lasting = {
            container.index: container.requests[resource]
            for container in pod.containers
            if not container.short_lived and container.requests.get(resource)
        }
        brief: tuple[int, Container] | None = None
        for container in pod.containers:
            if not container.short_lived or not container.requests.get(resource):
                continue
            later = sum(count for index, count in lasting.items() if index >= container.index)
            extra = container.requests[resource] - later
            if extra > 0 and (brief is None or brief[0] < extra):
                brief = extra, container
        wanted = [(brief[1], brief[0])] if brief else []
        wanted += [
            (container, lasting[container.index])
            for container in pod.containers
            if container.index in lasting
        ]
        for container, count in wanted:
            name = f"container-{container.index}-request-{container.order.index(resource)}"
            found.append(RequestGroup(name, (Request(name, device_class.name, count=count),)))
    return tuple(sorted(found, key=lambda group: group.name))
