"""DeviceClasses and DeviceTaintRules."""

from __future__ import annotations

import re
from typing import Any

from dracore.testing.apiserver.fielderrors import FieldError, invalid
from dracore.testing.apiserver.gates import Gates
from dracore.testing.apiserver.validation import claims, devices, formats

Object = dict[str, Any]
_EXTENDED = re.compile(r"[a-z0-9.-]+/[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def validate_class(new: Object, old: Object | None, gates: Gates) -> list[FieldError]:
    spec = new.get("spec", {})
    errors = formats.bounded_list(spec.get("selectors"), 32, "spec.selectors", claims.selector)
    errors += formats.bounded_list(spec.get("config"), 32, "spec.config", claims.opaque)
    name = spec.get("extendedResourceName")
    if name is not None and "kubernetes.io/" in name:
        errors.append(invalid("spec.extendedResourceName", name, 'must not have "kubernetes.io/" domain'))
    elif name is not None and not _EXTENDED.fullmatch(name):
        errors.append(invalid("spec.extendedResourceName", name, "must be a valid extended resource name"))
    return errors


def validate_taint_rule(new: Object, old: Object | None, gates: Gates) -> list[FieldError]:
    spec = new.get("spec", {})
    selector = spec.get("deviceSelector") or {}
    checks = (("driver", formats.driver_name), ("pool", formats.pool_name), ("device", formats.dns_label))
    errors = [
        error
        for name, check in checks
        if selector.get(name) is not None
        for error in check(selector[name], f"spec.deviceSelector.{name}")
    ]
    return errors + devices.taint(spec.get("taint") or {}, "spec.taint")


def validate_taint_rule_status(new: Object, old: Object | None, gates: Gates) -> list[FieldError]:
    return formats.conditions(new.get("status", {}).get("conditions"), "status.conditions", 8)
