"""What an API server refuses of claims, templates and classes (``resource.k8s.io/v1``, Kubernetes 1.37).

An allocator would calculate with such an object, but no scheduler ever meets it. Each rule names the function
of ``k8s.io/kubernetes/pkg/apis/resource/validation`` that it is of; tests put the same objects to a real
API server. What cannot be read at all (:mod:`dracore.allocate.wanted`) does not come here. Nor is it asked if
expressions compile: a scheduler meets stored ones that a server would not let in anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from dracore.allocate.fields import Fault
from dracore.allocate.near import hint
from dracore.model.names import (
    DRIVER_NAME_LIMIT,
    OPAQUE_LIMIT,
    is_dns_label,
    is_dns_subdomain,
    is_label_key,
    is_label_value,
    is_qualified_name,
)

JSON: TypeAlias = Mapping[str, Any]
LIMITS: Mapping[str, int] = {
    "requests": 32,
    "constraints": 32,
    "config": 32,
    "selectors": 32,
    "firstAvailable": 8,
    "derivedAttributes": 32,
}
"""Entries of a list (``resource/v1`` types: …MaxSize); tolerations have no limit."""
MODES = ("ExactCount", "All")
OPERATORS = ("Equal", "Exists")
EFFECTS = ("NoSchedule", "NoExecute", "None")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with the function of the API server that it is of."""

    source: str
    check: Callable[[JSON], Iterable[Fault]]


def faults(kind: str, content: JSON) -> Iterator[Fault]:
    """All that an API server refuses an object for; the object has been read without a fault.

    A claim that is allocated was let in by the server of its time.
    """
    spec = content.get("spec") or {}
    if kind == "DeviceClass":
        yield from _under(("spec",), _all(CLASS_RULES, spec))
    elif kind == "ResourceClaim" and not (content.get("status") or {}).get("allocation"):
        yield from _under(("spec", "devices"), _all(CLAIM_RULES, spec.get("devices") or {}))
    elif kind == "ResourceClaimTemplate":
        devices = (spec.get("spec") or {}).get("devices") or {}
        yield from _under(("spec", "spec", "devices"), _all(CLAIM_RULES, devices))


def _all(rules: Sequence[Rule], content: JSON) -> Iterator[Fault]:
    for rule in rules:
        yield from rule.check(content)


def _under(path: Sequence[str], found: Iterable[Fault]) -> Iterator[Fault]:
    return (fault.under(*path) for fault in found)


def _each(content: JSON, name: str, rules: Sequence[Rule]) -> Iterator[Fault]:
    for index, entry in enumerate(content.get(name) or ()):
        yield from _under((f"{name}[{index}]",), _all(rules, entry))


# --- rules --------------------------------------------------------------------------------------------------


def _sizes(*names: str) -> Callable[[JSON], Iterator[Fault]]:
    def check(content: JSON) -> Iterator[Fault]:
        for name in names:
            count = len(content.get(name) or ())
            if count > LIMITS[name]:
                yield Fault(f"has {count} entries; {LIMITS[name]} are allowed", name)

    return check


def _unique(name: str) -> Callable[[JSON], Iterator[Fault]]:
    def check(content: JSON) -> Iterator[Fault]:
        seen: set[str] = set()
        for index, entry in enumerate(content.get(name) or ()):
            if entry["name"] in seen:
                yield Fault(f"{entry['name'][:80]} is there twice", f"{name}[{index}]", "name")
            seen.add(entry["name"])

    return check


def _label(content: JSON) -> Iterator[Fault]:
    name = content["name"]
    if not is_dns_label(name):
        text = f"{name[:80]!r} is no DNS label: lower-case letters, digits and '-', at most 63"
        yield Fault(text, "name")


def _class_name(content: JSON) -> Iterator[Fault]:
    name = content.get("deviceClassName") or ""
    if not name:
        yield Fault("is required", "deviceClassName")
    elif not is_dns_subdomain(name):
        yield Fault(f"{name[:80]!r} is no name of an object: a lower-case DNS subdomain", "deviceClassName")


