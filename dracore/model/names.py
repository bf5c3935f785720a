"""Names and limits of the ``resource.k8s.io`` API (v1, Kubernetes 1.37)."""

from __future__ import annotations

import re

DRIVER_NAME_LIMIT = 63
POOL_NAME_LIMIT = 253
DEVICES_PER_SLICE = 128
DEVICES_PER_SLICE_ADVANCED = 64
"""Where any device of the slice has taints, consumes counters or carries list attributes."""
ATTRIBUTES_PER_DEVICE = 32
"""Attributes and capacities together."""
ATTRIBUTE_VALUES_PER_DEVICE = 48
"""Scalars and list items together."""
IDENTIFIER_LIMIT = 32
DOMAIN_LIMIT = 63
STRING_VALUE_LIMIT = 64
TAINTS_PER_DEVICE = 16
COUNTER_SETS_PER_SLICE = 8
COUNTERS_PER_SET = 32
COUNTER_SETS_PER_DEVICE = 2
BINDING_CONDITIONS_PER_DEVICE = 4
VALID_VALUES_LIMIT = 10
RESULTS_PER_CLAIM = 32
OPAQUE_LIMIT = 10 * 1024
EXPRESSION_LIMIT = 10 * 1024

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?")


def is_dns_label(text: str) -> bool:
    """True for a lower-case DNS label (RFC 1123) of at most 63 characters: names of devices and counters."""
    return bool(_LABEL.fullmatch(text))


def is_dns_subdomain(text: str, limit: int = POOL_NAME_LIMIT) -> bool:
    """True for a lower-case DNS subdomain (RFC 1123) of at most `limit` characters: names of drivers."""
    return len(text) <= limit and bool(_SUBDOMAIN.fullmatch(text))


def is_pool_name(text: str) -> bool:
    """True for DNS subdomains joined with ``/``, at most 253 characters."""
    return 0 < len(text) <= POOL_NAME_LIMIT and all(map(is_dns_subdomain, text.split("/")))


def is_qualified_name(text: str) -> bool:
    """True for a name of an attribute or capacity: a C identifier, with an optional ``domain/``."""
    domain, slash, identifier = text.rpartition("/")
    if slash and not is_dns_subdomain(domain, DOMAIN_LIMIT):
        return False
    return len(identifier) <= IDENTIFIER_LIMIT and bool(_IDENTIFIER.fullmatch(identifier))


def is_label_value(text: str) -> bool:
    """True for the value of a Kubernetes label or taint; it may be empty."""
    return len(text) <= 63 and bool(_LABEL_VALUE.fullmatch(text))


def is_label_key(text: str) -> bool:
    """True for the key of a Kubernetes label or taint: a name with an optional ``domain/``."""
    domain, slash, name = text.rpartition("/")
    if slash and not is_dns_subdomain(domain):
        return False
    return bool(name) and is_label_value(name)


def qualify(name: str, driver: str) -> str:
    """The full form of an attribute or capacity name: a bare one lies in the driver's own domain."""
    return name if "/" in name else f"{driver}/{name}"


def device_name(text: str) -> str:
    """`text` made into a DNS label: lower case, other characters as ``-``, dots dropped.

    >>> device_name("eth0.100")
    'eth0100'
    """
    name = re.sub(r"[^a-z0-9-]", "-", text.lower().replace(".", "")).strip("-")[:63].rstrip("-")
    return name or "device"
