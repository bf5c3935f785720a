"""Nodes, and which of them a slice or device can be reached from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dracore.allocate import fields
from dracore.allocate.fields import Fault
from dracore.allocate.taint import Taint, taint
from dracore.model.device import JSON

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_INTEGER = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A node as far as device selection looks at it."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    declared_features: frozenset[str] = frozenset()
    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()
    """For pods; a claim alone does not meet them."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Node:
        """Reads a v1 Node."""
        meta = fields.mapping(content, "metadata")
        status = fields.mapping(content, "status")
        try:
            name = fields.text(meta, "name", required=True)
            labels = fields.mapping(meta, "labels")
        except Fault as fault:
            raise fault.under("metadata") from None
        features = fields.strings(status, "declaredFeatures")
        spec = fields.mapping(content, "spec")
        return cls(
            name,
            {str(key): str(value) for key, value in labels.items()},
            frozenset(features),
            fields.under(content, "spec", lambda spec: fields.flag(spec, "unschedulable")) if spec else False,
            fields.under(content, "spec", lambda spec: fields.each(spec, "taints", taint)) if spec else (),
        )


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement on a label of a node (``v1.NodeSelectorRequirement``)."""

    key: str
    operator: str
    values: tuple[str, ...]

    def met(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet it; a label that is absent meets NotIn and DoesNotExist alone."""
        present = self.key in labels
        if self.operator == "Exists":
            return present
        if self.operator == "DoesNotExist":
            return not present
        if self.operator == "In":
            return present and labels[self.key] in self.values
        if self.operator == "NotIn":
            return not present or labels[self.key] not in self.values
        if not present or not _INTEGER.fullmatch(labels[self.key]) or len(labels[self.key]) > 20:
            return False
        value, limit = int(labels[self.key]), int(self.values[0])
        return value > limit if self.operator == "Gt" else value < limit

    def json(self) -> JSON:
        """As the API writes it."""
        content: dict[str, Any] = {"key": self.key, "operator": self.operator}
        return {**content, "values": list(self.values)} if self.values else content


@dataclass(frozen=True, slots=True)
class Term:
    """Requirements that must all be met; a term without any matches no node."""

    fields: tuple[Requirement, ...]
    labels: tuple[Requirement, ...]

    def matches(self, node: Node) -> bool:
        """Whether all requirements are met."""
        if not self.fields and not self.labels:
            return False
        own = {"metadata.name": node.name}
        return all(r.met(own) for r in self.fields) and all(r.met(node.labels) for r in self.labels)


@dataclass(frozen=True, slots=True)
class NodeSelector:
    """Terms, one of which must match (``v1.NodeSelector``)."""

    terms: tuple[Term, ...]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> NodeSelector:
        """Reads it; the scheduler refuses what labels and fields cannot be, so this does too."""
        fields.only(content, {"nodeSelectorTerms"})
        return cls(fields.each(content, "nodeSelectorTerms", _term))

    def matches(self, node: Node) -> bool:
        """Whether any term matches."""
        return any(term.matches(node) for term in self.terms)


def _term(content: Mapping[str, Any]) -> Term:
    fields.only(content, {"matchFields", "matchExpressions"})
    return Term(
        fields.each(content, "matchFields", _field_requirement),
        fields.each(content, "matchExpressions", _requirement),
    )


def _requirement(content: Mapping[str, Any]) -> Requirement:
    fields.only(content, {"key", "operator", "values"})
    key = fields.text(content, "key", required=True)
    name = key.rpartition("/")[2]
    if len(name) > 63 or not _NAME.fullmatch(name):
        raise Fault(f"{key[:80]!r} is no name of a label", "key")
    operator = fields.text(content, "operator", required=True)
    values = fields.strings(content, "values")
    if operator in ("In", "NotIn"):
        if not values:
            raise Fault(f"{operator} needs a value", "values")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            raise Fault(f"{operator} takes no value", "values")
    elif operator in ("Gt", "Lt"):
        if len(values) != 1 or not _INTEGER.fullmatch(values[0]) or abs(int(values[0][:20])) >= 2**63:
            raise Fault(f"{operator} needs one whole number", "values")
    else:
        raise Fault(f"{operator!r} is no operator", "operator")
    return Requirement(key, operator, values)


def _field_requirement(content: Mapping[str, Any]) -> Requirement:
    fields.only(content, {"key", "operator", "values"})
    key = fields.text(content, "key", required=True)
    if key != "metadata.name":
        raise Fault(f"{key[:80]!r} is no field of a node that can be selected by", "key")
    operator = fields.text(content, "operator", required=True)
    if operator not in ("In", "NotIn"):
        raise Fault(f"{operator!r} is no operator for a field", "operator")
    values = fields.strings(content, "values")
    if len(values) != 1:
        raise Fault("takes exactly one name", "values")
    return Requirement(key, operator, values)


@dataclass(frozen=True, slots=True)
class Reach:
    """The nodes that reach a slice or device: one node, all of them, or those of a selector."""

    node_name: str | None = None
    all_nodes: bool = False
    selector: NodeSelector | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Reach:
        """Reads the three fields; v1beta1 writes those that are not set as empty."""
        selector = content.get("nodeSelector")
        return cls(
            fields.text(content, "nodeName") or None,
            fields.flag(content, "allNodes"),
            fields.under(content, "nodeSelector", NodeSelector.from_json) if selector is not None else None,
        )

    @property
    def known(self) -> bool:
        """False where none is set: a way of selecting that this code does not know."""
        return bool(self.node_name) or self.all_nodes or self.selector is not None

    def covers(self, node: Node) -> bool:
        """Whether a node is among them."""
        if self.node_name:
            return node.name == self.node_name
        return self.all_nodes or (self.selector is not None and self.selector.matches(node))