def _mode(content: JSON) -> Iterator[Fault]:
    mode, count = content.get("allocationMode") or "ExactCount", content.get("count") or 0
    if mode not in MODES:
        yield Fault(f"{mode[:40]} is neither ExactCount nor All{hint(mode, MODES)}", "allocationMode")
    elif mode == "All" and count:
        yield Fault("is not allowed with allocationMode All", "count")


def _cel(content: JSON) -> Iterator[Fault]:
    if content.get("cel") is None:
        yield Fault("is required", "cel")


def _tolerated(content: JSON) -> Iterator[Fault]:
    key, value = content.get("key") or "", content.get("value") or ""
    operator, effect = content.get("operator") or "Equal", content.get("effect") or ""
    if key and not is_label_key(key):
        yield Fault(f"{key[:80]!r} is no name of a label", "key")
    if operator not in OPERATORS:
        yield Fault(f"{operator[:40]} is neither Equal nor Exists{hint(operator, OPERATORS)}", "operator")
    elif operator == "Exists" and value:
        yield Fault("is not allowed with operator Exists", "value")
    elif operator == "Equal" and not is_label_value(value):
        yield Fault(f"{value[:80]!r} is no value of a label", "value")
    if effect and effect not in EFFECTS:
        yield Fault(f"{effect[:40]} is none of {', '.join(EFFECTS)}{hint(effect, EFFECTS)}", "effect")


def _attribute(content: JSON) -> Iterator[Fault]:
    # A server takes both at once, and the scheduler then looks at matchAttribute alone.
    kinds = [kind for kind in ("matchAttribute", "distinctAttribute") if content.get(kind) is not None]
    if not kinds:
        yield Fault("needs one of matchAttribute and distinctAttribute")
    for kind in kinds[:1]:
        name = content[kind]
        if "/" not in name or not is_qualified_name(name):
            yield Fault(f"{name[:100]} is no full name: DOMAIN/NAME", kind)


def _references(content: JSON) -> Iterator[Fault]:
    names: set[str] = set()
    for request in content.get("requests") or ():
        names.add(request["name"])
        names |= {f"{request['name']}/{sub['name']}" for sub in request.get("firstAvailable") or ()}
    for kind in ("constraints", "config"):
        for index, entry in enumerate(content.get(kind) or ()):
            wanted = entry.get("requests") or ()
            if len(wanted) > LIMITS["requests"]:
                text = f"has {len(wanted)} entries; {LIMITS['requests']} are allowed"
                yield Fault(text, f"{kind}[{index}]", "requests")
            for number, name in enumerate(wanted):
                path = (f"{kind}[{index}]", f"requests[{number}]")
                if name not in names:
                    yield Fault(f"no request is called {name[:80]}{hint(name, names)}", *path)
                elif name in wanted[:number]:
                    yield Fault(f"{name[:80]} is there twice", *path)


def _derived(content: JSON) -> Iterator[Fault]:
    """An attribute by expression is there for a constraint on its request."""
    compared: dict[str, set[str]] = {}
    for constraint in content.get("constraints") or ():
        name = constraint.get("matchAttribute") or constraint.get("distinctAttribute") or ""
        for request in constraint.get("requests") or ("",):
            compared.setdefault(request, set()).add(name)

    def used(name: str, *requests: str) -> bool:
        return any(name in compared.get(request, ()) for request in ("", *requests))

    for index, request in enumerate(content.get("requests") or ()):
        own = request["name"]
        path = (f"requests[{index}]", *(("exactly",) if request.get("exactly") is not None else ()))
        for number, name in _derived_names(request.get("exactly") or request):
            if not used(name, own):
                yield Fault(f"no constraint on request {own} compares {name[:100]}", *path, number, "name")
        for place, sub in enumerate(request.get("firstAvailable") or ()):
            for number, name in _derived_names(sub):
                if not used(name, own, f"{own}/{sub['name']}"):
                    text = f"no constraint on request {own}/{sub['name']} compares {name[:100]}"
                    yield Fault(text, *path, f"firstAvailable[{place}]", number, "name")


def _derived_names(body: JSON) -> Iterator[tuple[str, str]]:
    for index, entry in enumerate(body.get("derivedAttributes") or ()):
        yield f"derivedAttributes[{index}]", entry["name"]


