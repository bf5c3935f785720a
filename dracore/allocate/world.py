"""A cluster out of files: nodes, classes, slices, taint rules, pods, claims and templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dracore.allocate.admission import faults
from dracore.allocate.documents import Object, Source, objects
from dracore.allocate.fields import Fault, mapping, text
from dracore.allocate.nodes import Node, NodeSelector
from dracore.allocate.pods import Pod
from dracore.allocate.published import PublishedSlice, TaintRule
from dracore.allocate.wanted import DeviceClass, WantedClaim
from dracore.model.claim import ClaimRef
from dracore.model.device import JSON

T = TypeVar("T")
GROUP = "resource.k8s.io"
VERSIONS = ("v1", "v1beta2", "v1beta1")
DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class StoredClaim:
    """A claim as given: wanted, or allocated already."""

    wanted: WantedClaim
    results: tuple[JSON, ...] | None
    """The results of its allocation; None: not allocated."""
    selector: NodeSelector | None
    """The nodes to which its allocation binds a pod."""
    source: Object


@dataclass
class World:
    """Everything that was given, in the order of the documents."""

    nodes: dict[str, Node] = field(default_factory=dict)
    allocatable: dict[str, frozenset[str]] = field(default_factory=dict)
    """Node to the resources that device plugins serve there."""
    classes: dict[str, DeviceClass] = field(default_factory=dict)
    slices: list[PublishedSlice] = field(default_factory=list)
    rules: list[TaintRule] = field(default_factory=list)
    claims: dict[tuple[str, str], StoredClaim] = field(default_factory=dict)
    templates: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    queue: list[Pod | StoredClaim] = field(default_factory=list)
    """Pods and claims as they came."""
    sources: dict[str, list[Object]] = field(default_factory=dict)
    """Kind to the objects, for lint."""
    release: list[str] = field(default_factory=list)
    """The version of the cluster that it is of, if it is of one."""
    _slice_names: dict[str, PublishedSlice] = field(default_factory=dict)
    old: set[int] = field(default_factory=set)
    """Identities of objects that one of the same name replaces; any other given twice is a fault."""

    def read(self, source: Source) -> World:
        """Takes in all objects of a text, which have not been stored by an API server yet.

        :raises ConfigError: with file, document, line and field of the first fault.
        """
        for item in objects(source):
            self.add(item)
            for fault in faults(item.kind, item.content):
                raise item.error(fault)
        return self

    def copy(self) -> World:
        """A world of its own with the same content, whose objects may be replaced by newer ones."""
        found = World()
        for name in World.__dataclass_fields__:
            setattr(found, name, getattr(self, name).copy())
        found.sources = {kind: list(items) for kind, items in self.sources.items()}
        for known in (self.nodes, self.classes, self.claims, self.templates):
            found.old |= {id(value) for value in known.values()}
        found.old |= {id(item) for item in self.slices}
        return found

    def add(self, item: Object) -> None:
        """Takes in one object; kinds that say nothing about devices are passed over.

        :raises ConfigError: see :meth:`read`.
        """
        reader = _READERS.get(item.kind)
        if reader is None:
            return
        try:
            self._check_version(item)
            reader(self, item)
        except Fault as fault:
            raise item.error(fault) from None
        self.sources.setdefault(item.kind, []).append(item)

    @staticmethod
    def _check_version(item: Object) -> None:
        version = text(item.content, "apiVersion", required=True)
        if item.kind in ("Node", "Pod"):
            if version != "v1":
                raise Fault(f"is {version}, not v1", "apiVersion")
            return
        group, _, name = version.partition("/")
        known = ("v1", "v1beta2", "v1alpha3") if item.kind == "DeviceTaintRule" else VERSIONS
        if group != GROUP or name not in known:
            raise Fault(f"is {version}, not {GROUP}/{known[0]}", "apiVersion")

    def nodes_or_guessed(self) -> list[Node]:
        """The nodes by name; without any those that slices name, or one for slices that name none."""
        known = self.nodes
        if not known:
            names = {item.reach.node_name for item in self.slices if item.reach.node_name}
            names |= {
                device.reach.node_name
                for item in self.slices
                for device in item.devices
                if device.reach.node_name
            }
            known = {name: Node(name) for name in names}
        return [known[name] for name in sorted(known)] or [Node("node")]

    # --- kinds ----------------------------------------------------------------------------------------

    def _node(self, item: Object) -> None:
        node = Node.from_json(item.content)
        self._put(self.nodes, node.name, node)
        served = mapping(mapping(item.content, "status"), "allocatable")
        self.allocatable[node.name] = frozenset(
            str(name) for name, amount in served.items() if str(amount) != "0"
        )

    def _class(self, item: Object) -> None:
        found = DeviceClass.from_json(item.content)
        self._put(self.classes, found.name, found)

    def _slice(self, item: Object) -> None:
        found = PublishedSlice.from_json(item.content)
        same = self._slice_names.get(found.name) if found.name else None
        if same is not None:
            if id(same) not in self.old:
                raise Fault("is given twice", "metadata", "name")
            self.slices.remove(same)
        self._slice_names[found.name] = found
        self.slices.append(found)

    def _rule(self, item: Object) -> None:
        self.rules.append(TaintRule.from_json(item.content))

    def _pod(self, item: Object) -> None:
        self.queue.append(Pod.from_json(item.content, DEFAULT_NAMESPACE))

    def _claim(self, item: Object) -> None:
        found = stored_claim(item)
        ref = found.wanted.ref
        replaced = self.claims.get((ref.namespace, ref.name))
        self._put(self.claims, (ref.namespace, ref.name), found)
        if replaced is not None:
            self.queue = [one for one in self.queue if one is not replaced]
        self.queue.append(found)

    def _template(self, item: Object) -> None:
        meta = mapping(item.content, "metadata")
        try:
            name = text(meta, "name", required=True)
        except Fault as fault:
            raise fault.under("metadata") from None
        namespace = text(meta, "namespace") or DEFAULT_NAMESPACE
        spec = mapping(item.content, "spec", required=True)
        try:
            inner = mapping(spec, "spec", required=True)
            WantedClaim.from_spec(ClaimRef("", namespace, name), inner)
        except Fault as fault:
            raise fault.under("spec") from None
        self._put(self.templates, (namespace, name), inner)

    def _put(self, known: dict[Any, T], key: Any, value: T) -> None:
        if key in known and id(known[key]) not in self.old:
            raise Fault("is given twice", "metadata", "name")
        known[key] = value


def stored_claim(item: Object) -> StoredClaim:
    """Reads a claim with its allocation.

    :raises Fault: with the path of the field.
    """
    from dracore.allocate.held import Held, results_of

    content = item.content
    wanted = WantedClaim.from_json(content)
    if not wanted.ref.namespace:
        ref = ClaimRef(wanted.ref.uid, DEFAULT_NAMESPACE, wanted.ref.name)
        wanted = WantedClaim(ref, wanted.groups, wanted.constraints, wanted.config)
    allocation = mapping(content, "status").get("allocation")
    if allocation is None:
        return StoredClaim(wanted, None, None, item)
    results = results_of(content)
    try:
        Held().add(results)
    except Fault as fault:
        raise fault.under("status", "allocation", "devices") from None
    if not isinstance(allocation, Mapping):
        raise Fault("is not an object", "status", "allocation")
    selector = allocation.get("nodeSelector")
    try:
        nodes = NodeSelector.from_json(mapping(allocation, "nodeSelector")) if selector is not None else None
    except Fault as fault:
        raise fault.under("status", "allocation") from None
    return StoredClaim(wanted, results, nodes, item)


_READERS: Mapping[str, Callable[[World, Object], None]] = {
    "Node": World._node,
    "DeviceClass": World._class,
    "ResourceSlice": World._slice,
    "DeviceTaintRule": World._rule,
    "Pod": World._pod,
    "ResourceClaim": World._claim,
    "ResourceClaimTemplate": World._template,
}


def world(sources: Iterable[Source]) -> World:
    """A world out of several texts.

    :raises ConfigError: with file, document, line and field.
    """
    found = World()
    for source in sources:
        found.read(source)
    return found