def _full_name(content: JSON) -> Iterator[Fault]:
    name = content["name"]
    if "/" not in name or not is_qualified_name(name):
        yield Fault(f"{name[:100]} is no full name: DOMAIN/NAME", "name")


def _opaque(content: JSON) -> Iterator[Fault]:
    opaque = content.get("opaque")
    if opaque is None:
        yield Fault("is required", "opaque")
        return
    driver, parameters = opaque.get("driver") or "", opaque.get("parameters")
    if not driver:
        yield Fault("is required", "opaque", "driver")
    elif not is_dns_subdomain(str(driver).lower(), DRIVER_NAME_LIMIT):
        text = f"{str(driver)[:80]!r} is no name of a driver: a DNS subdomain of at most {DRIVER_NAME_LIMIT}"
        yield Fault(text, "opaque", "driver")
    if parameters is None:
        yield Fault("is required", "opaque", "parameters")
    elif not isinstance(parameters, Mapping):
        yield Fault("is no object", "opaque", "parameters")
    else:
        size = len(json.dumps(parameters, separators=(",", ":"), ensure_ascii=False, default=str).encode())
        if size > OPAQUE_LIMIT:
            yield Fault(f"has {size} bytes; {OPAQUE_LIMIT} are allowed", "opaque", "parameters")


def _bodies(content: JSON) -> Iterator[Fault]:
    if content.get("exactly") is not None:
        yield from _under(("exactly",), _all(BODY_RULES, content["exactly"]))
    elif not content.get("firstAvailable"):  # v1beta1 has the fields inline
        yield from _all(BODY_RULES, content)
    yield from _each(content, "firstAvailable", (Rule("validateDeviceSubRequest", _label), *BODY_RULES))


BODY_RULES = (
    Rule("validateDeviceClass", _class_name),
    Rule("validateSelectorSlice", _sizes("selectors")),
    Rule("validateSelector", lambda body: _each(body, "selectors", (Rule("validateSelector", _cel),))),
    Rule("validateDeviceDerivedAttributes", _sizes("derivedAttributes")),
    Rule("validateDeviceDerivedAttributes", _unique("derivedAttributes")),
    Rule(
        "validateDeviceDerivedAttribute",
        lambda body: _each(body, "derivedAttributes", (Rule("DeviceDerivedAttribute", _full_name),)),
    ),
    Rule("validateDeviceAllocationMode", _mode),
    Rule(
        "validateDeviceToleration",
        lambda body: _each(body, "tolerations", (Rule("validateDeviceToleration", _tolerated),)),
    ),
)
REQUEST_RULES = (
    Rule("validateRequestName", _label),
    Rule("validateDeviceRequest", _sizes("firstAvailable")),
    Rule("validateSet", _unique("firstAvailable")),
    Rule("validateExactDeviceRequest, validateDeviceSubRequest", _bodies),
)
CONFIG_RULES = (
    Rule("validateDeviceClaim, validateDeviceClassSpec", _sizes("config")),
    Rule(
        "validateOpaqueConfiguration",
        lambda content: _each(content, "config", (Rule("validateDeviceConfiguration", _opaque),)),
    ),
)
CLAIM_RULES = (
    Rule("validateDeviceClaim", _sizes("requests", "constraints")),
    Rule("validateSet", _unique("requests")),
    Rule("validateDeviceRequest", lambda devices: _each(devices, "requests", REQUEST_RULES)),
    Rule(
        "validateDeviceConstraint",
        lambda devices: _each(devices, "constraints", (Rule("validateDeviceConstraint", _attribute),)),
    ),
    Rule("validateRequestNameRef", _references),
    Rule("isAttributeUsedByConstraint", _derived),
    *CONFIG_RULES,
)
CLASS_RULES = (
    Rule("validateDeviceClassSpec", _sizes("selectors")),
    Rule("validateSelector", lambda spec: _each(spec, "selectors", (Rule("validateSelector", _cel),))),
    *CONFIG_RULES,
)
"""Of a class's extended resource's name the API server wants more than is looked at here."""
